//! What belongs in a snapshot: Claude's history and settings, by name. What is not on the
//! list stays out (telemetry, sockets, caches, logs), and credentials stay out wherever
//! they lie. In: a [`Source`]. Out: what was found. Never follows a link, never opens a file.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::{During as _, Result};
use super::held_path::HeldPath;
use super::manifest::{LeftOut, Stamp};
use super::{Error, Source};

/// Names below Claude's directory that are held whole. Besides history and settings these
/// are the things people write by hand; all of them are lost if the directory is.
const HELD: &[&str] = &[
    "CLAUDE.md",
    "agent-memory",
    "agents",
    "commands",
    "file-history",
    "history.jsonl",
    "hooks",
    "keybindings.json",
    "memory",
    "output-styles",
    "plans",
    "projects",
    "rules",
    "skills",
    "tasks",
    "themes",
    "todos",
    "workflows",
];

/// Held below `plugins/`; the rest there is downloaded and can be had again.
const HELD_OF_PLUGINS: &[&str] = &["data"];

/// History: copied as it is, whatever it is called. A `.env` here is one that was backed up
/// by Claude before it edited it, and JSON is conversation, not settings.
const HISTORY: &[&str] = &["file-history", "history.jsonl", "plans", "projects", "tasks", "todos"];

/// Where restores of ours prepare their files, inside Claude's directory.
pub(crate) const STAGING: &str = ".claude-safe-restore";

/// What was found at one path.
#[derive(Debug)]
pub struct Found {
    /// Its place in the snapshot.
    pub path: HeldPath,
    /// What it is.
    pub kind: FoundKind,
    /// Permission bits.
    pub mode: u32,
    /// Size and times.
    pub stamp: Stamp,
    /// Space it takes on the disk, which is less than its size if it has holes (bytes).
    pub allocated: u64,
}

/// The kinds that can be held.
#[derive(Debug, PartialEq, Eq)]
pub enum FoundKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A link and where it points.
    Link(PathBuf),
}

/// Everything that belongs in a snapshot of this source.
#[derive(Debug, Default)]
pub struct Selection {
    /// In no order.
    pub found: Vec<Found>,
    /// What was met and does not belong, where a person might miss it.
    pub left_out: Vec<LeftOut>,
}

/// Looks through the source. `store` is the backup directory: it is never held in itself.
pub fn select(source: &Source, store: &Path) -> Result<Selection> {
    let mut selection = Selection::default();
    let top = match fs::metadata(&source.claude_dir) {
        Ok(meta) if meta.is_dir() => fs::read_dir(&source.claude_dir),
        Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let json = fs::symlink_metadata(&source.claude_json);
            if json.is_err() {
                let dir = super::shown(&source.claude_dir);
                return Err(Error::Refused(format!("there is nothing to back up: no {dir}")));
            }
            selection.visit(HeldPath::claude_json(), &source.claude_json);
            return Ok(selection);
        }
        Err(error) => Err(error),
    };
    let mut walk = Walk { store: fs::metadata(store).ok(), selection };
    let root = HeldPath::in_claude_dir(Path::new("")).expect("`.claude` lies in the tree");
    if let Ok(meta) = fs::metadata(&source.claude_dir) {
        walk.selection.push(root, FoundKind::Directory, &meta);
    }
    for child in top.during("read", &source.claude_dir)? {
        let child = child.during("read", &source.claude_dir)?;
        let name = PathBuf::from(child.file_name());
        let text = name.to_string_lossy();
        let is_settings = text.starts_with("settings") && text.ends_with(".json");
        if is_settings || HELD.iter().any(|held| *held == text) {
            walk.tree(&name, &child.path());
        } else if text == "plugins" {
            walk.plugins(&child.path());
        } else if is_credential(&text) {
            walk.selection.leave_out(&name, "credentials are never held", false);
        }
    }
    let mut selection = walk.selection;
    selection.visit(HeldPath::claude_json(), &source.claude_json);
    Ok(selection)
}

