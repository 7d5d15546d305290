//! `sessions/<pid>.json`: Claude's own note about a living terminal UI. An undocumented file,
//! so it may only forbid: what it does not say is unknown, and unknown never allows.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::Deserialize;

use crate::process::{self, Start};

/// What a living Claude says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// At its prompt.
    Idle,
    /// In a turn, or retrying.
    Busy,
    /// A dialog is open.
    Waiting,
    /// A word we do not know.
    #[serde(other)]
    Other,
}

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionFile {
    /// The session on screen.
    pub session_id: Option<String>,
    /// What it is doing; absent for the first moments and on older versions.
    pub status: Option<Status>,
    /// When the process started, as the kernel counts it; absent on older versions.
    proc_start: Option<String>,
}

/// Reads the note of a process, if there is one.
#[must_use]
pub fn read(claude_dir: &Path, pid: i32) -> Option<SessionFile> {
    let bytes = std::fs::read(claude_dir.join("sessions").join(format!("{pid}.json"))).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The processes that left a note and still live. One whose number was given to another process
/// since (a container counts from 1 at each start) left a stale note.
pub fn living(claude_dir: &Path) -> io::Result<Vec<i32>> {
    let notes = match std::fs::read_dir(claude_dir.join("sessions")) {
        Ok(notes) => notes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(notes
        .flatten()
        .filter_map(|note| {
            let pid = note.file_name().to_str()?.strip_suffix(".json")?.parse().ok()?;
            let wrote = note.metadata().ok()?.modified().ok()?;
            wrote_by_the_living(claude_dir, pid, wrote).then_some(pid)
        })
        .collect())
}

fn wrote_by_the_living(claude_dir: &Path, pid: i32, wrote: SystemTime) -> bool {
    let Ok(wrote) = Timestamp::try_from(wrote) else { return process::exists(pid) };
    let started = read(claude_dir, pid).and_then(|note| note.proc_start?.parse::<u64>().ok());
    let same = |ticks| {
        let started = process::one(pid).map(|process| process.started);
        !matches!(started, Some(Start::Ticks(since)) if since != ticks)
    };
    process::is_alive(pid, wrote) && started.is_none_or(same)
}

/// Whether a living process other than `pid` shows this session.
#[must_use]
pub fn elsewhere(claude_dir: &Path, session: &str, pid: i32) -> bool {
    living(claude_dir)
        .unwrap_or_default()
        .into_iter()
        .filter(|other| *other != pid)
        .filter_map(|other| read(claude_dir, other))
        .any(|note| note.session_id.as_deref() == Some(session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_living_process_with_the_session_is_seen_and_a_dead_one_is_not() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let sessions = dir.path().join("sessions");
        std::fs::create_dir(&sessions).expect("made");
        let note = r#"{"sessionId":"s","status":"waiting","new":1}"#;
        let own = i32::try_from(std::process::id()).expect("a pid");
        std::fs::write(sessions.join(format!("{own}.json")), note).expect("written");
        std::fs::write(sessions.join("2147483646.json"), note).expect("written");
        assert_eq!(read(dir.path(), own).and_then(|file| file.status), Some(Status::Waiting));
        assert!(!elsewhere(dir.path(), "s", own));
        assert!(elsewhere(dir.path(), "s", own + 1));
        assert!(!elsewhere(dir.path(), "other", own + 1));
    }

    /// Linux alone counts a start as Claude's notes there do.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_note_of_one_who_had_this_number_before_is_nobodys() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let sessions = dir.path().join("sessions");
        std::fs::create_dir(&sessions).expect("made");
        let own = std::process::id().cast_signed();
        let file = sessions.join(format!("{own}.json"));
        let seen = |note: &str, age: u64| {
            std::fs::write(&file, note).expect("written");
            let then = SystemTime::now() - std::time::Duration::from_secs(age);
            let file = std::fs::File::options().write(true).open(&file).expect("there");
            file.set_modified(then).expect("ours");
            elsewhere(dir.path(), "s", own + 1)
        };
        let started = process::one(own).expect("seen").started;
        let Start::Ticks(started) = started else { panic!("{started:?}") };
        assert!(seen(r#"{"sessionId":"s"}"#, 0));
        assert!(!seen(r#"{"sessionId":"s"}"#, 3600 * 24 * 365), "written before it began");
        // The last one stopped within the slack of the times.
        assert!(seen(&format!(r#"{{"sessionId":"s","procStart":"{started}"}}"#), 0));
        assert!(!seen(&format!(r#"{{"sessionId":"s","procStart":"{}"}}"#, started - 1), 0));
        assert!(seen(r#"{"sessionId":"s","procStart":"Sat Nov 28"}"#, 0), "unknown allows nothing");
    }
}
