//! What the end of an attempt without a terminal means. Pure: what was seen goes in, a verdict
//! comes out. Most trusted first: exit status, result document, transcript, hook, last words.

use jiff::{Timestamp, ZonedDateTime};
use nix::libc::{SIGABRT, SIGBUS, SIGKILL, SIGSEGV};

use crate::claude::credentials::SignIn;
use crate::claude::hooks::HookEvent;
use crate::claude::rules::{Observation, Place, Rules};
use crate::claude::transcript::Tail;
use crate::claude::version::Version;
use crate::launch::headless::Attempt;
use crate::watch::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState, Verdict};

/// Everything that was seen of an attempt.
pub(super) struct Seen<'a> {
    pub exit: ExitReason,
    pub told: &'a Attempt,
    /// What it printed and is held back.
    pub text: &'a str,
    /// The end of its transcript, if there is one.
    pub tail: Option<&'a Tail>,
    pub hook: Option<&'a HookEvent>,
    pub sign_in: SignIn,
    pub version: Option<Version>,
    pub session: Option<String>,
    /// When the run began: a turn of an earlier time is not the one that failed.
    pub since: Timestamp,
    /// Claude writes what it does into a transcript here, so that none means none was done.
    pub writes_transcripts: bool,
    /// What it printed shows every answer and every tool.
    pub shows_all: bool,
}

/// Says what it means.
pub(super) fn recognise(seen: &Seen<'_>, rules: &Rules, wall: &ZonedDateTime) -> Verdict {
    let code = match seen.exit {
        ExitReason::Signal(signal @ (SIGKILL | SIGSEGV | SIGABRT | SIGBUS)) => {
            let evidence = Evidence {
                rule: "exit-signal".to_owned(),
                source: Source::Exit,
                excerpt: format!("killed by signal {signal}"),
            };
            return Verdict::Failed(failure(seen, FailureKind::Crash, None, evidence));
        }
        ExitReason::Signal(_) => return Verdict::Done(seen.exit),
        ExitReason::Code(code) => code,
    };
    // 129, 130, 143: someone ended it.
    if matches!(code, 0 | 129 | 130 | 143) {
        return Verdict::Done(seen.exit);
    }
    let observe = |place, text: &str, errors: &[&str], status| {
        rules.classify(&Observation {
            place,
            text,
            errors,
            status,
            sign_in: Some(seen.sign_in),
            since: Some(seen.since),
            version: seen.version,
            now: wall,
        })
    };
    let by_result = || {
        let result = seen.told.result.as_ref().filter(|result| result["is_error"] == true)?;
        let errors: Vec<&str> =
            ["api_error", "api_error_type"].iter().filter_map(|key| result[key].as_str()).collect();
        let status = result["api_error_status"].as_u64().and_then(|code| u16::try_from(code).ok());
        observe(Place::Result, result["result"].as_str()?, &errors, status)
    };
    let by_transcript = || {
        let line = seen.tail?.failure.as_ref()?;
        let errors: Vec<&str> = line.error.as_deref().into_iter().collect();
        observe(Place::Transcript, &line.text, &errors, line.status)
    };
    let by_hook = || {
        let hook = seen.hook?;
        let errors: Vec<&str> = hook.error.as_deref().into_iter().collect();
        observe(Place::Hook, hook.last_assistant_message.as_deref()?, &errors, None)
    };
    // A model's answer ends with 0: what a failed run printed is Claude's own.
    let by_text = || observe(Place::Output, seen.text, &[], None);
    let found = by_result().or_else(by_transcript).or_else(by_hook).or_else(by_text);
    match found {
        Some(found) => {
            let kind = match found.kind {
                // To the second, where the words know the minute.
                FailureKind::UsageLimit { resets } => {
                    FailureKind::UsageLimit { resets: exact_reset(seen).or(resets) }
                }
                other => other,
            };
            Verdict::Failed(failure(seen, kind, found.status, found.evidence))
        }
        // What no rule knows is the user's to read.
        None => Verdict::Done(seen.exit),
    }
}

