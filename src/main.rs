//! The `claude-safe` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    claude_safe::start(std::env::args_os().skip(1).collect())
}
