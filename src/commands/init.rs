//! `claude-safe init SHELL`: the text that makes `claude` mean claude-safe in a shell.
//! In: which shell, and where this program is. Out: the text, on stdout. With `--uninstall` the
//! lines that ask for it in the user's own files: shown, and removed only after a yes.

pub mod rc;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

/// What stands in the templates for the path of this program, quotes included.
pub(super) const PROGRAM: &str = "'@PROGRAM@'";

/// Options of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  eval \"$(claude-safe init bash)\"     as a line of ~/.bashrc (macOS: ~/.bash_profile)
  eval \"$(claude-safe init zsh)\"      as a line of ~/.zshrc
  claude-safe init fish | source      as a line of ~/.config/fish/config.fish
  claude-safe init --uninstall        show these lines, and remove them after a yes

Afterwards `claude …` is `claude-safe run -- …`. `command claude …` stays plain, and
`CLAUDE_SAFE=off claude …` is plain for one call. An alias or a function of yours with this
name stays as it is. For cron, scripts and editors see `claude-safe shim`.")]
pub struct Args {
    /// The shell to write for
    #[arg(value_enum, required_unless_present = "uninstall")]
    shell: Option<Shell>,
    /// Show the lines in your shells' files that call `init`, and remove them after a yes
    #[arg(long)]
    uninstall: bool,
    /// With `--uninstall`: do not ask
    #[arg(long, requires = "uninstall")]
    yes: bool,
}

/// The shells there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// bash 3.2 or newer
    Bash,
    /// zsh 5 or newer
    Zsh,
    /// fish 3.1 or newer
    Fish,
    /// dash, ksh, busybox sh and others
    Posix,
}

impl Shell {
    fn template(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../shell/claude-safe.bash"),
            Self::Zsh => include_str!("../../shell/claude-safe.zsh"),
            Self::Fish => include_str!("../../shell/claude-safe.fish"),
            Self::Posix => include_str!("../../shell/claude-safe.sh"),
        }
    }

    /// Any bytes as one word of this shell.
    fn quote(self, word: &[u8]) -> Vec<u8> {
        let escaped: &[(u8, &[u8])] = match self {
            Self::Fish => &[(b'\'', b"\\'"), (b'\\', b"\\\\")],
            _ => &[(b'\'', b"'\\''")],
        };
        let mut quoted = vec![b'\''];
        for byte in word {
            match escaped.iter().find(|(special, _)| special == byte) {
                Some((_, text)) => quoted.extend_from_slice(text),
                None => quoted.push(*byte),
            }
        }
        quoted.push(b'\'');
        quoted
    }
}

/// `path` as one word of a POSIX shell.
pub(super) fn quote(path: &Path) -> Vec<u8> {
    Shell::Posix.quote(path.as_os_str().as_bytes())
}

/// `template` with each placeholder replaced by its word.
pub(super) fn fill(template: &str, words: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::with_capacity(template.len());
    let mut rest = template;
    while let Some((at, name, word)) = words
        .iter()
        .filter_map(|(name, word)| Some((rest.find(name)?, name, word)))
        .min_by_key(|(at, ..)| *at)
    {
        text.extend_from_slice(&rest.as_bytes()[..at]);
        text.extend_from_slice(word);
        rest = &rest[at + name.len()..];
    }
    text.extend_from_slice(rest.as_bytes());
    text
}

/// Prints the shell's text, or takes its callers away.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.uninstall {
        return uninstall(args.yes);
    }
    let shell = args.shell.expect("clap asks for it without --uninstall");
    let program = std::env::current_exe().context("failed to find our own path")?;
    let word = shell.quote(program.as_os_str().as_bytes());
    let mut out = io::stdout().lock();
    out.write_all(&fill(shell.template(), &[(PROGRAM, word)]))
        .and_then(|()| out.flush())
        .context("failed to write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn uninstall(yes: bool) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let found = rc::find();
    if found.is_empty() {
        writeln!(out, "no file of your shells calls `claude-safe init`")?;
        return Ok(ExitCode::SUCCESS);
    }
    remove_lines(&mut out, &found, yes)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the lines, asks, and removes those that are wholly ours.
pub(super) fn remove_lines(
    out: &mut impl io::Write,
    found: &[rc::Line],
    yes: bool,
) -> anyhow::Result<()> {
    for line in found {
        let note = if line.ours { "" } else { "   (not in a form of ours: yours to edit)" };
        writeln!(out, "{}:{}: {}{note}", line.file.display(), line.number, line.text)?;
    }
    let mut files: Vec<&Path> =
        found.iter().filter(|line| line.ours).map(|line| line.file.as_path()).collect();
    files.dedup();
    if files.is_empty() || !(yes || confirmed("remove these lines?")) {
        writeln!(out, "nothing was changed")?;
        return Ok(());
    }
    for file in files {
        let removed = rc::remove(file)
            .with_context(|| format!("failed to remove our lines from {}", file.display()))?;
        writeln!(out, "removed {removed} from {}", file.display())?;
    }
    writeln!(out, "shells that are open keep their `claude` until they end")?;
    Ok(())
}

/// Asks at the terminal; without one the answer is no.
pub(super) fn confirmed(question: &str) -> bool {
    if !io::stdin().is_terminal() {
        crate::notice::say(&format!("{question} there is no terminal to ask at; --yes says yes"));
        return false;
    }
    let _ = write!(io::stderr().lock(), "claude-safe: {question} [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_one_word() {
        let quoted = |shell: Shell| String::from_utf8(shell.quote(br"it's \n $x")).expect("text");
        assert_eq!(quoted(Shell::Bash), r"'it'\''s \n $x'");
        assert_eq!(quoted(Shell::Fish), r"'it\'s \\n $x'");
    }

    #[test]
    fn every_template_has_its_placeholder_once_and_a_path_cannot_bring_another() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Posix] {
            assert_eq!(shell.template().matches(PROGRAM).count(), 1, "{shell:?}");
        }
        let words = [("'A'", b"'B'".to_vec()), ("'B'", b"'A'".to_vec())];
        assert_eq!(fill("x 'A' 'B' y", &words), b"x 'B' 'A' y");
    }
}
