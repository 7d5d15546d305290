//! The models of the cases: what they do next is read from the whole conversation, so that a
//! turn that was interrupted is gone on with where it stands, as a real model does.

use claude_safe_testkit::{Answer, FakeService, Request};
use serde_json::{Value, json};

/// Tool calls of a turn, and of each sub-agent.
pub const STEPS: usize = 8;

/// Where each finished step leaves a line.
pub const STEPS_FILE: &str = "steps";

fn blocks(request: &Request) -> impl Iterator<Item = &Value> {
    let messages = request.body["messages"].as_array().into_iter().flatten();
    messages.flat_map(|message| message["content"].as_array().into_iter().flatten())
}

/// Whether a tool's result in the conversation holds this.
fn resulted(request: &Request, text: &str) -> bool {
    blocks(request)
        .any(|block| block["type"] == "tool_result" && block["content"].to_string().contains(text))
}

/// The next of `who`'s steps, or `end`.
fn next_step(request: &Request, who: &str, pause: &str, end: &str) -> Answer {
    let step = (1..=STEPS).find(|step| !resulted(request, &format!("{who}-{step}-done")));
    let Some(step) = step else { return Answer::text(end) };
    let done = format!("{who}-{step}-done");
    let command = format!("{pause} echo {done} | tee -a {STEPS_FILE}");
    after(request, Answer::bash(&command, ""))
}

/// The kit goes one answer further for each result of this turn: these are skipped over.
fn after(request: &Request, answer: Answer) -> Answer {
    (0..request.tool_results).fold(answer, |answer, _| Answer::Tool {
        name: "Bash".into(),
        input: json!({}),
        then: Box::new(answer),
    })
}

/// A turn of eight tool calls.
pub fn eight_steps(service: &FakeService) {
    service.answer_with(|request| next_step(request, "step", "", "eight steps done"));
}

const PARTS: [&str; 2] = ["north", "south"];

/// A turn that gives each of two sub-agents a part of its work, and a part that was not done to
/// another one.
pub fn two_agents(service: &FakeService) {
    service.answer_with(|request| {
        let part = PARTS.iter().find(|part| is_agent(request, part));
        if let Some(part) = part {
            return next_step(request, part, "sleep 1;", &format!("the {part} is finished"));
        }
        let finished = |part: &&&str| {
            let report = format!("the {part} is finished");
            resulted(request, &report) || said(request, &report)
        };
        let missing: Vec<_> = PARTS.iter().filter(|part| !finished(part)).collect();
        if !missing.is_empty()
            && let Some(answer) = go_on_with_agents(request)
        {
            return answer;
        }
        let name = agent_tool(request);
        let calls: Vec<_> = missing
            .into_iter()
            .map(|part| {
                let input = json!({
                    "description": "A part of the work",
                    "prompt": format!("As the agent of the {part}, do your part."),
                    "subagent_type": "general-purpose",
                    "run_in_background": false,
                });
                (name.clone(), input)
            })
            .collect();
        if calls.is_empty() {
            return Answer::text("both parts done");
        }
        after(request, Answer::Tools { calls, then: Box::new(Answer::text("")) })
    });
}

/// Goes on with the sub-agents that a message names as cut off, and waits for their reports.
fn go_on_with_agents(request: &Request) -> Option<Answer> {
    let told =
        request.user_texts.iter().rev().find_map(|text| text.split_once("SendMessage tool, to: "));
    let (_, ids) = told?;
    if !resulted(request, "SendMessage") {
        let input = json!({ "query": "select:SendMessage", "max_results": 5 });
        let load =
            Answer::Tool { name: "ToolSearch".into(), input, then: Box::new(Answer::text("")) };
        return Some(after(request, load));
    }
    if resulted(request, "resumedAgentId") {
        return Some(Answer::text("The agents go on."));
    }
    let words = "Go on where you were cut off.";
    let call =
        |id: &str| ("SendMessage".into(), json!({ "to": id, "summary": words, "message": words }));
    let calls = ids.split(", ").map(|id| call(id.trim())).collect();
    Some(after(request, Answer::Tools { calls, then: Box::new(Answer::text("")) }))
}

fn said(request: &Request, text: &str) -> bool {
    request.user_texts.iter().any(|said| said.contains(text))
}

/// Whether the sub-agent of this part asks.
pub fn is_agent(request: &Request, part: &str) -> bool {
    let first = request.user_texts.iter().any(|text| text.starts_with("As the agent of"));
    first && request.user_texts.iter().any(|text| text.contains(&format!("of the {part},")))
}

/// Whether each sub-agent has come this far.
pub fn agents_are_at(requests: &[Request], count: usize) -> bool {
    PARTS.iter().all(|part| requests.iter().filter(|one| is_agent(one, part)).count() >= count)
}

/// The tool that starts a sub-agent, as this version calls it.
fn agent_tool(request: &Request) -> String {
    let tools = request.body["tools"].as_array().into_iter().flatten();
    let mut names = tools.filter_map(|tool| tool["name"].as_str());
    names.find(|name| matches!(*name, "Agent" | "Task")).unwrap_or("Task").to_owned()
}
