//! A session's transcript: what its last turn did, and whether it ended in a failure.
//! In: the path of a `.jsonl` file, of which only the end is read. Out: plain facts.
//! The file is Claude's; it is never written here.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;

use crate::watch::TurnState;

/// How much of the end is read at first; twice as much, and so on, until the last prompt is
/// in it (bytes).
const FIRST_READ_BYTES: u64 = 256 << 10;

/// No more than this is ever read (bytes); a longer turn is `TurnState::Unknown`.
const READ_CAP_BYTES: u64 = 32 << 20;

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
}

/// What the end of a transcript tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// The one transcript in this working directory's project that was written to since then. `None`
/// also if there are more: nothing tells them apart.
#[must_use]
pub fn only(claude_dir: &Path, cwd: &Path, since: SystemTime) -> Option<PathBuf> {
    let mut written = written(claude_dir, cwd, since)?;
    let (_, path) = written.next()?;
    written.next().is_none().then_some(path)
}

fn written(
    claude_dir: &Path,
    cwd: &Path,
    since: SystemTime,
) -> Option<impl Iterator<Item = (SystemTime, PathBuf)>> {
    let project: String = cwd
        .to_string_lossy()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let files = std::fs::read_dir(claude_dir.join("projects").join(project)).ok()?.flatten();
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
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut want = FIRST_READ_BYTES;
    loop {
        let from = size.saturating_sub(want);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.by_ref().take(want).read_to_end(&mut bytes)?;
        let (turn, complete) = Turn::read(&bytes, from == 0);
        if complete || want >= READ_CAP_BYTES {
            let state = if complete { turn.state() } else { TurnState::Unknown };
            return Ok(Tail {
                turn: state,
                prompted_at: turn.prompted_at,
                finished: turn.finished,
                retrying: turn.retrying,
                resets: turn.resets,
                failure: turn.failure,
                size,
                last_uuid: turn.last_uuid,
            });
        }
        want *= 4;
    }
}

/// The last turn, gathered line by line.
// Four facts, of which any may hold with any other.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Default)]
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
}

impl Turn {
    /// Reads lines; `whole` tells whether they begin at the start of the file. The second
    /// value tells whether the turn's first line is among them.
    fn read(bytes: &[u8], whole: bool) -> (Self, bool) {
        let mut turn = Self::default();
        // The first line is torn when we began in the middle.
        let lines = bytes.split(|byte| *byte == b'\n').skip(usize::from(!whole));
        for line in lines {
            if let Ok(line) = serde_json::from_slice::<Value>(line) {
                turn.line(&line);
            }
        }
        let complete = whole || turn.prompted;
        (turn, complete)
    }

