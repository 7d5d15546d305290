//! Nights made by hand, line by line.

use super::super::track::{Phase, State};
use super::*;
use crate::rung::Rung;

use Phase::{Fixing, Stopped, Trying, Waiting, Working};

fn at(time: &str) -> Timestamp {
    format!("2026-11-24T{time}Z").parse().expect("a time")
}

/// Lines of `time run event-json-without-braces`.
fn journal(lines: &str) -> Vec<Entry> {
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (time, rest) = line.split_once(' ').expect("a time");
            let (run, event) = rest.split_once(' ').expect("a run");
            let json = format!(r#"{{"at":"2026-11-24T{time}Z","run":"{run}",{event}}}"#);
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
        })
        .collect()
}

const START: &str = r#""event":"run_started","pid":7,"cwd":"/w","mode":"headless","claude_version":null,"job":null"#;

fn failed(kind: &str) -> String {
    format!(
        r#""event":"failed","failure":{{"kind":"{kind}","status":500,"evidence":[],"session":null,"turn":"untouched"}},"health":{{"oauth":"down","api":"up","reasons":[]}}"#
    )
}

fn outage() -> Vec<Entry> {
    let failed = failed("auth_refresh");
    journal(&format!(
        r#"
        01:00:00 a {START}
        01:00:00 a "event":"attempt_started","attempt":1,"pid":8,"resumed":false
        01:10:00 a {failed}
        01:10:00 a "event":"probed","health":{{"oauth":"down","api":"up","reasons":[]}},"looks":2
        01:10:00 a "event":"decided","decision":"act","rung":"relaunch","after_ms":60000,"why":"w"
        01:11:00 a "event":"wait_ended","by":"timer","waited_ms":60000
        01:11:00 a "event":"attempt_started","attempt":2,"pid":9,"resumed":true
        01:12:00 a {failed}
        01:12:00 a "event":"decided","decision":"act","rung":"relaunch","after_ms":120000,"why":"w"
        01:14:00 a "event":"wait_ended","by":"probe","waited_ms":120000
        01:14:00 a "event":"attempt_started","attempt":3,"pid":10,"resumed":true
        01:30:00 a "event":"recovered","after_ms":1200000
        01:30:00 a "event":"run_ended","code":0,"child":{{"code":0}}
        "#
    ))
}

#[test]
fn an_outage_is_lost_until_the_try_that_worked_and_saved_from_there() {
    let night = Night::reckon(&outage(), at("00:00:00"), at("08:00:00"), &|_, _, _| false);
    let run = &night.runs[0];
    let spans: Vec<(Phase, i64)> =
        run.spans.iter().map(|s| (s.phase, s.to.duration_since(s.from).as_secs() / 60)).collect();
    assert_eq!(spans, [(Working, 10), (Waiting, 1), (Trying, 1), (Waiting, 2), (Working, 16)]);
    assert_eq!((run.lost_ms, run.saved_ms), (4 * 60_000, 16 * 60_000));
    assert_eq!(run.rungs, BTreeMap::from([(Rung::Relaunch, 2)]));
    assert_eq!(run.failures, BTreeMap::from([("auth_refresh", 2)]));
    assert_eq!((run.waits, run.waited_ms, run.recovered, run.looks), (2, 180_000, 1, 2));
    assert_eq!((run.state, run.ending), (State::Ended, Ending::Ended(0)));
    assert_eq!(night.totals.tries, 2);
}

#[test]
fn only_what_lies_within_the_window_counts() {
    let night = Night::reckon(&outage(), at("01:11:30"), at("01:20:00"), &|_, _, _| false);
    let run = &night.runs[0];
    assert_eq!(run.failures, BTreeMap::from([("auth_refresh", 1)]));
    assert_eq!(run.lost_ms, (8 * 60 + 30) * 1000, "still failing for all that was known then");
    assert_eq!(run.ending, Ending::Running, "it was heard of later");
    assert_eq!(run.spans.first().map(|span| span.from), Some(at("01:11:30")));
    assert_eq!(run.spans.last().map(|span| span.to), Some(at("01:20:00")));
    for (since, until) in [("02:00:00", "03:00:00"), ("00:00:00", "00:30:00")] {
        assert!(Night::reckon(&outage(), at(since), at(until), &|_, _, _| true).runs.is_empty());
    }
}

