//! The user's own settings: status line, hooks, `--settings`, hooks turned off.

use std::fs;
use std::path::Path;
use std::time::Duration;

use claude_safe_testkit::{Behaviour, Script, SignIn, Terminal};
use serde_json::{Value, json};

use crate::kit::{Desk, SOON, answered, ready, submit};

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

/// A command that leaves a line in `file`.
fn notes(file: &Path, prints: &str) -> String {
    format!("echo x >> '{}'; {prints}", file.display())
}

fn hook(event: &str, command: &str) -> Value {
    json!({ "hooks": { event: [{ "hooks": [{ "type": "command", "command": command }] }] } })
}

/// What the user's line was run with during one turn and some seconds of rest.
fn runs_of_the_users_line(safe: bool) -> Vec<String> {
    let desk = Desk::new(SignIn::Valid);
    let file = desk.sandbox.tmp().join("line");
    let command = format!("{{ cat; echo; }} >> '{}'; echo MY-OWN-LINE", file.display());
    desk.sandbox.write_settings(&json!({
        "statusLine": { "type": "command", "command": command }
    }));
    let none: &[&str] = &[];
    let terminal = Terminal::spawn(if safe { desk.safe(none) } else { desk.plain(none) });
    ready(&terminal);
    terminal.wait_for_text(SOON, "MY-OWN-LINE");
    submit(&terminal, "good day");
    answered(&terminal);
    terminal.wait_until_quiet(SOON, Duration::from_secs(8));
    terminal.wait_for_text(SOON, "MY-OWN-LINE");
    let inputs = fs::read_to_string(file).unwrap_or_default();
    inputs.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_users_status_line_stays_and_runs_no_more_often() {
    let (plain, safe) = (runs_of_the_users_line(false), runs_of_the_users_line(true));
    assert!(!safe.is_empty() && safe.len() <= plain.len(), "{safe:#?}\n{plain:#?}");
}

#[test]
fn ours_stands_beside_the_users_status_line_while_we_wait() {
    let desk = Desk::new(SignIn::Expired);
    desk.sandbox.write_settings(&json!({
        "statusLine": { "type": "command", "command": "echo MY-OWN-LINE" }
    }));
    desk.service.set_oauth(Behaviour::error(500));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    terminal.wait_for_screen(SOON, "both lines", |now| {
        now.contains("MY-OWN-LINE") && now.contains("claude-safe: sign-in service down")
    });
    desk.service_is_back();
    answered(&terminal);
    terminal.wait_for_screen(SOON, "theirs alone", |now| {
        now.contains("MY-OWN-LINE") && !now.contains("claude-safe:")
    });
}

#[test]
fn hooks_of_user_project_and_command_line_fire_once_each() {
    let desk = Desk::new(SignIn::Valid);
    let file = |name: &str| desk.sandbox.tmp().join(name);
    desk.sandbox.write_settings(&hook("Stop", &notes(&file("user"), "true")));
    let project = desk.sandbox.project().join(".claude");
    fs::create_dir_all(&project).unwrap();
    let of_project = hook("Stop", &notes(&file("project"), "true")).to_string();
    fs::write(project.join("settings.json"), of_project).unwrap();
    let inline = hook("Stop", &notes(&file("inline"), "true")).to_string();
    let given = desk.sandbox.tmp().join("given.json");
    fs::write(&given, hook("Stop", &notes(&file("given"), "true")).to_string()).unwrap();

    for (settings, name) in [(inline.as_str(), "inline"), (given.to_str().unwrap(), "given")] {
        let mut terminal = desk.sit_down(&["--settings", settings]);
        submit(&terminal, "good day");
        answered(&terminal);
        terminal.send("\x03\x03");
        terminal.wait_exit(SOON);
        assert_eq!(lines(&file(name)), 1, "{name}");
    }
    assert_eq!((lines(&file("user")), lines(&file("project"))), (2, 2));
    desk.assert_nothing_happened();
}

#[test]
fn with_hooks_turned_off_the_transcript_is_the_witness() {
    let mut desk = Desk::new(SignIn::Valid).gives_up_soon();
    // a probe would hold the second try back for as long as the script counts turns alone
    desk.sandbox.env("CLAUDE_SAFE_SERVICE_PROBE", "off");
    desk.sandbox.write_settings(&json!({ "disableAllHooks": true }));
    desk.service.set_api(Behaviour::error(500));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    // what we ask for fails too, and is seen to as well
    desk.wait_for_events("decided", 1);
    desk.service.set_api(Script::first(2, Behaviour::error(500)));
    desk.wait_for_events("decided", 2);
    desk.service_is_back();
    answered(&terminal);
    assert_eq!(desk.answered(), 1, "{}", desk.tells());
    assert_eq!(desk.wait_for_events("asked", 2).last().unwrap()["taken"], true);
    desk.wait_for_events("recovered", 1);
}
