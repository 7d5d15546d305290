//! Conversations as they were seen on the wire, shortened, and any other lines.

mod any;
mod leaving;

use serde_json::Value;

use super::conversation::Relaunch;
use super::{Conversation, Event, Outbox, Written};

const INITIALIZE: &str =
    r#"{"type":"control_request","request_id":"i","request":{"subtype":"initialize"}}"#;
const INITIALIZED: &str =
    r#"{"type":"control_response","response":{"subtype":"success","request_id":"i"}}"#;
const HELLO: &str = r#"{"type":"user","message":{"role":"user","content":"hello"}}"#;
const RUNNING: &str =
    r#"{"type":"system","subtype":"session_state_changed","state":"running","session_id":"s"}"#;
const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
const ERROR: &str = r#"{"type":"assistant","is_api_error_message":true,"error":"server_error","message":{"content":[]}}"#;
const BAD: &str = r#"{"is_error":true,"num_turns":1,"terminal_reason":"api_error","type":"result","queued_turn_count":0,"result_index":0}"#;
const IDLE: &str =
    r#"{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"s"}"#;
const ANSWER: &str =
    r#"{"type":"assistant","uuid":"a","message":{"content":[{"type":"text","text":"hi"}]}}"#;
const GOOD: &str =
    r#"{"is_error":false,"num_turns":1,"type":"result","queued_turn_count":0,"result_index":0}"#;

/// A conversation, and what both sides have been sent.
#[derive(Default)]
struct Talk {
    conversation: Conversation,
    sent: Outbox,
    events: Vec<Event>,
}

impl Talk {
    /// One that has begun its first turn.
    fn begun() -> Self {
        let mut talk = Self::default();
        talk.program(&[INITIALIZE]);
        talk.claude(&[INITIALIZED]);
        talk.program(&[HELLO]);
        talk.claude(&[RUNNING, INIT]);
        talk.sent = Outbox::default();
        talk
    }

    fn program(&mut self, lines: &[&str]) {
        for line in lines {
            let line = format!("{line}\n");
            let event = self.conversation.hear_program(line.as_bytes(), &mut self.sent);
            self.events.extend(event);
        }
    }

    fn claude(&mut self, lines: &[&str]) {
        for line in lines {
            let line = format!("{line}\n");
            let event = self.conversation.hear_claude(line.as_bytes(), &mut self.sent);
            self.events.extend(event);
        }
    }

    fn ask(&mut self) {
        assert!(self.conversation.may_ask());
        self.conversation.ask("Carry on.", &mut self.sent);
    }

    fn relaunch(&mut self, taken: &[bool]) -> Relaunch {
        let written = Written { taken: taken.to_vec(), finished: false };
        self.conversation.relaunch("Carry on.", &written, &mut self.sent)
    }

    fn seen_by_program(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.sent.program)).expect("text")
    }

    fn seen_by_claude(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.sent.claude)).expect("text")
    }
}

fn lines(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

fn results(text: &str) -> Vec<Value> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["type"] == "result").collect()
}

#[test]
fn a_healthy_turn_passes_as_it_is() {
    let mut talk = Talk::default();
    talk.program(&[INITIALIZE, HELLO]);
    assert_eq!(talk.seen_by_claude(), lines(&[INITIALIZE, HELLO]));
    let turn = [INITIALIZED, RUNNING, INIT, ANSWER, GOOD, IDLE];
    talk.claude(&turn);
    assert_eq!(talk.seen_by_program(), lines(&turn));
    assert_eq!(talk.events, [Event::Began, Event::Worked]);
    assert_eq!(talk.conversation.session(), Some("s"));
}

