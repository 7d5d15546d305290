//! Rung `ApiKey`: a key of the user's for one launch. Off unless configured. In: where the key
//! is, how many launches a day may use it. Out: the key, which never enters argv, log, journal
//! or `Debug`. Whoever uses it says first that it costs money.

use std::ffi::OsString;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use jiff::ZonedDateTime;

use crate::config::Config;

/// Where our own key may stand in the environment.
pub const VARIABLE: &str = "CLAUDE_SAFE_API_KEY";

/// How long `api_key.command` may take; nothing else goes on meanwhile.
const COMMAND_PATIENCE: Duration = Duration::from_secs(15);

/// A key. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// For the child's environment.
    #[must_use]
    pub fn expose(&self) -> OsString {
        OsString::from(&self.0)
    }
}

/// Why there is no key to use.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    /// None is configured.
    #[error("no key is configured (CLAUDE_SAFE_API_KEY, `api_key.file` or `api_key.command`)")]
    Missing,
    /// The file or command failed.
    #[error("failed to read the key from {0}: {1}")]
    Unreadable(String, String),
    /// Today's launches are used up.
    #[error("the key was used {0} times today (`api_key.runs_per_day`)")]
    UsedUp(i64),
}

/// The key for one launch, counted against today's.
pub fn take(config: &Config, state_dir: &Path) -> Result<Key, NoKey> {
    let key = read(config)?;
    let limit = config.values.api_key.runs_per_day;
    let today = ZonedDateTime::now().date().to_string();
    let counted = count(&state_dir.join("api-key-runs"), &today, limit)
        .map_err(|error| NoKey::Unreadable("the count".into(), error.to_string()))?;
    if counted { Ok(key) } else { Err(NoKey::UsedUp(limit)) }
}

fn read(config: &Config) -> Result<Key, NoKey> {
    let found = if let Some(key) = std::env::var(VARIABLE).ok().filter(|key| !key.is_empty()) {
        key
    } else if let Some(file) = &config.values.api_key.file {
        std::fs::read_to_string(file)
            .map_err(|error| NoKey::Unreadable(file.display().to_string(), error.to_string()))?
    } else if let Some(command) = config.values.api_key.command.as_deref() {
        said_by(command, COMMAND_PATIENCE)?
    } else {
        return Err(NoKey::Missing);
    };
    let found = found.trim();
    if found.is_empty() { Err(NoKey::Missing) } else { Ok(Key(found.to_owned())) }
}

/// What a command prints. One that takes too long (it may ask somebody who is not there) is ended.
fn said_by(command: &str, patience: Duration) -> Result<String, NoKey> {
    // The command itself may hold a secret: it is not named.
    let fail = |reason: String| NoKey::Unreadable("`api_key.command`".into(), reason);
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| fail(error.to_string()))?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        let read = stdout.read_to_string(&mut said).map(|_| said);
        // Nobody listens any more if it took too long.
        let _ = sender.send(read);
    });
    let Ok(said) = receiver.recv_timeout(patience) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(fail(format!("it said nothing for {} s", patience.as_secs())));
    };
    let status = child.wait().map_err(|error| fail(error.to_string()))?;
    if !status.success() {
        return Err(fail(status.to_string()));
    }
    said.map_err(|error| fail(error.to_string()))
}

/// Adds one to today's count unless it is at its limit; whether it was added.
fn count(file: &Path, today: &str, limit: i64) -> std::io::Result<bool> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)?;
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let used = match text.split_once(' ') {
        Some((day, used)) if day == today => used.trim().parse().unwrap_or(limit),
        _ => 0,
    };
    if used >= limit {
        return Ok(false);
    }
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{today} {}", used + 1)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn a_day_has_so_many_launches_and_the_next_day_begins_anew() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("runs");
        let used = |day| count(&file, day, 2).expect("countable");
        assert!(used("2026-11-24") && used("2026-11-24") && !used("2026-11-24"));
        assert!(used("2026-11-25"));
    }

    #[test]
    fn the_key_is_read_from_a_file_and_shows_itself_to_nobody() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("key");
        std::fs::write(&file, "sk-secret\n").expect("written");
        let mut config = Config::default();
        assert!(matches!(read(&config), Err(NoKey::Missing)));
        config.set("api_key.file", &file.to_string_lossy(), Origin::Option).expect("a path");
        let key = read(&config).expect("there is one");
        assert_eq!(key.expose(), "sk-secret");
        assert_eq!(format!("{key:?}"), "Key(…)");
    }

    #[test]
    fn a_command_gives_the_key_fails_or_is_ended_after_a_while() {
        assert_eq!(
            said_by("echo sk-secret", Duration::from_secs(60)).expect("a key"),
            "sk-secret\n"
        );
        let failed = said_by("exit 3", Duration::from_secs(60)).expect_err("no key").to_string();
        assert!(failed.contains("exit status: 3"), "{failed}");
        let hung = said_by("exec sleep 600", Duration::ZERO).expect_err("no key").to_string();
        assert!(hung.contains("it said nothing"), "{hung}");
    }
}
