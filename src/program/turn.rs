//! What a turn has shown to the program so far. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::line::Line;

/// A turn of the program's.
// four facts, of which any may hold with any other
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// It has begun and has no result.
    pub runs: bool,
    /// The `init` line was shown, which each try prints anew.
    pub introduced: bool,
    /// Answer text or tools were shown.
    pub answered: bool,
    /// Tool calls without a result; whether each still waits for the program's permission.
    tools: BTreeMap<String, bool>,
    /// The ids of lines that hold tools, and those that each calls.
    tool_lines: Vec<(String, Vec<String>)>,
    /// Claude said that it asks the service, and nothing has come of it.
    pub requests: bool,
    /// Parts of a message that are being written, by their index, inside a message.
    parts: BTreeSet<u64>,
    in_message: bool,
}

impl Turn {
    /// A message of either side passed.
    pub fn message(&mut self, line: &Line<'_>) {
        if line.is_of_agent() {
            return;
        }
        self.requests = false;
        let tools = line.tools();
        if line.kind == "assistant" {
            self.answered = true;
        }
        if tools.called.len() + tools.ended.len() > 0 {
            let id = line.uuid.as_deref().map(str::to_owned);
            self.tool_lines.extend(id.map(|id| (id, tools.called.clone())));
        }
        self.tools.extend(tools.called.into_iter().map(|id| (id, false)));
        for id in tools.ended {
            self.tools.remove(&id);
        }
    }

    /// The ids of lines that a transcript must hold: one without them has lost what was done. What
    /// still waits for permission has done nothing.
    pub fn tool_lines(&self) -> impl Iterator<Item = &str> {
        let waits = |id: &String| self.tools.get(id) == Some(&true);
        let did = move |(_, called): &&(String, Vec<String>)| {
            called.is_empty() || !called.iter().all(waits)
        };
        self.tool_lines.iter().filter(did).map(|(id, _)| id.as_str())
    }

    /// Claude asks whether it may use a tool.
    pub fn asks_permission(&mut self, tool: &str) {
        self.tools.insert(tool.to_owned(), true);
    }

    /// The program gave its word on a tool: it may have begun.
    pub fn permitted(&mut self, tool: &str) {
        if let Some(waits) = self.tools.get_mut(tool) {
            *waits = false;
        }
    }

    /// Whether a tool may have begun whose result is not known.
    pub fn tool_is_open(&self) -> bool {
        self.tools.values().any(|waits| !waits)
    }

    /// A piece of a message passed.
    pub fn piece(&mut self, line: &Line<'_>) {
        let Some(event) = line.event.as_ref().filter(|_| !line.is_of_agent()) else { return };
        match (event.kind.as_ref(), event.index) {
            ("message_start", _) => self.in_message = true,
            ("message_stop", _) => self.in_message = false,
            ("content_block_start", Some(index)) => drop(self.parts.insert(index)),
            ("content_block_stop", Some(index)) => drop(self.parts.remove(&index)),
            _ => {}
        }
    }

    /// The pieces that close a message which its writer left open.
    pub fn close_message(&mut self) -> Vec<serde_json::Value> {
        let mut events: Vec<_> = std::mem::take(&mut self.parts)
            .into_iter()
            .map(|index| serde_json::json!({"type": "content_block_stop", "index": index}))
            .collect();
        if std::mem::take(&mut self.in_message) {
            events.push(serde_json::json!({"type": "message_stop"}));
        }
        events
    }

    /// The next turn, of which Claude has tried some already.
    pub fn follows(&mut self, introduced: bool) {
        let tool_lines = std::mem::take(&mut self.tool_lines);
        *self = Self { tool_lines, ..Self::new(true, introduced) };
    }

    pub fn new(runs: bool, introduced: bool) -> Self {
        Self { runs, introduced, ..Self::default() }
    }

    /// The process is gone: what is open ends with it, for the next one asks anew.
    pub fn cut_off(&mut self) {
        self.tools.clear();
    }
}