#[test]
fn a_turn_that_failed_and_was_asked_again_is_one_turn() {
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD]);
    assert!(!talk.conversation.may_ask(), "it has not said that it is idle");
    talk.claude(&[IDLE]);
    assert_eq!(talk.seen_by_program(), "");
    talk.ask();
    let asked: Value = serde_json::from_str(&talk.seen_by_claude()).expect("one line");
    assert_eq!((&asked["isSynthetic"], &asked["type"]), (&true.into(), &"user".into()));
    talk.claude(&[RUNNING, INIT, ERROR, BAD, IDLE]);
    talk.ask();
    let good = GOOD.replace(r#""result_index":0"#, r#""result_index":2"#);
    talk.claude(&[RUNNING, INIT, ANSWER, &good, IDLE]);
    assert_eq!(talk.seen_by_program(), lines(&[ANSWER, GOOD, IDLE]));
    let [Event::Began, Event::Failed(first), Event::Failed(second), Event::Worked] =
        &talk.events[..]
    else {
        panic!("{:?}", talk.events)
    };
    assert!(first.is_first && !second.is_first);

    // The next turn is numbered as if nothing had been.
    talk.seen_by_claude();
    talk.program(&[HELLO]);
    let next = GOOD.replace(r#""result_index":0"#, r#""result_index":3"#);
    talk.claude(&[RUNNING, INIT, ANSWER, &next, IDLE]);
    let second = GOOD.replace(r#""result_index":0"#, r#""result_index":1"#);
    assert_eq!(talk.seen_by_program(), lines(&[RUNNING, INIT, ANSWER, &second, IDLE]));
}

#[test]
fn a_claude_that_does_not_say_that_it_is_idle_is_asked_all_the_same() {
    let mut talk = Talk::default();
    talk.program(&[HELLO, HELLO]);
    talk.claude(&[INIT, ERROR, &BAD.replace("count\":0", "count\":1")]);
    assert!(!talk.conversation.may_ask(), "it goes on with the second message");
    talk.claude(&[INIT, ERROR, BAD]);
    talk.ask();
    talk.claude(&[INIT, ANSWER, GOOD]);
    talk.claude(&[]);
    assert_eq!(results(&talk.seen_by_program()).len(), 1);
    talk.ask();
}

#[test]
fn a_failure_that_nothing_is_done_about_is_claudes_own() {
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.conversation.give_up(&mut talk.sent);
    assert_eq!(talk.seen_by_program(), lines(&[ERROR, BAD, IDLE]));
    assert!(!talk.conversation.in_turn());
}

#[test]
fn a_failure_that_is_given_up_after_more_tries_is_the_first_one() {
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.ask();
    talk.claude(&[RUNNING, INIT, ERROR, BAD, IDLE]);
    talk.conversation.give_up(&mut talk.sent);
    assert_eq!(talk.seen_by_program(), lines(&[ERROR, BAD, IDLE]));
}

#[test]
fn an_error_message_in_the_middle_of_a_turn_is_no_end() {
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, ANSWER, GOOD, IDLE]);
    assert_eq!(talk.seen_by_program(), lines(&[ERROR, ANSWER, GOOD, IDLE]));
}

#[test]
fn what_the_program_sends_meanwhile_follows_the_result_it_is_owed() {
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.program(&[HELLO]);
    assert_eq!(talk.seen_by_claude(), "");
    talk.ask();
    talk.seen_by_claude();
    talk.claude(&[RUNNING, ANSWER, GOOD]);
    assert_eq!(talk.seen_by_claude(), lines(&[HELLO]));
    assert!(talk.conversation.in_turn());
}

#[test]
fn requests_are_answered_while_a_turn_is_owed() {
    let status = INITIALIZE.replace("initialize", "mcp_status").replace("\"i\"", "\"m\"");
    let answer = INITIALIZED.replace("\"i\"", "\"m\"");
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.program(&[&status]);
    talk.claude(&[&answer]);
    assert_eq!(talk.seen_by_claude(), lines(&[&status]));
    assert_eq!(talk.seen_by_program(), lines(&[&answer]));
}