fn exact_reset(seen: &Seen<'_>) -> Option<Timestamp> {
    let streamed = seen.told.resets.and_then(|second| Timestamp::from_second(second).ok());
    streamed.or(own_tail(seen)?.resets)
}

/// The transcript's end, if the turn it tells of belongs to this run.
fn own_tail<'a>(seen: &Seen<'a>) -> Option<&'a Tail> {
    seen.tail.filter(|tail| tail.prompted_at.is_some_and(|at| at >= seen.since))
}

/// What the turn had done, and nothing that is not proved (decision 8 of the design).
fn turn(seen: &Seen<'_>) -> TurnState {
    if let Some(tail) = own_tail(seen) {
        return tail.turn;
    }
    let told = seen.told;
    let silent = !told.answered && !told.used_tool;
    let shown = seen.shows_all && told.result.is_some();
    if silent && (shown || seen.writes_transcripts) {
        return TurnState::NotPrompted;
    }
    TurnState::Unknown
}

/// A failure with what is known of the turn.
pub(super) fn failure(
    seen: &Seen<'_>,
    kind: FailureKind,
    status: Option<u16>,
    evidence: Evidence,
) -> Failure {
    let turn = turn(seen);
    Failure { kind, status, evidence: vec![evidence], session: seen.session.clone(), turn }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen<'a>(told: &'a Attempt, tail: Option<&'a Tail>, writes: bool, all: bool) -> Seen<'a> {
        Seen {
            exit: ExitReason::Code(1),
            told,
            text: "",
            tail,
            hook: None,
            sign_in: SignIn::Expired,
            version: None,
            session: None,
            since: Timestamp::from_second(100).expect("in range"),
            writes_transcripts: writes,
            shows_all: all,
        }
    }

    #[test]
    fn only_what_belongs_to_this_run_proves_what_its_turn_did() {
        let at = |second| Timestamp::from_second(second).ok();
        let tail = |second, turn| Tail { prompted_at: at(second), turn, ..Tail::default() };
        let (ours, earlier) = (tail(101, TurnState::Untouched), tail(99, TurnState::Partial));
        let failed = Attempt { result: Some(json!({"is_error": true})), ..Attempt::default() };
        let silent = Attempt::default();
        let answered = Attempt { answered: true, ..failed.clone() };
        for (told, tail, writes, all, expected) in [
            (&failed, Some(&ours), true, false, TurnState::Untouched),
            // An earlier conversation's turn is not the one that failed.
            (&failed, Some(&earlier), true, false, TurnState::NotPrompted),
            (&failed, None, true, false, TurnState::NotPrompted),
            (&failed, None, false, false, TurnState::Unknown),
            (&failed, Some(&earlier), false, false, TurnState::Unknown),
            // The stream shows every tool, if it came to its end.
            (&failed, None, false, true, TurnState::NotPrompted),
            (&silent, None, false, true, TurnState::Unknown),
            (&answered, None, false, true, TurnState::Unknown),
            (&answered, None, true, true, TurnState::Unknown),
        ] {
            assert_eq!(turn(&seen(told, tail, writes, all)), expected, "{told:?} {tail:?}");
        }
    }

    #[test]
    fn the_exact_reset_is_the_streams_or_the_transcripts() {
        let at = |second| Timestamp::from_second(second).ok();
        let tail = Tail { prompted_at: at(101), resets: at(500), ..Tail::default() };
        let streamed = Attempt { resets: Some(400), ..Attempt::default() };
        assert_eq!(exact_reset(&seen(&streamed, Some(&tail), true, true)), at(400));
        let silent = Attempt::default();
        assert_eq!(exact_reset(&seen(&silent, Some(&tail), true, true)), at(500));
        let earlier = Tail { prompted_at: at(50), ..tail };
        assert_eq!(exact_reset(&seen(&silent, Some(&earlier), true, true)), None);
    }
}
