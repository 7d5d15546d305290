//! A second attempt is the first one again: the same model, permissions, files and place, and no
//! second prompt.

use claude_safe_testkit::Answer;
use serde_json::json;

use super::kit::{Aspect, MESSAGE, Outage, World};

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

/// Allows everything, so that a tool runs if it is called.
const BYPASS: [&str; 3] = ["-p", "--permission-mode", "bypassPermissions"];

/// A world in which a line is added by a tool, which must never be added twice.
fn adds_a_line(more: &[&str]) -> World {
    let args = [&BYPASS, more, &["add a line"]].concat();
    World::new(&args).answer(Answer::bash("echo ran >> proof.txt", "Added.")).outage(after_a_tool())
}

#[test]
fn where_no_transcript_tells_what_ran_the_prompt_is_not_sent_again() {
    let unmounted =
        "rm -rf {home}/.claude/projects; ln -s /proc/nowhere {home}/.claude/projects; \"$@\"";
    for world in [
        adds_a_line(&[]).env("CLAUDE_CODE_SKIP_PROMPT_HISTORY", "1"),
        adds_a_line(&[]).through(unmounted),
        adds_a_line(&["--no-session-persistence"]),
    ] {
        let safe = world.safe();
        assert_eq!(safe.file("proof.txt"), Some("ran\n"), "{}", safe.log);
        assert_eq!((safe.code, safe.events("attempt_started").len()), (1, 1), "{}", safe.log);
        assert!(safe.stdout.starts_with("API Error: 500"), "{safe:#?}");
    }
}

#[test]
fn a_document_that_counts_no_answer_lets_the_prompt_be_sent_again() {
    World::new(&["-p", "--output-format", "json", "--no-session-persistence", "hi"])
        .outage(Outage::requests(2))
        .both()
        .same_but(&[Aspect::Stdout]);
}

#[test]
fn a_limit_of_turns_is_one_over_all_attempts_and_no_failure() {
    // the tool is called for ever
    let again = |times: usize| {
        (0..times).fold(Answer::text("Done."), |then, _| bash_then("echo ran >> proof.txt", then))
    };
    let args = [&BYPASS[..], &["--max-turns=3", "go on for ever"]].concat();
    let pair = World::new(&args)
        .answer(again(9))
        .outage(after_a_tool())
        .both()
        .same_but(&[Aspect::Stdout, Aspect::Conversation]);
    assert_eq!(pair.safe.file("proof.txt"), Some("ran\nran\nran\n"), "{}", pair.tells());
}

#[test]
fn a_budget_is_one_over_all_attempts() {
    let again =
        (0..9).fold(Answer::text("Done."), |then, _| bash_then("echo ran >> ran.txt", then));
    let args = [&BYPASS[..], &["--max-budget-usd", "0.0012", "go on for ever"]].concat();
    let world = World::new(&args).answer(again).outage(after_a_tool());
    let pair = world.both().same_but(&[Aspect::Stdout, Aspect::Conversation]);
    let ran = pair.plain.file("ran.txt").unwrap_or_default().lines().count();
    assert!((2..9).contains(&ran), "it must end between two attempts: {}", pair.tells());
}

#[test]
fn a_refused_command_that_quotes_an_error_is_no_failure() {
    let args = ["-p", "--output-format", "json", "--max-turns", "1", "try it"];
    World::new(&args)
        .settings(&json!({ "permissions": { "deny": ["Bash"] } }))
        .answer(Answer::bash("echo 'API Error: 529 Overloaded'", "Done."))
        .both()
        .same_but(&[Aspect::Stdout]);
}

/// A hook that lets no prompt pass without a ticket number.
fn policy(args: &[&str]) -> World {
    let hook = json!([{ "hooks": [{ "type": "command", "command": "{project}/policy" }] }]);
    World::new(args)
        .file("policy", "#!/bin/sh\ngrep -q TICKET-1 && exit 0\necho no ticket >&2\nexit 2\n")
        .settings(&json!({ "hooks": { "UserPromptSubmit": hook } }))
        .answer(Answer::bash("echo ran >> proof.txt", "Added."))
}

#[test]
fn a_hook_that_refuses_our_message_leaves_the_failure_to_a_person() {
    let args = [&BYPASS[..], &["TICKET-1 add a line"]].concat();
    // nothing was done: the prompt itself is asked again, and passes
    policy(&args).outage(Outage::requests(2)).both().same();
    let safe = policy(&args).outage(after_a_tool()).safe();
    assert_eq!(safe.file("proof.txt"), Some("ran\n"), "{safe:#?}");
    assert_eq!(safe.code, 1, "{safe:#?}");
    assert!(safe.stdout.starts_with("API Error: 500"), "{safe:#?}");
    assert!(safe.stderr.contains("a hook did not let the message pass"), "{safe:#?}");
}

#[test]
fn what_a_command_allows_holds_in_the_second_attempt_or_a_person_is_asked() {
    let command = "---\nallowed-tools: Bash(touch:*)\nmodel: haiku\n---\nTouch it.\n";
    let world = World::new(&["-p", "/deploy"])
        .file(".claude/commands/deploy.md", command)
        .answer(bash_then("touch one", Answer::bash("touch two", "Done.")));
    world.clone().outage(Outage::requests(2)).both().same();
    let safe = world.outage(after_a_tool()).safe();
    assert_eq!((safe.code, safe.events("attempt_started").len()), (1, 1), "{safe:#?}");
    assert!(safe.stderr.contains("holds for its own turn only"), "{safe:#?}");
}

#[test]
fn our_message_stands_once_however_often_it_was_sent() {
    // a look that reads down would hold the tries back until the end
    let world = adds_a_line(&[]).env("CLAUDE_SAFE_SERVICE_PROBE", "off");
    let pair = world.outage(Outage::requests(4).after(1)).both().same();
    assert_eq!(pair.safe.said(MESSAGE), 1, "{}", pair.tells());
    assert_eq!(pair.safe.events("attempt_started").len(), 3, "{}", pair.tells());
}

#[test]
fn yesterdays_failure_is_not_todays() {
    const ID: &str = "11111111-2222-4333-8444-555555555555";
    // a day before, the conversation's last turn failed
    let before = format!("{{claude}} -p --session-id {ID} before >/dev/null 2>&1; \"$@\"");
    let safe = World::new(&["-p", "--resume", ID, "--mcp-config", "missing.json", "hi"])
        .through(&before)
        .outage(Outage::requests(2))
        .safe();
    assert_eq!((safe.code, safe.events("attempt_started").len()), (1, 1), "{safe:#?}");
    assert!(!safe.stderr.contains("API failing"), "{safe:#?}");
}

#[test]
fn files_that_are_given_by_pipe_are_there_for_the_second_attempt() {
    // each call of the shell has `<(…)` anew
    let through = "\"$@\" --mcp-config <(echo '{\"mcpServers\":{}}') --strict-mcp-config \
        --append-system-prompt-file=<(echo Be brief.) -- 'add a line'";
    let pair = World::new(&BYPASS)
        .through(through)
        .answer(Answer::bash("echo ran >> proof.txt", "Added."))
        .outage(after_a_tool())
        .both()
        .same();
    assert_eq!(pair.safe.file("proof.txt"), Some("ran\n"));
    assert_eq!(pair.safe.events("attempt_started").len(), 2, "{}", pair.tells());
}
