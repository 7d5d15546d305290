//! `claude-safe status`: the runs of now and of the last day. In: the journal, and whether the
//! runs' processes live. Out: a table, JSON, or a screen that is redrawn until it is left.

mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::report::style;
use crate::journal::{self, Entry};
use crate::report::{self, Ending, Night};
use crate::{paths, runs};

/// Runs that ended longer ago are not shown.
const SHOWN_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Options of `status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe status            runs of now and of the last day
  claude-safe status --watch    the same, redrawn until q or Ctrl-C
  claude-safe status --json | jq '.[] | select(.state == \"waiting\")'

States: working, waiting (before the next try), asking (a try is on its way),
needs you, ended, lost (its process is gone without a last word).")]
pub struct Args {
    /// Redraw until q or Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print the runs as JSON
    #[arg(long)]
    json: bool,
}

/// Shows the runs.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.watch {
        return watch::run();
    }
    let (now, style) = (Timestamp::now(), style());
    let night = of_last_day(&journal::read(&paths::state_dir()), now);
    let mut out = std::io::stdout().lock();
    if args.json {
        let runs: Vec<_> = night.runs.iter().map(as_json).collect();
        serde_json::to_writer_pretty(&mut out, &runs).context("failed to write the status")?;
        writeln!(out)
    } else {
        let queue = super::queue::counted(&paths::state_dir());
        write!(out, "{}{queue}", report::status(&night, now, &style))
    }
    .context("failed to write the status")?;
    Ok(ExitCode::SUCCESS)
}

fn of_last_day(entries: &[Entry], now: Timestamp) -> Night {
    let state_dir = paths::state_dir();
    let alive = |run: &str, pid, began| runs::is_alive(&state_dir, run, pid, began);
    Night::reckon(entries, now - SHOWN_FOR, now, &alive)
}

fn as_json(run: &report::Track) -> serde_json::Value {
    let ended = match run.ending {
        Ending::Running => None,
        Ending::Ended(_) | Ending::Lost => Some(run.until),
    };
    let exit_code = match run.ending {
        Ending::Ended(code) => Some(code),
        Ending::Running | Ending::Lost => None,
    };
    json!({
        "run": run.run,
        "pid": run.pid,
        "state": run.state,
        "directory": run.cwd.to_string_lossy(),
        "mode": run.mode,
        "job": run.job,
        "session": run.sessions.last(),
        "claude_version": run.claude_version,
        "started": run.started,
        "ended": ended,
        "failing": run.failing,
        "why": run.why,
        "next_try": run.next_try,
        "attempts": run.attempts,
        "exit_code": exit_code,
    })
}
