//! Sign-ins that the service fails: seen through, and never by a key on any other screen.

use std::time::Duration;

use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, RequestKind, SignIn, Terminal, wait_until};

use crate::kit::{Desk, SOON, code, submit};

const CODE: &str = "fake-code#fake-state";
const FAILED: &str = "Press Enter to retry";

/// A session whose `/login` has just failed with a 500.
fn failed_login(desk: &Desk) -> Terminal {
    desk.service.set_oauth(Behaviour::error(500));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "/login");
    fail_from_the_menu(&terminal);
    terminal
}

/// A first start on this machine, whose sign-in has just failed with a 500.
fn failed_onboarding(desk: &Desk) -> Terminal {
    std::fs::remove_file(desk.sandbox.home().join(".claude.json")).unwrap();
    desk.service.set_oauth(Behaviour::error(500));
    // its first look at the service must succeed
    desk.service.set(Endpoint::Hello, Behaviour::Ok);
    let terminal = Terminal::spawn(desk.safe::<&str>(&[]));
    terminal.wait_for_text(SOON, "Choose the text style");
    press_enter(&terminal);
    fail_from_the_menu(&terminal);
    terminal
}

/// As a person: the screen first, then the key.
fn press_enter(terminal: &Terminal) {
    terminal.wait_until_quiet(SOON, Duration::from_millis(800));
    terminal.send("\r");
}

fn fail_from_the_menu(terminal: &Terminal) {
    terminal.wait_for_text(SOON, "Select login method:");
    press_enter(terminal);
    terminal.wait_for_text(SOON, "Paste code here if prompted");
    terminal.wait_until_quiet(SOON, Duration::from_millis(800));
    paste_code(terminal);
    terminal.wait_for_text(SOON, FAILED);
}

fn paste_code(terminal: &Terminal) {
    terminal.send(CODE);
    press_enter(terminal);
}

fn failed(desk: &Desk) {
    desk.wait_for_some("failed", |all| {
        all.iter().any(|one| one["failure"]["kind"] == "login_service")
    });
}

/// Waits on the failed screen, and is back where a code is pasted once the service answers; that
/// code works.
fn is_brought_back(desk: &Desk, terminal: &Terminal, success: &str) {
    failed(desk);
    let exchanges = desk.service.requests_of(RequestKind::Token).len();
    terminal.wait_until_quiet(SOON, Duration::from_secs(5));
    terminal.wait_for_text(SOON, FAILED);
    let bells = terminal.screen().bells();
    assert!(bells > 0, "it was said");
    desk.service.set_oauth(Behaviour::Ok);
    let back = || terminal.screen().contains("Paste code here if prompted").then_some(());
    assert!(wait_until(SOON, back).is_some(), "{}\n{}", terminal.screen(), desk.tells());
    terminal.wait_for_screen(SOON, "a bell", |now| now.bells() > bells);
    assert_eq!(desk.service.requests_of(RequestKind::Token).len(), exchanges);
    terminal.wait_until_quiet(SOON, Duration::from_millis(800));
    paste_code(terminal);
    terminal.wait_for_text(SOON, success);
    assert_eq!(desk.events("attempt_started").len(), 1, "{}", desk.tells());
}

#[test]
fn a_failed_login_is_brought_back_to_the_paste_once_the_service_answers() {
    let desk = Desk::new(SignIn::None);
    let terminal = failed_login(&desk);
    is_brought_back(&desk, &terminal, "Login successful");
}

#[test]
fn a_first_starts_failed_login_is_brought_back_as_well() {
    let desk = Desk::new(SignIn::None);
    let terminal = failed_onboarding(&desk);
    is_brought_back(&desk, &terminal, "Login successful");
}

#[test]
fn a_key_of_the_persons_leaves_a_failed_login_to_them() {
    let desk = Desk::new(SignIn::None);
    let terminal = failed_login(&desk);
    failed(&desk);
    // any key: this one does nothing on that screen
    terminal.send("\x1b[C");
    desk.service.set_oauth(Behaviour::Ok);
    terminal.wait_until_quiet(SOON, Duration::from_secs(12));
    terminal.wait_for_text(SOON, FAILED);
}

/// `claude setup-token` that the service has just failed in its own screen.
fn failed_setup_token(desk: &Desk) -> Terminal {
    desk.service.set_oauth(Behaviour::error(500));
    let terminal = Terminal::spawn(desk.safe(&["setup-token"]));
    terminal.wait_for_text(SOON, "Paste code here if prompted");
    terminal.wait_until_quiet(SOON, Duration::from_millis(800));
    paste_code(&terminal);
    terminal.wait_for_text(SOON, FAILED);
    terminal
}

#[test]
fn a_failed_setup_token_is_brought_back_to_the_paste_in_its_own_screen() {
    let desk = Desk::new(SignIn::None);
    let mut terminal = failed_setup_token(&desk);
    is_brought_back(&desk, &terminal, "Long-lived authentication token created");
    assert_eq!(code(terminal.wait_exit(SOON)), 0);
    desk.wait_for_events("recovered", 1);
}

#[test]
fn a_key_of_the_persons_leaves_a_failed_setup_token_to_them() {
    let desk = Desk::new(SignIn::None);
    let terminal = failed_setup_token(&desk);
    failed(&desk);
    terminal.send("\x1b[C");
    desk.service.set_oauth(Behaviour::Ok);
    terminal.wait_until_quiet(SOON, Duration::from_secs(12));
    terminal.wait_for_text(SOON, FAILED);
}

/// `claude auth login` as far as the code.
fn auth_login(desk: &Desk) -> Terminal {
    let terminal = Terminal::spawn(desk.safe(&["auth", "login"]));
    paste_when_asked(desk, &terminal, 1);
    terminal
}

fn paste_when_asked(desk: &Desk, terminal: &Terminal, attempt: usize) {
    desk.wait_for_events("attempt_started", attempt);
    terminal.wait_for_screen(SOON, "the question for the code", |now| {
        now.rows().iter().filter(|row| row.contains("Paste code here")).count() >= attempt
    });
    terminal.wait_until_quiet(SOON, Duration::from_millis(800));
    paste_code(terminal);
}

#[test]
fn auth_login_is_started_again_once_the_service_answers() {
    let desk = Desk::new(SignIn::None);
    desk.service.set_oauth(Behaviour::error(500));
    let mut terminal = auth_login(&desk);
    terminal.wait_for_output(SOON, b"claude-safe: sign-in service failing");
    assert_eq!(desk.events("attempt_started").len(), 1, "{}", desk.tells());
    desk.service.set_oauth(Behaviour::Ok);
    paste_when_asked(&desk, &terminal, 2);
    assert_eq!(code(terminal.wait_exit(SOON)), 0, "{}\n{}", terminal.screen(), desk.tells());
    assert!(terminal.screen().contains("Login successful"), "{}", terminal.screen());
}

#[test]
fn a_code_that_is_refused_is_not_tried_again() {
    let desk = Desk::new(SignIn::None);
    desk.service.set_oauth(Behaviour::error(400));
    let mut terminal = auth_login(&desk);
    assert_eq!(code(terminal.wait_exit(SOON)), 1);
    let screen = terminal.screen();
    assert!(screen.contains("claude-safe: likely causes"), "{screen}\n{}", desk.tells());
    assert_eq!(desk.events("attempt_started").len(), 1);
}
