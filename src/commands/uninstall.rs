//! `claude-safe uninstall`: takes away what claude-safe put outside its own package.
//! In: which parts. Out: what was removed, what stays and where. Never removes a backup without
//! `--purge`, the configuration, or anything of Claude's.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::{init, shim};
use crate::error::Usage;
use crate::{paths, runs};

/// What we write into the state directory, by name: it may be a directory that the user chose,
/// so nothing else in it is ours to remove.
const STATE: &[&str] = &[
    "api-key-runs",
    "breaker",
    "jobs",
    "journal.1.jsonl",
    "journal.jsonl",
    "locks",
    "log",
    "replaced",
    "runs",
    "shims",
    "status-page.json",
    "turns",
    "unknown",
    "updated",
    "versions.json",
];

/// What may be someone's only copy.
const PRECIOUS: &[&str] = &["backups", "credentials-aside", "queue", "worktrees"];

/// Options of `uninstall`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe uninstall                  the shim, and the lines in your shells' files
  claude-safe uninstall --state          journal, logs and caches too
  claude-safe uninstall --purge --yes    all of it, backups too, without a question

Each step is shown and asked for first. The configuration stays, and so does everything
of Claude Code, which works as before.")]
pub struct Args {
    /// Remove the state as well: journal, logs, caches; never backups
    #[arg(long)]
    state: bool,
    /// Remove the state and the backups: they cannot be brought back
    #[arg(long)]
    purge: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Removes what was asked for.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let state = paths::state_dir();
    let removes_state = args.state || args.purge;
    if removes_state && let Some(pid) = runs::living(&state).into_values().next() {
        return Err(Usage(format!("a run is going on (process {pid}): end it first")).into());
    }
    let shims = shim::installed();
    for shim in &shims {
        writeln!(out, "shim: {}", shim.display())?;
    }
    if !shims.is_empty() && (args.yes || init::confirmed("remove the shim?")) {
        shims.iter().try_for_each(|one| shim::remove(&mut out, one))?;
    }
    let lines = init::rc::find();
    if !lines.is_empty() {
        init::remove_lines(&mut out, &lines, args.yes)?;
    }
    if removes_state {
        remove_state(&mut out, &state, args)?;
    }
    what_stays(&mut out, &state)?;
    Ok(ExitCode::SUCCESS)
}

