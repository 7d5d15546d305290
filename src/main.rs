//! The `claude-safe` program.

use std::process::ExitCode;

use claude_safe::cli::{self, Invocation};

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).collect();
    match cli::parse(args) {
        Ok(Invocation::Run(_) | Invocation::Ours(_)) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
