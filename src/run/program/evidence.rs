//! What became of a turn, as far as a run with a program can tell: from the failing line, from the
//! end of Claude, and from the transcript. In: what the program was shown. Out: a failure.

use jiff::Timestamp;
use serde_json::Value;

use super::Relay;
use crate::claude::rules::{Observation, Place};
use crate::claude::transcript;
use crate::failure::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState};
use crate::machine::Report;
use crate::program::{FailedTurn, Written};

impl Relay<'_> {
    /// What a failing result means; `None` if no rule knows it.
    pub(super) fn judge(&self, turn: &FailedTurn) -> Option<Failure> {
        let result = &turn.result;
        let errors: Vec<&str> =
            ["api_error", "api_error_type"].iter().filter_map(|key| result[key].as_str()).collect();
        let status = result["api_error_status"].as_u64().and_then(|code| u16::try_from(code).ok());
        let found = self.run.rules.classify(&Observation {
            place: Place::Result,
            text: result["result"].as_str()?,
            errors: &errors,
            status,
            sign_in: Some(self.run.sign_in()),
            since: Some(self.run.began),
            version: self.run.version,
            now: &crate::run::now_here(),
        })?;
        Some(self.failure(found.kind, found.status, found.evidence))
    }

    fn failure(&self, kind: FailureKind, status: Option<u16>, evidence: Evidence) -> Failure {
        let session = self.run.session.clone();
        Failure { kind, status, evidence: vec![evidence], session, turn: self.turn() }
    }

    /// What the turn has done, and nothing that the transcript does not hold as well: Claude goes
    /// on from that.
    pub(super) fn turn(&self) -> TurnState {
        let conversation = &self.conversation;
        let done =
            if conversation.has_answered() { TurnState::Partial } else { TurnState::Untouched };
        // A living Claude knows what it did, whatever is written down so far.
        if self.claude.is_some() {
            return done;
        }
        match self.transcript() {
            // A tool that was cut off is shown to Claude as such, and is not run again.
            Some(text) if holds(&text, conversation.tool_lines()) => done,
            None if !conversation.has_answered()
                && !conversation.owes_result()
                && !conversation.has_results()
                && conversation.unanswered().is_some() =>
            {
                TurnState::NotPrompted
            }
            _ => TurnState::ToolOpen,
        }
    }

    /// All of the transcript, if there is one.
    pub(super) fn transcript(&self) -> Option<Vec<u8>> {
        let path = transcript::find(&self.run.claude_dir, self.run.session.as_deref()?)?;
        std::fs::read(path).ok()
    }

    /// What the transcript holds of the turn that Claude left.
    pub(super) fn written(&self) -> Written {
        let text = self.transcript().unwrap_or_default();
        let taken = taken(&text, &self.conversation.unanswered().unwrap_or_default(), self.began);
        let path = self.run.session.as_deref();
        let path = path.and_then(|session| transcript::find(&self.run.claude_dir, session));
        let tail = path.and_then(|path| transcript::tail(&path).ok());
        Written { taken, finished: tail.is_some_and(|tail| tail.finished) }
    }

    pub(super) fn report(&self, failure: Failure) -> Report {
        // A living Claude writes on: what this turn ended in, and turns of its own.
        Report { failure, line: None, sign_in: self.run.sign_in_seen() }
    }

    pub(super) fn last_line(&self) -> Option<String> {
        let path = transcript::find(&self.run.claude_dir, self.run.session.as_deref()?)?;
        transcript::tail(&path).ok()?.last_uuid
    }

    /// A fault signal in the middle of a turn.
    pub(super) fn crash(&self, exit: ExitReason) -> Option<Failure> {
        use nix::libc::{SIGABRT, SIGBUS, SIGKILL, SIGSEGV};
        let ExitReason::Signal(signal @ (SIGKILL | SIGSEGV | SIGABRT | SIGBUS)) = exit else {
            return None;
        };
        if !self.conversation.in_turn() {
            return None;
        }
        let evidence = Evidence {
            rule: "exit-signal".to_owned(),
            source: Source::Exit,
            excerpt: format!("killed by signal {signal}"),
        };
        Some(self.failure(FailureKind::Crash, None, evidence))
    }
}

