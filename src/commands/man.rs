//! `claude-safe man`: the manual pages, from the clap types. In: a directory, or none. Out: one
//! page for the program and one for each command there, or the program's on stdout.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;

/// Options of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe man | man -l -                            read it now
  claude-safe man --dir ~/.local/share/man/man1         all pages, for `man claude-safe-run`")]
pub struct Args {
    /// Write all pages into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes the pages.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut command = crate::cli::Cli::command();
    command.build();
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("failed to make the directory {}", dir.display()))?;
            write_pages(&command, "claude-safe", dir)?;
        }
        None => {
            let page = page(&command, "claude-safe")?;
            let mut out = io::stdout().lock();
            out.write_all(&page).and_then(|()| out.flush()).context("failed to write to stdout")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_pages(command: &clap::Command, name: &str, dir: &Path) -> anyhow::Result<()> {
    let file = dir.join(format!("{name}.1"));
    std::fs::write(&file, page(command, name)?)
        .with_context(|| format!("failed to write {}", file.display()))?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        if below.get_name() != "help" {
            write_pages(below, &format!("{name}-{}", below.get_name()), dir)?;
        }
    }
    Ok(())
}

fn page(command: &clap::Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("claude-safe ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    Ok(page)
}
