//! The conversation as both sides have it. In: lines of the program and of Claude, Claude's end,
//! and what was decided about a failure. Out: bytes for both, and what a turn came to.
//!
//! ```text
//! Flowing ──failing result──▶ Holding ──ask again──▶ Asked ──result──▶ Flowing
//!    │                          │  ▲                   │ failing result
//!    └──── Claude's end ──▶ Gone ┘  └───────────────────┘
//!                            └──relaunch──▶ Asked
//! ```

mod results;

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;

use super::held::{FailedTurn, Held, as_first, write};
use super::line::Line;
use super::open::{Answered, Answers, Open};
use super::replay::Relaunch;
use super::turn::Turn;

/// More than this is not held back (bytes); then the failure stands, and lines only pass.
const MOST_HELD_BYTES: usize = 16 << 20;

/// What is to be written to whom.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// To the program.
    pub program: Vec<u8>,
    /// To Claude.
    pub claude: Vec<u8>,
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It failed. Its end is held back until [`Conversation::ask`], [`Conversation::relaunch`] or
    /// [`Conversation::give_up`].
    Failed(Box<FailedTurn>),
    /// It has its result.
    Worked,
    /// The program broke off what was waited for; it has the failure, and nothing is owed.
    Interrupted,
    /// More came than may be held back: the failure stands.
    LetGo,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Lines pass.
    #[default]
    Flowing,
    /// A turn failed; Claude is idle, and its end is held back.
    Holding,
    /// The failed turn was asked again.
    Asked,
    /// Claude has ended.
    Gone,
    /// Lines pass, and nothing is looked at any more.
    Passing,
}

/// A conversation between a program and Claude.
#[derive(Debug, Default)]
pub struct Conversation {
    phase: Phase,
    held: Held,
    turn: Turn,
    open: Open,
    session: Option<String>,
    /// Messages of the program's that follow once it has the result it is owed.
    waiting: Vec<u8>,
    /// The next result's number, as the program counts them.
    results: u64,
    /// The program's messages whose turns have no result, as text.
    messages: VecDeque<String>,
    /// Claude has nothing to do.
    idle: bool,
    /// The program sends nothing more.
    closed: bool,
}

impl Conversation {
    /// Claude's session, once it has told.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Whether a turn has begun and has no result yet.
    #[must_use]
    pub fn in_turn(&self) -> bool {
        self.turn.runs || !self.held.is_empty()
    }

