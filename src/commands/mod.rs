//! The subcommands, one file each.

pub mod backup;
pub mod check;
pub mod demo;

use std::process::ExitCode;

use crate::cli::Command;

/// Runs one of our own commands.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Backup(args) => backup::run(args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Try(args) => demo::try_it(args),
        Command::Run(_) => unreachable!("`cli::parse` takes `run` apart"),
    }
}
