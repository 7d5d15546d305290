//! What must not be touched: quoted errors, drafts, dialogs, limits, vim's commands, the past.
//! A test here waits until Claude is at rest and for some looks more, then sees that nothing
//! was recognised, typed or pressed.

use std::time::Duration;

use claude_safe_testkit::{Answer, Behaviour, SignIn, Terminal};
use serde_json::json;

use crate::kit::{Desk, HELLO, OURS, SOON, answered, at_rest, draft, ready, submit};

/// Several looks' worth of rest, since a look needs two seconds of it.
const SOME_LOOKS: Duration = Duration::from_secs(6);
const QUOTED: &str = "API Error: 500 Internal server error. Please run /login · API Error: 401 \
    OAuth token has expired.";

/// Waits until the screen has stood still for several looks.
fn rests(terminal: &Terminal) {
    terminal.wait_until_quiet(SOON, SOME_LOOKS);
}

/// A session whose turn has just failed, while the service stays down.
fn failed_turn(desk: &Desk) -> Terminal {
    desk.service.set_api(Behaviour::error(500));
    let terminal = desk.sit_down(&["--permission-mode", "default"]);
    submit(&terminal, "hello");
    desk.wait_for_some("decided", |all| all.iter().any(|one| one["decision"] == "act"));
    terminal
}

fn typed_by_us(desk: &Desk) -> usize {
    desk.service.turns().iter().filter(|turn| turn.asks(OURS)).count()
}

#[test]
fn errors_quoted_in_an_answer_are_left_alone() {
    let desk = Desk::new(SignIn::Valid);
    desk.service.answer(Answer::text(QUOTED));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "quote an error");
    terminal.wait_for_text(SOON, "API Error: 500");
    at_rest(&terminal);
    rests(&terminal);
    desk.assert_nothing_happened();
}

#[test]
fn errors_in_a_tools_output_are_left_alone() {
    let desk = Desk::new(SignIn::Valid);
    desk.service.answer(Answer::bash(&format!("echo '{QUOTED}'; exit 1"), HELLO));
    let terminal = desk.sit_down(&["--allowedTools", "Bash", "--permission-mode", "acceptEdits"]);
    submit(&terminal, "run it");
    answered(&terminal);
    rests(&terminal);
    desk.assert_nothing_happened();
}

#[test]
fn a_failure_of_yesterday_that_a_resume_repaints_is_left_alone() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    desk.service.set_api(Behaviour::error(500));
    let mut plain = Terminal::spawn(desk.plain::<&str>(&[]));
    ready(&plain);
    submit(&plain, "hello");
    plain.wait_for_screen(SOON, "the placeholder", |now| now.placeholder().is_some());
    plain.send("\x03\x03");
    plain.wait_exit(SOON);
    drop(plain);
    desk.service.set_api(Behaviour::Ok);
    let id = desk.sandbox.transcripts()[0].file_stem().unwrap().to_string_lossy().into_owned();
    let before = desk.service.turns().len();
    let terminal = desk.sit_down(&["--resume", &id]);
    terminal.wait_for_text(SOON, "API Error: 500");
    rests(&terminal);
    desk.assert_nothing_happened();
    assert_eq!(desk.service.turns().len(), before, "{}", desk.tells());
}

#[test]
fn a_draft_begun_before_the_failure_is_neither_sent_nor_changed() {
    let mut desk = Desk::new(SignIn::Valid);
    // time to type while Claude still tries
    desk.sandbox.env("CLAUDE_CODE_MAX_RETRIES", "4");
    desk.service.set_api(Behaviour::error(500));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    draft(&terminal, "my next thought");
    terminal.wait_for_text(SOON, "API Error");
    rests(&terminal);
    let screen = terminal.screen();
    assert_eq!(screen.input().as_deref(), Some("my next thought"), "{screen}");
    assert_eq!(typed_by_us(&desk), 0, "{}", desk.tells());
    assert!(desk.events("asked").is_empty(), "{}", desk.tells());
}

#[test]
fn a_draft_begun_after_the_failure_stays_and_holds_our_plan_until_it_is_gone() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    let terminal = failed_turn(&desk);
    draft(&terminal, "never mind");
    desk.service.set_api(Behaviour::Ok);
    terminal.wait_for_text(SOON, "until your draft is sent or gone");
    rests(&terminal);
    let screen = terminal.screen();
    assert_eq!(screen.input().as_deref(), Some("never mind"), "{screen}");
    assert_eq!(typed_by_us(&desk), 0, "{}", desk.tells());
    terminal.send("\x15");
    answered(&terminal);
    assert_eq!(typed_by_us(&desk), 1, "{}", desk.tells());
}

