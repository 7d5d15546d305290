//! Ends of turns that are held back while the service is waited for, in the order in which the
//! program is owed them. In: failing lines, and those of turns that came behind. Out: the same
//! bytes, if nothing came of it; else good results, corrected so that each reads as that of one
//! turn.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::line::Line;

/// What the failing result of a turn told.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedTurn {
    /// The `result` line, whole.
    pub result: Value,
    /// It is the first of its turn, not that of a turn that was asked again.
    pub is_first: bool,
}

/// A turn that the program is owed the end of.
#[derive(Debug)]
enum Owed {
    Failed(Failed),
    /// It worked, behind one that failed.
    Done(Vec<u8>),
}

#[derive(Debug)]
struct Failed {
    /// What the turn showed before it failed, if it ran behind another one.
    begun: Vec<u8>,
    /// Its `init` line is among that.
    introduced: bool,
    lines: Vec<u8>,
    result: Value,
    tries: u64,
    turns: u64,
    /// What the program had asked.
    messages: Vec<Sent>,
}

/// What is held back.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// An error message; by itself it is not yet the end of a turn.
    error: Vec<u8>,
    owed: VecDeque<Owed>,
    /// Lines of a turn that Claude began by itself behind a failed one.
    behind: Vec<u8>,
    behind_introduced: bool,
}

/// What Claude adds to the lines of a turn that it took up again.
const OF_RESUMED: [&str; 2] = ["resume_reason", "owed_rows"];
/// Fields that tell which message a turn answers, and whose.
const OF_MESSAGE: [&str; 3] = ["user_message_uuid", "user_message_uuids", "origin"];

impl Held {
    pub fn error(&mut self, line: &[u8]) {
        self.error.extend_from_slice(line);
    }

    pub fn has_error(&self) -> bool {
        !self.error.is_empty()
    }

    /// The error message stood in the middle of a turn: it is let go.
    pub fn release_error(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.error);
    }

    /// A failing result of a turn the program began.
    pub fn fail(&mut self, line: &[u8], result: Value, messages: Vec<Sent>) -> FailedTurn {
        let mut lines = std::mem::take(&mut self.error);
        lines.extend_from_slice(line);
        let told = FailedTurn { result: result.clone(), is_first: true };
        let turns = turns(&result);
        let begun = std::mem::take(&mut self.behind);
        let introduced = std::mem::take(&mut self.behind_introduced);
        let failed = Failed { begun, introduced, lines, result, tries: 1, turns, messages };
        self.owed.push_back(Owed::Failed(failed));
        told
    }

    /// A turn behind a failed one, which Claude's end cut off: it is asked for like those that
    /// failed. If nothing comes of that, it has a result that Claude did not live to write.
    pub fn broke_off(&mut self, message: Sent, session: Option<&str>) {
        let mut result = message.named();
        let made_up = json!({
            "type": "result",
            "subtype": "error_during_execution",
            "is_error": true,
            "num_turns": 1,
            "duration_ms": 0,
            "duration_api_ms": 0,
            "total_cost_usd": 0,
            "usage": {},
            "permission_denials": [],
            "errors": ["claude ended in the middle of this turn"],
            "session_id": session,
            "uuid": uuid::Uuid::new_v4().to_string(),
            "queued_turn_count": 0,
            "result_index": 0,
        });
        if let (Value::Object(result), Value::Object(made_up)) = (&mut result, made_up) {
            result.extend(made_up);
        }
        let mut line = Vec::new();
        write(&result, &mut line);
        self.error.clear();
        self.fail(&line, result, vec![message]);
    }

    /// A failing result of the turn that was asked again; it is never shown.
    pub fn fail_again(&mut self, result: Value) -> FailedTurn {
        self.error.clear();
        if let Some(Owed::Failed(first)) = self.owed.front_mut() {
            first.tries += 1;
            first.turns += turns(&result);
        }
        FailedTurn { result, is_first: false }
    }

    /// A line that belongs to the end of the last failed turn.
    pub fn follow(&mut self, line: &[u8]) {
        match self.owed.back_mut() {
            // Of the tries after the first nothing is ever shown.
            Some(Owed::Failed(last)) if last.tries == 1 => last.lines.extend_from_slice(line),
            _ => {}
        }
    }

    /// A line of a turn behind the failed one.
    pub fn behind(&mut self, line: &[u8], introduces: bool) {
        let again = introduces && std::mem::replace(&mut self.behind_introduced, true);
        if !again {
            self.behind.append(&mut self.error);
            self.behind.extend_from_slice(line);
        }
    }

    /// The turn behind worked.
    pub fn behind_is_done(&mut self) {
        self.behind_introduced = false;
        self.owed.push_back(Owed::Done(std::mem::take(&mut self.behind)));
    }

    pub fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// The first result the program is owed.
    pub fn first(&self) -> Option<&Value> {
        match self.owed.front()? {
            Owed::Failed(failed) => Some(&failed.result),
            Owed::Done(_) => None,
        }
    }

    /// What kind of error the first failure was, in Claude's words.
    pub fn error_kind(&self) -> Option<String> {
        let Some(Owed::Failed(failed)) = self.owed.front() else { return None };
        let error = failed.lines.split(|byte| *byte == b'\n').next()?;
        let error: Value = serde_json::from_slice(error).ok()?;
        error["error"].as_str().map(str::to_owned)
    }

    /// What the program had asked in the turn that is owed first, if more than one is owed: then
    /// Claude must be told which is meant.
    pub fn meant(&self) -> Option<String> {
        match self.owed.front()? {
            Owed::Failed(failed) if self.owed.len() > 1 => {
                let texts: Vec<_> = failed.messages.iter().flat_map(Sent::texts).collect();
                Some(texts.join("\n\n"))
            }
            _ => None,
        }
    }

    /// How many turns are owed that failed.
    pub fn failed(&self) -> usize {
        self.owed.iter().filter(|owed| matches!(owed, Owed::Failed(_))).count()
    }

    pub fn len(&self) -> usize {
        let owed = self.owed.iter().map(|owed| match owed {
            Owed::Failed(failed) => {
                let messages = failed.messages.iter().map(Sent::len).sum::<usize>();
                failed.begun.len() + failed.lines.len() + messages
            }
            Owed::Done(lines) => lines.len(),
        });
        self.error.len() + self.behind.len() + owed.sum::<usize>()
    }

    /// Nothing came of it: all as it was, but for the numbers of results, which go on from
    /// `results`. Whether the `init` line of a turn that is not over is among that.
    pub fn release(&mut self, results: &mut u64, out: &mut Vec<u8>) -> bool {
        let held = std::mem::take(self);
        for owed in held.owed {
            if let Owed::Failed(failed) = &owed {
                out.extend_from_slice(&failed.begun);
            }
            let (Owed::Failed(Failed { lines, .. }) | Owed::Done(lines)) = owed;
            numbered(&lines, results, out);
        }
        out.extend(held.behind);
        out.extend(held.error);
        held.behind_introduced
    }

    /// The good result of the turn that is owed first; what may follow it goes to `after`.
    pub fn settle(&mut self, mut result: Value, after: &mut Vec<u8>) -> Value {
        let Some(Owed::Failed(failed)) = self.owed.pop_front() else { return result };
        if let (Some(turns), Some(fields)) = (result["num_turns"].as_u64(), result.as_object_mut())
        {
            // Each try was asked for by a message that the program did not send.
            let turns = (turns + failed.turns).saturating_sub(failed.tries).max(1);
            fields.insert("num_turns".into(), turns.into());
            named_after(fields, &failed.result, true);
        }
        for line in failed.lines.split_inclusive(|byte| *byte == b'\n') {
            let mut line: Value = serde_json::from_slice(line).unwrap_or_default();
            if line["type"] == "command_lifecycle" && line["state"] == "cancelled" {
                line["state"] = "completed".into();
                write(&line, after);
            }
        }
        result
    }

    /// Turns that worked and are first now, and what the one that is owed next had shown. Whether
    /// its `init` line is among that.
    pub fn release_done(&mut self, results: &mut u64, out: &mut Vec<u8>) -> bool {
        while let Some(Owed::Done(lines)) = self.owed.front() {
            numbered(lines, results, out);
            self.owed.pop_front();
        }
        match self.owed.front_mut() {
            Some(Owed::Failed(next)) => {
                out.append(&mut next.begun);
                next.introduced
            }
            _ => {
                out.append(&mut self.behind);
                false
            }
        }
    }
}

