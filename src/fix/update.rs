//! Rung `Update`: `claude update`, which knows its own install method. In: the executable and
//! who else runs. Out: the version before and after, or why nothing was done. At most once a
//! day, never where updates are forbidden, and never under another run's feet.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use tokio::process::Command;

use crate::claude::environment::{Lookup, managed_settings};
use crate::claude::version::{self, Version};
use crate::service::{LockName, locks};
use crate::{process, runs};

/// An update that takes longer is ended.
const LIMIT: Duration = Duration::from_secs(300);

/// No second update within this.
const AT_MOST_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Touched at every update.
const STAMP: &str = "updated";

/// Why no update was made.
#[derive(Debug, thiserror::Error)]
pub enum NotUpdated {
    /// One was made within a day.
    #[error("an update was made within the last 24 hours")]
    Recent,
    /// The user or an administrator forbids it.
    #[error("updates are turned off ({0})")]
    Forbidden(&'static str),
    /// Other runs use this claude.
    #[error("{0} other run(s) of claude-safe are using this claude")]
    InUse(usize),
    /// Another run is updating.
    #[error("another run is updating")]
    Busy,
    /// It failed.
    #[error("failed to run `{command}`: {reason}")]
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        reason: String,
    },
}

/// What an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Updated {
    /// The version before, if it told.
    pub before: Option<Version>,
    /// The version after.
    pub after: Option<Version>,
}

/// Updates this claude. Its output goes to the log.
pub async fn update(
    claude: &Path,
    state_dir: &Path,
    run: &str,
    environment: &impl Lookup,
) -> Result<Updated, NotUpdated> {
    may_update(state_dir, run, environment)?;
    let lock =
        locks::try_lock(state_dir, LockName::Update).map_err(|error| failed("lock", &error))?;
    let _lock = lock.ok_or(NotUpdated::Busy)?;
    let before = version::of(claude, state_dir).await;
    let stamp = state_dir.join(STAMP);
    crate::paths::write_private(&stamp, b"").map_err(|error| failed("note the update", &error))?;
    let own = attempt(claude, &["update"]).await;
    if let Err(error) = own {
        match npm_global(claude) {
            Some(npm) => attempt(&npm, &["update", "-g", "@anthropic-ai/claude-code"]).await?,
            None => return Err(error),
        }
    }
    Ok(Updated { before, after: version::of(claude, state_dir).await })
}

fn may_update(state_dir: &Path, run: &str, environment: &impl Lookup) -> Result<(), NotUpdated> {
    if environment.var("DISABLE_AUTOUPDATER").is_some() {
        return Err(NotUpdated::Forbidden("DISABLE_AUTOUPDATER"));
    }
    if managed_forbids() {
        return Err(NotUpdated::Forbidden("managed settings"));
    }
    let modified = std::fs::metadata(state_dir.join(STAMP)).and_then(|meta| meta.modified());
    let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    if age.is_some_and(|age| age < AT_MOST_EVERY) {
        return Err(NotUpdated::Recent);
    }
    let mut living = runs::living(state_dir);
    living.remove(run);
    match living.len() {
        0 => Ok(()),
        others => Err(NotUpdated::InUse(others)),
    }
}

/// An administrator's settings, where the platform keeps them.
fn managed_forbids() -> bool {
    let read = std::fs::read(managed_settings()).ok();
    let settings = read.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    settings.is_some_and(|settings| {
        settings["env"].get("DISABLE_AUTOUPDATER").is_some() || settings["autoUpdates"] == false
    })
}

async fn attempt(program: &Path, args: &[&str]) -> Result<(), NotUpdated> {
    let command = format!("{} {}", program.display(), args.join(" "));
    let fail = |reason: String| NotUpdated::Failed { command: command.clone(), reason };
    let mut child = Command::new(program);
    child.args(args);
    let output = process::output(child, LIMIT).await.map_err(|error| fail(error.to_string()))?;
    let Output { status, stdout, stderr } = output;
    let said = [stdout, stderr].concat();
    let said = String::from_utf8_lossy(&said);
    tracing::info!(%command, %status, output = %crate::claude::rules::excerpt(&said), "update");
    if status.success() { Ok(()) } else { Err(fail(status.to_string())) }
}

/// `npm`, when this claude was installed by it for all projects.
fn npm_global(claude: &Path) -> Option<PathBuf> {
    let real = std::fs::canonicalize(claude).ok()?;
    let global = real.to_str()?.contains("/lib/node_modules/@anthropic-ai/");
    let path = std::env::var_os("PATH")?;
    global
        .then(|| std::env::split_paths(&path).map(|dir| dir.join("npm")).find(|npm| npm.is_file()))
        .flatten()
}

fn failed(what: &str, error: &std::io::Error) -> NotUpdated {
    NotUpdated::Failed { command: what.to_owned(), reason: error.to_string() }
}
