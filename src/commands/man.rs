//! `claude-safe man`: the manual pages, from the clap types. In: a directory, or none. Out: one
//! page for the program and one for each command there, or the program's on stdout.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::config::reference;
use crate::error::exit;

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

/// Prints or writes the pages of the whole command line.
pub fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
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
    // Examples and tables are set as they stand, which the generator's own section does not do.
    let examples = command.get_after_help().map(ToString::to_string);
    let man = clap_mangen::Man::new(command.clone().after_help(None))
        .title(name.to_uppercase())
        .source(concat!("claude-safe ", env!("CARGO_PKG_VERSION")));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(text) = examples {
        let text = text.strip_prefix("Examples:\n").unwrap_or(&text);
        as_it_stands(&mut page, "EXAMPLES", text)?;
    }
    if name == "claude-safe" {
        let mut codes =
            "Claude's own exit code passes through. Of claude-safe itself are:\n\n".to_owned();
        for (code, meaning) in exit::TABLE {
            codes.extend([&format!("{code:>5}"), "  ", meaning, "\n"]);
        }
        as_it_stands(&mut page, "EXIT STATUS", &codes)?;
        let mut variables = String::new();
        for (name, doc) in reference::VARIABLES {
            variables.extend([name, "\n    ", doc, "\n"]);
        }
        as_it_stands(&mut page, "ENVIRONMENT", &variables)?;
    }
    Ok(page)
}

/// A section whose lines are neither filled nor read as requests of the formatter.
fn as_it_stands(page: &mut Vec<u8>, heading: &str, text: &str) -> io::Result<()> {
    writeln!(page, ".SH {heading}\n.nf")?;
    for line in text.trim_end().lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        writeln!(page, "{guard}{line}")?;
    }
    writeln!(page, ".fi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_example_is_a_request_of_the_formatter() {
        let mut page = Vec::new();
        as_it_stands(&mut page, "X", ".so /etc/passwd\n'x\na \\n --b\n").expect("written");
        let text = String::from_utf8(page).expect("text");
        assert_eq!(text, ".SH X\n.nf\n\\&.so /etc/passwd\n\\&'x\na \\en \\-\\-b\n.fi\n");
    }
}
