//! The queue: tasks that are handed in now and run when the service lets them. A room of its own
//! beside the launcher: what it starts is `claude-safe run --job …`, which brings a task through
//! an outage as it does any run; what it knows of such a run is the job's kernel lock, the
//! journal and the run's log.
//!
//! A claim is for good, and liveness is that lock: no lease, no heartbeat and no clock gives a
//! task that lives to another. What ended is looked up before anything is started again.

mod bell;
pub mod compose;
#[cfg(test)]
mod contract_tests;
pub mod ending;
pub mod file;
pub mod gates;
pub mod inbox;
pub mod known;
mod outage;
pub mod output;
pub mod place;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(all(test, feature = "postgres"))]
mod postgres_tests;
pub mod runner;
mod sqlite;
#[cfg(test)]
mod sqlite_tests;
mod start;
mod store;
pub mod task;
pub mod verdict;
pub mod worktree;

use std::path::{Path, PathBuf};

pub use bell::ring;
pub use outage::lift_limit;
pub use start::end;
pub use store::{Store, StoreError};

use sqlite::{Sqlite, set_aside};

use crate::config::Config;

/// The note that tells of a file that was set aside.
pub const SET_ASIDE: &str = "set aside";

/// The file of the queue.
#[must_use]
pub fn file_of(state_dir: &Path) -> PathBuf {
    state_dir.join("queue.db")
}

/// Opens the queue: the database of `queue.store`, or the file. A damaged file is set aside,
/// which is said now and noted in the new one.
pub fn open(config: &Config, state_dir: &Path) -> Result<Box<dyn Store>, StoreError> {
    if let Some(url) = &config.values.queue.store {
        return shared(url);
    }
    match Sqlite::open(&file_of(state_dir)) {
        Err(StoreError::Damaged(_)) => begin_anew(state_dir),
        opened => Ok(Box::new(opened?)),
    }
}

/// The queue, if somebody uses it: to look at it must make none.
pub fn if_used(config: &Config, state_dir: &Path) -> Result<Option<Box<dyn Store>>, StoreError> {
    if let Some(url) = &config.values.queue.store {
        return shared(url).map(Some);
    }
    let file = file_of(state_dir);
    if !file.exists() {
        return Ok(None);
    }
    Ok(Some(Box::new(Sqlite::open(&file)?)))
}

#[cfg(feature = "postgres")]
fn shared(url: &str) -> Result<Box<dyn Store>, StoreError> {
    Ok(Box::new(postgres::Postgres::open(url)?))
}

#[cfg(not(feature = "postgres"))]
fn shared(_: &str) -> Result<Box<dyn Store>, StoreError> {
    let why = "queue.store names a database, and this claude-safe was built without PostgreSQL";
    Err(StoreError::Other(why.to_owned()))
}

/// Sets a damaged file aside and begins a new one.
pub fn begin_anew(state_dir: &Path) -> Result<Box<dyn Store>, StoreError> {
    let path = file_of(state_dir);
    let aside = set_aside(&path).map_err(|error| StoreError::Other(error.to_string()))?;
    let aside = aside.display().to_string();
    crate::notice::say(&format!(
        "the queue's file was damaged: it was set aside as {aside}, and a new queue was begun"
    ));
    let mut store = Sqlite::open(&path)?;
    store.set_note(SET_ASIDE, Some(&aside))?;
    Ok(Box::new(store))
}

/// What this host is called in the queue.
#[must_use]
pub fn owner(config: &Config) -> String {
    config.values.queue.owner.as_deref().map_or_else(
        || {
            let name = nix::unistd::gethostname().unwrap_or_default();
            name.to_string_lossy().into_owned()
        },
        str::to_owned,
    )
}
