//! What a terminal is shown.

use super::*;
use crate::journal::Entry;

fn at(time: &str) -> Timestamp {
    format!("2026-11-24T{time}Z").parse().expect("a time")
}

fn night() -> Night {
    let lines = [
        r#"{"at":"2026-11-24T01:00:00Z","run":"0badcafe","event":"run_started","pid":7,"cwd":"/home/ada/wor\u001b[2Jk","mode":"terminal","claude_version":null,"job":null}"#,
        r#"{"at":"2026-11-24T03:00:00Z","run":"0badcafe","event":"failed","failure":{"kind":"api","status":529,"evidence":[],"session":null,"turn":"partial"},"health":{"oauth":"up","api":"down","reasons":[]}}"#,
        r#"{"at":"2026-11-24T03:00:00Z","run":"0badcafe","event":"decided","decision":"act","rung":"ask_again","after_ms":5400000,"why":"claude's request to the API failed (529)"}"#,
        r#"{"at":"2026-11-24T04:30:00Z","run":"0badcafe","event":"wait_ended","by":"timer","waited_ms":5400000}"#,
        r#"{"at":"2026-11-24T04:30:00Z","run":"0badcafe","event":"asked","taken":true}"#,
        r#"{"at":"2026-11-24T05:00:00Z","run":"0badcafe","event":"recovered","after_ms":7200000}"#,
    ];
    let entries: Vec<Entry> =
        lines.iter().map(|line| serde_json::from_str(line).expect("a line")).collect();
    Night::reckon(&entries, at("00:00:00"), at("08:00:00"), &|_, _, _| true)
}

fn style(width: usize, unicode: bool) -> Style {
    Style { width, colour: false, unicode, home: "/home/ada".into(), zone: TimeZone::UTC }
}

#[test]
fn the_bar_shows_work_wait_and_recovery_where_they_were() {
    let text = report(&night(), &style(64, true));
    let bar = "········━━━━━━━━━━━━━━━━░░░░░░░░░░░░━━━━✓━━━━━━━━━━━━━━━━━━━━━━━";
    assert!(text.lines().any(|line| line == bar), "{text}");
    assert!(text.contains("30 min saved") && text.contains("1 h 30 min lost"), "{text}");
    assert!(text.contains("~/wor\\u{1b}[2Jk"), "{text}");
    assert!(text.contains("Time lost: from the first failure"), "{text}");
}

#[test]
fn a_time_without_failures_needs_no_explanation_of_figures() {
    let mut quiet = night();
    quiet.totals.failures.clear();
    let text = report(&quiet, &style(64, true));
    assert!(!text.contains("Time lost"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
    for width in [30, 48, 80, 200] {
        for unicode in [true, false] {
            let text = report(&night(), &style(width, unicode));
            assert!(widest(&text) <= Some(width), "{width}:\n{text}");
        }
        let text = status(&night(), at("08:00:00"), &style(width.max(72), true));
        assert!(widest(&text) <= Some(width.max(72)), "{width}:\n{text}");
    }
}

#[test]
fn without_unicode_all_is_ascii_and_without_colour_nothing_is_escaped() {
    let text = report(&night(), &style(64, false));
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("================............====+="), "{text}");
    assert!(!text.contains('\u{1b}'));
    let coloured = report(&night(), &Style { colour: true, ..style(64, true) });
    assert!(coloured.contains("\u{1b}[0;33m░"), "{coloured:?}");
}

#[test]
fn a_waiting_run_says_what_fails_and_when_it_tries_again() {
    let all = night();
    assert!(status(&all, at("08:00:00"), &style(100, true)).contains("working"));
    let mut waiting = all;
    waiting.runs[0].state = State::Waiting;
    waiting.runs[0].failing = Some("api");
    waiting.runs[0].next_try = Some(at("08:00:12"));
    let text = status(&waiting, at("08:00:00"), &style(100, true));
    assert!(text.contains("waiting") && text.contains("12 s"), "{text}");
    let late = status(&waiting, at("08:00:20"), &style(80, true));
    assert!(late.contains("when up"), "{late}");
    assert!(late.lines().all(|line| line.chars().count() <= 80), "{late}");
    assert!(text.contains("API failing · claude's request to the API failed (529)"), "{text}");
}

#[test]
fn long_texts_are_broken_at_blanks_and_long_words_anywhere() {
    assert_eq!(wrapped("one two three four", 10), ["one two", "three four"]);
    assert_eq!(
        wrapped("x aaaaaaaaaaaaaaaaaaaaaaaa", 10),
        ["x", "aaaaaaaaaa", "aaaaaaaaaa", "aaaa"]
    );
}
