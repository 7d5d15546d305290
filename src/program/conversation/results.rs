//! Ends of turns: which of them pass, which are held back, and what is owed after each. In: a
//! `result` line, or one behind a failed turn. Out: as for the conversation.

use std::borrow::Cow;

use serde_json::Value;

use super::{Conversation, Event, Outbox, Phase};
use crate::program::held::{Sent, as_first, numbered, write};
use crate::program::line::Line;
use crate::program::turn::Turn;

impl Conversation {
    /// A line behind the end of a failed turn: it belongs to that end, or to a turn that Claude
    /// has begun by itself.
    pub(super) fn behind(
        &mut self,
        line: &Line<'_>,
        bytes: &[u8],
        out: &mut Outbox,
    ) -> Option<Event> {
        let state = line.state.as_deref();
        match line.kind.as_ref() {
            "result" => return self.result(bytes, out),
            "system" if state == Some("idle") => {
                self.idle = true;
                self.held.follow(bytes);
            }
            "system" if state == Some("running") => self.idle = false,
            "command_lifecycle" if line.state.as_deref() == Some("cancelled") => {
                self.held.follow(bytes);
            }
            "assistant" if line.is_error_message && !line.is_of_agent() => self.held.error(bytes),
            _ => {
                self.turn.message(line);
                self.held.behind(bytes, line.is("system", "init"));
            }
        }
        self.bounded(out)
    }

    pub(super) fn result(&mut self, bytes: &[u8], out: &mut Outbox) -> Option<Event> {
        let Ok(result) = serde_json::from_slice::<Value>(bytes) else {
            out.program.extend_from_slice(bytes);
            return None;
        };
        let failed = result["is_error"] == true
            && (result["terminal_reason"] == "api_error" || self.held.has_error())
            && !self.open.interrupts();
        self.idle = !self.tells_state && queued(&result) == 0;
        let asked = self.phase == Phase::Asked;
        let again = asked && !self.held.is_empty();
        let mut plain = Cow::Borrowed(bytes);
        if asked && !again {
            let mut line = Vec::new();
            let named = self.named();
            self.ends_unnamed = named.get("user_message_uuid").is_none();
            as_first(bytes, &named, true, &mut line);
            plain = Cow::Owned(line);
        }
        let messages = if again { Vec::new() } else { self.answered(&result) };
        if failed {
            self.phase = Phase::Holding;
            let failed = if again {
                self.held.fail_again(result)
            } else {
                self.held.fail(&plain, result, messages)
            };
            return Some(Event::Failed(Box::new(failed)));
        }
        if self.phase == Phase::Holding {
            self.held.behind(bytes, false);
            self.held.behind_is_done();
            return None;
        }
        self.held.release_error(&mut out.program);
        let good = result["is_error"] != true;
        if again {
            let (mut line, mut after) = (Vec::new(), Vec::new());
            write(&self.held.settle(result, &mut after), &mut line);
            numbered(&line, &mut self.results, &mut out.program);
            out.program.append(&mut after);
        } else {
            numbered(&plain, &mut self.results, &mut out.program);
        }
        let introduced = self.held.release_done(&mut self.results, &mut out.program);
        if self.held.is_empty() {
            self.phase = Phase::Flowing;
            self.settled(false, out);
        } else {
            // Another turn failed in the same outage, and has its own result to come.
            self.phase = Phase::Holding;
            self.turn.follows(introduced);
        }
        good.then_some(Event::Worked)
    }

    /// The messages that this result is the end of: Claude tells how many turns are still to come.
    fn answered(&mut self, result: &Value) -> Vec<Sent> {
        let answered = self.messages.len().saturating_sub(queued(result));
        self.messages.drain(..answered).collect()
    }

    /// How Claude names the message of the turn that was asked again.
    pub(super) fn named(&self) -> Value {
        let sent = || self.messages.front().map(Sent::named);
        self.held.first().cloned().or_else(sent).unwrap_or_default()
    }

    /// Nothing is owed any more: what the program sent meanwhile follows. `introduced`: a turn that
    /// Claude has begun by itself goes on, and its `init` line was shown.
    pub(super) fn settled(&mut self, introduced: bool, out: &mut Outbox) {
        // Claude begins with those that it has by itself.
        let runs = !self.messages.is_empty();
        self.turn = Turn::new(runs, introduced);
        let waiting = std::mem::take(&mut self.waiting);
        for bytes in waiting.split_inclusive(|byte| *byte == b'\n') {
            self.sends(bytes);
        }
        out.claude.extend(waiting);
    }
}

/// How many turns Claude begins by itself behind this one.
fn queued(result: &Value) -> usize {
    let queued = result["queued_turn_count"].as_u64().unwrap_or_default();
    usize::try_from(queued).unwrap_or(usize::MAX)
}
