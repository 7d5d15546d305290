//! Brings files back from a snapshot: all of it, or one session, project or path.
//! First a plan, which can be shown; then its steps. Nothing that is newer or different is
//! overwritten unless forced, and then only after a verified snapshot of it. Files appear
//! whole, by a link or a rename. Never writes through a link, never writes a mask.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Source;
use super::compare::{holds_whole, is_live};
use super::error::{During as _, Error, Result};
use super::held_path::HeldPath;
use super::manifest::{Entry, Kind, Manifest, Stamp, Time};
use super::snapshot::{Snapshot, VerifiedSnapshot};
use super::users::Unused;

mod staging;

use staging::Staging;

/// What is to be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Whole,
    /// One conversation, with what belongs to it.
    Session(String),
    /// The conversations of one working directory, by its path or Claude's name for it.
    Project(PathBuf),
    /// A file or directory, below Claude's directory.
    Path(PathBuf),
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is missing and is brought back.
    Create,
    /// It is there with the same content.
    Same,
    /// The live one was changed later; only `--force` replaces it.
    Newer,
    /// The live one is different; only `--force` replaces it.
    Different,
}

/// One entry of the snapshot and what is to be done about it.
#[derive(Debug)]
pub struct Step<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// What is to be done.
    pub action: Action,
}

/// What happened.
#[derive(Debug, Default, Serialize)]
pub struct Done {
    /// Brought back where nothing was.
    pub created: usize,
    /// Replaced.
    pub replaced: usize,
    /// Left as they are, because they differ.
    pub kept: usize,
    /// Secrets that a restored file lacks, as `file: pointer`.
    pub missing_secrets: Vec<String>,
    /// Replaced files that no snapshot can hold whole, put aside under these names.
    pub set_aside: Vec<PathBuf>,
}

/// Whether an entry is in the scope.
#[must_use]
pub fn in_scope(path: &HeldPath, scope: &Scope) -> bool {
    let below = path.below_claude_dir();
    match scope {
        Scope::Whole => true,
        Scope::Session(id) => below.is_some_and(|below| {
            let mut parts =
                below.components().skip(1).map(|part| part.as_os_str().to_string_lossy());
            parts.any(|part| {
                part.strip_prefix(id.as_str()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('.') || rest.starts_with("-agent-")
                })
            })
        }),
        Scope::Project(project) => below.is_some_and(|below| {
            let Ok(rest) = below.strip_prefix("projects") else { return false };
            let name = rest.components().next().map(|part| part.as_os_str().to_string_lossy());
            let text = project.to_string_lossy();
            let dashed = |keep: fn(char) -> bool| {
                text.chars().map(|c| if keep(c) { c } else { '-' }).collect::<String>()
            };
            name.is_some_and(|name| {
                name == text
                    || name == dashed(|c| c.is_ascii_alphanumeric())
                    || name == dashed(|c| c != '/' && c != '.')
            })
        }),
        Scope::Path(wanted) => {
            path.as_path().starts_with(wanted)
                || below.is_some_and(|below| below.starts_with(wanted))
        }
    }
}

/// Compares the scope with the live files.
pub fn plan<'a>(snapshot: &'a Snapshot, scope: &Scope, target: &Source) -> Result<Vec<Step<'a>>> {
    let entries = snapshot.manifest().entries.iter();
    let mut steps = Vec::new();
    for entry in entries.filter(|entry| in_scope(&entry.path, scope)) {
        steps.push(Step { entry, action: action(entry, target)? });
    }
    if !steps.iter().any(|step| step.entry.kind != Kind::Directory) {
        let id = &snapshot.manifest().id;
        return Err(Error::NoSuchSnapshot(format!("nothing of that is in snapshot {id}")));
    }
    Ok(steps)
}

fn action(entry: &Entry, target: &Source) -> Result<Action> {
    let live = target.live(&entry.path);
    let meta = match fs::symlink_metadata(&live) {
        Ok(meta) => meta,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Action::Create);
        }
        Err(error) => return Err(error).during("look at", &live),
    };
    let same = match &entry.kind {
        // A directory that is reached through a link is refused when something is to be
        // written below it; Claude's own directory may be one.
        Kind::Directory => live.is_dir(),
        Kind::Link { target } => fs::read_link(&live).is_ok_and(|now| now == *target),
        Kind::File(held) => meta.is_file() && is_live(target, &entry.path, held)?,
    };
    let newer = Time(meta.mtime(), meta.mtime_nsec()) > entry.mtime;
    Ok(match (same, newer) {
        (true, _) => Action::Same,
        (false, true) => Action::Newer,
        (false, false) => Action::Different,
    })
}

