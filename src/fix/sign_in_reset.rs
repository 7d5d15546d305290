//! Rung `SignInReset`: moves the credentials file alone aside, so that a login can start
//! clean. It is kept 0600 in our state directory for seven days. Never reads it, never
//! copies it into a backup, never touches a link or a Keychain item.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::clear_cache::{io_error, move_aside};
use crate::backup::{Error, Result, Unused, shown};

/// How long a credentials file is kept that was moved aside.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

const FILE: &str = ".credentials.json";

/// Moves the file; where to, or `None` when there is none (macOS keeps it in the Keychain).
pub fn sign_in_reset(
    dir: &Path,
    state_dir: &Path,
    unused: &Unused,
    now: Timestamp,
) -> Result<Option<PathBuf>> {
    let resolved = fs::canonicalize(dir).map_err(io_error("look at", dir))?;
    if unused.dir() != resolved {
        return Err(Error::Refused("the proof is about another directory".into()));
    }
    let from = resolved.join(FILE);
    match fs::symlink_metadata(&from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("look at", &from)(error)),
        Ok(meta) if !meta.is_file() => {
            return Err(Error::Refused(format!("{} is not a file of its own", shown(&from))));
        }
        Ok(_) => {}
    }
    let aside = aside(state_dir);
    crate::paths::private_dir(&aside).map_err(io_error("make", &aside))?;
    // Before the move: it must not lie open to others for a moment.
    fs::set_permissions(&from, Permissions::from_mode(0o600))
        .map_err(io_error("protect", &from))?;
    let mut names = (0..).map(|n| aside.join(format!("{}-{n}.json", now.as_second())));
    let to = names.find(|path| fs::symlink_metadata(path).is_err());
    let to = to.expect("names do not run out");
    move_aside(&from, &to)?;
    Ok(Some(to))
}

/// Removes what was moved aside more than [`KEPT_FOR`] ago; how many.
pub fn prune_aside(state_dir: &Path, now: Timestamp) -> Result<usize> {
    let aside = aside(state_dir);
    let mut removed = 0;
    for child in fs::read_dir(&aside).into_iter().flatten().filter_map(io::Result::ok) {
        let name = child.file_name();
        let moved = name.to_str().and_then(|name| name.split_once('-')?.0.parse::<i64>().ok());
        // A time in the future means that the clock was set back: kept.
        let age = moved.and_then(|moved| u64::try_from(now.as_second() - moved).ok());
        if age.is_some_and(|age| age > KEPT_FOR.as_secs()) {
            fs::remove_file(child.path()).map_err(io_error("remove", &child.path()))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn aside(state_dir: &Path) -> PathBuf {
    state_dir.join("credentials-aside")
}
