//! A healthy session looks, ends and leaves the terminal as with plain claude.

use std::process::Command;

use claude_safe_testkit::{SignIn, Terminal};

use crate::kit::{Desk, HELLO, SOON, answered, code, ready, submit};

/// What a person saw of one turn and the end.
struct Seen {
    /// The rows after the answer, without what differs from one sandbox to the next.
    rows: Vec<String>,
    /// The last words after the screen was given back.
    last: String,
    code: i32,
    stty_kept: bool,
}

/// One turn, then the end by `keys`.
fn turn(desk: &Desk, command: Command, keys: &[&str]) -> Seen {
    let mut terminal = Terminal::spawn(command);
    let before = terminal.stty();
    ready(&terminal);
    submit(&terminal, "good day");
    answered(&terminal);
    let home = desk.sandbox.home().to_string_lossy().into_owned();
    let project = home.rsplit('/').nth(1).expect("a path").to_owned();
    let same = |text: &str| text.replace(&project, "SANDBOX").trim_end().to_owned();
    let rows = terminal.screen().rows().iter().map(|row| steady(&same(row))).collect();
    for key in keys {
        terminal.send(key);
    }
    let code = code(terminal.wait_exit(SOON));
    let output = String::from_utf8_lossy(&terminal.output()).into_owned();
    let last = output.rsplit_once("Resume this session with:").map(|(_, last)| last.to_owned());
    let last = last.unwrap_or_default();
    let id = desk.sandbox.transcripts()[0].file_stem().unwrap().to_string_lossy().into_owned();
    let after = terminal.stty();
    let raw = |stty: &nix::sys::termios::Termios| {
        (stty.input_flags, stty.output_flags, stty.control_flags, stty.local_flags)
    };
    let last = same(&last.replace(&id, "ID"));
    Seen { rows, last, code, stty_kept: raw(&before) == raw(&after) }
}

/// A row without what passes by itself: the turn's duration and clock, the footer's hints.
fn steady(row: &str) -> String {
    match row.split_once(" (shift+tab to cycle)") {
        Some((mode, _hints)) => mode.to_owned(),
        None if row.starts_with('✻') => "✻ done".to_owned(),
        // a hint that found no room in the row above
        None if row.starts_with("   ") && row.ends_with("· /effort") => String::new(),
        None => row.to_owned(),
    }
}

/// The same turn with plain claude and with us.
fn both(args: &[&str], keys: &[&str]) -> (Seen, Seen) {
    let (plain, safe) = (Desk::new(SignIn::Valid), Desk::new(SignIn::Valid));
    let expected = turn(&plain, plain.plain(args), keys);
    let seen = turn(&safe, safe.safe(args), keys);
    safe.assert_nothing_happened();
    safe.sandbox.assert_no_leftovers(SOON);
    assert_eq!(safe.service.turns().len(), plain.service.turns().len());
    (expected, seen)
}

fn assert_same(args: &[&str], keys: &[&str]) {
    let (expected, seen) = both(args, keys);
    assert_eq!(seen.rows, expected.rows);
    assert_eq!(seen.last, expected.last);
    assert_eq!(seen.code, expected.code);
    assert!(expected.stty_kept && seen.stty_kept);
}

#[test]
fn a_turn_left_by_ctrl_c_twice_is_plain_claudes() {
    let (expected, seen) = both(&[], &["\x03", "\x03"]);
    assert!(seen.rows.iter().any(|row| row.contains(HELLO)));
    assert_eq!(seen.rows, expected.rows);
    assert_eq!(seen.last, expected.last);
    assert!(seen.last.contains("claude --resume ID"), "{:?}", seen.last);
    assert_eq!((seen.code, seen.stty_kept), (0, true));
    assert_eq!((expected.code, expected.stty_kept), (0, true));
}

#[test]
fn a_turn_left_by_ctrl_d_twice_is_plain_claudes() {
    assert_same(&[], &["\x04", "\x04"]);
}

#[test]
fn a_turn_with_flags_left_by_exit_is_plain_claudes() {
    assert_same(&["--verbose", "--effort", "low"], &["/exit", "\r"]);
}
