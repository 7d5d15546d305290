//! Starting the plan's child, and putting its last words back to plain claude's. In: the plan,
//! the terminal. Out: a child in a terminal of its own.

use std::future::pending;
use std::io;
use std::time::Instant;

use crate::claude::args::ClaudeArgs;
use crate::claude::resume_hint::ResumeHint;
use crate::launch::terminal::{Launch, PtyChild, Relay, Rewrite, SpawnError, Tty, spawn};
use crate::run::Run;

/// Starts the plan's child in a terminal of its own.
pub(in crate::run) fn spawned(run: &Run, tty: &Tty) -> io::Result<PtyChild> {
    let launch = Launch {
        program: run.plan.program.clone(),
        argv0: None,
        args: run.plan.args(),
        env: run.plan.environment().into_iter().map(|(name, value)| (name.into(), value)).collect(),
        cwd: run.plan.cwd.clone().filter(|dir| dir.is_dir()),
    };
    spawn(&launch, tty).map_err(|error| {
        let kind = match &error {
            SpawnError::NotFound { .. } => io::ErrorKind::NotFound,
            SpawnError::CannotRun { .. } | SpawnError::Directory { .. } => {
                io::ErrorKind::PermissionDenied
            }
            SpawnError::Pty(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    })
}

/// Claude's "Resume this session with" must not name the settings we added.
pub(super) fn rewrite_last_words(relay: &mut Relay<'_>, user: &ClaudeArgs) {
    let hint = ResumeHint::of(user);
    relay.rewrite_output(Rewrite {
        change: Box::new(move |chunk, size| hint.rewrite(chunk, size.cols)),
        is_cut: Box::new(ResumeHint::is_cut),
    });
}

/// Until then; for ever without a time.
pub(in crate::run) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
