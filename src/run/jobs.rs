//! `run --job NAME`: which session a job's earlier run left unfinished. In: the job's name.
//! Out: the session to go on with. Kept as `jobs/NAME.json` in the state directory, 0600, until
//! the job succeeds; a file that cannot be read or written costs the continuation, not the run.
//! A kernel lock of the job's name is held as long as the run: two at once would go on with one
//! conversation in two places.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::claude::transcript::{self, Tail};
use crate::journal::{self, Event, Outcome};
use crate::process;
use crate::service::{Lock, LockName, locks};

/// What is kept of a job.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    session: String,
}

/// A job of this name.
#[derive(Debug)]
pub(super) struct Job {
    file: PathBuf,
    kept: Option<String>,
    /// `None` where the state directory takes no lock.
    _lock: Option<Lock>,
}

/// Why a job is not run now: someone else is at it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Busy {
    /// Another run of ours.
    #[error("job `{name}` is being run already{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Run { name: String, pid: Option<u32> },
    /// The claude of a run that is gone.
    #[error("the claude of an earlier run of job `{name}` still works (process {pid})")]
    Claude { name: String, pid: i32 },
}

impl Job {
    /// Takes the job, if nobody is at it.
    pub(super) fn take(state_dir: &Path, name: &str) -> Result<Self, Busy> {
        let lock = match locks::try_lock(state_dir, LockName::Job(name)) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => {
                let pid = locks::holder(state_dir, LockName::Job(name));
                return Err(Busy::Run { name: name.to_owned(), pid });
            }
            Err(error) => {
                tracing::warn!(%error, "the job is not locked");
                None
            }
        };
        let file = state_dir.join("jobs").join(format!("{name}.json"));
        let kept = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok())
            .map(|kept| kept.session);
        if kept.is_some()
            && let Some(pid) = orphan(state_dir, name)
        {
            return Err(Busy::Claude { name: name.to_owned(), pid });
        }
        Ok(Self { file, kept, _lock: lock })
    }

    /// The session that an earlier run left, with its last turn unfinished.
    pub(super) fn unfinished(&self, claude_dir: &Path) -> Option<(String, Tail)> {
        let session = self.kept.clone()?;
        let tail = transcript::tail(&transcript::find(claude_dir, &session)?).ok()?;
        (!tail.finished && tail.prompted_at.is_some()).then_some((session, tail))
    }

    /// Whether it has ended well already, in its last run's own words or, where that run was
    /// killed before it could say so, in those of its conversation.
    pub(super) fn is_done(&self, state_dir: &Path, claude_dir: &Path, name: &str) -> bool {
        let entries = journal::of_job(state_dir, name);
        let ends = |outcome: &Outcome| {
            entries.iter().any(|entry| {
                matches!(&entry.event, Event::RunEnded { outcome: Some(is), .. } if is == outcome)
            })
        };
        let cut_off = || match entries.last().map(|entry| &entry.event) {
            None | Some(Event::RunEnded { .. }) => false,
            Some(_) => {
                let path = self.kept.as_ref().and_then(|id| transcript::find(claude_dir, id));
                let tail = path.and_then(|path| transcript::tail(&path).ok());
                tail.is_some_and(|tail| tail.finished && tail.prompted_at.is_some())
            }
        };
        ends(&Outcome::Done) || cut_off()
    }

    /// Keeps the session it is at.
    pub(super) fn remember(&mut self, session: &str) {
        if self.kept.as_deref() == Some(session) {
            return;
        }
        let write = || -> std::io::Result<()> {
            if let Some(dir) = self.file.parent() {
                crate::paths::private_dir(dir)?;
            }
            let kept = serde_json::to_vec(&Kept { session: session.to_owned() })?;
            crate::paths::write_private(&self.file, &kept)
        };
        match write() {
            Ok(()) => self.kept = Some(session.to_owned()),
            Err(error) => tracing::warn!(%error, "the job is not remembered"),
        }
    }

    /// It succeeded.
    pub(super) fn forget(&mut self) {
        self.kept = None;
        // Not there is as good.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The claude of the job's last run, if it outlived that run (which was killed).
fn orphan(state_dir: &Path, name: &str) -> Option<i32> {
    let entries = journal::of_job(state_dir, name);
    let started = entries.iter().rev().find_map(|entry| match entry.event {
        Event::AttemptStarted { pid, .. } => Some((pid, entry.at)),
        _ => None,
    });
    started.filter(|(pid, at)| process::is_alive(*pid, *at)).map(|(pid, _)| pid)
}

/// Whether a job may be called so: it names a file.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_directory() {
        for good in ["nightly", "a.b-c_1", "x@y"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".x", "a/b", "a b", "a\0"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
