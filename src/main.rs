//! The `claude-safe` program.

use std::io::Write as _;
use std::process::ExitCode;

use claude_safe::cli::{self, Invocation};
use claude_safe::commands;

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).collect();
    match cli::parse(args) {
        Ok(Invocation::Run(_)) => ExitCode::SUCCESS,
        Ok(Invocation::Ours(command)) => commands::run(command).unwrap_or_else(|error| {
            let _ = writeln!(std::io::stderr(), "claude-safe: {error:#}");
            ExitCode::from(claude_safe::error::exit::OURS)
        }),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
