//! The runs of a state directory: the directory that each has for itself, and which still live.
//! A run locks its directory as long as it lives: the kernel frees the lock with the process,
//! tells it to other containers, whose process numbers mean nothing here, and keeps
//! `systemd-tmpfiles` from emptying it.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::journal::{self, Event};
use crate::{paths, process};

/// Directories of runs that ended are kept this long: a background process of Claude may still
/// use the settings in one.
const KEEP_ENDED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The directory of the run that this process is.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Locked until it is dropped; `None` where there is no directory or no lock.
    held: Option<File>,
}

impl RunDir {
    /// Makes it. Where that cannot be done the run goes on without what it would have kept there.
    #[must_use]
    pub fn make(state_dir: &Path, run: &str) -> Self {
        let path = path(state_dir, run);
        let held = paths::private_dir(&path)
            .and_then(|()| File::open(&path))
            .and_then(|dir| dir.try_lock().map(|()| dir).map_err(Into::into))
            .inspect_err(|error| tracing::warn!(%error, "no directory of this run, or no lock"))
            .ok();
        Self { path, held }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // What it is kept for counts from here.
        if let Some(dir) = &self.held {
            let _ = dir.set_modified(SystemTime::now());
        }
    }
}

fn path(state_dir: &Path, run: &str) -> PathBuf {
    state_dir.join("runs").join(run)
}

/// Whether a run lives: it holds its directory, or (where there are no locks) the process that
/// wrote its first journal line at `began` is still there.
#[must_use]
pub fn is_alive(state_dir: &Path, run: &str, pid: i32, began: Timestamp) -> bool {
    is_held(&path(state_dir, run)) || process::is_alive(pid, began)
}

fn is_held(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|dir| matches!(dir.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The runs that live, by id, each with its process.
#[must_use]
pub fn living(state_dir: &Path) -> BTreeMap<String, i32> {
    let mut open = BTreeMap::new();
    for entry in journal::read(state_dir) {
        match entry.event {
            Event::RunStarted { pid, .. } => drop(open.insert(entry.run, (pid, entry.at))),
            Event::RunEnded { .. } => drop(open.remove(&entry.run)),
            _ => {}
        }
    }
    open.retain(|run, (pid, began)| is_alive(state_dir, run, *pid, *began));
    open.into_iter().map(|(run, (pid, _))| (run, pid)).collect()
}

/// Removes the directories of runs that ended long ago.
pub fn prune(state_dir: &Path) {
    let Ok(entries) = std::fs::read_dir(state_dir.join("runs")) else { return };
    let is_old = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        age.is_some_and(|age| age > KEEP_ENDED)
    };
    let old: Vec<_> = entries.flatten().filter(is_old).collect();
    if old.is_empty() {
        return;
    }
    let living = living(state_dir);
    for entry in old {
        let lives = entry.file_name().to_str().is_some_and(|run| living.contains_key(run));
        if !lives && !is_held(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, Mode};

    fn age(dir: &Path, days: u64) {
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        File::open(dir).and_then(|dir| dir.set_modified(then)).expect("ours");
    }

    fn start(state_dir: &Path, run: &str, pid: i32) -> Journal {
        let mut journal = Journal::open(state_dir, run);
        journal.record(Event::RunStarted {
            pid,
            cwd: PathBuf::new(),
            mode: Mode::Headless,
            claude_version: None,
            job: None,
        });
        journal
    }

    #[test]
    fn a_living_run_keeps_its_directory_however_old_and_an_ended_one_for_a_week_more() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let (living, ended) = (RunDir::make(state.path(), "a"), RunDir::make(state.path(), "b"));
        // One of an older version, which held no lock.
        let unlocked = path(state.path(), "c");
        std::fs::create_dir(&unlocked).expect("made");
        start(state.path(), "c", std::process::id().cast_signed());
        for dir in [living.path(), ended.path(), &unlocked] {
            age(dir, 8);
        }
        let ended_dir = ended.path().to_owned();
        drop(ended);
        prune(state.path());
        assert!(living.path().exists() && ended_dir.exists() && unlocked.exists());
        age(&ended_dir, 8);
        prune(state.path());
        assert!(living.path().exists() && !ended_dir.exists() && unlocked.exists());
    }

    #[test]
    fn a_run_lives_while_it_holds_its_directory_or_its_process_is_there() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let own = std::process::id().cast_signed();
        let held = RunDir::make(state.path(), "elsewhere");
        // As seen from another container, where its number is nobody's.
        start(state.path(), "elsewhere", i32::MAX - 1);
        start(state.path(), "dead", i32::MAX - 1);
        let mut here = start(state.path(), "here", own);
        let names = || living(state.path()).into_keys().collect::<Vec<_>>();
        assert_eq!(names(), ["elsewhere", "here"]);
        here.record(Event::RunEnded { code: 0, child: None, outcome: None });
        drop(held);
        assert_eq!(names(), [""; 0]);
    }
}
