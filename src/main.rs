//! The `claude-safe` program.

use std::path::Path;
use std::process::ExitCode;

use claude_safe::claude::{hooks, status_line};
use claude_safe::cli::{self, Invocation};
use claude_safe::demo::stand_in;
use claude_safe::error::{Usage, exit};
use claude_safe::{commands, run};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
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
    match cli::parse(args) {
        Ok(Invocation::Run(args)) => run::run(&args),
        Ok(Invocation::Ours(command)) => commands::run(command).unwrap_or_else(|error| {
            claude_safe::notice::say(&format!("{error:#}"));
            ExitCode::from(if error.is::<Usage>() { exit::USAGE } else { exit::OURS })
        }),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