#[test]
fn an_interruption_gives_the_program_its_failure_at_once() {
    let interrupt = INITIALIZE.replace("initialize", "interrupt").replace("\"i\"", "\"x\"");
    let answer = INITIALIZED.replace("\"i\"", "\"x\"");
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.program(&[&interrupt]);
    talk.claude(&[&answer]);
    assert_eq!(talk.seen_by_program(), lines(&[&answer, ERROR, BAD, IDLE]));
    assert_eq!(talk.events.last(), Some(&Event::Interrupted));

    let mut talk = Talk::begun();
    talk.conversation.claude_ended(&mut talk.sent);
    talk.program(&[&interrupt]);
    assert!(talk.seen_by_program().contains(r#""request_id":"x""#));
    assert_eq!(talk.events.last(), Some(&Event::Interrupted));
}

#[test]
fn each_of_two_messages_that_failed_has_a_result_of_its_own() {
    let mut talk = Talk::begun();
    talk.program(&[&HELLO.replace("hello", "second")]);
    talk.seen_by_claude();
    let more = BAD.replace(r#""queued_turn_count":0"#, r#""queued_turn_count":1"#);
    talk.claude(&[ERROR, &more, INIT, ERROR, BAD, IDLE]);
    talk.ask();
    let asked = talk.seen_by_claude();
    assert!(asked.contains("hello") && !asked.contains("second"), "{asked}");
    talk.claude(&[RUNNING, INIT, ANSWER, GOOD, IDLE]);
    talk.ask();
    talk.claude(&[RUNNING, INIT, ANSWER, GOOD, IDLE]);
    let seen = talk.seen_by_program();
    let numbers: Vec<_> = results(&seen).iter().map(|one| one["result_index"].clone()).collect();
    assert_eq!(numbers, [0, 1], "{seen}");
    assert!(!talk.conversation.in_turn());
}

#[test]
fn a_turn_that_runs_on_when_the_first_is_given_up_is_introduced_once() {
    let mut talk = Talk::begun();
    talk.program(&[HELLO]);
    let more = BAD.replace(r#""queued_turn_count":0"#, r#""queued_turn_count":1"#);
    talk.claude(&[ERROR, &more, RUNNING, INIT]);
    talk.conversation.give_up(&mut talk.sent);
    assert_eq!(talk.seen_by_program(), lines(&[ERROR, &more, INIT]));
    assert!(talk.conversation.in_turn());
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.ask();
    talk.claude(&[RUNNING, INIT, ANSWER, GOOD, IDLE]);
    let good = GOOD.replace(r#""result_index":0"#, r#""result_index":1"#);
    assert_eq!(talk.seen_by_program(), lines(&[ANSWER, &good, IDLE]));
}

#[test]
fn a_turn_that_worked_behind_a_failed_one_comes_after_it() {
    let mut talk = Talk::begun();
    talk.program(&[HELLO]);
    let more = BAD.replace(r#""queued_turn_count":0"#, r#""queued_turn_count":1"#);
    let second = GOOD.replace(r#""result_index":0"#, r#""result_index":1"#);
    talk.claude(&[ERROR, &more, INIT, ANSWER, &second, IDLE]);
    assert_eq!(talk.seen_by_program(), "");
    talk.ask();
    talk.claude(&[RUNNING, ANSWER, GOOD]);
    assert_eq!(talk.seen_by_program(), lines(&[ANSWER, GOOD, INIT, ANSWER, &second]));
}

#[test]
fn a_hook_on_our_message_is_not_the_programs_to_answer() {
    let hook = r#"{"type":"control_request","request_id":"h","request":{"subtype":"hook_callback","input":{"hook_event_name":"UserPromptSubmit"}}}"#;
    let mut talk = Talk::begun();
    talk.claude(&[hook]);
    assert_eq!(talk.seen_by_program(), lines(&[hook]));
    talk.program(&[&INITIALIZED.replace("\"i\"", "\"h\"")]);
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.ask();
    talk.seen_by_claude();
    talk.claude(&[RUNNING, hook]);
    assert_eq!(talk.seen_by_program(), "");
    assert!(talk.seen_by_claude().contains(r#""request_id":"h""#));
}

#[test]
fn a_message_with_an_id_is_completed_in_the_end() {
    let life = |state: &str| {
        format!(r#"{{"type":"command_lifecycle","command_uuid":"u","state":"{state}"}}"#)
    };
    let named = |result: &str| result.replace(r#""type""#, r#""user_message_uuid":"u","type""#);
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, &named(BAD), &life("cancelled"), IDLE]);
    talk.ask();
    talk.claude(&[RUNNING, ANSWER, GOOD, IDLE]);
    let seen = talk.seen_by_program();
    assert!(seen.contains(&life("completed")), "{seen}");
    assert_eq!(results(&seen)[0]["user_message_uuid"], "u");
}

#[test]
fn more_than_may_be_held_is_let_go() {
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    let long = HELLO.replace("hello", &"x".repeat(17 << 20));
    talk.program(&[&long]);
    assert_eq!(talk.events.last(), Some(&Event::LetGo));
    assert_eq!(talk.seen_by_program(), lines(&[ERROR, BAD, IDLE]));
    assert_eq!(talk.seen_by_claude().len(), long.len() + 1);
}
