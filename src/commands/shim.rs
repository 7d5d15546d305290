//! `claude-safe shim`: a `claude` for callers that no shell function reaches: cron, scripts,
//! editors. In: a directory of our own. Out: a small script there, what becomes of it. Never
//! writes over or removes a file that does not carry our mark, least of all Claude's own.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::init::{PROGRAM, fill, quote};
use crate::claude::locate;
use crate::paths;

const TEMPLATE: &str = include_str!("../../shell/claude");

/// What stands in the template for the directory of the real claude.
const CLAUDE: &str = "'@CLAUDE@'";

/// Where shims were put, beside those on PATH: one path a line, in the state directory.
const RECORD: &str = "shims";

/// Options of `shim`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe shim install               in a directory of its own; prints the PATH line
  claude-safe shim install --dir ~/bin/claude-safe.d
  claude-safe shim status                is it there, and does PATH reach it first?
  claude-safe shim remove

The shim finds the real claude at each start and, if claude-safe is gone, runs it plainly.
`CLAUDE_SAFE=off` in the environment skips claude-safe. Cron calls it by its whole path.")]
pub struct Args {
    #[command(subcommand)]
    command: ShimCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ShimCommand {
    /// Put a `claude` in a directory of its own
    #[command(after_help = "Examples:
  claude-safe shim install
  claude-safe shim install --dir /opt/claude-safe/bin")]
    Install {
        /// The directory, instead of claude-safe's own
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Say where it is and whether PATH reaches it first (exit 1 if not)
    #[command(after_help = "Examples:
  claude-safe shim status
  claude-safe shim status || claude-safe shim install")]
    Status,
    /// Take it away
    #[command(after_help = "Examples:
  claude-safe shim remove
  claude-safe shim remove --dir /opt/claude-safe/bin")]
    Remove {
        /// Only the one in this directory
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Installs, tells or removes.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match args.command {
        ShimCommand::Install { dir } => install(&mut out, dir),
        ShimCommand::Status => status(&mut out),
        ShimCommand::Remove { dir } => {
            let dir = dir.map(std::path::absolute).transpose()?;
            let shims = installed();
            let mut shims = shims
                .into_iter()
                .filter(|shim| dir.as_deref().is_none_or(|dir| shim.parent() == Some(dir)))
                .peekable();
            if shims.peek().is_none() {
                writeln!(out, "there is no shim")?;
            }
            shims.try_for_each(|shim| remove(&mut out, &shim))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn default_dir() -> PathBuf {
    dirs::data_dir()
        .unwrap_or_else(|| paths::home().join(".local/share"))
        .join("claude-safe")
        .join("bin")
}

fn install(out: &mut impl Write, dir: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let own = dir.is_none();
    let dir = std::path::absolute(dir.unwrap_or_else(default_dir))
        .context("failed to resolve the directory")?;
    if dir.as_os_str().as_bytes().contains(&b':') {
        bail!("failed to use {}: PATH cannot hold a name with `:`", dir.display());
    }
    let shim = dir.join("claude");
    if shim.symlink_metadata().is_ok() && !is_ours(&shim) {
        bail!(
            "failed to install {}: a claude that is not ours is there\n\
             hint: the shim needs a directory of its own: `claude-safe shim install`",
            shim.display()
        );
    }
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("failed to make the directory {}", dir.display()))?;
    if own {
        paths::private_dir(&dir).context("failed to make the shim's directory private")?;
    }
    let program = std::env::current_exe().context("failed to find our own path")?;
    let claude = locate::find(None, std::env::var_os("PATH").as_deref()).ok();
    let known = claude.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let text = fill(TEMPLATE, &[(PROGRAM, quote(&program)), (CLAUDE, quote(known))]);
    paths::write_private(&shim, &text)
        .and_then(|()| std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("failed to write {}", shim.display()))?;
    record(&shim).context("failed to remember where the shim is")?;
    writeln!(out, "installed {}", shim.display())?;
    if claude.is_none() {
        writeln!(out, "no claude is on PATH yet; the shim looks for it at each start")?;
    }
    if first_on_path().as_deref() != Some(&*shim) {
        let bash = String::from_utf8_lossy(&quote(&dir)).into_owned();
        writeln!(out, "put its directory first on PATH, after all else that changes PATH:")?;
        writeln!(out, "  bash, zsh (~/.profile, ~/.zprofile):  export PATH={bash}:\"$PATH\"")?;
        writeln!(out, "  fish:  fish_add_path --move --prepend {bash}")?;
        let whole = String::from_utf8_lossy(&quote(&shim)).into_owned();
        writeln!(out, "  cron, editors:  name {whole} itself")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn status(out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let shims = installed();
    let first = first_on_path();
    let reached = first.as_deref().is_some_and(is_ours);
    for shim in &shims {
        writeln!(out, "shim: {}", shim.display())?;
    }
    if shims.is_empty() {
        writeln!(out, "shim: none (`claude-safe shim install`)")?;
    }
    match first {
        Some(first) if reached => writeln!(out, "`claude` on PATH: the shim {}", first.display())?,
        Some(first) => writeln!(out, "`claude` on PATH: {}, not a shim", first.display())?,
        None => writeln!(out, "`claude` on PATH: none")?,
    }
    match locate::find(None, std::env::var_os("PATH").as_deref()) {
        Ok(claude) => writeln!(out, "the real claude: {}", claude.display())?,
        Err(_) => writeln!(out, "the real claude: not on PATH")?,
    }
    Ok(ExitCode::from(u8::from(!reached)))
}

/// Removes a shim, and its directories if nothing else is in them.
pub(super) fn remove(out: &mut impl Write, shim: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(shim).with_context(|| format!("failed to remove {}", shim.display()))?;
    writeln!(out, "removed {}", shim.display())?;
    if let Some(dir) = shim.parent() {
        // Only an empty one goes.
        let gone = std::fs::remove_dir(dir).is_ok();
        if gone && dir == default_dir() {
            // made by us as well
            let _ = dir.parent().map(std::fs::remove_dir);
        }
        let search = std::env::var_os("PATH").unwrap_or_default();
        if std::env::split_paths(&search).any(|one| one == dir) {
            let dir = dir.display();
            writeln!(
                out,
                "{dir} is still on PATH: the line that puts it there is yours to remove"
            )?;
        }
    }
    Ok(())
}

/// All shims: the recorded ones, the usual place, and those on PATH.
pub(super) fn installed() -> Vec<PathBuf> {
    let recorded = std::fs::read(paths::state_dir().join(RECORD)).unwrap_or_default();
    let recorded = recorded
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"/"))
        .map(|line| PathBuf::from(std::ffi::OsStr::from_bytes(line)));
    let search = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&search).map(|dir| dir.join("claude"));
    let mut shims: Vec<PathBuf> = Vec::new();
    for shim in recorded.chain([default_dir().join("claude")]).chain(on_path) {
        if is_ours(&shim) && !shims.contains(&shim) {
            shims.push(shim);
        }
    }
    shims
}

fn record(shim: &Path) -> io::Result<()> {
    let dir = paths::state_dir();
    paths::private_dir(&dir)?;
    let mut all = installed();
    if !all.iter().any(|known| known == shim) {
        all.push(shim.to_owned());
    }
    let mut text = Vec::new();
    for shim in all.iter().filter(|shim| !shim.as_os_str().as_bytes().contains(&b'\n')) {
        text.extend_from_slice(shim.as_os_str().as_bytes());
        text.push(b'\n');
    }
    paths::write_private(&dir.join(RECORD), &text)
}

/// A regular file of ours, not a link: what a link leads to is not ours to remove.
fn is_ours(file: &Path) -> bool {
    file.symlink_metadata().is_ok_and(|meta| meta.is_file()) && locate::is_shim(file)
}

fn first_on_path() -> Option<PathBuf> {
    let search = std::env::var_os("PATH")?;
    std::env::split_paths(&search).map(|dir| dir.join("claude")).find(|file| {
        std::fs::metadata(file)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}
