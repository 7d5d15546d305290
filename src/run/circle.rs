//! Whether what is called claude leads back to us, so that nobody would ever start the real one.
//! In: our ancestors, and a note left by ourselves where claude took our place. Out: yes or no.
//! Nothing of it stands in the environment, which every tool of the session would inherit.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backup::processes::{self, Process};
use crate::claude::version;
use crate::paths;

/// Whether arguments of ours start claude.
pub type StartsClaude = fn(&[OsString]) -> bool;

/// So deep do people not nest runs in runs; a wrapper around us does within a second.
const DEEPEST: usize = 16;

/// A script that comes back to us does so at once; later the number is another process's.
const COMES_BACK: Duration = Duration::from_secs(5);

/// Whether a launch of ours came to us instead of claude: as the very process that was to be
/// claude, or, through wrappers that wait, deeper and deeper. A run that Claude's own tool
/// starts is neither.
pub(super) fn leads_back(claude: &Path, starts_claude: StartsClaude) -> bool {
    !version::is_claude_itself(claude) && (was_replaced() || is_nested(starts_claude))
}

/// Remembers that this process becomes what is called claude.
pub(super) fn note_replacement(claude: &Path) {
    if version::is_claude_itself(claude) {
        return;
    }
    let note = note();
    let dir = note.parent().unwrap_or(Path::new("/"));
    // Old ones are for nobody.
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if !is_fresh(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    // Without it a circle is not seen, and nothing else is lost.
    let _ = paths::private_dir(dir).and_then(|()| paths::write_private(&note, b""));
}

fn was_replaced() -> bool {
    is_fresh(&note())
}

fn note() -> PathBuf {
    paths::state_dir().join("replaced").join(std::process::id().to_string())
}

fn is_fresh(note: &Path) -> bool {
    let modified = std::fs::metadata(note).and_then(|meta| meta.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < COMES_BACK))
}

fn is_nested(starts_claude: StartsClaude) -> bool {
    let ours = std::env::current_exe().and_then(std::fs::metadata);
    let (Ok(ours), Ok(all)) = (ours, processes::all()) else { return false };
    let is_run = |process: &Process| {
        let same = process.program.as_deref().and_then(|program| std::fs::metadata(program).ok());
        let words: Vec<OsString> = process.arguments.iter().skip(1).map(OsString::from).collect();
        same.is_some_and(|meta| (meta.dev(), meta.ino()) == (ours.dev(), ours.ino()))
            && starts_claude(&words)
    };
    let ancestors: Vec<&Process> =
        std::iter::successors(parent(&all, std::process::id().cast_signed()), |process| {
            parent(&all, process.pid)
        })
        .take(all.len())
        .collect();
    ancestors.first().is_some_and(|direct| is_run(direct))
        || ancestors.iter().filter(|process| is_run(process)).count() >= DEEPEST
}

fn parent(all: &[Process], pid: i32) -> Option<&Process> {
    let of = |pid: i32| all.iter().find(move |process| process.pid == pid);
    of(of(pid)?.parent)
}