fn remove_state(out: &mut impl Write, state: &Path, args: &Args) -> anyhow::Result<()> {
    let precious: &[&str] = if args.purge { PRECIOUS } else { &[] };
    let names: Vec<&str> = STATE
        .iter()
        .chain(precious)
        .copied()
        .filter(|name| state.join(name).symlink_metadata().is_ok())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    writeln!(out, "in {}: {}", state.display(), names.join(", "))?;
    let question = if names.iter().any(|name| PRECIOUS.contains(name)) {
        "remove these, backups, tasks and worktrees included? They cannot be brought back."
    } else {
        "remove these?"
    };
    if !(args.yes || init::confirmed(question)) {
        return Ok(());
    }
    for name in names {
        let path = state.join(name);
        let meta = path.symlink_metadata();
        // A link goes, never what it leads to.
        let removed = if meta.is_ok_and(|meta| meta.is_dir()) {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.with_context(|| format!("failed to remove {}", path.display()))?;
        writeln!(out, "removed {}", path.display())?;
    }
    // Only an empty one goes.
    let _ = std::fs::remove_dir(state);
    Ok(())
}

fn what_stays(out: &mut impl Write, state: &Path) -> io::Result<()> {
    let config = paths::config_file();
    if config.exists() {
        writeln!(out, "stays: {} (your configuration)", config.display())?;
    }
    if state.exists() {
        let there = |names: &[&str]| names.iter().any(|name| state.join(name).exists());
        let what = match (there(STATE), there(PRECIOUS)) {
            (true, true) => "journal and logs: --state; backups too: --purge",
            (true, false) => "journal and logs: `claude-safe uninstall --state`",
            (false, true) => "backups: `claude-safe uninstall --purge`",
            (false, false) => "nothing of ours is in it",
        };
        writeln!(out, "stays: {} ({what})", state.display())?;
    }
    if let Ok(program) = std::env::current_exe() {
        writeln!(out, "the program itself: {} ({})", program.display(), way_out(&program))?;
    }
    Ok(())
}

/// How what brought the program here takes it away again.
fn way_out(program: &Path) -> String {
    let real = std::fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let has = |name: &str| real.iter().any(|part| part == name);
    if has("node_modules") {
        // The program lies in `…/node_modules/[@scope/]PACKAGE-PLATFORM/bin`.
        return npm_package(&real).map_or_else(
            || "remove it with npm".to_owned(),
            |package| format!("`npm uninstall -g {package}`"),
        );
    }
    if has("Cellar") || real.starts_with("/opt/homebrew") {
        "`brew uninstall claude-safe`".to_owned()
    } else if real.starts_with("/usr/bin") {
        "`apt remove claude-safe`".to_owned()
    } else if has(".cargo") {
        "`cargo uninstall claude-safe`".to_owned()
    } else {
        "remove the file".to_owned()
    }
}

/// The package that was installed: the outermost one, which brought the program's own along.
fn npm_package(program: &Path) -> Option<String> {
    let mut parts = program.iter().map(|part| part.to_string_lossy());
    parts.find(|part| part == "node_modules")?;
    let first = parts.next()?;
    let package = match first.strip_prefix('@') {
        Some(_) => format!("{first}/{}", parts.next()?),
        None => first.into_owned(),
    };
    let platforms = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];
    let bare = platforms.iter().find_map(|name| package.strip_suffix(&format!("-{name}")));
    Some(bare.map_or(package.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_installed_it_is_named_for_its_removal() {
        for (program, way) in [
            ("/usr/bin/claude-safe", "`apt remove claude-safe`"),
            ("/home/u/.cargo/bin/claude-safe", "`cargo uninstall claude-safe`"),
            (
                "/opt/homebrew/Cellar/claude-safe/0.1.0/bin/claude-safe",
                "`brew uninstall claude-safe`",
            ),
            ("/usr/local/Cellar/claude-safe/0.1.0/bin/claude-safe", "`brew uninstall claude-safe`"),
            ("/usr/lib/node_modules/claude-safe/bin/claude-safe", "`npm uninstall -g claude-safe`"),
            (
                "/h/lib/node_modules/claude-safe/node_modules/claude-safe-linux-x64/bin/claude-safe",
                "`npm uninstall -g claude-safe`",
            ),
            (
                "/h/lib/node_modules/@us/claude-safe-darwin-arm64/bin/claude-safe",
                "`npm uninstall -g @us/claude-safe`",
            ),
            ("/opt/tools/claude-safe", "remove the file"),
        ] {
            assert_eq!(way_out(Path::new(program)), way, "{program}");
        }
    }

    /// Every name that the source puts directly below the state directory.
    fn written() -> std::collections::BTreeSet<String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let joined = regex::Regex::new(
            r#"state(?:_dir)?(?:\(\))?\s*\.join\((?:"([a-z0-9.-]+)"|([A-Z_]+))\)"#,
        )
        .expect("a pattern");
        let (mut names, mut dirs) = (std::collections::BTreeSet::new(), vec![source]);
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("there").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("text");
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                for found in joined.captures_iter(text) {
                    let constant = found.get(2).map(|name| {
                        let pattern = format!(r#"const {}: &str = "([^"]+)""#, name.as_str());
                        let constant = regex::Regex::new(&pattern).expect("a pattern");
                        let path = path.display();
                        let value = constant.captures(text).unwrap_or_else(|| panic!("{path}"));
                        value[1].to_owned()
                    });
                    names.extend(constant.or_else(|| Some(found.get(1)?.as_str().to_owned())));
                }
            }
        }
        names
    }

    #[test]
    fn whatever_is_written_into_the_state_directory_is_taken_away() {
        let known: Vec<&str> = STATE.iter().chain(PRECIOUS).copied().collect();
        let written = written();
        assert!(written.len() > 8, "the pattern finds them: {written:?}");
        let left: Vec<_> = written.iter().filter(|name| !known.contains(&name.as_str())).collect();
        assert!(left.is_empty(), "`uninstall` does not know {left:?}");
    }
}
