//! Whether a claude uses a configuration directory. Looks at the processes (a headless claude
//! leaves no other trace) and at `sessions/<pid>.json`. What cannot be seen counts as in use.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::{During as _, Error, Result};
use super::processes::{self, Process};
use crate::claude::session_file;

/// Proof that no claude used this directory a moment ago. Whoever moves or replaces files
/// there must have it, and must act at once.
#[derive(Debug)]
pub struct Unused {
    dir: PathBuf,
}

impl Unused {
    /// The directory, links resolved.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Looks for claudes that use `claude_dir`; `own` are children of ours that do not count.
pub fn prove_unused(claude_dir: &Path, own: &[i32]) -> Result<Unused> {
    let dir = resolved(claude_dir);
    let in_use = |by: String| Error::InUse { dir: claude_dir.to_owned(), by };
    let all = processes::all()
        .map_err(|error| in_use(format!("the running processes cannot be seen ({error})")))?;
    let me = i32::try_from(std::process::id()).expect("process numbers are positive i32");
    let shims = shims_above(&all, me);
    let others =
        || all.iter().filter(|p| p.pid != me && !own.contains(&p.pid) && !shims.contains(&p.pid));
    for process in others().filter(|process| is_claude(process)) {
        match uses(process, &dir, claude_dir) {
            Some(true) => {
                return Err(in_use(format!("claude runs there (process {})", process.pid)));
            }
            Some(false) => {}
            None => {
                let pid = process.pid;
                return Err(in_use(format!(
                    "it cannot be seen which directory process {pid} uses"
                )));
            }
        }
    }
    let living = session_file::living(&dir).during("read the sessions of", &dir)?;
    if let Some(pid) = living.into_iter().find(|pid| others().any(|other| other.pid == *pid)) {
        return Err(in_use(format!("a session is open there (process {pid})")));
    }
    Ok(Unused { dir })
}

/// Scripts called `claude` that started us: they wait for us and touch nothing. A real
/// claude above us (we are run by one of its tools) is not among them.
fn shims_above(all: &[Process], me: i32) -> Vec<i32> {
    let find = |pid: i32| all.iter().find(|process| process.pid == pid);
    let mut shims = Vec::new();
    let mut next = find(me).map(|process| process.parent);
    while let Some(process) = next.and_then(find).filter(|process| process.pid > 1) {
        if process.program.as_deref().is_some_and(|program| is_shell(&base(program))) {
            shims.push(process.pid);
        }
        next = Some(process.parent).filter(|parent| *parent != process.pid);
    }
    shims
}

fn base(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "ash" | "bash" | "dash" | "zsh" | "fish" | "ksh" | "mksh" | "busybox")
}

/// Whether a process looks like Claude Code: the native program, or its script in node or bun.
fn is_claude(process: &Process) -> bool {
    let program = process.program.as_deref();
    let ours = std::env::current_exe().ok();
    if program.is_some_and(|program| Some(program) == ours.as_deref()) {
        return false;
    }
    let of_claude = |path: &Path| {
        let text = path.to_string_lossy();
        base(path) == "claude"
            || text.contains("/claude/versions/")
            || text.contains("/claude-code/")
            || text.contains("/claude-code-")
    };
    let first = process.arguments.first().map(Path::new);
    let runs_scripts =
        |name: &str| is_shell(name) || matches!(name, "node" | "bun" | "deno" | "env");
    // The program after an interpreter; options may stand between.
    let script = process.arguments.iter().skip(1).find(|word| !word.starts_with('-'));
    let script = script.filter(|_| first.is_some_and(|first| runs_scripts(&base(first))));
    process.name == "claude"
        || program.is_some_and(of_claude)
        || first.is_some_and(of_claude)
        || script.is_some_and(|script| of_claude(Path::new(script)))
}

/// Whether a claude uses the directory; `None` if that cannot be seen.
fn uses(process: &Process, dir: &Path, asked: &Path) -> Option<bool> {
    let Some(environment) = &process.environment else {
        // Another user's claude has a home of its own, unless this directory is open to it.
        let closed = fs::metadata(dir).is_ok_and(|meta| meta.mode().trailing_zeros() >= 6);
        let foreign = process.uid != 0 && process.uid != nix::unistd::geteuid().as_raw();
        return (closed && foreign).then_some(false);
    };
    let used = match (&environment.config_dir, &environment.home) {
        (Some(config_dir), _) => config_dir.clone(),
        (None, Some(home)) => home.join(".claude"),
        (None, None) => return None,
    };
    if used.is_relative() {
        return None;
    }
    Some(used == asked || is_same(&used, dir))
}

/// Whether both names lead to one directory, whatever their case or their links.
fn is_same(a: &Path, b: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    resolved(a) == resolved(b) || (identity(a).is_some() && identity(a) == identity(b))
}

fn resolved(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::processes::Environment;
    use super::*;

    fn process(name: &str, program: &str, arguments: &[&str]) -> Process {
        Process {
            name: name.into(),
            program: Some(program.into()),
            arguments: arguments.iter().map(|&text| text.into()).collect(),
            ..Process::default()
        }
    }

    #[test]
    fn claude_is_known_in_every_way_it_is_installed_and_nothing_else_is_taken_for_it() {
        for claude in [
            process("claude", "/usr/bin/claude", &["claude"]),
            process("2.1.330", "/home/u/.local/share/claude/versions/2.1.330", &["claude", "-p"]),
            process("node", "/usr/bin/node", &["node", "/usr/bin/claude"]),
            process(
                "node",
                "/usr/bin/node",
                &["node", "--x", "/n/@anthropic-ai/claude-code/cli.js"],
            ),
            process("MainThread", "/n/claude-code-linux-x64/claude", &["claude"]),
        ] {
            assert!(is_claude(&claude), "{claude:?}");
        }
        for other in [
            process("vim", "/usr/bin/vim", &["vim", "/usr/bin/claude"]),
            process("claude-safe", "/usr/bin/claude-safe", &["claude-safe"]),
            process("bash", "/bin/bash", &["bash", "-c", "x"]),
            process("claude-deskto", "/opt/claude-desktop", &["claude-desktop"]),
        ] {
            assert!(!is_claude(&other), "{other:?}");
        }
    }

    #[test]
    fn a_claude_uses_the_directory_its_environment_names_and_unseen_means_perhaps() {
        let dir = Path::new("/h/.claude");
        let with = |home: Option<&str>, config: Option<&str>| Process {
            environment: Some(Environment {
                home: home.map(Into::into),
                config_dir: config.map(Into::into),
            }),
            ..process("claude", "/c", &["claude"])
        };
        assert_eq!(uses(&with(Some("/h"), None), dir, dir), Some(true));
        assert_eq!(uses(&with(Some("/h"), Some("/else")), dir, dir), Some(false));
        assert_eq!(uses(&with(Some("/g"), Some("/h/.claude")), dir, dir), Some(true));
        let real = tempfile::tempdir().expect("a directory");
        let link = real.path().with_extension("link");
        std::os::unix::fs::symlink(real.path(), &link).expect("made");
        assert_eq!(uses(&with(None, link.to_str()), real.path(), dir), Some(true), "one inode");
        fs::remove_file(&link).expect("ours");
        assert_eq!(uses(&with(None, None), dir, dir), None);
        assert_eq!(uses(&with(None, Some("relative")), dir, dir), None);
        assert_eq!(uses(&process("claude", "/c", &["claude"]), dir, dir), None);
    }
}
