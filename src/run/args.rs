//! The options of `claude-safe run`: what a start of claude can be told.

use std::ffi::OsString;

/// `run [OPTIONS] -- CLAUDE'S ARGUMENTS`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "Examples:
  claude-safe run -- --continue
  claude-safe run --quiet -- -p 'Summarise the changes' > summary.txt
  claude-safe run --job nightly --set retry.horizon_headless=24h -- -p \"$(cat task.md)\"")]
pub struct RunArgs {
    /// Print nothing on stderr while waiting
    #[arg(long)]
    pub quiet: bool,
    /// Use this profile of the configuration
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Set a configuration key for this run (`--set retry.max_wait=10s`)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Without a terminal: wait this long for someone to sign in
    #[arg(long, value_name = "DURATION")]
    pub wait_for_login: Option<String>,
    /// Remember the session under this name, and resume it when the job is run again
    #[arg(long, value_name = "NAME")]
    pub job: Option<String>,
    /// The job is done once for all: if it ended well before, start nothing
    #[arg(long, requires = "job", hide = true)]
    pub once: bool,
    /// Print what would be done for each kind of failure, and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Claude's arguments
    #[arg(last = true, value_name = "ARGS")]
    pub claude_args: Vec<OsString>,
}
