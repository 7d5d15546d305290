//! `queue clean`: worktrees that hold nothing, and history. In: the queue. Out: a line for each
//! thing removed or kept.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::Desk;
use crate::config::value;
use crate::error::Usage;
use crate::queue::task::{State, now_ms};
use crate::queue::{SET_ASIDE, output, worktree};

/// Options of `queue clean`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What ended longer ago than this
    #[arg(long, value_name = "SPAN", default_value = "14d")]
    older: String,
}

/// Cleans.
pub(super) fn run(desk: &mut Desk, args: &Args) -> anyhow::Result<ExitCode> {
    let span = value::duration(&args.older).map_err(|wrong| Usage(format!("--older: {wrong}")))?;
    let before = now_ms().saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
    let ended = desk.store.list(&[State::Done, State::Failed, State::Removed], None)?;
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for mut task in ended.into_iter().filter(|task| task.ended.is_some_and(|at| at < before)) {
        if let (Some(tree), Some(base)) = (&task.record.worktree, &task.record.base) {
            match worktree::remove_unused(tree, base) {
                Ok(true) => removed.push(tree.display().to_string()),
                Ok(false) => {
                    kept.push(format!("{}: it holds changes", tree.display()));
                    continue;
                }
                Err(why) => {
                    kept.push(format!("{}: {why}", tree.display()));
                    continue;
                }
            }
            task.record.worktree = None;
            desk.store.save(&mut task)?;
        }
        let log = output::path(&desk.state_dir, &task.job());
        if std::fs::remove_file(&log).is_ok() {
            removed.push(log.display().to_string());
        }
    }
    let forgotten = desk.store.forget(before)?;
    desk.store.set_note(SET_ASIDE, None)?;
    let mut out = std::io::stdout().lock();
    if desk.json {
        let all = json!({ "removed": removed, "kept": kept, "forgotten": forgotten });
        writeln!(out, "{all:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    for what in removed {
        writeln!(out, "removed {what}")?;
    }
    for what in kept {
        writeln!(out, "kept {what}")?;
    }
    writeln!(out, "{forgotten} tasks forgotten")?;
    Ok(ExitCode::SUCCESS)
}
