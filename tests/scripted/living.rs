//! A living Claude is ended for a fix only when that is allowed, nobody is at the keys and nothing
//! would be lost; and the conversation goes on.

use std::time::Duration;

use claude_safe_testkit::{Behaviour, SignIn, Terminal};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::kit::{Desk, EMPTY, ONCE_FIXED, SOON, screen};

const SESSION: &str = "00000000-0000-4000-8000-000000000001";
const FAILED: &str = "Please run /login · API Error: 401 OAuth token has expired.";
/// The message that is typed, by its beginning.
const OURS: &str = "The service failed during my last message";

fn hook(event: &str) -> Value {
    json!({ "hook": { "event": event } })
}

/// The turn fails as under a refresh that the service refuses; the last line of the transcript is
/// this one.
fn fails(uuid: &str) -> Vec<Value> {
    let line = json!({
        "type": "assistant", "uuid": uuid, "isApiErrorMessage": true, "apiErrorStatus": 401,
        "error": "authentication_failed", "timestamp": jiff::Timestamp::now() + Duration::from_secs(60),
        "message": { "role": "assistant", "content": [{ "type": "text", "text": FAILED }] },
    });
    let failure = json!({
        "event": "StopFailure", "error": "authentication_failed", "last_assistant_message": FAILED,
    });
    vec![
        json!({ "transcript": line }),
        json!({ "status": "idle" }),
        json!({ "hook": failure }),
        screen(&format!("● {FAILED}"), ONCE_FIXED),
    ]
}

/// From the start to a third failure: the first two are answered by asking again.
fn to_the_fix() -> Vec<Value> {
    let prompt = json!({
        "type": "user", "uuid": "u1", "timestamp": jiff::Timestamp::now(),
        "message": { "role": "user", "content": "hello" },
    });
    let mut steps = vec![
        json!({ "raw": true }),
        hook("SessionStart"),
        screen("", EMPTY),
        hook("UserPromptSubmit"),
        json!({ "transcript": prompt }),
    ];
    steps.extend(fails("f1"));
    let message = format!("{}\x1b[7m \x1b[27m", message());
    for uuid in ["f2", "f3"] {
        steps.extend([
            json!({ "wait_input": "\x1b[201~" }),
            screen(&format!("● {FAILED}"), &message),
            json!({ "wait_input": "\r" }),
            hook("UserPromptSubmit"),
        ]);
        steps.extend(fails(uuid));
    }
    steps
}

/// Short enough for one row of the box.
fn message() -> String {
    format!("{OURS}.")
}

fn succeeds() -> Value {
    json!([
        { "raw": true },
        hook("SessionStart"),
        hook("UserPromptSubmit"),
        hook("Stop"),
        screen("● all is well", EMPTY),
        { "wait_input": "q" },
        { "exit": 0 },
    ])
}

fn desk(first: &[Value]) -> Desk {
    unattended(Desk::with(SignIn::Expired, &json!([first, succeeds()])))
}

/// Nobody at the keys for a second is nobody there; a living Claude may be ended.
fn unattended(mut desk: Desk) -> Desk {
    desk.sandbox.env("CLAUDE_SAFE_RUNGS_END_TERMINAL", "on");
    desk.sandbox.env("CLAUDE_SAFE_WATCH_UNATTENDED_AFTER", "1s");
    desk.sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "3s");
    desk.sandbox.env("CLAUDE_SAFE_RETRY_MAX_WAIT", "3s");
    desk.sandbox.env("CLAUDE_SAFE_RETRY_MESSAGE", message());
    desk
}

fn decided(desk: &Desk, n: usize) -> Value {
    desk.wait_for_events("decided", n).remove(n - 1)
}

/// The third failure ends nothing, and claude stays.
#[track_caller]
fn assert_claude_stays(desk: &Desk) {
    let mut terminal = desk.sit_down();
    assert_ne!(decided(desk, 3)["rung"], "update", "{}", desk.tells());
    assert_left_alone(desk, &mut terminal);
}

/// The one claude lives on, nothing was updated, and it was not asked again either.
fn assert_left_alone(desk: &Desk, terminal: &mut Terminal) {
    terminal.wait_until_quiet(SOON, Duration::from_secs(5));
    assert_eq!(desk.events("attempt_started").len(), 1, "{}", desk.tells());
    assert_eq!(desk.claude.updates(), 0, "{}", desk.tells());
    assert!(terminal.try_wait().is_none(), "{}", desk.tells());
    let pid = desk.claude.launches()[0]["pid"].as_i64().unwrap();
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    assert!(kill(pid, None).is_ok(), "{}", desk.tells());
}

