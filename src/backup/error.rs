//! What can go wrong with a backup, as far as someone branches on it.

use std::io;
use std::path::{Path, PathBuf};

/// A result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a backup, a restore or a fix that needs one did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("failed to {action} {}", super::shown(path))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk is too full to begin.
    #[error(
        "not enough free space in {}: about {} needed, {} free",
        super::shown(dir), super::space::in_words(*needed), super::space::in_words(*free)
    )]
    NoSpace {
        /// The backup directory.
        dir: PathBuf,
        /// The estimate (bytes).
        needed: u64,
        /// What is there (bytes).
        free: u64,
    },
    /// Another process works in the backup directory.
    #[error("another backup is still at work in {}", super::shown(dir))]
    Busy {
        /// The backup directory.
        dir: PathBuf,
    },
    /// A claude runs there, or may.
    #[error("{} is in use: {by}", super::shown(dir))]
    InUse {
        /// Claude's directory.
        dir: PathBuf,
        /// By whom, for people.
        by: String,
    },
    /// A snapshot does not hold what its manifest says.
    #[error("snapshot {id} is damaged: {}", problems.join("; "))]
    Damaged {
        /// Which.
        id: String,
        /// What is wrong, at most ten sentences.
        problems: Vec<String>,
    },
    /// A file that belongs in the snapshot could not be read.
    #[error("the snapshot is not complete: {path}: {reason}")]
    Incomplete {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// No snapshot has this name.
    #[error("{0}")]
    NoSuchSnapshot(String),
    /// What was asked for is refused, because it could lose something.
    #[error("{0}")]
    Refused(String),
}

/// Names the action and the path of a system error.
pub(crate) trait During<T> {
    /// Turns an `io::Error` into "failed to ACTION PATH".
    fn during(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source })
    }
}
