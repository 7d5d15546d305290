//! An outage passes, and the turn is completed with no key pressed.

use claude_safe_testkit::{Behaviour, SignIn};

use crate::kit::{Desk, HELLO, OURS, SOON, answered, submit};

#[test]
fn a_failing_refresh_that_comes_back_completes_the_turn() {
    let desk = Desk::new(SignIn::Expired);
    desk.service.set_oauth(Behaviour::error(500));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    terminal.wait_for_text(SOON, "claude-safe: sign-in service down");
    desk.service_is_back();
    answered(&terminal);
    let turns = desk.service.turns();
    let done: Vec<_> = turns.iter().filter(|turn| turn.status == Some(200)).collect();
    assert_eq!(done.len(), 1, "{}", desk.tells());
    assert!(done[0].asks(OURS), "{}", desk.tells());
    desk.wait_for_events("recovered", 1);
    terminal.wait_for_screen(SOON, "no line of ours", |now| !now.contains("claude-safe:"));
    assert_eq!(desk.events("asked").last().unwrap()["taken"], true);
    assert_eq!(desk.events("attempt_started").len(), 1);
}

#[test]
fn a_failing_api_that_comes_back_completes_the_turn() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    desk.service.set_api(Behaviour::error(500));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    terminal.wait_for_text(SOON, "claude-safe: API failing (500)");
    desk.service_is_back();
    terminal.wait_for_text(SOON, HELLO);
    desk.wait_for_events("recovered", 1);
    assert_eq!(desk.answered(), 1, "{}", desk.tells());
    assert_eq!(desk.events("attempt_started").len(), 1);
}
