//! Ends of turns: which of them pass, which are held back, and what is owed after each. In: a
//! `result` line, or one behind a failed turn. Out: as for the conversation.

use serde_json::Value;

use super::{Conversation, Event, Outbox, Phase};
use crate::program::held::{numbered, write};
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
        let asked = self.phase == Phase::Asked;
        let messages = if asked { Vec::new() } else { self.answered(&result) };
        if failed {
            self.phase = Phase::Holding;
            let failed = if asked {
                self.held.fail_again(result)
            } else {
                self.held.fail(bytes, result, messages)
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
        if asked {
            let (mut line, mut after) = (Vec::new(), Vec::new());
            write(&self.held.settle(result, &mut after), &mut line);
            numbered(&line, &mut self.results, &mut out.program);
            out.program.append(&mut after);
        } else {
            numbered(bytes, &mut self.results, &mut out.program);
        }
        self.held.release_done(&mut self.results, &mut out.program);
        if self.held.is_empty() {
            self.phase = Phase::Flowing;
            self.settled(out);
        } else {
            // Another turn failed in the same outage, and has its own result to come.
            self.phase = Phase::Holding;
            self.turn = Turn::default();
        }
        good.then_some(Event::Worked)
    }

    /// The messages that this result is the end of: Claude tells how many turns are still to come.
    fn answered(&mut self, result: &Value) -> Vec<String> {
        let queued = result["queued_turn_count"].as_u64().unwrap_or_default();
        let queued = usize::try_from(queued).unwrap_or(usize::MAX);
        let answered = self.messages.len().saturating_sub(queued);
        self.messages.drain(..answered).collect()
    }

    /// Nothing is owed any more: what the program sent meanwhile follows.
    pub(super) fn settled(&mut self, out: &mut Outbox) {
        self.turn = Turn::default();
        let waiting = std::mem::take(&mut self.waiting);
        for bytes in waiting.split_inclusive(|byte| *byte == b'\n') {
            self.sends(&Line::read(bytes));
        }
        out.claude.extend(waiting);
    }
}
