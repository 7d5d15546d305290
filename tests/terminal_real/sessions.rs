//! The conversation on screen changes on the way: plans belong to the one that failed.

use std::collections::HashSet;
use std::time::Duration;

use claude_safe_testkit::{Behaviour, SignIn, Terminal};

use crate::kit::{Desk, OURS, SOON, answered, ready, submit};

fn sessions(desk: &Desk) -> Vec<String> {
    let ids = desk.events("session");
    ids.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
}

/// A session whose turn has just failed.
fn failed_turn(desk: &Desk, args: &[&str]) -> Terminal {
    let terminal = desk.sit_down(args);
    desk.service.set_api(Behaviour::error(500));
    submit(&terminal, "hello");
    desk.wait_for_some("decided", |all| all.iter().any(|one| one["decision"] == "act"));
    terminal
}

#[test]
fn clear_drops_the_plan_and_a_failure_of_the_new_conversation_is_seen_to() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    let terminal = failed_turn(&desk, &[]);
    let first = sessions(&desk);
    submit(&terminal, "/clear");
    desk.wait_for_some("session", |all| all.len() > first.len());
    desk.service.set_api(Behaviour::Ok);
    ready(&terminal);
    terminal.wait_until_quiet(SOON, Duration::from_secs(6));
    assert!(desk.events("asked").is_empty(), "{}", desk.tells());

    desk.service.set_api(Behaviour::error(500));
    let plans = desk.events("decided").len();
    submit(&terminal, "second");
    desk.wait_for_events("decided", plans + 1);
    desk.service_is_back();
    answered(&terminal);
    let asked = desk.service.turns().into_iter().find(|turn| turn.asks(OURS));
    let asked = asked.unwrap_or_else(|| panic!("{}", desk.tells()));
    assert!(asked.user_texts.iter().all(|text| !text.contains("hello")), "{asked:?}");
    assert_eq!(sessions(&desk).iter().collect::<HashSet<_>>().len(), first.len() + 1);
}

#[test]
fn resume_drops_the_plan_and_the_new_conversation_is_learned() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    let mut earlier = desk.sit_down::<&str>(&[]);
    submit(&earlier, "an older conversation");
    answered(&earlier);
    earlier.send("\x03\x03");
    earlier.wait_exit(SOON);
    drop(earlier);
    let older = sessions(&desk).last().expect("it was learned").clone();

    let terminal = failed_turn(&desk, &[]);
    submit(&terminal, &format!("/resume {older}"));
    desk.wait_for_some("session", |all| all.last().is_some_and(|one| one["id"] == older.as_str()));
    desk.service.set_api(Behaviour::Ok);
    terminal.wait_for_text(SOON, "an older conversation");
    terminal.wait_until_quiet(SOON, Duration::from_secs(6));
    assert!(desk.events("asked").is_empty(), "{}", desk.tells());
    assert!(!terminal.screen().contains("claude-safe:"), "{}", terminal.screen());
}
