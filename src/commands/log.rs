//! `claude-safe log RUN`: what one run did, a line for each thing, and what it goes on to do.
//! In: the journal. Out: lines.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use jiff::tz::TimeZone;

use crate::error::Usage;
use crate::journal::{self, Entry, Event};
use crate::report::{line, words};
use crate::{paths, report, runs};

/// How often the journal is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Options of `log`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe log 0bad            what the run whose id begins so did
  claude-safe log last --follow   the newest run, and on until it ends")]
pub struct Args {
    /// The run: its id, the beginning of it, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
}

/// Prints the run's lines.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = paths::state_dir();
    let zone = TimeZone::system();
    let mut entries = entries_of(&args.run, &journal::read(&state_dir))?;
    let id = entries[0].run.clone();
    let mut shown = 0;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .context("failed to start the event loop")?;
    loop {
        print(&entries[shown..], &zone)?;
        shown = entries.len();
        if !args.follow || is_over(&state_dir, &entries) {
            return Ok(ExitCode::SUCCESS);
        }
        runtime.block_on(async { tokio::time::sleep(LOOK_EVERY).await });
        entries = journal::read(&state_dir);
        entries.retain(|entry| entry.run == id);
        // A journal that was taken away meanwhile has no more to say.
        shown = shown.min(entries.len());
    }
}

fn is_over(state_dir: &Path, entries: &[Entry]) -> bool {
    let ended = entries.iter().any(|entry| matches!(entry.event, Event::RunEnded { .. }));
    let lives = entries.iter().any(|entry| match entry.event {
        Event::RunStarted { pid, .. } => runs::is_alive(state_dir, &entry.run, pid, entry.at),
        _ => false,
    });
    ended || !lives
}

fn print(entries: &[Entry], zone: &TimeZone) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for entry in entries {
        let time = words::moment(entry.at, zone);
        writeln!(out, "{time:<15}  {}", line(&entry.event)).context("failed to write the log")?;
    }
    out.flush().context("failed to write the log")
}

/// The entries of the one run that `name` means: its id, an unambiguous beginning of it, `last`.
pub(super) fn entries_of(name: &str, entries: &[Entry]) -> Result<Vec<Entry>, Usage> {
    let mut ids: Vec<&str> = Vec::new();
    for entry in entries {
        if !ids.contains(&entry.run.as_str()) {
            ids.push(&entry.run);
        }
    }
    let wanted = name.to_ascii_lowercase();
    let meant: Vec<&str> = match wanted.as_str() {
        "last" => ids.last().copied().into_iter().collect(),
        _ => ids.iter().copied().filter(|id| *id == wanted).collect(),
    };
    let meant = if meant.is_empty() && !wanted.is_empty() {
        ids.iter().copied().filter(|id| id.starts_with(&wanted)).collect()
    } else {
        meant
    };
    match meant[..] {
        [id] => Ok(entries.iter().filter(|entry| entry.run == id).cloned().collect()),
        [] => Err(Usage(format!(
            "no run in the journal is `{}`; `claude-safe status` lists the runs of the last day",
            report::words::printable(name)
        ))),
        _ => {
            let some: Vec<&str> = meant.iter().rev().take(5).copied().collect();
            let text = format!("`{wanted}` may mean {} runs: {}", meant.len(), some.join(", "));
            Err(Usage(if meant.len() > 5 { format!("{text} …") } else { text }))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_run_is_meant_by_its_id_by_a_beginning_that_only_it_has_or_by_last() {
        let entry = |run: &str| Entry {
            at: Timestamp::UNIX_EPOCH,
            run: run.to_owned(),
            event: Event::Asked { taken: true },
        };
        let entries = [entry("0badcafe"), entry("0bad0000"), entry("0badcafe")];
        let run = |name: &str| entries_of(name, &entries).map(|found| found[0].run.clone());
        assert_eq!(run("0badc").expect("one"), "0badcafe");
        assert_eq!(run("0BADCAFE").expect("one"), "0badcafe");
        assert_eq!(run("last").expect("one"), "0bad0000");
        assert_eq!(entries_of("0badcafe", &entries).expect("one").len(), 2);
        assert!(run("0bad").expect_err("two").to_string().contains("0bad0000, 0badcafe"));
        for wrong in ["ff", "", "\u{1b}[2J"] {
            let error = run(wrong).expect_err("none").to_string();
            assert!(error.contains("no run") && !error.contains('\u{1b}'), "{error}");
        }
    }
}
