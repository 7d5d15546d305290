//! `run --job NAME`: which session a job's earlier run left unfinished. In: the job's name.
//! Out: the session to go on with. Kept as `jobs/NAME.json` in the state directory, 0600, until
//! the job succeeds; a file that cannot be read or written costs the continuation, not the run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::claude::transcript::{self, Tail};

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
}

impl Job {
    pub(super) fn open(state_dir: &Path, name: &str) -> Self {
        let file = state_dir.join("jobs").join(format!("{name}.json"));
        let kept = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok())
            .map(|kept| kept.session);
        Self { file, kept }
    }

    /// The session that an earlier run left, with its last turn unfinished.
    pub(super) fn unfinished(&self, claude_dir: &Path) -> Option<(String, Tail)> {
        let session = self.kept.clone()?;
        let tail = transcript::tail(&transcript::find(claude_dir, &session)?).ok()?;
        (!tail.finished && tail.prompted_at.is_some()).then_some((session, tail))
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