#[test]
fn a_run_without_a_last_word_is_running_while_its_process_lives_and_lost_after() {
    let entries = &outage()[..5];
    let state = |alive| {
        let night = Night::reckon(entries, at("00:00:00"), at("01:10:30"), &|_, pid, began| {
            assert_eq!((pid, began), (7, at("01:00:00")));
            alive
        });
        let run = night.runs[0].clone();
        (run.state, run.ending, run.next_try, run.until)
    };
    let waiting = (State::Waiting, Ending::Running, Some(at("01:11:00")), at("01:10:30"));
    assert_eq!(state(true), waiting);
    assert_eq!(state(false), (State::Lost, Ending::Lost, None, at("01:10:00")));
}

#[test]
fn what_follows_a_wait_is_the_fix_and_what_only_a_person_can_cure_is_marked_so() {
    let entries = journal(&format!(
        r#"
        01:00:00 b {START}
        01:01:00 b {}
        01:01:00 b "event":"decided","decision":"act","rung":"update","after_ms":60000,"why":""
        01:02:00 b "event":"wait_ended","by":"timer","waited_ms":60000
        01:05:00 b "event":"fixed","rung":"update","outcome":{{"Err":"no network"}}
        01:06:00 b {}
        01:06:00 b "event":"decided","decision":"wait_for_person","rung":null,"after_ms":null,"why":"sign in"
        "#,
        failed("crash"),
        failed("sign_in_needed")
    ));
    let night = Night::reckon(&entries, at("00:00:00"), at("01:10:00"), &|_, _, _| true);
    let run = &night.runs[0];
    let phases: Vec<Phase> = run.spans.iter().map(|span| span.phase).collect();
    assert_eq!(phases, [Working, Waiting, Fixing, Trying, Stopped]);
    assert_eq!(run.state, State::PersonNeeded);
    assert_eq!(run.why.as_deref(), Some("sign in"));
    assert_eq!(run.fixes[0].outcome, Err("no network".to_owned()));
}

#[test]
fn torn_and_foreign_journals_give_no_run_and_no_panic() {
    let entries = outage();
    for skip in 1..entries.len() {
        let night =
            Night::reckon(&entries[skip..], at("00:00:00"), at("08:00:00"), &|_, _, _| true);
        assert!(night.runs.is_empty(), "its beginning was rotated away");
    }
    let mut back = outage();
    back.iter_mut().skip(3).for_each(|entry| entry.at = at("00:30:00"));
    let night = Night::reckon(&back, at("00:00:00"), at("08:00:00"), &|_, _, _| true);
    assert!(night.runs[0].spans.iter().all(|span| span.from < span.to), "a clock set back");
}

#[test]
fn what_a_person_refused_is_counted_told_and_explained() {
    let entries = journal(&format!(
        r#"
        01:00:00 b {START}
        01:01:00 b {}
        01:01:00 b "event":"decided","decision":"act","rung":"update","after_ms":60000,"why":""
        01:02:00 b "event":"wait_ended","by":"timer","waited_ms":60000
        01:02:05 b "event":"declined","rung":"update","by":"no"
        01:03:00 b "event":"declined","rung":"clear_cache","by":"silence"
        "#,
        failed("crash"),
    ));
    let night = Night::reckon(&entries, at("00:00:00"), at("01:10:00"), &|_, _, _| true);
    let facts = super::super::text::facts(&night.runs[0]);
    let told = facts.iter().find(|(name, _)| *name == "declined").map(|(_, text)| text.as_str());
    assert_eq!(told, Some("update ×1, clear cache ×1"));
    let lines = super::super::explained(&entries, &jiff::tz::TimeZone::UTC);
    let lines: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    assert!(lines[4].ends_with("update declined: the answer was no"), "{lines:?}");
    assert!(lines[5].ends_with("clear cache declined: nobody answered"), "{lines:?}");
}
