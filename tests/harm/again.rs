//! A second attempt is the first one again: the same model, permissions, files and place, and no
//! second prompt.

use claude_safe_testkit::Answer;
use serde_json::json;

use super::kit::{Outage, World};

/// An outage of one attempt, after the first tool call.
fn after_a_tool() -> Outage {
    Outage::requests(2).after(1)
}

/// Writes a file with Claude's own tool.
fn write(path: &str, then: Answer) -> Answer {
    let input = json!({ "file_path": path, "content": "text\n" });
    Answer::Tool { name: "Write".into(), input, then: Box::new(then) }
}

/// A tool call, and another one once its result is there.
fn bash_then(command: &str, then: Answer) -> Answer {
    let input = json!({ "command": command, "description": "Run the command of the test" });
    Answer::Tool { name: "Bash".into(), input, then: Box::new(then) }
}

#[test]
fn the_model_stays_in_both_forms_of_its_flag() {
    for model in [&["--model", "haiku"][..], &["--model=haiku"]] {
        let args = [&["-p"], model, &["say it"]].concat();
        World::new(&args).outage(Outage::requests(2)).both().same();
    }
}

#[test]
fn what_was_allowed_by_a_flag_stays_allowed_and_what_was_denied_denied() {
    for flags in [
        &["--permission-mode", "acceptEdits"][..],
        &["--permission-mode=plan"],
        &["--disallowedTools=Write", "--dangerously-skip-permissions"],
    ] {
        let args = [&["-p"], flags, &["write two files"]].concat();
        World::new(&args)
            .answer_with(|request| {
                let path = |name| format!("{}/{name}", project(request));
                write(&path("1"), write(&path("2"), Answer::text("Done.")))
            })
            .outage(after_a_tool())
            .both()
            .same();
    }
}

/// The project's directory, as Claude names it to the model.
fn project(request: &claude_safe_testkit::Request) -> String {
    let body = request.body.to_string();
    let at = body.find("/project").expect("the working directory is named");
    let start = body[..at].rfind(|c: char| c.is_whitespace() || c == '"').map_or(0, |at| at + 1);
    format!("{}/project", &body[start..at])
}

#[test]
fn a_value_in_the_flags_own_word_leaves_the_prompt_a_prompt() {
    for flags in [
        &["--allowedTools=Bash"][..],
        &["--tools=default", "--allowedTools", "Bash", "--add-dir={home}"],
    ] {
        let args = [&["-p"], flags, &["add a line"]].concat();
        let pair = World::new(&args)
            .answer(Answer::bash("echo ran >> proof.txt", "Added."))
            .outage(after_a_tool())
            .both()
            .same();
        assert_eq!(pair.safe.file("proof.txt"), Some("ran\n"));
    }
}

#[test]
fn with_print_the_name_of_a_command_is_a_prompt() {
    World::new(&["-p", "doctor"]).outage(Outage::requests(2)).both().same();
}

#[test]
fn a_tool_that_changed_directory_does_not_change_where_the_rerun_starts() {
    World::new(&["-p", "--mcp-config", "conf/mcp.json", "--add-dir", "conf", "work below"])
        .file("conf/mcp.json", r#"{"mcpServers":{}}"#)
        .file(".claude/settings.json", r#"{"permissions":{"allow":["Bash"]}}"#)
        .file("below/kept", "")
        .answer(bash_then("cd below && touch one", Answer::bash("touch two", "Done.")))
        .outage(after_a_tool())
        .both()
        .same();
}