    /// Whether Claude can be asked: a failed turn is owed, and it has no other to work at.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        self.phase == Phase::Holding && self.idle
    }

    /// Whether a failure is held back about which nothing is under way.
    #[must_use]
    pub fn may_give_up(&self) -> bool {
        matches!(self.phase, Phase::Holding | Phase::Gone)
    }

    /// Whether the program is owed the result of a turn that failed.
    #[must_use]
    pub fn owes_result(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether a tool may have begun whose result is not known.
    #[cfg(test)]
    pub fn tool_is_open(&self) -> bool {
        self.turn.tool_is_open()
    }

    /// Whether answer text or tools of this turn were shown.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.turn.answered
    }

    /// The ids of lines that a transcript must hold, or something that was done is not in it.
    #[must_use]
    pub fn tool_lines(&self) -> &[String] {
        &self.turn.tool_lines
    }

    /// Whether the program has closed its side.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line of the program's, with its end.
    pub fn hear_program(&mut self, bytes: &[u8], out: &mut Outbox) -> Option<Event> {
        let line = Line::read(bytes);
        match line.kind.as_ref() {
            "control_request" if self.phase == Phase::Gone && line.asks_for("interrupt") => {
                return Some(self.interrupted_without_claude(&line, out));
            }
            "control_request" => {
                self.open.program_asks(&line, bytes);
                // A Claude that is gone is told by `relaunch`.
                if self.phase == Phase::Gone {
                    return None;
                }
            }
            "control_response" => match self.open.program_answers(&line) {
                Answers::Tool(tool) => self.turn.permitted(&tool),
                Answers::Other => {}
                Answers::Nobody if self.phase == Phase::Passing => {}
                Answers::Nobody => return None,
            },
            "user" if self.owes() => {
                self.waiting.extend_from_slice(bytes);
                return self.bounded(out);
            }
            "user" => self.sends(&line),
            _ => {}
        }
        out.claude.extend_from_slice(bytes);
        None
    }

    fn sends(&mut self, line: &Line<'_>) {
        self.turn.runs = true;
        self.idle = false;
        self.messages.push_back(line.text());
    }

    fn interrupted_without_claude(&mut self, line: &Line<'_>, out: &mut Outbox) -> Event {
        let id = line.request_id.as_deref();
        let answer = json!({"subtype": "success", "request_id": id, "response": {}});
        write(&json!({"type": "control_response", "response": answer}), &mut out.program);
        self.give_up(out);
        Event::Interrupted
    }

    /// The program sends nothing more.
    pub fn program_closed(&mut self) {
        self.closed = true;
    }

    /// A line of Claude's, with its end.
    pub fn hear_claude(&mut self, bytes: &[u8], out: &mut Outbox) -> Option<Event> {
        let line = Line::read(bytes);
        if self.phase == Phase::Passing {
            out.program.extend_from_slice(bytes);
            return None;
        }
        let session = line.session_id.as_deref().filter(|id| !id.is_empty());
        if session.is_some() && session != self.session.as_deref() {
            self.session = session.map(str::to_owned);
        }
        if self.phase == Phase::Holding && !line.is_beside_turns() {
            return self.behind(&line, bytes, out);
        }
        let subtype = line.subtype.as_deref();
        match (line.kind.as_ref(), subtype) {
            ("result", _) => return self.result(bytes, out),
            ("control_response", _) => return self.answer(&line, bytes, out),
            ("control_request", _) => self.request(&line, bytes, out),
            ("control_cancel_request", _) => {
                self.open.claude_withdraws(line.request_id.as_deref().unwrap_or_default());
                out.program.extend_from_slice(bytes);
            }
            ("assistant", _) if line.is_error_message && !line.is_of_agent() => {
                self.held.release_error(&mut out.program);
                self.held.error(bytes);
            }
            ("system", Some("api_retry")) => out.program.extend_from_slice(bytes),
            ("system", Some("session_state_changed")) => self.state(&line, bytes, out),
            ("command_lifecycle", _) => self.lifecycle(&line, bytes, out),
            ("system", Some("init")) => {
                if !std::mem::replace(&mut self.turn.introduced, true) {
                    out.program.extend_from_slice(bytes);
                }
            }
            _ => {
                if matches!(line.kind.as_ref(), "assistant" | "user" | "stream_event") {
                    self.held.release_error(&mut out.program);
                    self.turn.message(&line);
                    self.turn.piece(&line);
                }
                if line.resume_reason.is_some() && self.phase == Phase::Asked {
                    as_first(bytes, &mut out.program);
                } else {
                    out.program.extend_from_slice(bytes);
                }
            }
        }
        self.bounded(out)
    }

    /// Asks again in the living Claude.
    pub fn ask(&mut self, message: &str, out: &mut Outbox) {
        self.phase = Phase::Asked;
        self.idle = false;
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
    /// for by `message`, since Claude takes up the same turn only once.
    pub fn relaunch(&mut self, message: &str, out: &mut Outbox) -> Option<Relaunch> {
        let session = self.session.clone()?;
        let shows_cut_off = self.turn.tool_is_open();
        self.turn.cut_off();
        out.claude.extend(self.open.repeat());
        let takes_up = self.held.is_empty();
        if takes_up {
            self.phase = Phase::Asked;
            self.idle = false;
        } else {
            self.ask(message, out);
        }
        Some(Relaunch { session, takes_up, shows_cut_off })
    }

    /// Tells the program that its turn is tried again in a while, as Claude itself tells.
    pub fn waits(&self, attempt: u32, delay: Duration, out: &mut Outbox) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let result = self.held.first();
        let line = json!({
            "type": "system",
            "subtype": "api_retry",
            "attempt": attempt,
            "max_retries": attempt,
            "retry_delay_ms": delay_ms,
            "error_status": result.and_then(|result| result.get("api_error_status")),
            "error": "server_error",
            "session_id": self.session,
            "uuid": uuid::Uuid::new_v4().to_string(),
        });
        write(&line, &mut out.program);
    }

    /// Nothing is done about the failure: the program has it as it was, and what it sent since
    /// goes to Claude.
    pub fn give_up(&mut self, out: &mut Outbox) {
        self.held.release(&mut self.results, &mut out.program);
        if self.phase != Phase::Gone {
            self.phase = Phase::Flowing;
        }
        self.settled(out);
    }

    fn owes(&self) -> bool {
        matches!(self.phase, Phase::Holding | Phase::Asked | Phase::Gone)
    }

    fn request(&mut self, line: &Line<'_>, bytes: &[u8], out: &mut Outbox) {
        let Some(id) = line.request_id.as_deref() else {
            return out.program.extend_from_slice(bytes);
        };
        if self.phase == Phase::Asked && line.asks_about_prompt() {
            // It is about our message, which is not the program's to judge.
            let answer = json!({"subtype": "success", "request_id": id, "response": {}});
            let answer = json!({"type": "control_response", "response": answer});
            return write(&answer, &mut out.claude);
        }
        let request = line.request.as_ref();
        let tool = request
            .filter(|request| request.subtype == "can_use_tool")
            .and_then(|request| request.tool_use_id.as_deref());
        if let Some(tool) = tool {
            self.turn.asks_permission(tool);
        }
        self.open.claude_asks(id, tool);
        out.program.extend_from_slice(bytes);
    }

    fn answer(&mut self, line: &Line<'_>, bytes: &[u8], out: &mut Outbox) -> Option<Event> {
        match self.open.claude_answers(line) {
            Answered::Drop => None,
            Answered::Pass => {
                out.program.extend_from_slice(bytes);
                None
            }
            Answered::Interrupted => {
                out.program.extend_from_slice(bytes);
                if self.phase != Phase::Holding {
                    return None;
                }
                self.give_up(out);
                Some(Event::Interrupted)
            }
        }
    }

    fn state(&mut self, line: &Line<'_>, bytes: &[u8], out: &mut Outbox) {
        match line.state.as_deref() {
            // For the program the turn runs already.
            Some("running") if self.phase == Phase::Asked => return,
            state => self.idle = state == Some("idle"),
        }
        out.program.extend_from_slice(bytes);
    }

    fn lifecycle(&mut self, line: &Line<'_>, bytes: &[u8], out: &mut Outbox) {
        // Of our own message, or of the one that was taken up again.
        let ours = self.phase == Phase::Asked && line.state.as_deref() != Some("queued");
        if !ours {
            out.program.extend_from_slice(bytes);
        }
    }

    /// Lets go of what is more than may be held back.
    fn bounded(&mut self, out: &mut Outbox) -> Option<Event> {
        if self.held.len() + self.waiting.len() <= MOST_HELD_BYTES {
            return None;
        }
        self.give_up(out);
        self.phase = Phase::Passing;
        Some(Event::LetGo)
    }
}
