//! Where tasks are kept: the few statements that every engine has (a file of this machine, or a
//! database that several hosts share). Each is one transaction; a
//! change names the version it was made of, so that of two who change a task at once one is
//! told so. A claim is such a change: it is for good, and no clock takes it back.

use std::path::Path;

use super::task::{Id, NewTask, State, Task};

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It was written by a newer claude-safe.
    #[error(
        "{place} was written by a newer claude-safe (schema {found}, known: {known}); nothing was changed"
    )]
    Newer {
        /// Where it lies.
        place: String,
        /// Its schema.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// It cannot be read as what it should be.
    #[error("{0} is damaged")]
    Damaged(String),
    /// The disk is full.
    #[error("no space is left for the queue; nothing was changed")]
    Full,
    /// Its database does not answer.
    #[cfg(feature = "postgres")]
    #[error("the queue's database does not answer ({0}); what runs goes on")]
    Lost(String),
    /// Anything else.
    #[error("the queue cannot be used: {0}")]
    Other(String),
}

/// What every engine can do.
pub trait Store {
    /// Hands in tasks, all or none. The id of each; with a key that lives already, that one's.
    fn add(&mut self, tasks: &[NewTask]) -> Result<Vec<Id>, StoreError>;

    /// One task.
    fn get(&self, id: Id) -> Result<Option<Task>, StoreError>;

    /// The tasks in these states, in the order in which they are started, or as many of them.
    fn list(&self, states: &[State], most: Option<u32>) -> Result<Vec<Task>, StoreError>;

    /// Writes a task back if nobody changed it since it was read: whether it was written. Its
    /// version is then the new one.
    fn save(&mut self, task: &mut Task) -> Result<bool, StoreError>;

    /// Forgets tasks that ended before this (milliseconds), but for those with a worktree.
    fn forget(&mut self, before: i64) -> Result<usize, StoreError>;

    /// What is noted under this name, for all runners.
    fn note(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Notes it, or strikes it out.
    fn set_note(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError>;

    /// Notes `new` if `old` is what is noted: whether it was.
    fn swap_note(
        &mut self,
        name: &str,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<bool, StoreError>;

    /// Adds to a number that is noted, and returns the sum.
    fn add_to_note(&mut self, name: &str, more: f64) -> Result<f64, StoreError>;

    /// A runner begins with it: a file is looked through; of what other hosts change, the bell of
    /// this state directory tells from now on.
    fn attend(&mut self, state_dir: &Path) -> Result<(), StoreError>;

    /// Whether other hosts may use it too.
    fn is_shared(&self) -> bool;

    /// Whether it is no longer what it was opened as: somebody set the file aside.
    fn is_replaced(&self) -> bool;
}
