//! What we say to people: lines on stderr between attempts, and the one line that Claude's
//! status line shows while we wait. In: words and a due time. Out: text; while a child runs,
//! nothing is written to its terminal from here.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use serde::{Deserialize, Serialize};

/// The file in a run's directory that the status line shows.
const FILE: &str = "notice.json";

/// What the status line shows while we wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What happened.
    pub what: String,
    /// When we act next.
    pub due: Option<Timestamp>,
    /// What the user can do about it.
    pub hint: String,
}

impl Notice {
    /// The line, as of `now`.
    #[must_use]
    pub fn line(&self, now: Timestamp) -> String {
        let mut parts = vec![format!("claude-safe: {}", self.what)];
        if let Some(due) = self.due {
            let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            parts.push(match left {
                Duration::ZERO => "trying as soon as it answers".to_owned(),
                left => format!("next try {}", short(left)),
            });
        }
        if !self.hint.is_empty() {
            parts.push(self.hint.clone());
        }
        parts.join(" · ")
    }

    /// Shows it in the status line of the run that owns this directory.
    pub fn show(&self, run_dir: &Path) -> io::Result<()> {
        crate::paths::write_private(&path(run_dir), &serde_json::to_vec(self)?)
    }

    /// What is shown there now.
    #[must_use]
    pub fn shown(run_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path(run_dir)).ok()?).ok()
    }

    /// Takes it away.
    pub fn clear(run_dir: &Path) {
        // Not there is as good.
        let _ = std::fs::remove_file(path(run_dir));
    }
}

fn path(run_dir: &Path) -> PathBuf {
    run_dir.join(FILE)
}

/// A span as people say it: `12 s`, `3 min`, `1 h 20 min`.
#[must_use]
pub fn short(span: Duration) -> String {
    let seconds = span.as_millis().div_ceil(1000);
    match seconds {
        0..=90 => format!("{seconds} s"),
        91..3_600 => format!("{} min", seconds.div_ceil(60)),
        _ => match (seconds / 3_600, seconds % 3_600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
    }
}

/// One line on stderr. That nobody reads it is no reason to fail.
pub fn say(text: &str) {
    put(format!("claude-safe: {text}\n").into_bytes());
}

/// Bytes for the terminal (a bell, a notification) while no child has it.
pub fn ring(bytes: &[u8]) {
    put(bytes.to_vec());
}

/// A reader that stands still is not waited for: what finds no room now is written by a thread.
fn put(bytes: Vec<u8>) {
    let write = move || {
        let _ = io::stderr().lock().write_all(&bytes);
    };
    let stderr = io::stderr();
    let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    match nix::poll::poll(&mut room, PollTimeout::ZERO) {
        Ok(0) => drop(std::thread::spawn(write)),
        _ => write(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_down_and_says_how_to_stop() {
        let second = |s| Timestamp::from_second(s).expect("in range");
        let notice = Notice {
            what: "sign-in service down (500)".into(),
            due: Some(second(112)),
            hint: "esc cancels".into(),
        };
        let line = "claude-safe: sign-in service down (500) · next try 12 s · esc cancels";
        assert_eq!(notice.line(second(100)), line);
        assert!(notice.line(second(200)).contains("trying as soon as it answers"));
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        let said = [(0, "0 s"), (90, "90 s"), (91, "2 min"), (3_600, "1 h"), (4_800, "1 h 20 min")];
        for (seconds, text) in said {
            assert_eq!(short(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn what_is_shown_is_read_back_until_it_is_cleared() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let notice = Notice { what: "w".into(), due: None, hint: String::new() };
        notice.show(dir.path()).expect("written");
        assert_eq!(Notice::shown(dir.path()), Some(notice));
        Notice::clear(dir.path());
        assert_eq!(Notice::shown(dir.path()), None);
    }
}
