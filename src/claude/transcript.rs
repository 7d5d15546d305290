//! A session's transcript: what its last turn did, and whether it ended in a failure.
//! In: the path of a `.jsonl` file, of which only the end is read. Out: plain facts.
//! The file is Claude's; it is never written here.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;

use super::retries;
use crate::failure::TurnState;

mod before;
mod reader;

pub use before::{Before, Own};
pub use reader::Reader;

/// How much of the end is read at first; twice as much, and so on, until the last prompt is
/// in it (bytes).
const FIRST_READ_BYTES: u64 = 256 << 10;

/// No more than this is ever read (bytes); a longer turn is `TurnState::Unknown`.
const READ_CAP_BYTES: u64 = 32 << 20;
/// The tools with which a model calls a command or a skill.
const SKILLS: [&str; 2] = ["Skill", "SlashCommand"];

/// A failure as the transcript records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLine {
    /// Claude's class: `server_error`, `authentication_failed` …
    pub error: Option<String>,
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The message shown to the user.
    pub text: String,
    /// When it was written.
    pub at: Option<Timestamp>,
}

/// A request that failed and that Claude itself is going to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retrying {
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// When it failed.
    pub at: Option<Timestamp>,
    /// The wait that the service asked for, if it did.
    pub asked: Option<Duration>,
}

/// What the end of a transcript tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tail {
    /// What the last turn did.
    pub turn: TurnState,
    /// When the last turn's prompt was written: an earlier one is not the present run's.
    pub prompted_at: Option<Timestamp>,
    /// Whether the last turn came to its own end.
    pub finished: bool,
    /// The last line is a failed request that Claude repeats.
    pub retrying: Option<Retrying>,
    /// When the plan limit that the last turn met lifts.
    pub resets: Option<Timestamp>,
    /// The permission mode that it names last.
    pub permission_mode: Option<String>,
    /// How many answers of a model there are, tool calls included.
    pub answers: u32,
    /// A command or a skill gave the turn its own rules (tools, model, hooks).
    pub command: bool,
    /// What the session has cost so far (USD), if it tells.
    pub cost: Option<f64>,
    /// The failure it ended in, if it did.
    pub failure: Option<ErrorLine>,
    /// The file's size when it was read (bytes): more means that someone wrote since.
    pub size: u64,
    /// The last line's own id, to tell one failure from the next.
    pub last_uuid: Option<String>,
}

/// Where the transcript of a session lies. The session's directory is named after the working
/// directory it began in, which may have changed since, so all are looked through.
#[must_use]
pub fn find(claude_dir: &Path, session: &str) -> Option<PathBuf> {
    let name = format!("{session}.jsonl");
    let projects = std::fs::read_dir(claude_dir.join("projects")).ok()?;
    projects.flatten().map(|project| project.path().join(&name)).find(|path| path.is_file())
}

/// The transcript in this working directory's project that was written to last, not before
/// `since`: the witness of last resort, for versions that run no hooks.
#[must_use]
pub fn newest(claude_dir: &Path, cwd: &Path, since: SystemTime) -> Option<PathBuf> {
    written(claude_dir, cwd, since)?.max().map(|(_, path)| path)
}

/// Where the transcripts of a working directory lie.
fn project_of(claude_dir: &Path, cwd: &Path) -> PathBuf {
    let cwd = cwd.to_string_lossy();
    let name = cwd.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    claude_dir.join("projects").join(name.collect::<String>())
}

fn written(
    claude_dir: &Path,
    cwd: &Path,
    since: SystemTime,
) -> Option<impl Iterator<Item = (SystemTime, PathBuf)>> {
    let files = std::fs::read_dir(project_of(claude_dir, cwd)).ok()?.flatten();
    let conversations =
        files.filter(|entry| session_of(&entry.path()).is_some()).filter_map(|entry| {
            // Old versions make an empty one at each start.
            let meta = entry.metadata().ok().filter(|meta| meta.len() > 0)?;
            Some((meta.modified().ok()?, entry.path()))
        });
    Some(conversations.filter(move |(modified, _)| *modified >= since))
}

/// The session that a transcript is of, and named after; sub-agents have files of their own beside
/// (`agent-….jsonl`).
#[must_use]
pub fn session_of(path: &Path) -> Option<&str> {
    let id = path.file_stem()?.to_str()?;
    let is_transcript = path.extension()? == "jsonl" && uuid::Uuid::try_parse(id).is_ok();
    is_transcript.then_some(id)
}

/// Reads the end of a transcript.
pub fn tail(path: &Path) -> io::Result<Tail> {
    Reader::default().tail(path)
}

/// The last turn, gathered line by line.
// Four facts, of which any may hold with any other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Default)]
struct Turn {
    prompted: bool,
    answered: bool,
    tools_open: Vec<String>,
    tools_done: bool,
    finished: bool,
    prompted_at: Option<Timestamp>,
    retrying: Option<Retrying>,
    resets: Option<Timestamp>,
    failure: Option<ErrorLine>,
    last_uuid: Option<String>,
    session: Session,
}

/// What holds beyond a turn.
#[derive(Debug, Clone, Default)]
struct Session {
    permission_mode: Option<String>,
    answers: u32,
    last_answer: Option<String>,
    command: bool,
    cost: Option<f64>,
}

