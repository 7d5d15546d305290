//! Sub-agents that an outage cuts off.

use claude_safe_testkit::{Answer, Behaviour, Script, SignIn};
use serde_json::json;

use super::{MESSAGE, Stage};

#[test]
fn a_sub_agent_that_the_outage_cut_off_is_named_so_that_its_work_is_gone_on_with() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.service.answer_with(|request| {
        let tools = request.body["tools"].as_array().into_iter().flatten();
        let mut names = tools.filter_map(|tool| tool["name"].as_str());
        let name = names.find(|name| matches!(*name, "Agent" | "Task")).unwrap_or("Task");
        if request.user_texts.iter().any(|text| text.contains("SendMessage")) {
            return Answer::text("The agent goes on.");
        }
        let input = json!({
            "description": "A part of the work", "prompt": "Do your part.",
            "subagent_type": "general-purpose", "run_in_background": false,
        });
        Answer::Tool { name: name.into(), input, then: Box::new(Answer::text("done")) }
    });
    // the turn's first request works; the agent's and the turn's next are refused, twice each
    let mut requests = vec![Behaviour::Ok];
    requests.extend(vec![Behaviour::error(529); 4]);
    requests.push(Behaviour::Ok);
    stage.service.set_api(Script::Requests(requests));
    let ended = stage.asks(&[]);
    assert_eq!(
        (ended.code, ended.stdout.trim_end()),
        (Some(0), "The agent goes on."),
        "{ended:#?}"
    );
    let transcript = stage.sandbox.transcripts().pop().unwrap();
    let agents = std::fs::read_dir(transcript.with_extension("").join("subagents")).unwrap();
    let mut ids = agents.filter_map(|file| {
        let name = file.unwrap().file_name().into_string().unwrap();
        Some(name.strip_prefix("agent-")?.strip_suffix(".jsonl")?.to_owned())
    });
    let message = stage.prompts().pop().unwrap();
    assert!(message.starts_with(MESSAGE), "{message}");
    let id = ids.next().unwrap();
    assert!(message.ends_with(&format!("by the SendMessage tool, to: {id}")), "{message}, {id}");
}
