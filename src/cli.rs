//! The command line of claude-safe itself. Claude's own arguments are never parsed here:
//! when the first argument is none of our words, everything goes to claude untouched.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::claude::{hooks, status_line};
use crate::commands;
use crate::demo::stand_in;
use crate::error::{Usage, exit};
use crate::notice;
use crate::run::{self, RunArgs};

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
    Try(commands::demo::TryArgs),
    /// Watch a recovery around a scripted stand-in for claude
    Demo(commands::demo::DemoArgs),
    /// Say what stands between this machine and a working Claude
    Check(commands::check::Args),
    /// Show the runs of now and of the last day
    Status(commands::status::Args),
    /// Tell what happened overnight
    Report(commands::report::Args),
    /// Print what one run did, and follow it
    Log(commands::log::Args),
    /// Say why a run decided as it did, or what a recording would be taken for
    Explain(commands::explain::Args),
    /// Take, check and restore snapshots of Claude's history and settings
    Backup(commands::backup::Args),
    /// Show, check or edit the configuration
    Config(commands::config::Args),
    /// List and test the rules that recognise failures
    Rules(commands::rules::Args),
    /// Make `claude` mean claude-safe in a shell
    Init(commands::init::Args),
    /// Make `claude` mean claude-safe for cron, scripts and editors
    Shim(commands::shim::Args),
    /// Hand in tasks, and run them when the service lets them
    Queue(commands::queue::Args),
    /// Take away shim, shell lines and, if asked, the state
    Uninstall(commands::uninstall::Args),
    /// Print tab completions for a shell
    Completions(commands::completions::Args),
    /// Print the manual page
    Man(commands::man::Args),
}

/// Does what the arguments (without the program's name) ask for.
#[must_use]
pub fn start(args: Vec<OsString>) -> ExitCode {
    // Claude's hooks and status line come first: they must be quick, silent, and never fail.
    if let [word, target] = args.as_slice() {
        if word == hooks::HOOK_WORD {
            hooks::send_stdin(Path::new(target));
            return ExitCode::SUCCESS;
        }
        if word == status_line::STATUS_WORD {
            status_line::print(Path::new(target));
            return ExitCode::SUCCESS;
        }
        if word == status_line::KEEPER_WORD {
            status_line::keep(Path::new(target));
            return ExitCode::SUCCESS;
        }
    }
    if let [word, rest @ ..] = args.as_slice()
        && word == stand_in::WORD
    {
        return stand_in::play(rest).map_or(ExitCode::FAILURE, ExitCode::from);
    }
    match parse(args) {
        Ok(Invocation::Run(args)) => run::run(&args, is_run),
        Ok(Invocation::Ours(command)) => execute(command).unwrap_or_else(|error| {
            notice::say(&format!("{error:#}"));
            ExitCode::from(if error.is::<Usage>() { exit::USAGE } else { exit::OURS })
        }),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

/// What the arguments ask for.
#[derive(Debug)]
enum Invocation {
    /// Start claude.
    Run(RunArgs),
    /// One of our own commands.
    Ours(Command),
}

/// Sorts the arguments (without the program's name).
fn parse(args: Vec<OsString>) -> Result<Invocation, clap::Error> {
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

/// Whether these arguments (without the program's name) start claude.
fn is_run(args: &[OsString]) -> bool {
    // the options of `run` may be cut off
    args.first().is_some_and(|word| word == "run")
        || matches!(parse(args.to_vec()), Ok(Invocation::Run(_)))
}

fn is_ours(word: &str) -> bool {
    matches!(word, "-h" | "--help" | "-V" | "--version")
        || Cli::command().get_subcommands().any(|command| command.get_name() == word)
}

/// Runs one of our own commands.
fn execute(command: Command) -> anyhow::Result<ExitCode> {
    use commands::{
        backup, check, completions, config, demo, explain, init, log, man, queue, report, rules,
        shim, status, uninstall,
    };
    match command {
        Command::Backup(args) => backup::run(args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Try(args) => demo::try_it(args, |args| run::run(args, is_run)),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()),
        Command::Config(args) => config::run(args),
        Command::Init(args) => init::run(&args),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Shim(args) => shim::run(args),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Queue(args) => queue::run(args),
        Command::Report(args) => report::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Run(_) => unreachable!("`parse` takes `run` apart"),
    }
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
