//! The subcommands, one file each.

pub mod backup;
pub mod check;
pub mod completions;
pub mod config;
pub mod demo;
pub mod explain;
pub mod init;
pub mod log;
pub mod man;
pub mod queue;
pub mod report;
pub mod rules;
pub mod shim;
pub mod status;
pub mod uninstall;

use std::process::ExitCode;

use crate::cli::Command;

/// Runs one of our own commands.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Backup(args) => backup::run(args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Try(args) => demo::try_it(args),
        Command::Completions(args) => completions::run(&args),
        Command::Config(args) => config::run(args),
        Command::Init(args) => init::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Shim(args) => shim::run(args),
        Command::Uninstall(args) => uninstall::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Queue(args) => queue::run(args),
        Command::Report(args) => report::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Run(_) => unreachable!("`cli::parse` takes `run` apart"),
    }
}
