//! What Claude writes, and what the program is shown of it. In: lines of Claude. Out: as for the
//! conversation.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Conversation, Event, Outbox, Phase};
use crate::program::held::{as_first, write};
use crate::program::line::Line;
use crate::program::open::Answered;

impl Conversation {
    /// A line of Claude's, with its end.
    pub fn hear_claude(&mut self, bytes: &[u8], out: &mut Outbox) -> Option<Event> {
        if self.phase == Phase::Passing {
            out.program.extend_from_slice(bytes);
            return None;
        }
        let line = Line::read(bytes);
        let session = line.session_id.as_deref().filter(|id| !id.is_empty());
        if session.is_some() && session != self.session.as_deref() {
            self.session = session.map(str::to_owned);
        }
        if let Some(mode) = &line.mode {
            self.open.claude_tells_mode(mode);
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
            // Each try says so anew.
            ("system", Some("status")) if line.status.as_deref() == Some("requesting") => {
                let again = std::mem::replace(&mut self.turn.requests, true);
                if !(again && self.phase == Phase::Asked) {
                    out.program.extend_from_slice(bytes);
                }
            }
            // A new Claude tells it anew.
            ("rate_limit_event", _) => {
                let limit = line.limit.map_or("", RawValue::get);
                if !std::mem::take(&mut self.limit_untold) || limit != self.limit {
                    limit.clone_into(&mut self.limit);
                    out.program.extend_from_slice(bytes);
                }
            }
            ("user", _) if line.is_echo => self.echo(bytes, out),
            _ => self.says(&line, bytes, out),
        }
        self.bounded(out)
    }

    /// A part of a line of Claude's that is longer than what may be held back.
    pub fn hear_part_of_claude(&mut self, bytes: &[u8], out: &mut Outbox) -> Option<Event> {
        if self.phase == Phase::Holding {
            self.held.behind(bytes, false);
            return self.bounded(out);
        }
        self.held.release_error(&mut out.program);
        out.program.extend_from_slice(bytes);
        None
    }

    /// What Claude had not finished writing when it ended. It is no line, and shown only if
    /// nothing follows it.
    pub fn hear_half_of_claude(&mut self, bytes: &[u8], out: &mut Outbox) {
        let to = if self.phase == Phase::Passing { &mut out.program } else { &mut self.half };
        to.extend_from_slice(bytes);
    }

    /// A line of the turn itself.
    fn says(&mut self, line: &Line<'_>, bytes: &[u8], out: &mut Outbox) {
        let follows = self.turn.answered;
        if matches!(line.kind.as_ref(), "assistant" | "user" | "stream_event") {
            self.held.release_error(&mut out.program);
            self.turn.message(line);
            self.turn.piece(line);
        }
        let answers = line.kind == "assistant" && !line.is_of_agent();
        let first = answers && self.phase == Phase::Asked && std::mem::take(&mut self.unanswered);
        if !first && line.resume_reason.is_none() {
            return out.program.extend_from_slice(bytes);
        }
        // The first answer of a turn names the message, and the result alone its origin.
        let mut like = if follows { Value::Null } else { self.named() };
        like.as_object_mut().and_then(|fields| fields.shift_remove("origin"));
        as_first(bytes, &like, first, &mut out.program);
    }

    /// A message comes back to the program, once.
    fn echo(&mut self, bytes: &[u8], out: &mut Outbox) {
        self.held.release_error(&mut out.program);
        let mut sent = self.messages.iter_mut();
        let first = match self.phase {
            // The turn that is taken up begins with it again.
            Phase::Asked => sent.next(),
            _ => sent.find(|sent| !sent.echoed),
        };
        if !first.is_some_and(|sent| std::mem::replace(&mut sent.echoed, true)) {
            out.program.extend_from_slice(bytes);
        }
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
        self.tells_state = true;
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
        // Claude gave an id to a message that had none.
        let ended = matches!(line.state.as_deref(), Some("completed" | "cancelled"));
        let unnamed = std::mem::take(&mut self.ends_unnamed) && ended;
        if !ours && !unnamed {
            out.program.extend_from_slice(bytes);
        }
    }
}
