//! The subcommands, one file each.

pub mod backup;
pub mod check;
pub mod explain;
pub mod log;
pub mod report;
pub mod rules;
pub mod status;

use std::process::ExitCode;

use crate::cli::Command;

/// Runs one of our own commands.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Backup(args) => backup::run(args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Run(_) => unreachable!("`cli::parse` takes `run` apart"),
    }
}
