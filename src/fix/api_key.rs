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

use jiff::ZonedDateTime;
use nix::fcntl::{Flock, FlockArg};

use crate::config::Config;

/// Where our own key may stand in the environment.
pub const VARIABLE: &str = "CLAUDE_SAFE_API_KEY";

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
    let limit = config.integer("api_key.runs_per_day");
    let today = ZonedDateTime::now().date().to_string();
    let counted = count(&state_dir.join("api-key-runs"), &today, limit)
        .map_err(|error| NoKey::Unreadable("the count".into(), error.to_string()))?;
    if counted { Ok(key) } else { Err(NoKey::UsedUp(limit)) }
}

fn read(config: &Config) -> Result<Key, NoKey> {
    let found = if let Some(key) = std::env::var(VARIABLE).ok().filter(|key| !key.is_empty()) {
        key
    } else if let Some(file) = config.path("api_key.file") {
        std::fs::read_to_string(&file)
            .map_err(|error| NoKey::Unreadable(file.display().to_string(), error.to_string()))?
    } else if let Some(command) = config.text("api_key.command") {
        // The command itself may hold a secret: it is not named.
        let fail = |reason: String| NoKey::Unreadable("`api_key.command`".into(), reason);
        let output = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| fail(error.to_string()))?;
        if !output.status.success() {
            return Err(fail(output.status.to_string()));
        }
        String::from_utf8(output.stdout).map_err(|_| fail("it is not text".into()))?
    } else {
        return Err(NoKey::Missing);
    };
    let found = found.trim();
    if found.is_empty() { Err(NoKey::Missing) } else { Ok(Key(found.to_owned())) }
}

/// Adds one to today's count unless it is at its limit; whether it was added.
fn count(file: &Path, today: &str, limit: i64) -> std::io::Result<bool> {
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)?;
    let mut file = Flock::lock(options, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
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
}
