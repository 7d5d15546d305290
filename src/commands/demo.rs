//! `claude-safe demo` and `claude-safe try`.

use std::process::ExitCode;

use crate::claude::locate;
use crate::run::RunArgs;

/// Options of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe demo          watch a recovery in this terminal
  claude-safe demo | cat    the same without a terminal")]
pub struct DemoArgs {}

/// Options of `try`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe try           the real claude if it is on PATH, else the demonstration
  claude-safe try -- -p hi  with arguments for claude")]
pub struct TryArgs {
    /// Claude's arguments
    #[arg(last = true, value_name = "ARGS")]
    claude_args: Vec<std::ffi::OsString>,
}

/// The demonstration.
pub fn run(_args: &DemoArgs) -> anyhow::Result<ExitCode> {
    crate::demo::run()
}

/// The real claude, or the demonstration where there is none.
pub fn try_it(args: TryArgs, start: impl FnOnce(&RunArgs) -> ExitCode) -> anyhow::Result<ExitCode> {
    if locate::find(None, std::env::var_os("PATH").as_deref()).is_err() {
        crate::notice::say("there is no `claude` on PATH, so here is a demonstration");
        return crate::demo::run();
    }
    Ok(start(&RunArgs { claude_args: args.claude_args, ..RunArgs::default() }))
}