impl Turn {
    /// Takes in whole lines; what is none is passed over.
    fn lines(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice::<Value>(line) {
                self.line(&line);
            }
        }
    }

    fn line(&mut self, line: &Value) {
        // A sub-agent's conversation is not the turn's.
        if line["isSidechain"] == true || line.get("agentId").is_some() {
            return;
        }
        // its own line when it changes, and a field of each prompt
        if let Some(mode) = line["permissionMode"].as_str() {
            self.session.permission_mode = Some(mode.to_owned());
        }
        match (line["type"].as_str(), line["subtype"].as_str()) {
            (Some("user"), _) => self.user(line),
            (Some("assistant"), _) => self.assistant(line),
            (Some("system"), Some("api_error")) => {
                self.note_reset(&line["error"]);
                let status = line["error"]["status"].as_u64();
                let status = status.and_then(|code| u16::try_from(code).ok());
                let asked = retries::asked_wait(&line["retryAttempt"], &line["retryInMs"]);
                self.retrying = Some(Retrying { status, at: at(line), asked });
                return;
            }
            (Some("cost-state"), _) => {
                self.session.cost = line["totalCostUSD"].as_f64();
                return;
            }
            (Some("attachment"), _) => {
                self.session.command |= line["attachment"]["type"] == "command_permissions";
                return;
            }
            _ => return,
        }
        self.last_uuid = line["uuid"].as_str().map(str::to_owned).or(self.last_uuid.take());
    }

    fn user(&mut self, line: &Value) {
        let content = &line["message"]["content"];
        let results: Vec<&str> = blocks(content, "tool_result")
            .filter_map(|block| block["tool_use_id"].as_str())
            .collect();
        self.failure = None;
        self.retrying = None;
        self.finished = false;
        if line["isCompactSummary"] == true {
            // The turn goes on; what it had done is in the summary.
            self.answered = true;
            return;
        }
        if results.is_empty() {
            if line["isMeta"] != true {
                let text = content.as_str().unwrap_or_default();
                self.session.command |= text.contains("<command-name>");
                let session = std::mem::take(&mut self.session);
                *self = Self { prompted: true, prompted_at: at(line), session, ..Self::default() };
            }
            return;
        }
        self.tools_done = true;
        self.tools_open.retain(|open| !results.contains(&open.as_str()));
    }

    fn assistant(&mut self, line: &Value) {
        let content = &line["message"]["content"];
        self.retrying = None;
        self.finished = false;
        if line["isApiErrorMessage"] == true {
            self.note_reset(line);
            self.failure = Some(ErrorLine {
                error: line["error"].as_str().map(str::to_owned),
                status: line["apiErrorStatus"].as_u64().and_then(|code| u16::try_from(code).ok()),
                text: blocks(content, "text").filter_map(|b| b["text"].as_str()).collect(),
                at: at(line),
            });
            return;
        }
        self.failure = None;
        self.answered = true;
        self.finished = line["message"]["stop_reason"].as_str().is_some_and(|r| r != "tool_use");
        let opened = blocks(content, "tool_use").filter_map(|block| block["id"].as_str());
        self.tools_open.extend(opened.map(str::to_owned));
        // One answer may stand in several lines.
        let id = line["message"]["id"].as_str().map(str::to_owned);
        if id.is_none() || id != self.session.last_answer {
            self.session.answers += 1;
            self.session.last_answer = id;
        }
        let named = blocks(content, "tool_use").filter_map(|block| block["name"].as_str());
        self.session.command |= named.into_iter().any(|name| SKILLS.contains(&name));
    }

    fn note_reset(&mut self, line: &Value) {
        let second = line["rateLimits"]["resetsAt"].as_i64();
        let at = second.and_then(|second| Timestamp::from_second(second).ok());
        self.resets = at.or(self.resets.take());
    }

    /// All that was read as one: what any of its turns did was done.
    fn all(self, size: u64) -> Tail {
        let state = match self.state() {
            TurnState::NotPrompted | TurnState::Untouched if self.session.answers > 0 => {
                TurnState::Partial
            }
            state => state,
        };
        self.tail(state, size)
    }

    fn tail(self, turn: TurnState, size: u64) -> Tail {
        Tail {
            turn,
            prompted_at: self.prompted_at,
            finished: self.finished,
            retrying: self.retrying,
            resets: self.resets,
            permission_mode: self.session.permission_mode,
            answers: self.session.answers,
            command: self.session.command,
            cost: self.session.cost,
            failure: self.failure,
            size,
            last_uuid: self.last_uuid,
        }
    }

    fn state(&self) -> TurnState {
        if !self.tools_open.is_empty() {
            TurnState::ToolOpen
        } else if self.answered || self.tools_done {
            TurnState::Partial
        } else if self.prompted {
            TurnState::Untouched
        } else {
            TurnState::NotPrompted
        }
    }
}

fn at(line: &Value) -> Option<Timestamp> {
    line["timestamp"].as_str().and_then(|text| text.parse().ok())
}

fn blocks<'a>(content: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    content.as_array().into_iter().flatten().filter(move |block| block["type"] == kind)
}

#[cfg(test)]
mod tests;