#[test]
fn a_living_claude_is_ended_updated_and_started_again_in_the_same_conversation() {
    let mut first = to_the_fix();
    first.push(json!({ "hang": true }));
    let desk = desk(&first);
    let mut terminal = desk.sit_down();
    assert_eq!(decided(&desk, 3)["rung"], "update", "{}", desk.tells());
    terminal.wait_for_text(SOON, "all is well");
    assert_eq!(desk.claude.updates(), 1);
    let launches = desk.claude.wait_for_launches(SOON, 2);
    let argv = launches[1]["argv"].to_string();
    assert!(argv.contains(&format!("\"--resume\",\"{SESSION}\"")), "{argv}");
    assert_eq!(launches[1]["env"]["CLAUDE_CODE_RESUME_INTERRUPTED_TURN"], "1");
    let fixed = desk.wait_for_events("fixed", 1);
    assert_eq!(fixed[0]["rung"], "update");
    desk.wait_for_events("recovered", 1);
    terminal.send("q");
    assert_eq!(terminal.wait_exit(SOON).code(), Some(0), "{}", desk.tells());
    let explained = desk.printed(&["explain", "last"]);
    assert!(explained.contains("update done"), "{explained}");
}

#[test]
fn what_is_typed_while_a_living_claude_is_being_ended_reaches_the_next_one() {
    let mut first = to_the_fix();
    // it takes its time to end: until the test has typed
    first.insert(0, json!({ "ignore": 15 }));
    first.extend([json!({ "wait_file": "typed" }), json!({ "exit": 143 })]);
    let script = json!({ "attempts": [first, succeeds()], "update": 0 });
    let desk = unattended(Desk::scripted(SignIn::Expired, &script));
    let mut terminal = desk.sit_down();
    assert_eq!(decided(&desk, 3)["rung"], "update", "{}", desk.tells());
    desk.wait_for_events("wait_ended", 3);
    terminal.send("q");
    // the key has left the terminal's queue by then
    terminal.wait_until_quiet(SOON, Duration::from_secs(1));
    std::fs::write(desk.sandbox.project().join("typed"), "").unwrap();
    assert_eq!(terminal.wait_exit(SOON).code(), Some(0), "{}", desk.tells());
    assert_eq!(desk.claude.input(1), b"q", "{}", desk.tells());
    assert_eq!(desk.claude.updates(), 1);
}

#[test]
fn a_draft_is_never_lost_to_a_fix() {
    let mut first = to_the_fix();
    let draft = screen(&format!("● {FAILED}"), "my draft\x1b[7m \x1b[27m");
    *first.last_mut().unwrap() = draft;
    first.push(json!({ "hang": true }));
    let desk = desk(&first);
    assert_claude_stays(&desk);
}

#[test]
fn a_draft_that_comes_up_during_the_wait_keeps_claude_alive() {
    let mut first = to_the_fix();
    first.push(json!({ "wait_file": "draft" }));
    first.push(screen(&format!("● {FAILED}"), "my draft\x1b[7m \x1b[27m"));
    first.push(json!({ "hang": true }));
    let desk = desk(&first);
    let mut terminal = desk.sit_down();
    assert_eq!(decided(&desk, 3)["rung"], "update", "{}", desk.tells());
    std::fs::write(desk.sandbox.project().join("draft"), "").unwrap();
    terminal.wait_for_text(SOON, "my draft");
    desk.wait_for_events("wait_ended", 3);
    assert_left_alone(&desk, &mut terminal);
}

// the command `setsid` is Linux's
#[cfg(target_os = "linux")]
#[test]
fn work_in_the_background_keeps_claude_alive() {
    let mut first = to_the_fix();
    first.insert(1, json!({ "spawn": "setsid sleep 300" }));
    first.push(json!({ "hang": true }));
    let desk = desk(&first);
    assert_claude_stays(&desk);
}

#[test]
fn who_types_during_the_wait_refuses_the_fix() {
    let mut first = to_the_fix();
    first.push(json!({ "hang": true }));
    let desk = desk(&first);
    let mut terminal = desk.sit_down();
    assert_eq!(decided(&desk, 3)["rung"], "update", "{}", desk.tells());
    terminal.send("x");
    let declined = desk.wait_for_events("declined", 1);
    assert_eq!((&declined[0]["rung"], &declined[0]["by"]), (&json!("update"), &json!("typing")));
    assert_left_alone(&desk, &mut terminal);
}

#[test]
fn without_the_users_leave_a_living_claude_is_not_ended() {
    let mut first = to_the_fix();
    first.push(json!({ "hang": true }));
    let mut desk = desk(&first);
    desk.sandbox.env("CLAUDE_SAFE_RUNGS_END_TERMINAL", "off");
    assert_claude_stays(&desk);
}

#[test]
fn while_the_service_is_down_a_living_claude_is_asked_and_not_ended() {
    let mut first = to_the_fix();
    let second = first.len() - fails("").len();
    first.insert(second, json!({ "wait_file": "down" }));
    first.push(json!({ "hang": true }));
    let desk = desk(&first);
    let mut terminal = desk.sit_down();
    desk.wait_for_events("wait_ended", 2);
    desk.service.set_oauth(Behaviour::error(500));
    std::fs::write(desk.sandbox.project().join("down"), "").unwrap();
    assert_eq!(decided(&desk, 3)["rung"], "ask_again", "{}", desk.tells());
    assert_left_alone(&desk, &mut terminal);
}
