//! What the end of an attempt without a terminal means. Pure: what was seen goes in, a verdict
//! comes out. Most trusted first: exit status, result document, transcript, hook, last words.

use jiff::{Timestamp, ZonedDateTime};
use nix::libc::{SIGABRT, SIGBUS, SIGKILL, SIGSEGV};
use serde_json::Value;

use crate::claude::credentials::SignIn;
use crate::claude::hooks::HookEvent;
use crate::claude::rules::{Observation, Place, Rules};
use crate::claude::transcript::Own;
use crate::claude::version::Version;
use crate::failure::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState, Verdict};
use crate::launch::headless::Attempt;

/// Everything that was seen of an attempt.
pub(super) struct Seen<'a> {
    pub exit: ExitReason,
    pub told: &'a Attempt,
    /// What it printed and is held back.
    pub text: &'a str,
    /// What it wrote into its transcript, if that is certain.
    pub own: Option<&'a Own>,
    pub hook: Option<&'a HookEvent>,
    pub sign_in: SignIn,
    pub version: Option<Version>,
    pub session: Option<String>,
    /// When the run began: a turn of an earlier time is not the one that failed.
    pub since: Timestamp,
    /// What it printed shows every answer and every tool.
    pub shows_all: bool,
    /// Its prompt was our message.
    pub was_asked: bool,
}

/// The rule of a failure that only a person can mend: a hook of theirs let our message not pass.
const MESSAGE_REFUSED: &str = "message-refused";

/// Whether our message got no answer.
pub(super) fn is_refusal(verdict: &Verdict) -> bool {
    let refused = |one: &Evidence| one.rule == MESSAGE_REFUSED;
    matches!(verdict, Verdict::Failed(failure) if failure.evidence.iter().any(refused))
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
    if code == 0 && was_refused(seen) {
        let evidence = Evidence {
            rule: MESSAGE_REFUSED.to_owned(),
            source: Source::Transcript,
            excerpt: "no answer followed the message".to_owned(),
        };
        return Verdict::Failed(failure(seen, FailureKind::Refused, None, evidence));
    }
    // 129, 130, 143: someone ended it.
    if matches!(code, 0 | 129 | 130 | 143) {
        return Verdict::Done(seen.exit);
    }
    // It stopped at a limit that it was given.
    let ends =
        |result: &Value| result["subtype"].as_str().is_some_and(|s| s.starts_with("error_max"));
    if seen.told.result.as_ref().is_some_and(ends) {
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
        let line = seen.own?.tail.failure.as_ref()?;
        let errors: Vec<&str> = line.error.as_deref().into_iter().collect();
        observe(Place::Transcript, &line.text, &errors, line.status)
    };
    let by_hook = || {
        let hook = seen.hook?;
        let errors: Vec<&str> = hook.error.as_deref().into_iter().collect();
        observe(Place::Hook, hook.last_assistant_message.as_deref()?, &errors, None)
    };
    // A model's answer ends with 0: what a failed run printed is Claude's own. A document quotes
    // others as well (denied commands).
    let by_text = || {
        let undocumented = seen.told.result.is_none();
        undocumented.then(|| observe(Place::Output, seen.text, &[], None)).flatten()
    };
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
    streamed.or(seen.own?.tail.resets)
}

/// Whether it went well without an answer to our message.
fn was_refused(seen: &Seen<'_>) -> bool {
    let answered = seen.told.answered || seen.own.is_none_or(|own| own.tail.answers > 0);
    let counted = seen.told.result.as_ref().and_then(|result| result["num_turns"].as_u64());
    seen.was_asked && !answered && counted.is_none_or(|turns| turns == 0)
}

/// What the turn had done, and nothing that is not proved: a transcript that is missing, or that
/// others wrote, proves nothing.
fn turn(seen: &Seen<'_>, kind: FailureKind) -> TurnState {
    if let Some(own) = seen.own.filter(|own| own.tail.turn != TurnState::NotPrompted) {
        return own.tail.turn;
    }
    let told = seen.told;
    if told.answered || told.used_tool {
        return TurnState::Unknown;
    }
    // The document at the end counts the answers, and the lines before it show them.
    let none = |result: &Value| {
        seen.shows_all
            || (result["usage"]["output_tokens"] == 0
                && result["num_turns"].as_u64().is_some_and(|turns| turns <= 1))
    };
    match &told.result {
        Some(result) if none(result) => TurnState::NotPrompted,
        // Claude's own words for that it did not come to the prompt.
        None if kind == FailureKind::StartUp => TurnState::NotPrompted,
        _ => TurnState::Unknown,
    }
}

