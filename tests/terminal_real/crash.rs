//! Claude is killed in mid-session, or we are told to end.

use std::time::Duration;

use claude_safe_testkit::{Answer, RequestKind, SignIn, Terminal, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::kit::{Desk, HELLO, SOON, answered, code, ready, submit};

/// Long enough that a kill always falls into the turn.
fn slow() -> Answer {
    Answer::Slow { text: "word ".repeat(400), every: Duration::from_millis(500) }
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process lives");
}

/// The settings a person would compare with `stty -a`.
fn flags(terminal: &Terminal) -> impl PartialEq + std::fmt::Debug + use<> {
    let stty = terminal.stty();
    (stty.input_flags, stty.output_flags, stty.control_flags, stty.local_flags)
}

/// Kills the claude of this attempt while it waits for its answer.
fn kill_in_mid_turn(desk: &Desk, attempt: usize, turns: usize) {
    desk.service.wait_for_count(SOON, RequestKind::Turn, turns);
    // the prompt is in the transcript by then
    let written = wait_until(SOON, || {
        let lines = desk.sandbox.transcript_lines();
        lines.iter().any(|line| line["type"] == "user").then_some(())
    });
    assert!(written.is_some());
    send(desk.claude_pid(attempt), Signal::SIGKILL);
}

#[test]
fn a_killed_claude_comes_back_and_its_turn_is_completed_once() {
    let desk = Desk::new(SignIn::Valid);
    desk.service.answer(slow());
    let mut terminal = desk.sit_down::<&str>(&[]);
    let before = flags(&Terminal::spawn(desk.sandbox.command("true")));
    submit(&terminal, "hello");
    kill_in_mid_turn(&desk, 1, 1);
    desk.service.answer(Answer::text(HELLO));
    terminal.wait_for_text(SOON, "claude-safe: Claude crashed");
    desk.wait_for_events("attempt_started", 2);
    answered(&terminal);
    let done: Vec<_> = desk.service.turns();
    let done: Vec<_> = done.iter().filter(|turn| turn.status == Some(200)).collect();
    assert_eq!(done.len(), 2, "one cut, one whole: {}", desk.tells());
    let hellos = done[1].user_texts.iter().filter(|text| text.contains("hello")).count();
    assert_eq!(hellos, 1, "{:?}", done[1].user_texts);
    assert_eq!(desk.sandbox.transcripts().len(), 1);
    terminal.send("\x03\x03");
    assert_eq!(code(terminal.wait_exit(SOON)), 0);
    assert_eq!(flags(&terminal), before);
}

#[test]
fn a_killed_claude_comes_back_in_the_mode_that_the_session_had_last() {
    const CYCLES: &str = "\x1b[Z";
    let plans = |terminal: &Terminal| terminal.wait_for_text(SOON, "plan mode on");
    let mode = |terminal: &Terminal| {
        let rows = terminal.screen().rows();
        rows.into_iter().find(|row| row.contains(" mode on") || row.contains(" edits on"))
    };
    let to_plan_mode = |terminal: &Terminal| {
        for _ in 0..5 {
            let before = mode(terminal);
            terminal.send(CYCLES);
            wait_until(SOON, || (mode(terminal) != before).then_some(()));
            if terminal.screen().contains("plan mode on") {
                return;
            }
        }
        plans(terminal);
    };
    // as it was started; as a hook tells; as the transcript tells; as the screen alone tells
    for (args, hooks, [before, after]) in [
        (&["--permission-mode=plan"][..], true, [false, false]),
        (&[], true, [true, false]),
        (&["--permission-mode", "default"], false, [true, false]),
        (&[], true, [false, true]),
    ] {
        let desk = Desk::new(SignIn::Valid);
        if !hooks {
            desk.sandbox.write_settings(&json!({ "disableAllHooks": true }));
        }
        desk.service.answer(slow());
        let terminal = desk.sit_down(args);
        if before {
            to_plan_mode(&terminal);
        }
        submit(&terminal, "hello");
        desk.service.wait_for_count(SOON, RequestKind::Turn, 1);
        if after {
            to_plan_mode(&terminal);
        }
        kill_in_mid_turn(&desk, 1, 1);
        desk.service.answer(Answer::text(HELLO));
        terminal.wait_for_text(SOON, "claude-safe: Claude crashed");
        desk.wait_for_events("attempt_started", 2);
        answered(&terminal);
        plans(&terminal);
    }
}

#[test]
fn after_a_kill_with_a_tool_without_a_result_nothing_is_sent() {
    let desk = Desk::new(SignIn::Valid);
    let tool = "echo ran >> proof.txt; python3 -c 'import time; time.sleep(600)'";
    desk.service.answer(Answer::bash(tool, HELLO));
    let terminal = desk.sit_down(&["--permission-mode", "default", "--allowedTools", "Bash"]);
    submit(&terminal, "run it");
    let proof = desk.sandbox.project().join("proof.txt");
    // Claude writes its transcript a little later than it acts.
    let lines = || desk.sandbox.transcript_lines();
    let recorded = || lines().iter().any(|line| line.to_string().contains("\"tool_use\""));
    let runs = || (proof.exists() && recorded()).then_some(());
    assert!(wait_until(SOON, runs).is_some(), "{}", terminal.screen());
    let before = desk.service.turns().len();
    send(desk.claude_pid(1), Signal::SIGKILL);
    terminal.wait_for_output(SOON, b"a tool may have been running: look before you go on");
    desk.wait_for_events("attempt_started", 2);
    ready(&terminal);
    terminal.wait_until_quiet(SOON, Duration::from_secs(4));
    assert_eq!(desk.service.turns().len(), before, "{}", desk.tells());
    assert_eq!(std::fs::read_to_string(&proof).unwrap(), "ran\n");
}

#[test]
fn a_second_kill_within_ten_minutes_ends_the_run_with_the_terminal_restored() {
    let desk = Desk::new(SignIn::Valid);
    desk.service.answer(slow());
    let mut terminal = Terminal::spawn(desk.safe::<&str>(&[]));
    let before = flags(&terminal);
    ready(&terminal);
    submit(&terminal, "hello");
    kill_in_mid_turn(&desk, 1, 1);
    desk.wait_for_events("attempt_started", 2);
    kill_in_mid_turn(&desk, 2, 2);
    assert_eq!(code(terminal.wait_exit(SOON)), 137, "{}", desk.tells());
    assert_eq!(flags(&terminal), before);
    let screen = terminal.screen();
    assert!(!screen.vt().bracketed_paste() && !screen.vt().hide_cursor(), "{screen}");
    assert!(screen.contains("claude --resume"), "{screen}");
    assert_eq!(desk.events("attempt_started").len(), 2);
}

fn ends_politely(signal: Signal, expected: i32) {
    let desk = Desk::new(SignIn::Valid);
    let mut terminal = Terminal::spawn(desk.safe::<&str>(&[]));
    let before = flags(&terminal);
    ready(&terminal);
    submit(&terminal, "hello");
    answered(&terminal);
    send(terminal.pid(), signal);
    assert_eq!(code(terminal.wait_exit(SOON)), expected, "{}", desk.tells());
    assert_eq!(flags(&terminal), before);
    assert!(!terminal.screen().vt().bracketed_paste());
    assert_eq!(desk.events("attempt_started").len(), 1);
    let left = desk.sandbox.config_dir().join("sessions");
    let notes = std::fs::read_dir(left).unwrap().flatten();
    let notes = notes.filter(|note| note.path().extension().is_some_and(|kind| kind == "json"));
    assert_eq!(notes.count(), 0, "claude took its note away");
    desk.sandbox.assert_no_leftovers(SOON);
}

#[test]
fn sigterm_ends_claude_politely_and_starts_nothing() {
    ends_politely(Signal::SIGTERM, 143);
}

#[test]
fn sighup_ends_claude_politely_and_starts_nothing() {
    ends_politely(Signal::SIGHUP, 129);
}
