//! Our status line: Claude runs `claude-safe __status RUN_DIR` every few seconds. It prints the
//! user's own line, as often as Claude would have run it, and ours under it while we wait.
//! It never fails and never speaks on stderr. The user's command is run by `user_line`.

mod user_line;

use std::io::{Read as _, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

pub(super) use user_line::is_trusted;
pub use user_line::{KEEPER_WORD, end, keep};

use crate::notice::Notice;

/// The hidden word that makes us a status line; parsed before anything else.
pub const STATUS_WORD: &str = "__status";

/// The user's status line from their own `--settings`, kept in the run's directory.
pub const FLAG_FILE: &str = "status-line.json";
/// The path of the run's socket, kept in the run's directory.
pub const SOCKET_FILE: &str = "socket";
/// The run's process id, kept there too.
pub const PID_FILE: &str = "pid";
/// The session, transcript and directory that the run was told of last.
const WITNESS_FILE: &str = "witness.json";

/// Prints the status line. Claude's JSON is on stdin.
pub fn print(run_dir: &Path) {
    let mut payload = Vec::new();
    let cap = super::hooks::PAYLOAD_CAP_BYTES;
    if std::io::stdin().lock().take(cap).read_to_end(&mut payload).is_err() {
        return;
    }
    let input: Value = serde_json::from_slice(&payload).unwrap_or_default();
    tell_run(run_dir, &input);
    let mut out = user_line::output(run_dir, &input, &payload);
    out.truncate(out.trim_end_matches('\n').len());
    if let Some(notice) = Notice::shown(run_dir) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&notice.line(Timestamp::now()));
    }
    if !out.is_empty() {
        out.push('\n');
        let _ = std::io::stdout().lock().write_all(out.as_bytes());
    }
}

/// Tells the run which session is on screen, when that changed.
fn tell_run(run_dir: &Path, input: &Value) {
    let witness = serde_json::json!({
        "hook_event_name": "StatusLine",
        "session_id": input["session_id"],
        "transcript_path": input["transcript_path"],
        "cwd": input["cwd"],
        "vim_mode": input["vim"]["mode"],
        "model": input["model"]["id"],
    });
    let witness = witness.to_string();
    let file = run_dir.join(WITNESS_FILE);
    let known = std::fs::read_to_string(&file).is_ok_and(|told| told == witness);
    if known || !input["session_id"].is_string() {
        return;
    }
    if let Ok(socket) = std::fs::read_to_string(run_dir.join(SOCKET_FILE)) {
        super::hooks::send(Path::new(socket.trim()), witness.as_bytes());
    }
    let _ = crate::paths::write_private(&file, witness.as_bytes());
}
