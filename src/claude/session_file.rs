//! `sessions/<pid>.json`: Claude's own note about a living terminal UI. An undocumented file,
//! so it may only forbid: what it does not say is unknown, and unknown never allows.

use std::path::Path;

use serde::Deserialize;

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
}

/// Reads the note of a process, if there is one.
#[must_use]
pub fn read(claude_dir: &Path, pid: i32) -> Option<SessionFile> {
    let bytes = std::fs::read(claude_dir.join("sessions").join(format!("{pid}.json"))).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Whether a living process other than `pid` shows this session.
#[must_use]
pub fn elsewhere(claude_dir: &Path, session: &str, pid: i32) -> bool {
    let Ok(notes) = std::fs::read_dir(claude_dir.join("sessions")) else { return false };
    notes
        .flatten()
        .filter_map(|note| note.path().file_stem()?.to_str()?.parse::<i32>().ok())
        .filter(|other| *other != pid && is_alive(*other))
        .filter_map(|other| read(claude_dir, other))
        .any(|note| note.session_id.as_deref() == Some(session))
}

fn is_alive(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
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
}
