//! A run told line by line: short for `log`, with its reasons for `explain`. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::{because, kind, printable, rung, source, span, time, to_do, turn};
use crate::failure::{ExitReason, Failure, FailureKind};
use crate::journal::{Entry, Event, Mode};
use crate::rung::Rung;
use crate::service::{Health, Reading};

/// A line of the journal in a few words.
#[must_use]
pub fn line(event: &Event) -> String {
    match event {
        Event::RunStarted { pid, cwd, mode, claude_version, job } => {
            let mode = match mode {
                Mode::Terminal => "in a terminal",
                Mode::Headless => "without a terminal",
                Mode::Program => "for a program",
            };
            let version = claude_version.as_ref().map(|version| format!(", claude {version}"));
            let job = job.as_ref().map(|job| format!(", job {job}"));
            let cwd = cwd.to_string_lossy();
            printable(&format!(
                "run began {mode} in {cwd} (pid {pid}{}{})",
                version.unwrap_or_default(),
                job.unwrap_or_default()
            ))
        }
        Event::AttemptStarted { attempt, pid, resumed } => {
            let resumed = if *resumed { ", resuming the session" } else { "" };
            format!("claude started, attempt {attempt} (pid {pid}{resumed})")
        }
        Event::Session { id } => format!("session {}", printable(id)),
        Event::Failed { failure, .. } => format!("failed: {}", what(failure)),
        Event::Decided { decision, rung: chosen, after_ms, why } => {
            let why = printable(why);
            match (decision.as_str(), chosen) {
                ("act", Some(chosen)) => {
                    format!("{} in {}", rung(*chosen), span(after_ms.unwrap_or(0)))
                }
                ("wait_for_person", _) => format!("a person is needed: {why}"),
                ("stand_aside", _) => format!("standing aside: {why}"),
                ("give_up", _) => format!("gave up: {why}"),
                (other, _) => format!("{}: {why}", printable(other)),
            }
        }
        Event::WaitEnded { by, waited_ms } => {
            format!("wait ended after {} ({})", span(*waited_ms), ended_by(by))
        }
        Event::Asked { taken: true } => "asked again; Claude took it".to_owned(),
        Event::Asked { taken: false } => "asked again; Claude did not take it".to_owned(),
        Event::Fixed { rung: fix, outcome: Ok(did) } => {
            format!("{} done: {}", rung(*fix), printable(did))
        }
        Event::Fixed { rung: fix, outcome: Err(why) } => {
            format!("{} failed: {}", rung(*fix), printable(why))
        }
        Event::Declined { rung: fix, by } => {
            let by = match by.as_str() {
                "no" => "the answer was no".to_owned(),
                "silence" => "nobody answered".to_owned(),
                "typing" => "the user took over".to_owned(),
                other => printable(other),
            };
            format!("{} declined: {by}", rung(*fix))
        }
        Event::Recovered { after_ms } => format!("recovered after {}", span(*after_ms)),
        Event::Retried { requests, waited_ms, status } => {
            let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
            format!(
                "Claude repeated {requests} requests itself{status}, {} of waits",
                span(*waited_ms)
            )
        }
        Event::Probed { looks, .. } => format!("{looks} requests to see how the service is"),
        Event::RunEnded { code, child, .. } => {
            let child = match child {
                Some(ExitReason::Signal(signal)) => format!(", claude killed by signal {signal}"),
                Some(ExitReason::Code(own)) if own != code => format!(", claude exited {own}"),
                _ => String::new(),
            };
            format!("run ended, exit {code}{child}")
        }
    }
}

fn ended_by(by: &str) -> String {
    match by {
        "timer" => "its time was up".to_owned(),
        "probe" => "the service is back".to_owned(),
        "turn" => "a turn worked in another run".to_owned(),
        "enter" => "someone pressed Enter".to_owned(),
        "user" => "the user took over".to_owned(),
        "signal" => "a signal".to_owned(),
        "credentials" => "someone signed in".to_owned(),
        other => printable(other),
    }
}

fn what(failure: &Failure) -> String {
    let name = kind(failure.kind.name());
    match failure.status {
        Some(status) => format!("{name} ({status})"),
        None => name.to_owned(),
    }
}