/// A message of the program's whose turn has no result, as it was written.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Empty: it was too long to be kept.
    pub line: Vec<u8>,
    /// It came back, as `--replay-user-messages` has it.
    pub echoed: bool,
}

impl Sent {
    pub fn texts(&self) -> Vec<String> {
        Line::read(&self.line).texts()
    }

    /// What Claude tells of it in the lines that answer it.
    pub fn named(&self) -> Value {
        let line: Value = serde_json::from_slice(&self.line).unwrap_or_default();
        let mut named = Map::new();
        if let Some(id) = line["uuid"].as_str() {
            named.insert("user_message_uuid".into(), id.into());
            named.insert("user_message_uuids".into(), vec![id].into());
        }
        if let Some(origin) = line.get("origin") {
            named.insert("origin".into(), origin.clone());
        }
        Value::Object(named)
    }

    pub fn len(&self) -> usize {
        self.line.len()
    }
}

/// Lines with their results numbered as the program counts them: Claude counts each try.
pub(super) fn numbered(lines: &[u8], results: &mut u64, out: &mut Vec<u8>) {
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if Line::read(line).kind != "result" {
            out.extend_from_slice(line);
            continue;
        }
        let mut result: Value = serde_json::from_slice(line).unwrap_or_default();
        match result.get_mut("result_index") {
            Some(number) if number.as_u64() != Some(*results) => {
                *number = (*results).into();
                write(&result, out);
            }
            _ => out.extend_from_slice(line),
        }
        *results += 1;
    }
}

fn turns(result: &Value) -> u64 {
    result["num_turns"].as_u64().unwrap_or_default()
}

/// A line of a turn that was asked again, as its first try would have written it: `like` tells
/// which message that answered, and `names` whether this is a line that tells it.
pub(super) fn as_first(line: &[u8], like: &Value, names: bool, out: &mut Vec<u8>) {
    match serde_json::from_slice::<Map<String, Value>>(line) {
        Ok(mut fields) => {
            named_after(&mut fields, like, names);
            write(&Value::Object(fields), out);
        }
        Err(_) => out.extend_from_slice(line),
    }
}

fn named_after(fields: &mut Map<String, Value>, like: &Value, names: bool) {
    for name in OF_RESUMED {
        fields.shift_remove(name);
    }
    for name in OF_MESSAGE {
        match like.get(name) {
            Some(value) if names || fields.contains_key(name) => {
                fields.insert(name.into(), value.clone());
            }
            _ => drop(fields.shift_remove(name)),
        }
    }
}

/// Writes a line.
pub(super) fn write(line: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(line.to_string().as_bytes());
    out.push(b'\n');
}
