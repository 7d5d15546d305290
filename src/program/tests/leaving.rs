//! Claude's end, and what the next one is told.

use super::*;
use crate::program::open::Chosen;

#[test]
fn a_new_claude_is_told_who_speaks_and_what_was_changed_and_asks_anew() {
    let mode = INITIALIZE.replace("initialize", "mcp_toggle").replace("\"i\"", "\"m\"");
    let moded = INITIALIZED.replace("\"i\"", "\"m\"");
    let status = INITIALIZE.replace("initialize", "mcp_status").replace("\"i\"", "\"o\"");
    let may = r#"{"type":"control_request","request_id":"p","request":{"subtype":"can_use_tool","tool_use_id":"t"}}"#;
    let call =
        r#"{"type":"assistant","uuid":"b","message":{"content":[{"type":"tool_use","id":"t"}]}}"#;
    let late = INITIALIZED.replace("\"i\"", "\"p\"");
    let mut talk = Talk::begun();
    talk.program(&[&mode]);
    talk.claude(&[&moded, call, may]);
    talk.program(&[&status]);
    assert!(!talk.conversation.tool_is_open(), "it waits for permission");
    assert_eq!(talk.conversation.tool_lines().count(), 0, "so nothing was done");
    talk.sent = Outbox::default();
    talk.conversation.claude_ended(&mut talk.sent);
    assert!(talk.seen_by_program().contains(r#""control_cancel_request","request_id":"p""#));
    talk.program(&[&late]);
    assert_eq!(talk.seen_by_claude(), "");

    let relaunch = talk.relaunch(&[true]);
    assert_eq!((relaunch.session.as_deref(), relaunch.shows_cut_off), (Some("s"), false));
    assert_eq!(talk.seen_by_claude(), lines(&[INITIALIZE, &mode, &status]));
    let started = r#"{"type":"command_lifecycle","state":"started","command_uuid":"z"}"#;
    let answer = ANSWER.replace(r#""uuid""#, r#""resume_reason":"interrupted_turn","uuid""#);
    talk.claude(&[INITIALIZED, RUNNING, started, &answer, &moded, GOOD, IDLE]);
    assert_eq!(talk.seen_by_program(), lines(&[ANSWER, GOOD, IDLE]));
}

#[test]
fn a_turn_that_failed_in_a_claude_that_left_is_asked_for_anew() {
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.conversation.program_closed();
    talk.conversation.claude_ended(&mut talk.sent);
    let relaunch = talk.relaunch(&[]);
    assert!(!relaunch.takes_up);
    let told = talk.seen_by_claude();
    assert!(told.starts_with(INITIALIZE) && told.contains("Carry on."), "{told}");
    talk.claude(&[INITIALIZED, RUNNING, INIT, ANSWER, GOOD, IDLE]);
    assert_eq!(talk.seen_by_program(), lines(&[ANSWER, GOOD, IDLE]));
}

#[test]
fn a_tool_that_may_have_begun_is_shown_as_cut_off() {
    let call =
        r#"{"type":"assistant","uuid":"b","message":{"content":[{"type":"tool_use","id":"t"}]}}"#;
    let mut talk = Talk::begun();
    talk.claude(&[call]);
    assert!(talk.conversation.tool_is_open());
    assert!(talk.conversation.tool_lines().eq(["b"]));
    talk.conversation.claude_ended(&mut talk.sent);
    let relaunch = talk.relaunch(&[true]);
    assert!(relaunch.shows_cut_off);
}

#[test]
fn a_message_that_its_writer_left_open_is_closed() {
    let piece = |event: &str| format!(r#"{{"type":"stream_event","event":{event}}}"#);
    let mut talk = Talk::begun();
    let start = piece(r#"{"type":"message_start"}"#);
    let block = piece(r#"{"type":"content_block_start","index":1}"#);
    talk.claude(&[&start, &block]);
    talk.seen_by_program();
    talk.conversation.claude_ended(&mut talk.sent);
    let seen = talk.seen_by_program();
    assert!(seen.contains("content_block_stop") && seen.contains("message_stop"), "{seen}");
}

#[test]
fn a_new_claude_is_started_with_what_the_program_has_chosen() {
    let chosen = |talk: &mut Talk| {
        talk.conversation.claude_ended(&mut talk.sent);
        talk.sent = Outbox::default();
        let Chosen { model, mode } = talk.relaunch(&[true]).chosen;
        assert!(!talk.seen_by_claude().contains("set_"), "it is no argument and a request");
        [model, mode]
    };
    let set = |what: &str, id: &str| {
        INITIALIZE.replace(r#""initialize""#, what).replace(r#""i""#, &format!(r#""{id}""#))
    };
    let mut talk = Talk::begun();
    let mode = |mode: &str| {
        INIT.replace(r#""subtype""#, &format!(r#""permissionMode":"{mode}","subtype""#))
    };
    talk.claude(&[&mode("default")]);
    assert_eq!(chosen(&mut talk), [None, None]);
    talk.program(&[
        &set(r#""set_model","model":"haiku""#, "a"),
        &set(r#""set_permission_mode","mode":"plan""#, "b"),
        &set(r#""set_model","model":"opus""#, "c"),
    ]);
    let answer = |id: &str| INITIALIZED.replace(r#""i""#, &format!(r#""{id}""#));
    talk.claude(&[&answer("a"), &answer("b"), &answer("c").replace("success", "error")]);
    assert_eq!(chosen(&mut talk), [Some("haiku".into()), Some("plan".into())]);
    // A plan that was agreed to ends its mode.
    talk.claude(&[&mode("acceptEdits")]);
    assert_eq!(chosen(&mut talk), [Some("haiku".into()), Some("acceptEdits".into())]);
}

#[test]
fn what_claude_never_came_to_is_sent_again() {
    let second = HELLO.replace("hello", "second");
    let mut talk = Talk::default();
    talk.program(&[INITIALIZE, HELLO]);
    talk.claude(&[INITIALIZED]);
    talk.sent = Outbox::default();
    talk.conversation.claude_ended(&mut talk.sent);
    let relaunch = talk.relaunch(&[false]);
    assert!(!relaunch.takes_up && relaunch.session.is_none());
    assert_eq!(talk.seen_by_claude(), lines(&[INITIALIZE, HELLO]));
    let turn = [RUNNING, INIT, ANSWER, GOOD, IDLE];
    talk.claude(&[INITIALIZED]);
    talk.claude(&turn);
    assert_eq!(talk.seen_by_program(), lines(&turn));

    // One turn was begun, and the message behind it was not.
    talk.program(&[HELLO, &second]);
    talk.claude(&[RUNNING, INIT]);
    talk.conversation.claude_ended(&mut talk.sent);
    talk.sent = Outbox::default();
    assert!(talk.relaunch(&[true, false]).takes_up);
    assert_eq!(talk.seen_by_claude(), lines(&[INITIALIZE]));
    talk.claude(&[INITIALIZED, RUNNING, INIT, ANSWER, GOOD]);
    assert_eq!(talk.seen_by_claude(), lines(&[&second]));
    talk.claude(&[ANSWER, GOOD, IDLE]);
    let seen = talk.seen_by_program();
    assert_eq!(results(&seen).len(), 2, "{seen}");
}

#[test]
fn a_turn_that_lacks_its_result_alone_is_asked_for_one() {
    let mut talk = Talk::begun();
    talk.claude(&[ANSWER]);
    talk.conversation.claude_ended(&mut talk.sent);
    talk.sent = Outbox::default();
    let written = Written { taken: vec![true], finished: true };
    let relaunch = talk.conversation.relaunch("Carry on.", &written, &mut talk.sent);
    assert!(!relaunch.takes_up, "nothing would come of it");
    assert!(talk.seen_by_claude().contains("Carry on."));
    talk.claude(&[INITIALIZED, RUNNING, INIT, ANSWER, GOOD, IDLE]);
    assert_eq!(talk.seen_by_program(), lines(&[ANSWER, GOOD, IDLE]));
    assert!(!talk.conversation.in_turn());
}

#[test]
fn half_a_line_is_shown_only_if_nothing_follows_it() {
    let half = r#"{"type":"assi"#;
    let mut talk = Talk::begun();
    talk.conversation.hear_half_of_claude(half.as_bytes(), &mut talk.sent);
    talk.conversation.claude_ended(&mut talk.sent);
    talk.relaunch(&[true]);
    talk.claude(&[INITIALIZED, RUNNING, ANSWER, GOOD, IDLE]);
    talk.conversation.give_up(&mut talk.sent);
    assert_eq!(talk.seen_by_program(), lines(&[ANSWER, GOOD, IDLE]));

    talk.conversation.hear_half_of_claude(half.as_bytes(), &mut talk.sent);
    talk.conversation.claude_ended(&mut talk.sent);
    talk.conversation.give_up(&mut talk.sent);
    assert_eq!(talk.seen_by_program(), half);
}

#[test]
fn a_turn_that_is_taken_up_reads_as_the_first_try_of_it() {
    let resumed = |line: &str| {
        let more = r#""resume_reason":"interrupted_turn","user_message_uuid":"u","type""#;
        line.replacen(r#""type":"#, &format!("{more}:"), 1)
    };
    let echo = r#"{"type":"user","isReplay":true,"uuid":"u"}"#;
    for (message, is_named) in
        [(HELLO.to_owned(), false), (HELLO.replace('{', r#"{"uuid":"u","#), true)]
    {
        let message = message.replacen(r#"{"uuid":"u","role""#, r#"{"role""#, 1);
        let mut talk = Talk::default();
        talk.program(&[INITIALIZE, &message]);
        talk.claude(&[INITIALIZED, RUNNING, INIT, echo]);
        talk.conversation.claude_ended(&mut talk.sent);
        talk.relaunch(&[true]);
        talk.sent = Outbox::default();
        talk.claude(&[INITIALIZED, RUNNING, echo, &resumed(ANSWER), &resumed(GOOD), IDLE]);
        let seen = talk.seen_by_program();
        assert!(!seen.contains("resume_reason") && !seen.contains("isReplay"), "{seen}");
        assert_eq!(
            seen.matches(r#""user_message_uuid":"#).count(),
            if is_named { 2 } else { 0 },
            "{seen}"
        );
    }
}

#[test]
fn claude_is_told_that_nothing_more_comes_once_it_has_all() {
    let second = HELLO.replace("hello", "second");
    let mut talk = Talk::begun();
    talk.claude(&[ERROR, BAD, IDLE]);
    talk.program(&[&second]);
    talk.conversation.program_closed();
    assert!(!talk.conversation.is_all_sent());
    talk.ask();
    assert!(!talk.conversation.is_all_sent(), "the second message is not sent");
    talk.claude(&[RUNNING, ANSWER, GOOD]);
    assert!(talk.conversation.is_all_sent());
    assert!(talk.seen_by_claude().ends_with(&lines(&[&second])));
}