/// Carries out a plan. `before` is a verified snapshot of the target, taken just now: with it
/// (`--force`) what differs is replaced.
pub fn apply(
    snapshot: &Snapshot,
    steps: &[Step<'_>],
    target: &Source,
    before: Option<&VerifiedSnapshot>,
    unused: &Unused,
) -> Result<Done> {
    let same_dir = fs::canonicalize(&target.claude_dir);
    if same_dir.is_ok_and(|dir| dir != unused.dir()) {
        return Err(Error::Refused("the proof is about another directory".into()));
    }
    let mut done = Done::default();
    let staging = Staging::new(target)?;
    for step in steps {
        let entry = step.entry;
        let live = target.live(&entry.path);
        match step.action {
            Action::Same => continue,
            Action::Newer | Action::Different if before.is_none() => {
                done.kept += 1;
                continue;
            }
            _ => refuse_links_above(target, &entry.path)?,
        }
        let Kind::File(held) = &entry.kind else {
            let made = other(entry, &live, step.action)?;
            if made {
                done.created += 1;
            } else {
                done.kept += 1;
            }
            continue;
        };
        let fresh = staging.write(snapshot, entry, held, &live, &mut done)?;
        if step.action == Action::Create {
            if publish(&fresh, &live)? {
                done.created += 1;
            } else {
                done.kept += 1;
            }
        } else if let Some(before) = before {
            replace(&fresh, &live, entry, before.manifest(), &mut done)?;
        }
    }
    staging.finish()?;
    Ok(done)
}

/// Directories and links; what stands in their way stays.
fn other(entry: &Entry, live: &Path, action: Action) -> Result<bool> {
    if action != Action::Create {
        return Ok(false);
    }
    if let Some(parent) = live.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).during("make", parent)?;
    }
    let made = match &entry.kind {
        Kind::Link { target } => std::os::unix::fs::symlink(target, live),
        _ => DirBuilder::new().mode(entry.mode | 0o700).create(live),
    };
    match made {
        // Staging made Claude's directory, or a file below was restored before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(true),
        made => made.during("make", live).map(|()| true),
    }
}

/// A link among the directories above a target would lead the file out of the tree.
fn refuse_links_above(target: &Source, path: &HeldPath) -> Result<()> {
    let Some(below) = path.below_claude_dir() else { return Ok(()) };
    let mut dir = target.claude_dir.clone();
    for part in below.parent().into_iter().flat_map(Path::components) {
        dir.push(part);
        match fs::symlink_metadata(&dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                let dir = super::shown(&dir);
                return Err(Error::Refused(format!("{dir} is not a directory, or a link to one")));
            }
            Err(_) => break,
        }
    }
    Ok(())
}

/// Gives a finished file its name, unless something has taken it meanwhile.
fn publish(fresh: &Path, live: &Path) -> Result<bool> {
    match fs::hard_link(fresh, live) {
        Ok(()) => {
            fs::remove_file(fresh).during("remove", fresh)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // A file system without hard links.
        Err(_) if fs::symlink_metadata(live).is_err() => {
            fs::rename(fresh, live).during("write", live).map(|()| true)
        }
        Err(error) => Err(error).during("write", live),
    }
}

/// Replaces a live file that the snapshot `before` holds, or that is put aside.
fn replace(
    fresh: &Path,
    live: &Path,
    entry: &Entry,
    before: &Manifest,
    done: &mut Done,
) -> Result<()> {
    let now = fs::symlink_metadata(live).during("look at", live)?;
    let saved = before.get(&entry.path);
    let unchanged = saved.is_some_and(|saved| match &saved.kind {
        Kind::File(held) => held.live == Stamp::of(&now) && !held.torn,
        Kind::Link { target } => fs::read_link(live).is_ok_and(|link| link == *target),
        Kind::Directory => false,
    });
    let left_out = before.left_out.iter().any(|one| one.path == entry.path && !one.failed);
    if !(unchanged || left_out && now.is_file()) {
        done.kept += 1;
        return Ok(());
    }
    if !saved.is_some_and(holds_whole) {
        // Its secrets are in no snapshot: it stays, beside its replacement.
        let mut name = live.file_name().unwrap_or_default().to_owned();
        name.push(format!(".before-restore-{}", before.id));
        let aside = live.with_file_name(name);
        fs::hard_link(live, &aside).during("put aside", live)?;
        done.set_aside.push(aside);
    }
    fs::rename(fresh, live).during("replace", live)?;
    done.replaced += 1;
    Ok(())
}
