//! The conversation as both sides have it. In: lines of the program and of Claude, Claude's end,
//! and what was decided about a failure. Out: bytes for both, and what a turn came to.
//!
//! ```text
//! Flowing ──failing result──▶ Holding ──ask again──▶ Asked ──result──▶ Flowing
//!    │                          │  ▲                   │ failing result
//!    └──── Claude's end ──▶ Gone ┘  └───────────────────┘
//!                            └──relaunch──▶ Asked
//! ```

mod again;
mod claude;
mod results;

use std::collections::VecDeque;

use serde_json::json;

use super::held::{FailedTurn, Held, Sent, write};
use super::line::Line;
use super::open::{Answers, Open};
use super::turn::Turn;

#[cfg(test)]
pub use again::Relaunch;
pub use again::Written;

/// More than this is not held back (bytes); then the failure stands, and lines only pass.
pub const MOST_HELD_BYTES: usize = 16 << 20;

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
    /// It was begun: the program sent a message, and is owed nothing else.
    Began,
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
// independent facts
#[allow(clippy::struct_excessive_bools)]
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
    /// The program's messages whose turns have no result.
    messages: VecDeque<Sent>,
    /// No answer has come yet of the turn that was asked again.
    unanswered: bool,
    /// A turn that was taken up has ended, and the end of its message, which the program had not
    /// named, is still to be told.
    ends_unnamed: bool,
    /// What Claude had not finished writing when it ended.
    half: Vec<u8>,
    /// How the plan's limit stood when Claude last told, which it does when that changes.
    limit: String,
    /// This Claude has not told it yet.
    limit_untold: bool,
    /// Claude has nothing to do.
    idle: bool,
    /// Claude says when it is idle; it was asked to by its environment, as the SDKs do.
    tells_state: bool,
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

    /// The failure of the turn that the program is owed first.
    #[must_use]
    pub fn first_failure(&self) -> Option<FailedTurn> {
        let result = self.held.first()?.clone();
        Some(FailedTurn { result, is_first: true })
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

    /// Whether any turn of the program's has had its end.
    #[must_use]
    pub fn has_results(&self) -> bool {
        self.results > 0
    }

    /// The messages that have no result, each as its texts; `None` if one was too long to be kept.
    #[must_use]
    pub fn unanswered(&self) -> Option<Vec<Vec<String>>> {
        let kept = |sent: &Sent| (sent.len() > 0).then(|| sent.texts());
        self.messages.iter().map(kept).collect()
    }

    /// The ids of lines that a transcript must hold, or something that was done is not in it.
    pub fn tool_lines(&self) -> impl Iterator<Item = &str> {
        self.turn.tool_lines()
    }

    /// Whether the program has closed its side.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether Claude's side may be closed as well: nothing is left that it must be told.
    #[must_use]
    pub fn is_all_sent(&self) -> bool {
        let asked = usize::from(self.phase == Phase::Asked);
        self.closed && self.waiting.is_empty() && self.held.failed() <= asked
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
            "user" => {
                let begins = self.sends(bytes);
                out.claude.extend_from_slice(bytes);
                return begins.then_some(Event::Began);
            }
            _ => {}
        }
        out.claude.extend_from_slice(bytes);
        None
    }

    /// A part of a line of the program's that is longer than what may be held back.
    pub fn hear_part_of_program(&mut self, bytes: &[u8], out: &mut Outbox) -> Option<Event> {
        if self.owes() {
            self.waiting.extend_from_slice(bytes);
            return self.bounded(out);
        }
        out.claude.extend_from_slice(bytes);
        None
    }

    /// The program sent a message to Claude; whether a turn begins with it.
    fn sends(&mut self, bytes: &[u8]) -> bool {
        let kept: usize = self.messages.iter().map(Sent::len).sum();
        let fits = kept + bytes.len() <= MOST_HELD_BYTES;
        let line = if fits { bytes.to_vec() } else { Vec::new() };
        self.messages.push_back(Sent { line, echoed: false });
        self.idle = false;
        !std::mem::replace(&mut self.turn.runs, true)
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

    /// Nothing is done about the failure: the program has it as it was, and what it sent since
    /// goes to Claude.
    pub fn give_up(&mut self, out: &mut Outbox) {
        let introduced = self.held.release(&mut self.results, &mut out.program);
        out.program.append(&mut self.half);
        if self.phase != Phase::Gone {
            self.phase = Phase::Flowing;
        }
        self.settled(introduced, out);
    }

    fn owes(&self) -> bool {
        matches!(self.phase, Phase::Holding | Phase::Asked | Phase::Gone)
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
