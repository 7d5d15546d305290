//! What became of a task's run, as the journal tells it: the run outlives its runner, and may
//! have ended while nobody was there. In: the state directory and the task's job. Out: its last
//! run, and whether somebody is still at it.

use std::path::Path;

use jiff::Timestamp;

use crate::failure::FailureKind;
use crate::journal::{self, Event, Outcome};
use crate::process;
use crate::service::{LockName, locks};

/// The last run of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun {
    /// The journal's name of it.
    pub run: String,
    /// When it began.
    pub began: Timestamp,
    /// Its last word.
    pub ended: Option<LastWord>,
    /// What failed last in it.
    pub failure: Option<FailureKind>,
    /// Claude's session.
    pub session: Option<String>,
    /// Its last claude, and when that was started.
    claude: Option<(i32, Timestamp)>,
}

/// How a run said it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct LastWord {
    /// When.
    pub at: Timestamp,
    /// Its exit code.
    pub code: i32,
    /// What it came to.
    pub outcome: Outcome,
}

/// The last run of this job, if there was one.
#[must_use]
pub fn last_run(state_dir: &Path, job: &str) -> Option<LastRun> {
    let mut last = None;
    for entry in journal::of_job(state_dir, job) {
        if let Event::RunStarted { .. } = entry.event {
            last = Some(LastRun {
                run: entry.run,
                began: entry.at,
                ended: None,
                failure: None,
                session: None,
                claude: None,
            });
            continue;
        }
        let Some(last) = last.as_mut().filter(|last: &&mut LastRun| last.run == entry.run) else {
            continue;
        };
        match entry.event {
            Event::AttemptStarted { pid, .. } => last.claude = Some((pid, entry.at)),
            Event::Session { id } => last.session = Some(id),
            Event::Failed { failure, .. } => last.failure = Some(failure.kind),
            Event::Recovered { .. } => last.failure = None,
            Event::RunEnded { code, outcome, .. } => {
                let outcome = outcome.unwrap_or_else(|| Outcome::of(code));
                last.ended = Some(LastWord { at: entry.at, code, outcome });
            }
            _ => {}
        }
    }
    last
}

/// Whether a run holds the job, or a claude that outlived its run still works.
#[must_use]
pub fn is_at_work(state_dir: &Path, job: &str) -> bool {
    if !matches!(locks::try_lock(state_dir, LockName::Job(job)), Ok(Some(_))) {
        return true;
    }
    last_run(state_dir, job).is_some_and(|last| {
        last.ended.is_none() && last.claude.is_some_and(|(pid, at)| process::is_alive(pid, at))
    })
}
