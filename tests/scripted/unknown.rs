//! Failures that no rule knows: their screens are kept, and nobody else's.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use claude_safe_testkit::wait_until;
use serde_json::json;

use crate::kit::{Desk, EMPTY, SOON, screen};

fn kept(desk: &Desk) -> Vec<std::path::PathBuf> {
    let dir = std::fs::read_dir(desk.sandbox.state_dir().join("unknown"));
    dir.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_turn_that_fails_in_unknown_words_leaves_its_screen_without_prompt_draft_and_keys() {
    let said = "❯ my secret plan\n\n● Flux capacitor overheated (sk-ant-api03-abcdefgh)";
    let draft = "my secret draft\x1b[7m \x1b[27m";
    let failed = json!({
        "event": "StopFailure", "error": "unknown",
        "last_assistant_message": "Flux capacitor overheated",
    });
    let desk = Desk::new(&json!([[
        { "raw": true }, { "hook": { "event": "SessionStart" } }, screen("", EMPTY),
        { "hook": { "event": "UserPromptSubmit" } }, { "hook": failed }, screen(said, draft),
        { "hang": true },
    ]]));
    let terminal = desk.sit_down();
    terminal.wait_for_text(SOON, "Flux capacitor");
    let found = wait_until(SOON, || Some(kept(&desk)).filter(|kept| !kept.is_empty()));
    let found = found.unwrap_or_else(|| panic!("nothing was kept; {}", desk.tells()));
    let text = std::fs::read_to_string(&found[0]).unwrap();
    assert_eq!(text, "● Flux capacitor overheated ([redacted])\n\n  ? for shortcuts\n");
    let mode = std::fs::metadata(&found[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = desk.printed(&["rules", "learn"]);
    assert!(shown.starts_with("screen, ") && shown.contains("Flux capacitor"), "{shown}");
    assert!(desk.events("failed").is_empty(), "{}", desk.tells());
}

#[test]
fn an_end_at_start_up_in_unknown_words_is_kept() {
    let desk = Desk::new(&json!([[{ "print": "Flux capacitor missing\r\n" }, { "exit": 3 }]]));
    let mut terminal = desk.sit_down();
    assert_eq!(terminal.wait_exit(SOON).code(), Some(3));
    let found = kept(&desk);
    assert_eq!(found.len(), 1, "{}", desk.tells());
    assert_eq!(std::fs::read_to_string(&found[0]).unwrap(), "Flux capacitor missing\n");
}

#[test]
fn healthy_runs_and_failures_that_a_rule_knows_leave_nothing() {
    let turn = [
        json!({ "raw": true }),
        json!({ "hook": { "event": "SessionStart" } }),
        json!({ "hook": { "event": "UserPromptSubmit" } }),
        json!({ "hook": { "event": "Stop" } }),
        screen("❯ hello\n\n● Flux capacitor overheated, said the model", EMPTY),
        json!({ "wait_input": "q" }),
        json!({ "exit": 0 }),
    ];
    let desk = Desk::new(&json!([turn, [
        { "print": "error: unknown option '--nope'\r\n" }, { "exit": 1 },
    ]]));
    let mut terminal = desk.sit_down();
    terminal.wait_for_text(SOON, "said the model");
    terminal.wait_until_quiet(SOON, Duration::from_secs(4));
    terminal.send("q");
    assert_eq!(terminal.wait_exit(SOON).code(), Some(0));
    let mut terminal = desk.sit_down();
    assert_eq!(terminal.wait_exit(SOON).code(), Some(1));
    assert!(kept(&desk).is_empty(), "{:?}", kept(&desk));
}
