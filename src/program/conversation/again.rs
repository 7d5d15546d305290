//! How a failed turn is asked again, in the same Claude or in the next one. In: what was decided,
//! and what the transcript holds. Out: what both sides are told.

use std::time::Duration;

use serde_json::json;

use super::{Conversation, Outbox, Phase};
use crate::program::held::write;
use crate::program::open::Chosen;

/// What Claude says of itself when it tries until the service is back.
const RETRIES: u32 = 300;

/// How a new Claude is started on a turn that its predecessor left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relaunch {
    /// The session to resume.
    pub session: Option<String>,
    /// Claude takes its last turn up by itself.
    pub takes_up: bool,
    /// What the program has chosen since the first launch.
    pub chosen: Chosen,
    /// A tool was cut off: Claude is shown that its outcome is unknown, or it would run it again.
    pub shows_cut_off: bool,
}

/// What the transcript holds of the turn that a Claude left.
#[derive(Debug, Default)]
pub struct Written {
    /// Which of [`Conversation::unanswered`].
    pub taken: Vec<bool>,
    /// Its whole answer, so that Claude would not take it up; only the result is missing.
    pub finished: bool,
}

impl Conversation {
    /// Asks again in the living Claude.
    pub fn ask(&mut self, message: &str, out: &mut Outbox) {
        self.asked();
        let message = match self.held.meant() {
            Some(meant) => format!("{message}\n\nThis is about this message alone:\n\n{meant}"),
            None => message.to_owned(),
        };
        let message = json!({
            "type": "user",
            "message": {"role": "user", "content": message},
            "parent_tool_use_id": null,
            "isSynthetic": true,
        });
        write(&message, &mut out.claude);
    }

    fn asked(&mut self) {
        self.phase = Phase::Asked;
        self.idle = false;
        self.unanswered = true;
    }

    /// Claude has ended, in a turn or not: nobody waits for its answers any more, and a message
    /// that it was writing ends.
    pub fn claude_ended(&mut self, out: &mut Outbox) {
        if self.phase == Phase::Passing {
            return;
        }
        self.phase = Phase::Gone;
        for id in self.open.abandoned() {
            let cancel = json!({"type": "control_cancel_request", "request_id": id});
            write(&cancel, &mut out.program);
        }
        for event in self.turn.close_message() {
            let line = json!({
                "type": "stream_event",
                "event": event,
                "session_id": self.session,
                "parent_tool_use_id": null,
                "uuid": uuid::Uuid::new_v4().to_string(),
            });
            write(&line, &mut out.program);
        }
    }

    /// How a new Claude goes on with the turn: what it is told first is written to `out`. Whoever
    /// calls this has made sure that [`Self::tool_lines`] are in the transcript.
    ///
    /// A turn that was cut off is taken up by Claude itself; one that ended in a failure is asked
    /// for by `message`, since Claude takes up the same turn only once; one that Claude had not
    /// begun is begun.
    pub fn relaunch(&mut self, message: &str, written: &Written, out: &mut Outbox) -> Relaunch {
        let taken = &written.taken;
        let session = self.session.clone();
        let shows_cut_off = self.turn.tool_is_open();
        self.turn.cut_off();
        self.half.clear();
        self.limit_untold = true;
        let mut first = self.open.repeat();
        first.append(&mut out.claude);
        out.claude = first;
        let was_begun = self.turn.answered || taken.first().is_some_and(|taken| *taken);
        let takes_up = self.held.is_empty() && was_begun && !written.finished;
        self.postpone(taken);
        if !self.held.is_empty() {
            // One at most was being worked at behind the failed one.
            for sent in std::mem::take(&mut self.messages) {
                self.held.broke_off(sent, session.as_deref());
            }
            self.ask(message, out);
        } else if takes_up {
            self.asked();
        } else if was_begun {
            self.ask(message, out);
        } else {
            self.phase = Phase::Flowing;
            self.settled(false, out);
        }
        Relaunch { session, takes_up, chosen: self.open.chosen().clone(), shows_cut_off }
    }

    /// What Claude had been sent and never came to is sent once nothing else is owed.
    fn postpone(&mut self, taken: &[bool]) {
        let mut waiting = Vec::new();
        let mut taken = taken.iter();
        self.messages.retain(|sent| {
            let kept = taken.next().is_none_or(|taken| *taken);
            if !kept {
                waiting.extend_from_slice(&sent.line);
            }
            kept
        });
        waiting.append(&mut self.waiting);
        self.waiting = waiting;
    }

    /// Tells the program that its turn is tried again in a while, as Claude itself tells.
    pub fn waits(&self, attempt: u32, delay: Duration, out: &mut Outbox) {
        if !matches!(self.phase, Phase::Holding | Phase::Gone) {
            return;
        }
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let status = self.held.first().and_then(|result| result.get("api_error_status"));
        let line = json!({
            "type": "system",
            "subtype": "api_retry",
            "attempt": attempt,
            "max_retries": RETRIES.max(attempt),
            "retry_delay_ms": delay_ms,
            "error_status": status,
            "error": self.held.error_kind().as_deref().unwrap_or("unknown"),
            "session_id": self.session,
            "uuid": uuid::Uuid::new_v4().to_string(),
        });
        write(&line, &mut out.program);
    }
}
