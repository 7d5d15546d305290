//! Backups of Claude's history and settings: snapshot → verified → restore → prune.
//! In: Claude's configuration directory and `.claude.json`. Out: one plain directory per
//! snapshot, which `zstd -d` and `cp` alone can restore.
//! Must never: hold a credential, follow a link out of the tree, change a file of Claude's
//! outside of a restore, or leave something that looks like a whole snapshot and is not.

pub mod compare;
mod content;
pub mod create;
mod disk;
mod error;
pub mod export;
mod held_path;
pub mod lock;
pub mod manifest;
mod mask;
mod merge;
mod parallel;
pub(crate) mod processes;
pub mod prune;
pub mod restore;
mod secret;
pub mod select;
pub mod snapshot;
pub mod space;
pub mod store;
pub mod users;

use std::path::{Path, PathBuf};

pub use error::{Error, Result};
pub use held_path::{HeldPath, shown};
pub use snapshot::{Snapshot, VerifiedSnapshot};
pub use store::Store;
pub use users::Unused;

use crate::config::Config;
use crate::rung::Rung;

/// What is backed up, or restored into: Claude's directory and its `.claude.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `~/.claude`, or `CLAUDE_CONFIG_DIR`.
    pub claude_dir: PathBuf,
    /// `~/.claude.json`, or inside `CLAUDE_CONFIG_DIR`.
    pub claude_json: PathBuf,
}

impl Source {
    /// The directory that a `claude` started from here would use.
    #[must_use]
    pub fn current() -> Self {
        Self {
            claude_dir: crate::paths::claude_config_dir(),
            claude_json: crate::paths::claude_json(),
        }
    }

    /// A directory laid out like a home: `DIR/.claude` and `DIR/.claude.json`.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        Self { claude_dir: dir.join(".claude"), claude_json: dir.join(".claude.json") }
    }

    /// Where an entry of a snapshot lives.
    #[must_use]
    pub fn live(&self, path: &HeldPath) -> PathBuf {
        match path.below_claude_dir() {
            Some(rest) if rest.as_os_str().is_empty() => self.claude_dir.clone(),
            Some(rest) => self.claude_dir.join(rest),
            None => self.claude_json.clone(),
        }
    }
}

/// Is told how far a long step has come; called from several threads.
pub trait Progress: Sync {
    /// So many bytes are to be read in all.
    fn start(&self, total_bytes: u64);
    /// So many more were read.
    fn advance(&self, bytes: u64);
}

/// Nobody is looking.
impl Progress for () {
    fn start(&self, _: u64) {}
    fn advance(&self, _: u64) {}
}

/// The backup directory of this configuration.
#[must_use]
pub fn store(config: &Config) -> Store {
    let dir = config.values.backup.dir.clone();
    Store::new(dir.unwrap_or_else(|| crate::paths::state_dir().join("backups")))
}

/// Takes and verifies the snapshot that a rung needs before it moves files, then prunes.
/// Fails when anything could not be read or did not verify: then the rung must not act.
pub fn snapshot_before(rung: Rung, config: &Config, source: &Source) -> Result<VerifiedSnapshot> {
    let reason = format!("before {}", rung.name());
    let store = store(config);
    let verified = verified_snapshot(&store, source, &reason)?;
    if let Some(left_out) = verified.manifest().left_out.iter().find(|one| one.failed) {
        return Err(Error::Incomplete {
            path: shown(left_out.path.as_path()),
            reason: left_out.reason.clone(),
        });
    }
    // A store that cannot be pruned is no reason to refuse: the snapshot is there and verified.
    if let Err(error) = prune::prune(&store, &prune::Limits::of(config), Some(&verified)) {
        tracing::warn!(%error, "snapshots not pruned");
    }
    Ok(verified)
}

/// A new snapshot, re-read from disk. If files taken over from the last snapshot turn out
/// to be damaged there, it is made again from the live files alone.
pub fn verified_snapshot(store: &Store, source: &Source, reason: &str) -> Result<VerifiedSnapshot> {
    let mut lock = store.lock_exclusive()?;
    let created = Snapshot::create(store, &mut lock, source, reason, true, &())?;
    match created.snapshot.verify(&()) {
        Err(Error::Damaged { id, .. }) if created.linked > 0 => {
            store.remove(&mut lock, &id)?;
            Snapshot::create(store, &mut lock, source, reason, false, &())?.snapshot.verify(&())
        }
        verified => verified,
    }
}