/// Whether a file's secrets are masked: JSON outside of the history.
#[must_use]
pub fn is_masked(path: &HeldPath) -> bool {
    let Some(rest) = path.below_claude_dir() else { return true };
    let json = rest.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    json && !is_history(rest)
}

/// Whether a file is written line by line, so that it can be cut at a full line.
#[must_use]
pub fn is_lines(path: &HeldPath) -> bool {
    path.as_path().extension().is_some_and(|extension| extension == "jsonl")
}

/// Whether this path below Claude's directory is history rather than settings.
fn is_history(below_claude_dir: &Path) -> bool {
    let first = below_claude_dir.components().next();
    first.is_some_and(|first| HISTORY.iter().any(|name| first.as_os_str() == *name))
}

/// Whether a path below Claude's directory is one that a fix must never move.
#[must_use]
pub fn is_protected(below_claude_dir: &Path) -> bool {
    let Some(first) = below_claude_dir.components().next() else { return true };
    let first = first.as_os_str().to_string_lossy().to_lowercase();
    HELD.iter().any(|held| held.to_lowercase() == first)
        || first.starts_with("settings")
        || first == "plugins" && HELD_OF_PLUGINS.iter().any(|name| below_claude_dir.ends_with(name))
        || first == "plugins" && below_claude_dir.components().count() == 1
        || matches!(first.as_str(), ".claude.json" | "sessions" | "backups" | "shell-snapshots")
        || is_credential(&first)
}

/// File names under which keys and tokens are kept.
fn is_credential(name: &str) -> bool {
    let name = name.to_lowercase();
    name.starts_with(".credentials")
        || matches!(name.as_str(), "credentials.json" | ".env" | ".netrc" | ".npmrc" | ".pypirc")
        || name.starts_with(".env.")
        || ["id_rsa", "id_ed25519", "id_ecdsa"].contains(&name.as_str())
        || [".pem", ".key", ".p12", ".pfx"].iter().any(|suffix| name.ends_with(suffix))
}

struct Walk {
    store: Option<Metadata>,
    selection: Selection,
}

impl Walk {
    /// Takes in a file or a whole directory. A stack, not recursion: the depth is not ours.
    fn tree(&mut self, below: &Path, live: &Path) {
        let mut open = vec![(below.to_owned(), live.to_owned())];
        while let Some((below, live)) = open.pop() {
            let name = below.file_name().unwrap_or_default().to_string_lossy();
            if !is_history(&below) && is_credential(&name) {
                self.selection.leave_out(&below, "credentials are never held", false);
                continue;
            }
            let Some(path) = HeldPath::in_claude_dir(&below) else { continue };
            if !self.selection.visit(path, &live) || self.is_store(&live) {
                continue;
            }
            match fs::read_dir(&live) {
                Ok(children) => open.extend(children.filter_map(io::Result::ok).filter_map(|c| {
                    let name = c.file_name();
                    let ours = name.to_string_lossy().starts_with(STAGING);
                    (!ours).then(|| (below.join(name), c.path()))
                })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.selection.leave_out(&below, &format!("failed to read: {error}"), true);
                }
            }
        }
    }

    fn plugins(&mut self, live: &Path) {
        let below = Path::new("plugins");
        let path = HeldPath::in_claude_dir(below).expect("`plugins` is a plain name");
        if !self.selection.visit(path, live) {
            return;
        }
        for child in fs::read_dir(live).into_iter().flatten().filter_map(io::Result::ok) {
            let name = child.file_name();
            let text = name.to_string_lossy();
            if text.ends_with(".json") || HELD_OF_PLUGINS.iter().any(|held| *held == text) {
                self.tree(&below.join(&name), &child.path());
            }
        }
    }

    fn is_store(&self, live: &Path) -> bool {
        let same = |meta: Metadata| {
            self.store.as_ref().is_some_and(|s| (s.dev(), s.ino()) == (meta.dev(), meta.ino()))
        };
        fs::symlink_metadata(live).is_ok_and(same)
    }
}

