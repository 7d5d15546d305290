//! `queue run`: becomes the runner of this user and host. In: slots. Out: its exit code.

use std::process::ExitCode;

use anyhow::Context as _;

use super::Desk;
use crate::error::exit;
use crate::notice::say;
use crate::queue::runner::{Options, Runner};
use crate::queue::{self, owner};
use crate::service::{LockName, locks};

/// Options of `queue run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe queue run                        until it is stopped
  claude-safe queue run --until-empty          until nothing is left to do
  claude-safe queue run --jobs 3               three tasks at once

Exit codes with --until-empty: 0 all done, 1 something failed, 65 a person is needed,
75 something still waits.")]
pub struct Args {
    /// How many tasks run at once (default: `queue.jobs`)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    jobs: Option<u16>,
    /// Leave when nothing is left to do
    #[arg(long)]
    until_empty: bool,
}

/// Runs the queue.
pub(super) fn run(desk: Desk, args: &Args) -> anyhow::Result<ExitCode> {
    let owner = owner(&desk.config);
    let name = LockName::Queue(&owner);
    let lock = locks::try_lock(&desk.state_dir, name).context("failed to lock the queue")?;
    let Some(lock) = lock else {
        let pid = locks::holder(&desk.state_dir, name);
        let pid = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        say(&format!("the queue is being run already{pid}"));
        return Ok(ExitCode::from(exit::TRY_LATER));
    };
    crate::logging::start(&desk.state_dir, &desk.config.values.log.level);
    crate::paths::private_dir(&desk.state_dir.join("queue"))?;
    let mut store = desk.store;
    let store = match store.attend(&desk.state_dir) {
        Ok(()) => store,
        Err(queue::StoreError::Damaged(_)) => queue::begin_anew(&desk.state_dir)?,
        Err(error) => return Err(error.into()),
    };
    let jobs = args
        .jobs
        .map_or_else(|| usize::try_from(desk.config.values.queue.jobs).unwrap_or(1), usize::from);
    let program = std::env::current_exe().context("failed to find our own path")?;
    let options = Options { jobs, until_empty: args.until_empty, program };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async move {
        Runner::new(store, desk.config, desk.state_dir, options, lock).run().await
    })?;
    Ok(ExitCode::from(code))
}