    fn line(&mut self, line: &Value) {
        // A sub-agent's conversation is not the turn's.
        if line["isSidechain"] == true || line.get("agentId").is_some() {
            return;
        }
        match (line["type"].as_str(), line["subtype"].as_str()) {
            (Some("user"), _) => self.user(line),
            (Some("assistant"), _) => self.assistant(line),
            (Some("system"), Some("api_error")) => {
                self.note_reset(&line["error"]);
                let status = line["error"]["status"].as_u64();
                let status = status.and_then(|code| u16::try_from(code).ok());
                self.retrying = Some(Retrying { status, at: at(line) });
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
                *self = Self { prompted: true, prompted_at: at(line), ..Self::default() };
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
    }

    fn note_reset(&mut self, line: &Value) {
        let second = line["rateLimits"]["resetsAt"].as_i64();
        let at = second.and_then(|second| Timestamp::from_second(second).ok());
        self.resets = at.or(self.resets.take());
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
mod tests {
    use super::*;
    use serde_json::json;

    fn tail_of(lines: &[Value]) -> Tail {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        let text = lines.join("\n") + "\n";
        std::fs::write(file.path(), text).expect("written");
        tail(file.path()).expect("readable")
    }

    fn prompt() -> Value {
        json!({"type": "user", "uuid": "u", "message": {"content": "do it"}})
    }

    fn assistant(block: &Value) -> Value {
        json!({"type": "assistant", "message": {"content": [block]}})
    }

    fn failure() -> Value {
        json!({"type": "assistant", "uuid": "e", "isApiErrorMessage": true, "error": "server_error",
            "apiErrorStatus": 500, "message": {"content": [{"type": "text", "text": "API Error: 500"}]}})
    }

    fn result(id: &str) -> Value {
        json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": id}]}})
    }

    #[test]
    fn a_failed_turn_is_untouched_until_an_answer_or_a_tool_followed() {
        let tool = assistant(&json!({"type": "tool_use", "id": "t1"}));
        let text = assistant(&json!({"type": "text", "text": "so far"}));
        let states = [
            (vec![], TurnState::NotPrompted),
            (vec![prompt(), failure()], TurnState::Untouched),
            (vec![prompt(), text, failure()], TurnState::Partial),
            (vec![prompt(), tool.clone()], TurnState::ToolOpen),
            (vec![prompt(), tool.clone(), result("t1"), failure()], TurnState::Partial),
            (vec![prompt(), tool, result("other")], TurnState::ToolOpen),
        ];
        for (lines, state) in states {
            assert_eq!(tail_of(&lines).turn, state, "{lines:?}");
        }
    }

    #[test]
    fn the_failure_is_the_last_line_of_the_main_conversation_only() {
        let found = tail_of(&[prompt(), failure(), json!({"type": "last-prompt"})]);
        let failed = found.failure.expect("it ended in a failure");
        assert_eq!((failed.status, failed.error.as_deref()), (Some(500), Some("server_error")));
        assert_eq!(found.last_uuid.as_deref(), Some("e"));
        assert_eq!(tail_of(&[prompt(), failure(), prompt()]).failure, None);
        let mut of_an_agent = failure();
        of_an_agent["isSidechain"] = json!(true);
        assert_eq!(tail_of(&[prompt(), of_an_agent]).failure, None);
    }

    #[test]
    fn the_newest_transcript_is_never_a_sub_agents() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let project = dir.path().join("projects/-home-me");
        std::fs::create_dir_all(&project).expect("made");
        let id = "6ae3a401-398e-4d22-87db-b05516017d66.jsonl";
        for name in [id, "agent-f9dd02ab.jsonl", "notes.txt"] {
            std::fs::write(project.join(name), "{}").expect("written");
        }
        let cwd = Path::new("/home/me");
        let found = newest(dir.path(), cwd, SystemTime::UNIX_EPOCH);
        assert_eq!(found, Some(project.join(id)));
        let alone = |since| only(dir.path(), cwd, since);
        std::fs::write(project.join("7ae3a401-398e-4d22-87db-b05516017d66.jsonl"), "")
            .expect("written");
        assert_eq!(alone(SystemTime::UNIX_EPOCH), found, "an empty one holds no conversation");
        assert_eq!(alone(SystemTime::now() + std::time::Duration::from_secs(60)), None);
        std::fs::write(project.join("8ae3a401-398e-4d22-87db-b05516017d66.jsonl"), "{}")
            .expect("written");
        assert_eq!(alone(SystemTime::UNIX_EPOCH), None, "nothing tells the two apart");
    }

    #[test]
    fn a_request_that_claude_repeats_is_seen_until_something_follows() {
        let repeats = json!({"type": "system", "subtype": "api_error",
            "timestamp": "2026-11-25T00:34:10Z",
            "error": {"status": 429, "rateLimits": {"resetsAt": 1_795_710_848}}});
        let found = tail_of(&[prompt(), repeats.clone(), json!({"type": "last-prompt"})]);
        let retrying = found.retrying.expect("the last line of the conversation");
        assert_eq!(retrying.status, Some(429));
        assert!(retrying.at.is_some());
        assert_eq!(found.resets, Timestamp::from_second(1_795_710_848).ok());
        assert_eq!(found.turn, TurnState::Untouched);
        let text = assistant(&json!({"type": "text", "text": "there"}));
        assert_eq!(tail_of(&[prompt(), repeats.clone(), text]).retrying, None);
        assert_eq!(tail_of(&[prompt(), repeats, prompt()]).resets, None);
    }

    #[test]
    fn a_turn_is_finished_by_its_own_end_only() {
        let mut end = assistant(&json!({"type": "text", "text": "done"}));
        assert!(!tail_of(&[prompt(), end.clone()]).finished, "killed while it wrote");
        end["message"]["stop_reason"] = json!("end_turn");
        assert!(tail_of(&[prompt(), end.clone()]).finished);
        assert!(!tail_of(&[prompt(), end.clone(), prompt()]).finished);
        assert!(!tail_of(&[prompt(), end, failure()]).finished);
    }

    #[test]
    fn a_compaction_within_a_turn_does_not_begin_a_new_one() {
        let tool = assistant(&json!({"type": "tool_use", "id": "t1"}));
        let mut summary = prompt();
        summary["isCompactSummary"] = json!(true);
        let lines = [prompt(), tool, result("t1"), summary, failure()];
        assert_eq!(tail_of(&lines).turn, TurnState::Partial);
    }

    #[test]
    fn a_long_turn_is_read_back_to_its_prompt() {
        let filler = assistant(&json!({"type": "text", "text": "x".repeat(300_000)}));
        assert_eq!(
            tail_of(&[prompt(), filler.clone(), filler, failure()]).turn,
            TurnState::Partial
        );
    }
}