impl Selection {
    fn push(&mut self, path: HeldPath, kind: FoundKind, meta: &Metadata) {
        let allocated = meta.blocks().saturating_mul(512).min(meta.size());
        let (mode, stamp) = (meta.mode() & 0o7777, Stamp::of(meta));
        self.found.push(Found { path, kind, mode, stamp, allocated });
    }

    fn leave_out(&mut self, below: &Path, reason: &str, failed: bool) {
        if let Some(path) = HeldPath::in_claude_dir(below) {
            self.left_out.push(LeftOut { path, reason: reason.to_owned(), failed });
        }
    }

    /// Takes in one path; tells whether it is a directory to look into.
    fn visit(&mut self, path: HeldPath, live: &Path) -> bool {
        let meta = match fs::symlink_metadata(live) {
            Ok(meta) => meta,
            // Deleted since its directory was read, or not there at all.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            Err(error) => {
                let reason = format!("failed to read: {error}");
                self.left_out.push(LeftOut { path, reason, failed: true });
                return false;
            }
        };
        let file_type = meta.file_type();
        if file_type.is_symlink() {
            let Ok(target) = fs::read_link(live) else { return false };
            let reason = "a link: where it points is held, the content there is not".to_owned();
            self.left_out.push(LeftOut { path: path.clone(), reason, failed: false });
            self.push(path, FoundKind::Link(target), &meta);
        } else if file_type.is_file() {
            self.push(path, FoundKind::File, &meta);
        } else if file_type.is_dir() {
            self.push(path, FoundKind::Directory, &meta);
            return true;
        } else {
            let what = if file_type.is_socket() { "a socket" } else { "not a file" };
            self.left_out.push(LeftOut { path, reason: what.to_owned(), failed: false });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_and_settings_belong_and_everything_else_stays_out() {
        let home = tempfile::tempdir().unwrap();
        let source = Source::below(home.path());
        let dir = &source.claude_dir;
        let held = [
            "projects/-w/a.jsonl",
            "projects/-w/memory/MEMORY.md",
            "history.jsonl",
            "todos/a.json",
            "file-history/a/x@v1",
            "file-history/a/.env",
            "settings.json",
            "settings.local.json",
            "CLAUDE.md",
            "skills/s/SKILL.md",
            "plugins/installed_plugins.json",
            "plugins/data/p/state.json",
        ];
        let out = [
            ".credentials.json",
            "telemetry/t.json",
            "cache/changelog.md",
            "sessions/1.json",
            "shell-snapshots/s.sh",
            "skills/s/.env",
            "skills/s/server.key",
            "plugins/cache/x.json",
            "backups/.claude.json.backup",
            "statsig/x",
        ];
        for path in held.iter().chain(&out) {
            fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            fs::write(dir.join(path), "x").unwrap();
        }
        fs::write(&source.claude_json, "{}").unwrap();
        let selection = select(&source, &home.path().join("backups")).unwrap();
        let mut files: Vec<_> = selection
            .found
            .iter()
            .filter(|found| found.kind == FoundKind::File)
            .map(|found| found.path.as_path().to_owned())
            .collect();
        files.sort();
        let mut expected: Vec<_> =
            held.iter().map(|path| Path::new(".claude").join(path)).collect();
        expected.push(".claude.json".into());
        expected.sort();
        assert_eq!(files, expected);
    }

    #[test]
    fn no_fix_may_name_history_settings_or_credentials_as_cache() {
        for name in [
            "projects",
            "projects/x",
            "history.jsonl",
            "settings.local.json",
            "plugins",
            "CLAUDE.md",
            "claude.md",
            ".credentials.json",
            "",
            "Projects",
            "plugins/data",
        ] {
            assert!(is_protected(Path::new(name)), "{name}");
        }
        for name in ["cache", "telemetry", "statsig", "plugins/cache"] {
            assert!(!is_protected(Path::new(name)), "{name}");
        }
    }
}
