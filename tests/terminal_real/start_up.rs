//! Claude leaves before its first prompt, or cannot sign in.

use std::fs;
use std::time::Duration;

use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, SignIn, Terminal};

use crate::kit::{Desk, OURS, SOON, answered, code, submit};

#[test]
fn a_first_start_during_an_outage_waits_and_starts_again() {
    let desk = Desk::new(SignIn::None);
    fs::remove_file(desk.sandbox.home().join(".claude.json")).unwrap();
    desk.service.set(Endpoint::Hello, Behaviour::error(500));
    desk.service.set_api(Behaviour::error(500));
    let terminal = Terminal::spawn(desk.safe::<&str>(&[]));
    terminal.wait_for_text(SOON, "Unable to connect to Anthropic services");
    terminal.wait_for_text(SOON, "claude-safe: Claude left at start-up");
    desk.wait_for_events("decided", 1);
    desk.service.set(Endpoint::Hello, Behaviour::Ok);
    desk.service.set_api(Behaviour::Ok);
    terminal.wait_for_text(SOON, "Choose the text style");
    assert!(desk.events("attempt_started").len() >= 2, "{}", desk.tells());
}

/// Claude's own words and code, and no second launch.
fn passes_through(args: &[&str], words: &str) {
    let desk = Desk::new(SignIn::Valid);
    let mut terminal = Terminal::spawn(desk.safe(args));
    let code = code(terminal.wait_exit(SOON));
    assert!(terminal.screen().contains(words), "{}", terminal.screen());
    assert_eq!(code, 1);
    assert_eq!(desk.events("attempt_started").len(), 1, "{}", desk.tells());
    assert!(desk.events("decided").iter().all(|one| one["decision"] != "act"));
    assert!(!terminal.screen().contains("the conversation is kept"), "{}", terminal.screen());
}

#[test]
fn an_unknown_flag_is_claudes_to_refuse() {
    passes_through(&["--no-such-flag"], "error: unknown option '--no-such-flag'");
}

#[test]
fn a_missing_session_is_claudes_to_refuse() {
    let id = "3f1d7f0e-8d2c-4f0b-9f0e-0123456789ab";
    passes_through(&["--resume", id], "No conversation found with session ID");
}

#[test]
fn a_dead_sign_in_is_said_and_a_new_one_from_elsewhere_is_used() {
    let mut desk = Desk::new(SignIn::Expired);
    desk.service.set_oauth(Behaviour::invalid_grant());
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    terminal.wait_for_text(SOON, "Login expired");
    terminal.wait_for_text(SOON, "claude-safe: sign-in needed");
    let decided = desk.wait_for_events("decided", 1);
    assert_eq!(decided[0]["decision"], "wait_for_person", "{}", desk.tells());
    terminal.wait_until_quiet(SOON, Duration::from_secs(5));
    assert!(desk.events("asked").is_empty(), "{}", desk.tells());
    desk.service.set_oauth(Behaviour::Ok);
    desk.sandbox.sign_in(SignIn::Valid).unwrap();
    answered(&terminal);
    assert!(desk.service.turns().last().unwrap().asks(OURS), "{}", desk.tells());
    assert_eq!(desk.events("attempt_started").len(), 1);
}