/// The whole climb of a run: each event, and why what was decided was decided.
#[must_use]
pub fn explained(entries: &[Entry], zone: &TimeZone) -> Vec<(String, Vec<String>)> {
    let last = entries.last().map_or(Timestamp::UNIX_EPOCH, |entry| entry.at);
    let mut failed: Option<(&Failure, &Health)> = None;
    let mut tries = 0;
    let mut told = Vec::new();
    for entry in entries {
        let mut reasons = Vec::new();
        match &entry.event {
            Event::Failed { failure, health } => {
                failed = Some((failure, health));
                reasons.extend(evidence(failure));
                reasons.push(turn(failure.turn).to_owned());
                reasons.push(service(failure.kind, health));
            }
            Event::Decided { decision, rung: Some(chosen), .. } if decision == "act" => {
                if let Some((failure, health)) = failed {
                    reasons.extend(decision_reasons(failure.kind, *chosen, health, tries));
                }
                tries += 1;
            }
            Event::Recovered { .. } => tries = 0,
            // Its own line says when and what; these are told elsewhere.
            Event::Probed { .. } => continue,
            _ => {}
        }
        told.push((format!("{}  {}", time(entry.at, last, zone), line(&entry.event)), reasons));
    }
    told
}

fn evidence(failure: &Failure) -> Vec<String> {
    if failure.evidence.is_empty() {
        return vec!["No evidence was written down.".to_owned()];
    }
    let one = |evidence: &crate::failure::Evidence| {
        let (place, rule) = (source(evidence.source), printable(&evidence.rule));
        if evidence.excerpt.is_empty() {
            format!("Believed because of {place}: rule {rule}.")
        } else {
            let excerpt = printable(&evidence.excerpt);
            format!("Believed because of {place}: rule {rule} matched \"{excerpt}\".")
        }
    };
    failure.evidence.iter().map(one).collect()
}

fn service(kind: FailureKind, health: &Health) -> String {
    let word = match health.facing(kind) {
        Reading::Up => "answered",
        Reading::Down => "was down",
        Reading::Unknown => "was not known to be up or down",
    };
    let host = match kind {
        FailureKind::AuthRefresh | FailureKind::LoginService | FailureKind::SignInNeeded => {
            "sign-in service"
        }
        _ => "API",
    };
    let reasons = health.reasons.iter().map(|reason| printable(reason)).collect::<Vec<_>>();
    let reasons =
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    format!("The {host} {word}{reasons}.")
}

fn decision_reasons(kind: FailureKind, chosen: Rung, health: &Health, tries: u32) -> Vec<String> {
    let mut reasons =
        vec![format!("Decided to {}.", to_do(chosen)), format!("{}.", because(kind, chosen))];
    let climbs = !matches!(chosen, Rung::AskAgain | Rung::Relaunch);
    match (health.facing(kind), climbs) {
        (Reading::Down, false) => {
            reasons.push("While the service is down no fix on this machine is tried.".to_owned());
        }
        (Reading::Up, true) => reasons.push(format!(
            "The service answered, and tries before it in this streak: {tries} (`rungs.tries` says \
             how many are made before a fix), so it climbed."
        )),
        _ => {}
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(lines: &[&str]) -> Vec<Entry> {
        lines.iter().map(|line| serde_json::from_str(line).expect("a line")).collect()
    }

    #[test]
    fn a_decision_is_told_with_its_rule_the_turn_the_service_and_the_reason() {
        let entries = entries(&[
            r#"{"at":"2026-11-24T01:10:00Z","run":"a","event":"failed","failure":{"kind":"auth_refresh","status":401,"evidence":[{"rule":"refresh-401","source":"result","excerpt":"API Error: 401"}],"session":null,"turn":"untouched"},"health":{"oauth":"down","api":"up","reasons":["sign-in service answers 500"]}}"#,
            r#"{"at":"2026-11-24T01:10:00Z","run":"a","event":"decided","decision":"act","rung":"relaunch","after_ms":3100,"why":""}"#,
        ]);
        let told = explained(&entries, &TimeZone::UTC);
        assert_eq!(told[0].0, "01:10:00  failed: sign-in refresh failing (401)");
        let text = told[0].1.join(" ");
        assert!(text.contains("the failing result: rule refresh-401 matched"), "{text}");
        assert!(text.contains("The sign-in service was down (sign-in service answers 500)."));
        assert_eq!(told[1].0, "01:10:00  relaunch in 4 s");
        let text = told[1].1.join(" ");
        assert!(text.contains("only its refresh fails: waiting cures it"), "{text}");
        assert!(text.contains("no fix on this machine is tried"), "{text}");
    }
}
