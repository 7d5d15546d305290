//! `claude-safe backup`: snapshots of Claude's history and settings by hand.
//! In: arguments, the configuration. Out: text or JSON on standard output, notes on standard
//! error. Exit 0 done, 1 damaged, refused or something was kept back, 2 bad usage.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::backup::{self, Error, prune};
use crate::error::Usage;

mod create;
mod export;
mod inspect;
mod output;
mod restore;

use output::{Output, note};

/// `backup COMMAND`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    claude-safe backup create\n  \
    claude-safe backup restore --session 0b4f… --dry-run\n  \
    claude-safe backup export latest history.tar.zst")]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    command: BackupCommand,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Take a snapshot of the history and settings
    #[command(after_help = "Examples:
  claude-safe backup create
  claude-safe backup create --verify")]
    Create {
        /// Read everything back from the disk afterwards
        #[arg(long)]
        verify: bool,
    },
    /// List the snapshots
    #[command(after_help = "Examples:
  claude-safe backup list
  claude-safe backup list --json")]
    List,
    /// Show what a snapshot holds
    #[command(after_help = "Examples:
  claude-safe backup show
  claude-safe backup show 3")]
    Show {
        /// Its name or number
        #[arg(default_value = "latest")]
        snapshot: String,
    },
    /// Read a snapshot back from the disk and compare it with its manifest
    #[command(after_help = "Examples:
  claude-safe backup verify
  claude-safe backup verify --all")]
    Verify {
        /// Its name or number
        #[arg(default_value = "latest")]
        snapshot: String,
        /// Every snapshot
        #[arg(long, conflicts_with = "snapshot")]
        all: bool,
    },
    /// Bring files back; nothing newer or different is overwritten without --force
    #[command(after_help = "Examples:
  claude-safe backup restore --dry-run
  claude-safe backup restore --session 0b4f…
  claude-safe backup restore 3 --to /tmp/look")]
    Restore(restore::RestoreArgs),
    /// Show what changed since a snapshot, or between two
    #[command(after_help = "Examples:
  claude-safe backup diff
  claude-safe backup diff 3 latest")]
    Diff {
        /// The earlier one
        #[arg(default_value = "latest")]
        old: String,
        /// The later one; without it, the live files
        new: Option<String>,
    },
    /// Remove snapshots beyond the configured number, age and size, never the last good one
    #[command(after_help = "Examples:
  claude-safe backup prune --dry-run
  claude-safe backup prune")]
    Prune {
        /// Only show what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Write a snapshot as one ordinary .tar.zst
    #[command(after_help = "Examples:
  claude-safe backup export latest history.tar.zst
  claude-safe backup export latest - | tar --zstd -t")]
    Export {
        /// Its name or number
        snapshot: String,
        /// Where to; `-` is standard output
        file: PathBuf,
    },
}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (config, problems) = crate::config::load(
        &crate::paths::config_file(),
        crate::config::Profile::Base,
        environment,
    );
    for problem in problems {
        note(&problem.to_string());
    }
    let store = backup::store(&config);
    let limits = prune::Limits::of(&config);
    let mut out = Output { json: args.json };
    let done = match args.command {
        BackupCommand::Create { verify } => create::create(&store, &limits, verify, &mut out),
        BackupCommand::List => inspect::list(&store, &mut out),
        BackupCommand::Show { snapshot } => inspect::show(&store, &snapshot, &mut out),
        BackupCommand::Verify { snapshot, all } => {
            inspect::verify(&store, &snapshot, all, &mut out)
        }
        BackupCommand::Restore(restore) => restore::run(&store, &restore, &mut out),
        BackupCommand::Diff { old, new } => inspect::diff(&store, &old, new.as_deref(), &mut out),
        BackupCommand::Prune { dry_run } => create::remove(&store, &limits, dry_run, &mut out),
        BackupCommand::Export { snapshot, file } => export::run(&store, &snapshot, &file),
    };
    done.or_else(|error| match error.downcast_ref::<Error>() {
        Some(Error::NoSuchSnapshot(text)) => Err(Usage(text.clone()).into()),
        Some(Error::Damaged { .. } | Error::InUse { .. } | Error::Refused(_)) => {
            note(&error.to_string());
            Ok(ExitCode::FAILURE)
        }
        _ => Err(error),
    })
}