/// A failure with what is known of the turn.
pub(super) fn failure(
    seen: &Seen<'_>,
    kind: FailureKind,
    status: Option<u16>,
    evidence: Evidence,
) -> Failure {
    let turn = turn(seen, kind);
    Failure { kind, status, evidence: vec![evidence], session: seen.session.clone(), turn }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::claude::transcript::Tail;

    fn seen<'a>(told: &'a Attempt, own: Option<&'a Own>, all: bool) -> Seen<'a> {
        Seen {
            exit: ExitReason::Code(1),
            told,
            text: "",
            own,
            hook: None,
            sign_in: SignIn::Expired,
            version: None,
            session: None,
            since: Timestamp::UNIX_EPOCH,
            shows_all: all,
            was_asked: false,
        }
    }

    fn own(turn: TurnState) -> Own {
        Own { tail: Tail { turn, ..Tail::default() }, ..Own::default() }
    }

    fn document(turns: u64, tokens: u64) -> Attempt {
        let usage = json!({"output_tokens": tokens});
        let result = json!({"is_error": true, "num_turns": turns, "usage": usage});
        Attempt { result: Some(result), ..Attempt::default() }
    }

    #[test]
    fn absence_of_evidence_proves_nothing() {
        let untouched = own(TurnState::Untouched);
        let unprompted = own(TurnState::NotPrompted);
        let (silent, none) = (Attempt::default(), document(1, 0));
        let answered = Attempt { answered: true, ..document(1, 0) };
        for (told, own, all, expected) in [
            (&silent, Some(&untouched), false, TurnState::Untouched),
            (&silent, None, false, TurnState::Unknown),
            (&silent, Some(&unprompted), false, TurnState::Unknown),
            // The stream shows every tool, if it came to its end.
            (&silent, None, true, TurnState::Unknown),
            (&none, None, true, TurnState::NotPrompted),
            // A document counts the answers.
            (&none, None, false, TurnState::NotPrompted),
            (&document(2, 100), None, false, TurnState::Unknown),
            (&document(2, 0), None, false, TurnState::Unknown),
            (&document(1, 100), None, false, TurnState::Unknown),
            (&answered, None, true, TurnState::Unknown),
        ] {
            let found = turn(&seen(told, own, all), FailureKind::Api);
            assert_eq!(found, expected, "{told:?} {own:?}");
        }
        let found = turn(&seen(&silent, None, false), FailureKind::StartUp);
        assert_eq!(found, TurnState::NotPrompted);
    }

    fn verdict(seen: &Seen<'_>) -> Verdict {
        recognise(seen, &Rules::default(), &ZonedDateTime::now())
    }

    #[test]
    fn a_limit_of_the_users_is_claudes_own_end_whatever_it_quotes() {
        let quoted = json!({"type": "result", "subtype": "error_max_turns", "is_error": true,
            "permission_denials": [{"tool_input": {"command": "echo API Error: 529 Overloaded"}}]});
        let text = quoted.to_string();
        let told = Attempt { result: Some(quoted), ..Attempt::default() };
        let seen = Seen { text: &text, ..seen(&told, None, false) };
        assert_eq!(verdict(&seen), Verdict::Done(ExitReason::Code(1)));
        // any other document speaks for itself too
        let told = Attempt { result: Some(json!({"is_error": true})), ..Attempt::default() };
        let seen = Seen { told: &told, ..seen };
        assert_eq!(verdict(&seen), Verdict::Done(ExitReason::Code(1)));
    }

    #[test]
    fn a_message_that_nobody_answered_was_refused() {
        let told = Attempt::default();
        let (silent, mut answered) = (own(TurnState::NotPrompted), own(TurnState::Partial));
        answered.tail.answers = 1;
        for (asked, own, refused) in [
            (true, Some(&silent), true),
            (true, Some(&answered), false),
            (true, None, false),
            (false, Some(&silent), false),
        ] {
            let seen =
                Seen { exit: ExitReason::Code(0), was_asked: asked, ..seen(&told, own, false) };
            let failed = matches!(verdict(&seen), Verdict::Failed(_));
            assert_eq!(failed, refused, "{asked} {own:?}");
        }
    }

    #[test]
    fn the_exact_reset_is_the_streams_or_the_transcripts() {
        let at = |second| Timestamp::from_second(second).ok();
        let mut own = own(TurnState::Untouched);
        own.tail.resets = at(500);
        let streamed = Attempt { resets: Some(400), ..Attempt::default() };
        assert_eq!(exact_reset(&seen(&streamed, Some(&own), true)), at(400));
        let silent = Attempt::default();
        assert_eq!(exact_reset(&seen(&silent, Some(&own), true)), at(500));
        assert_eq!(exact_reset(&seen(&silent, None, true)), None);
    }
}
