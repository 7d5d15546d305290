//! The command line of claude-safe itself. Claude's own arguments are never parsed here:
//! when the first argument is none of our words, everything goes to claude untouched.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Starts the real Claude Code and brings it through outages of its sign-in and API service.
#[derive(Debug, Parser)]
#[command(
    name = "claude-safe",
    version,
    about,
    override_usage = "claude-safe [CLAUDE'S ARGUMENTS]\n       claude-safe <COMMAND> [OPTIONS]",
    disable_help_subcommand = true,
    after_help = "Examples:
  claude-safe                        start claude; every argument is claude's own
  claude-safe -p 'Fix the tests'     without a terminal
  claude-safe check                  what is wrong, if something is
  eval \"$(claude-safe init bash)\"    from now on, `claude` is claude-safe"
)]
pub struct Cli {
    /// What to do; anything else is passed to claude.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands; each lives in a file of its own below `commands/`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start claude with options of ours before `--`
    Run(RunArgs),
    /// Start the real claude if it is on PATH, else the demonstration
    Try(crate::commands::demo::TryArgs),
    /// Watch a recovery around a scripted stand-in for claude
    Demo(crate::commands::demo::DemoArgs),
    /// Say what stands between this machine and a working Claude
    Check(crate::commands::check::Args),
    /// Show the runs of now and of the last day
    Status(crate::commands::status::Args),
    /// Tell what happened overnight
    Report(crate::commands::report::Args),
    /// Print what one run did, and follow it
    Log(crate::commands::log::Args),
    /// Say why a run decided as it did, or what a recording would be taken for
    Explain(crate::commands::explain::Args),
    /// Take, check and restore snapshots of Claude's history and settings
    Backup(crate::commands::backup::Args),
    /// Show, check or edit the configuration
    Config(crate::commands::config::Args),
    /// List and test the rules that recognise failures
    Rules(crate::commands::rules::Args),
    /// Make `claude` mean claude-safe in a shell
    Init(crate::commands::init::Args),
    /// Make `claude` mean claude-safe for cron, scripts and editors
    Shim(crate::commands::shim::Args),
    /// Hand in tasks, and run them when the service lets them
    Queue(crate::commands::queue::Args),
    /// Take away shim, shell lines and, if asked, the state
    Uninstall(crate::commands::uninstall::Args),
    /// Print tab completions for a shell
    Completions(crate::commands::completions::Args),
    /// Print the manual page
    Man(crate::commands::man::Args),
}

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

/// What the arguments ask for.
#[derive(Debug)]
pub enum Invocation {
    /// Start claude.
    Run(RunArgs),
    /// One of our own commands.
    Ours(Command),
}

/// Sorts the arguments (without the program's name).
pub fn parse(args: Vec<OsString>) -> Result<Invocation, clap::Error> {
    let first = args.first().and_then(|arg| arg.to_str());
    if !first.is_some_and(is_ours) {
        return Ok(Invocation::Run(RunArgs { claude_args: args, ..RunArgs::default() }));
    }
    let program = OsString::from("claude-safe");
    Ok(match Cli::try_parse_from(std::iter::once(program).chain(args))?.command {
        Command::Run(run) => Invocation::Run(run),
        command => Invocation::Ours(command),
    })
}

fn is_ours(word: &str) -> bool {
    matches!(word, "-h" | "--help" | "-V" | "--version")
        || Cli::command().get_subcommands().any(|command| command.get_name() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn words_of_claude_reach_claude_untouched() {
        for args in [&["auth", "login"][..], &["-p", "run"], &["mcp"], &["--resume"], &[]] {
            let args: Vec<OsString> = args.iter().map(Into::into).collect();
            let Ok(Invocation::Run(run)) = parse(args.clone()) else { panic!("{args:?}") };
            assert_eq!(run.claude_args, args);
        }
    }
}