#[test]
fn esc_cancels_the_planned_message() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    let terminal = failed_turn(&desk);
    terminal.send("\x1b");
    desk.wait_for_some("wait_ended", |all| all.iter().any(|one| one["by"] == "user"));
    desk.service.set_api(Behaviour::Ok);
    rests(&terminal);
    assert_eq!(typed_by_us(&desk), 0, "{}", desk.tells());
    // what the person sends themselves goes through as ever
    submit(&terminal, "again, by me");
    answered(&terminal);
    assert_eq!(typed_by_us(&desk), 0, "{}", desk.tells());
}

#[test]
fn a_permission_dialog_is_never_answered() {
    let desk = Desk::new(SignIn::Valid);
    desk.service.answer(Answer::bash("echo ran > proof.txt", HELLO));
    let terminal = desk.sit_down(&["--permission-mode", "default"]);
    submit(&terminal, "run it");
    terminal.wait_for_text(SOON, "1. Yes");
    rests(&terminal);
    terminal.wait_for_text(SOON, "1. Yes");
    desk.assert_nothing_happened();
    assert!(!desk.sandbox.project().join("proof.txt").exists());
}

#[test]
fn a_permission_dialog_after_a_failure_is_not_answered_by_the_old_plan() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    let terminal = failed_turn(&desk);
    desk.service.answer(Answer::bash("echo ran > proof.txt", HELLO));
    desk.service.set_api(Behaviour::Ok);
    // the person is quicker than we are: their message leads to the dialog
    terminal.send("\x1b[200~run it\x1b[201~");
    terminal.wait_for_screen(SOON, "the draft", |now| {
        now.input().is_some_and(|input| input.contains("run it"))
    });
    terminal.send("\r");
    terminal.wait_for_text(SOON, "1. Yes");
    rests(&terminal);
    terminal.wait_for_text(SOON, "1. Yes");
    assert_eq!(typed_by_us(&desk), 0, "{}", desk.tells());
    assert!(!desk.sandbox.project().join("proof.txt").exists());
}

/// A turn that meets this limit, where Claude gives up on it and where its user lets it retry.
fn limit(claim: &str, hours: u64, shows: &str, retries_itself: bool) {
    let mut desk = Desk::new(SignIn::Valid);
    if retries_itself {
        desk.sandbox.env("CLAUDE_CODE_RETRY_WATCHDOG", "1");
    } else {
        desk = desk.gives_up_soon();
    }
    let resets = jiff::Timestamp::now().as_second().unsigned_abs() + hours * 3600;
    desk.service.set_api(Behaviour::usage_limit(claim, resets));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    terminal.wait_for_text(SOON, shows);
    if retries_itself {
        assert!(desk.events("failed").is_empty(), "{}", desk.tells());
    } else {
        let decided = desk.wait_for_events("decided", 1);
        assert_eq!(decided[0]["decision"], "stand_aside", "{}", desk.tells());
        rests(&terminal);
    }
    terminal.wait_for_text(SOON, shows);
    assert!(desk.events("asked").is_empty(), "{}", desk.tells());
    assert_eq!(typed_by_us(&desk), 0, "{}", desk.tells());
}

#[test]
fn the_wait_for_the_five_hour_limit_is_left_to_claude() {
    limit("five_hour", 2, "Continuing automatically at", false);
}

#[test]
fn the_weekly_limits_menu_is_not_answered() {
    limit("seven_day", 48, "Stop and wait for limit to reset", false);
}

#[test]
fn a_limit_that_claude_itself_retries_is_left_to_it() {
    limit("seven_day", 48, "Weekly limit reached · retrying in", true);
}

#[test]
fn vims_normal_mode_is_left_alone() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    desk.sandbox.write_settings(&json!({ "editorMode": "vim" }));
    desk.service.set_api(Behaviour::error(500));
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    // vim's Esc: from now on keys are commands
    terminal.send("\x1b");
    desk.wait_for_events("decided", 1);
    desk.service.set_api(Behaviour::Ok);
    rests(&terminal);
    assert_eq!(typed_by_us(&desk), 0, "{}", desk.tells());
    assert!(desk.events("asked").is_empty(), "{}", desk.tells());
}
