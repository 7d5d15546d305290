//! Hook events: what Claude tells us of a session, and how it reaches a run.
//! Claude starts `claude-safe __hook SOCKET` with JSON on stdin; it is passed to the run's
//! Unix socket as it is. The sender never prints, never waits long and always exits 0:
//! exit 2 or text would block or steer Claude.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// The hidden word that makes us a hook command; parsed before anything else.
pub const HOOK_WORD: &str = "__hook";

/// A payload larger than this is cut off; what we read of it stands near its start (bytes).
pub const PAYLOAD_CAP_BYTES: u64 = 4 << 20;

/// The events we ask for.
pub const EVENTS: &[&str] =
    &["SessionStart", "UserPromptSubmit", "Stop", "StopFailure", "SessionEnd"];

/// What is asked for without a terminal: a `SessionStart` hook would show in the JSON lines.
pub const HEADLESS_EVENTS: &[&str] = &["UserPromptSubmit", "Stop", "StopFailure", "SessionEnd"];

/// How long the sender tries to hand over its payload.
const SEND_DEADLINE: Duration = Duration::from_millis(500);

/// Which event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum HookName {
    /// A session began or was switched to (`source` tells).
    SessionStart,
    /// The user's prompt, or ours, was accepted.
    UserPromptSubmit,
    /// A turn ended well.
    Stop,
    /// A turn ended with a failure.
    StopFailure,
    /// The session ended.
    SessionEnd,
    /// Our status line was asked for: which session is on screen.
    StatusLine,
}

/// What a hook payload tells; unknown fields are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HookEvent {
    /// Which event.
    #[serde(rename = "hook_event_name")]
    pub name: HookName,
    /// Claude's session.
    pub session_id: String,
    /// Its transcript.
    #[serde(default)]
    pub transcript_path: Option<PathBuf>,
    /// Where Claude works now.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// The class of a failure.
    #[serde(default)]
    pub error: Option<String>,
    /// The text of a failure.
    #[serde(default)]
    pub last_assistant_message: Option<String>,
    /// Set when a sub-agent speaks: its failure is not the turn's.
    #[serde(default)]
    pub agent_id: Option<String>,
    /// The input box's vim mode, from the status line.
    #[serde(default)]
    pub vim_mode: Option<String>,
    /// The permission mode at that moment.
    #[serde(default)]
    pub permission_mode: Option<String>,
    /// The model's id, from the status line (`SessionStart` has it too).
    #[serde(default)]
    pub model: Option<String>,
}

impl HookEvent {
    /// Reads a payload; anything unexpected is nothing.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// The sender: hands stdin to the run's socket. Everything that goes wrong is silent.
pub fn send_stdin(socket: &Path) {
    let mut payload = Vec::new();
    let read = std::io::stdin().lock().take(PAYLOAD_CAP_BYTES).read_to_end(&mut payload);
    if read.is_ok() {
        send(socket, &payload);
    }
}

/// Hands a payload to the run's socket, if it is there.
pub fn send(socket: &Path, payload: &[u8]) {
    // A missing socket means the run has ended; there is nobody to tell.
    let Ok(mut stream) = UnixStream::connect(socket) else { return };
    let _ = stream.set_write_timeout(Some(SEND_DEADLINE));
    let _ = stream.write_all(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_and_unknown_fields_are_passed_over() {
        let payload = br#"{"session_id":"s","transcript_path":"/t","cwd":"/c","effort":{},
            "hook_event_name":"StopFailure","error":"server_error"}"#;
        let event = HookEvent::parse(payload).expect("a known event");
        assert_eq!(event.name, HookName::StopFailure);
        assert_eq!(event.error.as_deref(), Some("server_error"));
        assert_eq!(HookEvent::parse(br#"{"hook_event_name":"New","session_id":"s"}"#), None);
        assert_eq!(HookEvent::parse(b"\xff"), None);
    }
}
