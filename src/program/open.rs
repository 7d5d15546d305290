//! Requests of either side that the other has not answered, and those of the program that change
//! what Claude does from then on: a new process must be told them again. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::line::Line;

/// Control requests whose effect a new process does not have, but for those that become
/// arguments of it ([`Chosen`]).
const CHANGES: [&str; 7] = [
    "set_max_thinking_tokens",
    "apply_flag_settings",
    "mcp_set_servers",
    "mcp_toggle",
    "mcp_reconnect",
    "rename_session",
    "set_output_style",
];

/// A request of the program's, as it was written.
#[derive(Debug, Clone)]
struct Asked {
    subtype: String,
    /// What it changes; the last one for each counts.
    changes: Option<String>,
    line: Vec<u8>,
}

/// The model and the permission mode that the program has chosen. A new process must have them
/// before it says a word, and it begins before it reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// As `--model` has it.
    pub model: Option<String>,
    /// As `--permission-mode` has it.
    pub mode: Option<String>,
}

/// The open ends of a conversation.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The program's, by their ids, in the order of `next`.
    by_program: BTreeMap<String, (u64, Asked)>,
    /// Claude's, by their ids, with the tool that each asks permission for.
    by_claude: BTreeMap<String, Option<String>>,
    /// Repeated by us: the program has its answer already.
    repeated: BTreeSet<String>,
    initialize: Option<(String, Vec<u8>)>,
    changes: BTreeMap<String, (u64, Vec<u8>)>,
    next: u64,
    chosen: Chosen,
    /// The permission mode as Claude told last.
    mode: Option<String>,
}

impl Open {
    /// The program asks.
    pub fn program_asks(&mut self, line: &Line<'_>, bytes: &[u8]) {
        let Some(id) = line.request_id.as_deref() else { return };
        let request = line.request.as_ref();
        let subtype = request.map(|request| request.subtype.to_string()).unwrap_or_default();
        if subtype == "initialize" {
            self.initialize = Some((id.to_owned(), bytes.to_vec()));
        }
        let server = request.and_then(|request| request.server.as_deref()).unwrap_or_default();
        let changes = CHANGES.contains(&subtype.as_str()).then(|| format!("{subtype} {server}"));
        let asked = Asked { subtype, changes, line: bytes.to_vec() };
        self.by_program.insert(id.to_owned(), (self.next, asked));
        self.next += 1;
    }

    /// Claude answers; whether the program is to hear it, and what it had asked for.
    pub fn claude_answers(&mut self, line: &Line<'_>) -> Answered {
        let Some(response) = &line.response else { return Answered::Pass };
        let id = response.request_id.as_ref();
        if self.repeated.remove(id) {
            return Answered::Drop;
        }
        let Some((order, asked)) = self.by_program.remove(id) else { return Answered::Pass };
        if response.subtype == "success" {
            let line = Line::read(&asked.line);
            let request = line.request.unwrap_or_default();
            match asked.subtype.as_str() {
                "set_model" => {
                    let model = request.model.as_deref().unwrap_or("default");
                    self.chosen.model = Some(model.to_owned());
                }
                "set_permission_mode" => self.chosen.mode = request.mode.map(Cow::into_owned),
                _ => {}
            }
            if let Some(changes) = asked.changes {
                self.changes.insert(changes, (order, asked.line));
            }
        }
        if asked.subtype == "interrupt" { Answered::Interrupted } else { Answered::Pass }
    }

    /// Claude told its permission mode, which a tool can change as well.
    pub fn claude_tells_mode(&mut self, mode: &str) {
        let before = self.mode.replace(mode.to_owned());
        if self.chosen.mode.is_some() || before.is_some_and(|before| before != mode) {
            self.chosen.mode = Some(mode.to_owned());
        }
    }

    pub fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    pub fn claude_asks(&mut self, id: &str, tool: Option<&str>) {
        self.by_claude.insert(id.to_owned(), tool.map(str::to_owned));
    }

    pub fn claude_withdraws(&mut self, id: &str) {
        self.by_claude.remove(id);
    }

    /// The program answers.
    pub fn program_answers(&mut self, line: &Line<'_>) -> Answers {
        let Some(answer) = &line.response else { return Answers::Other };
        match self.by_claude.remove(answer.request_id.as_ref()) {
            Some(Some(tool)) => Answers::Tool(tool),
            Some(None) => Answers::Other,
            None => Answers::Nobody,
        }
    }

    /// Whether the program has asked for an interruption that is not answered.
    pub fn interrupts(&self) -> bool {
        self.by_program.values().any(|(_, asked)| asked.subtype == "interrupt")
    }

    /// The ids of what a Claude that is gone asked for; nobody waits for the answers any more.
    pub fn abandoned(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(&mut self.by_claude).into_keys()
    }

    /// What a new process is told first: who speaks to it, what was changed, what is still asked.
    pub fn repeat(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some((id, line)) = &self.initialize {
            bytes.extend_from_slice(line);
            if !self.by_program.contains_key(id) {
                self.repeated.insert(id.clone());
            }
        }
        let initialize = self.initialize.as_ref().map(|(id, _)| id.as_str());
        let mut changes: Vec<_> = self.changes.values().collect();
        changes.sort();
        for (_, line) in changes {
            bytes.extend_from_slice(line);
            if let Some(id) = Line::read(line).request_id {
                self.repeated.insert(id.into_owned());
            }
        }
        let mut asked: Vec<_> = self.by_program.iter().collect();
        asked.sort_by_key(|(_, (order, _))| *order);
        for (id, (_, asked)) in asked {
            if Some(id.as_str()) != initialize {
                bytes.extend_from_slice(&asked.line);
            }
        }
        bytes
    }
}

/// What becomes of an answer of Claude's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    Pass,
    /// The program has it already.
    Drop,
    /// It passes, and the program has broken off what was waited for.
    Interrupted,
}

/// What an answer of the program's is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Whether this tool may be used.
    Tool(String),
    Other,
    /// Whoever asked is gone.
    Nobody,
}
