//! `claude-safe completions SHELL`: tab completion of claude-safe's own words, from the clap
//! types. Claude's own completions are for the word `claude` and are left alone.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;

/// Options of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe completions bash > ~/.local/share/bash-completion/completions/claude-safe
  claude-safe completions zsh > ~/.zfunc/_claude-safe       (a directory of $fpath)
  claude-safe completions fish > ~/.config/fish/completions/claude-safe.fish")]
pub struct Args {
    /// The shell to write for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them for the whole command line.
pub fn run(args: &Args, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, command, "claude-safe", &mut text);
    let mut out = io::stdout().lock();
    out.write_all(&text).and_then(|()| out.flush()).context("failed to write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
