//! What the end of an attempt without a terminal means. Pure: what was seen goes in, a verdict
//! comes out. Most trusted first: exit status, result document, transcript, hook, last words.

use jiff::ZonedDateTime;
use nix::libc::{SIGABRT, SIGBUS, SIGKILL, SIGSEGV};

use crate::claude::credentials::SignIn;
use crate::claude::hooks::HookEvent;
use crate::claude::rules::{Observation, Place, Rules};
use crate::claude::transcript::Tail;
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
    pub session: Option<String>,
    /// No transcript although there would be one: Claude never began.
    pub never_began: bool,
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
            version: None,
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
        Some(found) => Verdict::Failed(failure(seen, found.kind, found.status, found.evidence)),
        // What no rule knows is the user's to read.
        None => Verdict::Done(seen.exit),
    }
}

fn failure(seen: &Seen<'_>, kind: FailureKind, status: Option<u16>, evidence: Evidence) -> Failure {
    let turn = match seen.tail {
        Some(tail) => tail.turn,
        None if seen.never_began => TurnState::NotPrompted,
        // Only the stream shows every tool; text and a lone document do not.
        None => TurnState::Unknown,
    };
    Failure { kind, status, evidence: vec![evidence], session: seen.session.clone(), turn }
}