fn holds<'a>(text: &[u8], mut ids: impl Iterator<Item = &'a str>) -> bool {
    ids.all(|id| memchr::memmem::find(text, id.as_bytes()).is_some())
}

/// Which of these messages stand in the transcript as prompts since then, each for itself.
fn taken(transcript: &[u8], messages: &[Vec<String>], since: Option<Timestamp>) -> Vec<bool> {
    // Claude's clock is ours, but it writes whole milliseconds.
    let since = since.map_or(0, Timestamp::as_millisecond);
    let lines = transcript.split(|byte| *byte == b'\n');
    let mut prompts: Vec<String> = lines
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|line| {
            let at = line["timestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
            at.is_some_and(|at| at.as_millisecond() >= since)
        })
        .filter_map(|line| prompt(&line))
        .collect();
    let mut take = |texts: &Vec<String>| {
        // Claude may put several into one line.
        let holds = |prompt: &&mut String| texts.iter().all(|text| prompt.contains(text.as_str()));
        let found = prompts.iter_mut().find(holds);
        let found = found.map(|prompt| {
            for text in texts {
                *prompt = prompt.replacen(text.as_str(), "", 1);
            }
        });
        found.is_some()
    };
    messages.iter().map(&mut take).collect()
}

/// The text of a prompt, if this is one: a message, or one that was taken into a running turn.
fn prompt(line: &Value) -> Option<String> {
    let content = match line["type"].as_str()? {
        "user" if line["isMeta"] != true => &line["message"]["content"],
        "attachment" if line["attachment"]["type"] == "queued_command" => {
            &line["attachment"]["prompt"]
        }
        _ => return None,
    };
    let Value::Array(blocks) = content else { return content.as_str().map(str::to_owned) };
    let texts: Vec<_> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    Some(texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(lines: &[&str], messages: &[&str]) -> Vec<bool> {
        let messages: Vec<_> = messages.iter().map(|text| vec![(*text).to_owned()]).collect();
        let since = "2026-11-28T06:00:00.5009Z".parse().ok();
        taken(lines.join("\n").as_bytes(), &messages, since)
    }

    #[test]
    fn a_prompt_is_found_in_its_own_turn_alone() {
        let line =
            |more: &str, at: &str| format!(r#"{{"timestamp":"2026-11-28T06:00:{at}Z",{more}}}"#);
        let said = |text: &str, at: &str| {
            line(&format!(r#""type":"user","message":{{"content":"{text}"}}"#), at)
        };
        assert_eq!(held(&[&said("go on", "00.500")], &["go on"]), [true]);
        assert_eq!(held(&[&said("go on", "00.499")], &["go on"]), [false], "an earlier turn's");
        assert_eq!(held(&[&said("go on", "01.000")], &["go on", "go on"]), [true, false]);
        assert_eq!(held(&[&said("go on\\ngo on", "01.000")], &["go on", "go on"]), [true, true]);
        let queued = line(
            r#""type":"attachment","attachment":{"type":"queued_command","prompt":"b"}"#,
            "02.000",
        );
        assert_eq!(held(&[&said("a", "01.000"), &queued], &["a", "b"]), [true, true]);
        let listing = line(
            r#""type":"attachment","attachment":{"type":"skill_listing","content":"go"}"#,
            "02.000",
        );
        let output = line(
            r#""type":"user","message":{"content":[{"type":"tool_result","content":"go"}]}"#,
            "02.000",
        );
        let meta = line(r#""type":"user","isMeta":true,"message":{"content":"go"}"#, "02.000");
        assert_eq!(held(&[&listing, &output, &meta, "half"], &["go"]), [false]);
    }
}
