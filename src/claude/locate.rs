//! Finding the real claude: the first `claude` on PATH that is not claude-safe.
//! In: an override, PATH, our own executable. Out: a path that can be run, or why there is none.
//! Symlinks are seen through; our shims mark themselves with [`SHIM_MARK`].

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A line that every shim of ours carries near its top.
pub const SHIM_MARK: &str = "claude-safe shim";

/// Why there is no claude to run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotFound {
    /// Nothing on PATH.
    #[error(
        "failed to find `claude` on PATH\nhint: install it with `npm install -g @anthropic-ai/claude-code`, or name it with CLAUDE_SAFE_CLAUDE=/path/to/claude"
    )]
    Nowhere,
    /// The override names nothing that can be run.
    #[error("failed to run {0}, which CLAUDE_SAFE_CLAUDE or `claude.path` names: {1}")]
    Override(PathBuf, &'static str),
}

/// Finds claude: the override if there is one, else PATH.
pub fn find(overridden: Option<&Path>, path: Option<&OsStr>) -> Result<PathBuf, NotFound> {
    let ours = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    if let Some(wanted) = overridden {
        return match judge(wanted, ours.as_deref()) {
            Candidate::Claude => Ok(wanted.to_owned()),
            Candidate::Ours => {
                Err(NotFound::Override(wanted.to_owned(), "it leads back to claude-safe"))
            }
            Candidate::No => Err(NotFound::Override(wanted.to_owned(), "no such program")),
        };
    }
    std::env::split_paths(path.unwrap_or_default())
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("claude"))
        .find(|candidate| judge(candidate, ours.as_deref()) == Candidate::Claude)
        .ok_or(NotFound::Nowhere)
}

/// The claude that the first word names, where we are called as a wrapper
/// (`claude-safe /path/to/claude ARGS…`, as editors and Claude's own relaunches do). A prompt is
/// no such word: it is not the whole path of a program of Claude's.
#[must_use]
pub fn given(args: &[OsString]) -> Option<PathBuf> {
    let path = Path::new(args.first()?);
    let of_claude = path
        .components()
        .any(|part| part.as_os_str().to_string_lossy().to_ascii_lowercase().contains("claude"));
    let ours = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let is_claude = || judge(path, ours.as_deref()) == Candidate::Claude;
    (path.is_absolute() && of_claude && is_claude()).then(|| path.to_owned())
}

#[derive(Debug, PartialEq, Eq)]
enum Candidate {
    Claude,
    Ours,
    No,
}

fn judge(candidate: &Path, ours: Option<&Path>) -> Candidate {
    // A symlink loop fails here as a missing file does.
    let Ok(real) = std::fs::canonicalize(candidate) else { return Candidate::No };
    let Ok(meta) = std::fs::metadata(&real) else { return Candidate::No };
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        return Candidate::No;
    }
    if ours.is_some_and(|ours| same_file(ours, &meta)) || is_shim(&real) {
        return Candidate::Ours;
    }
    Candidate::Claude
}

/// By device and inode, so that a hard link to us is us too.
fn same_file(ours: &Path, meta: &std::fs::Metadata) -> bool {
    std::fs::metadata(ours).is_ok_and(|own| own.dev() == meta.dev() && own.ino() == meta.ino())
}

/// Whether a file is a script that carries our mark.
pub(crate) fn is_shim(file: &Path) -> bool {
    script(file).is_some_and(|head| String::from_utf8_lossy(&head).contains(SHIM_MARK))
}

/// Whether this starts the real claude in a way of its own, with more arguments or in a sandbox:
/// a script of the user's, or a program of another name behind a link. What we would add to the
/// command line may clash with what it adds, or lie where claude cannot see it.
#[must_use]
pub fn is_wrapper(claude: &Path) -> bool {
    let other_name = std::fs::canonicalize(claude).is_ok_and(|real| {
        real.file_name().is_none_or(|name| !name.to_string_lossy().contains("claude"))
    });
    (script(claude).is_some() || other_name) && !super::version::is_claude_itself(claude)
}

/// The beginning of a script; `None` for any other file.
fn script(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    std::fs::File::open(file).and_then(|file| file.take(512).read_to_end(&mut head)).ok()?;
    head.starts_with(b"#!").then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    fn program(dir: &Path, text: &str) -> PathBuf {
        std::fs::create_dir_all(dir).expect("the directory can be made");
        let file = dir.join("claude");
        std::fs::write(&file, text).expect("the file can be written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("mode");
        file
    }

    #[test]
    fn shims_links_to_us_loops_and_plain_files_are_passed_over() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| dir.path().join(name);
        for name in ["link", "loop", "plain"] {
            std::fs::create_dir(at(name)).expect("the directory can be made");
        }
        symlink(std::env::current_exe().expect("a path"), at("link/claude")).expect("link");
        symlink(at("loop/claude"), at("loop/claude")).expect("link");
        std::fs::write(at("plain/claude"), "text").expect("the file can be written");
        program(&at("shim"), "#!/bin/sh\n# claude-safe shim\n");
        let real = program(&at("real"), "#!/bin/sh\n");
        let path =
            std::env::join_paths(["missing", "link", "loop", "plain", "shim", "real"].map(at))
                .expect("no colon in the names");
        assert_eq!(find(None, Some(&path)), Ok(real));
        assert_eq!(find(None, Some(OsStr::new(""))), Err(NotFound::Nowhere));
        assert!(matches!(find(Some(&at("shim/claude")), None), Err(NotFound::Override(..))));
        // a script, a program behind a link, and Claude Code as it is installed
        let native = std::env::current_exe().expect("a path");
        symlink(native, at("claude")).expect("link");
        assert!(is_wrapper(&at("real/claude")) && !is_wrapper(&at("claude")));
        std::fs::copy("/bin/sh", at("firejail")).expect("copied");
        symlink(at("firejail"), at("missing-claude")).expect("link");
        assert!(is_wrapper(&at("missing-claude")));
    }
}
