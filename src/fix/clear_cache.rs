//! Rung `ClearCache`: moves what is listed as cache out of Claude's directory, into the side
//! of a verified snapshot. Nothing is deleted: on the same file system it is a rename, else
//! it is copied, compared, and only then removed. Never touches history, settings, memory
//! or credentials, whatever the configuration lists; never follows a link.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use crate::backup::select::is_protected;
use crate::backup::{Error, Result, Unused, VerifiedSnapshot, shown};

/// What was moved, and where to.
pub type Moved = Vec<(PathBuf, PathBuf)>;

/// Moves `paths` (relative to Claude's directory `dir`; `cache.paths`) beside the snapshot
/// that `proof` is about. What is not there is passed over.
pub fn clear_cache(
    dir: &Path,
    paths: &[PathBuf],
    proof: &VerifiedSnapshot,
    unused: &Unused,
) -> Result<Moved> {
    let resolved = fs::canonicalize(dir).map_err(io_error("look at", dir))?;
    let held = fs::canonicalize(&proof.manifest().claude_dir).ok();
    if unused.dir() != resolved || held.as_ref() != Some(&resolved) {
        return Err(Error::Refused("the snapshot is of another directory".into()));
    }
    for path in paths {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || is_protected(path) {
            return Err(Error::Refused(format!("`{}` is no cache of Claude's", shown(path))));
        }
    }
    // Keeps the snapshot, and what is moved into it, from being pruned meanwhile.
    let _lock = proof.store().lock_shared()?;
    let mut moved = Moved::new();
    for path in paths {
        let from = resolved.join(path);
        let parent = from.parent().unwrap_or(&resolved);
        if !fs::canonicalize(parent).is_ok_and(|found| found == parent) {
            // Its directory is missing or reached through a link: nothing of Claude's.
            continue;
        }
        if fs::symlink_metadata(&from).is_err() {
            continue;
        }
        let to = free_name(&proof.dir().join("moved"), path)?;
        move_aside(&from, &to)?;
        moved.push((from, to));
    }
    Ok(moved)
}

/// A place in the snapshot's side that is not taken.
fn free_name(side: &Path, path: &Path) -> Result<PathBuf> {
    // Not recursive: a snapshot that is gone must not come back as an empty directory.
    match DirBuilder::new().mode(0o700).create(side) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error("make", side)(error));
        }
        _ => {}
    }
    let name: Vec<_> = path.iter().map(std::ffi::OsStr::to_string_lossy).collect();
    let name = name.join("-");
    let names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}.{n}")));
    let mut free = names.map(|name| side.join(name));
    Ok(free.find(|path| fs::symlink_metadata(path).is_err()).expect("names do not run out"))
}

/// Moves a file, directory or link; on any fault the original stays.
pub(super) fn move_aside(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        renamed => return renamed.map_err(io_error("move", from)),
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = to.with_file_name(format!(".partial-{name}"));
    remove(&unfinished)?;
    copy_tree(from, &unfinished)?;
    if !same_tree(from, &unfinished).map_err(io_error("compare", &unfinished))? {
        remove(&unfinished)?;
        return Err(Error::Refused(format!("{} changed while it was copied", shown(from))));
    }
    fs::rename(&unfinished, to).map_err(io_error("name", to))?;
    let parent = to.parent().unwrap_or(to);
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(io_error("sync", parent))?;
    remove(from)
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    removed.map_err(io_error("remove", path))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let copied = (|| {
        let meta = fs::symlink_metadata(from)?;
        if meta.is_symlink() {
            return std::os::unix::fs::symlink(fs::read_link(from)?, to);
        }
        if meta.is_file() {
            fs::copy(from, to)?;
            return File::open(to)?.sync_all();
        }
        if meta.is_dir() {
            return DirBuilder::new().mode(meta.permissions().mode() | 0o700).create(to);
        }
        Err(io::Error::other("not a file, directory or link"))
    })();
    copied.map_err(io_error("copy", from))?;
    if fs::symlink_metadata(from).is_ok_and(|meta| meta.is_dir()) {
        for child in fs::read_dir(from).map_err(io_error("read", from))? {
            let child = child.map_err(io_error("read", from))?;
            copy_tree(&child.path(), &to.join(child.file_name()))?;
        }
        File::open(to).and_then(|dir| dir.sync_all()).map_err(io_error("sync", to))?;
    }
    Ok(())
}

/// Whether two trees hold the same names and contents.
fn same_tree(a: &Path, b: &Path) -> io::Result<bool> {
    let (a_meta, b_meta) = (fs::symlink_metadata(a)?, fs::symlink_metadata(b)?);
    if a_meta.file_type() != b_meta.file_type() {
        return Ok(false);
    }
    if a_meta.is_symlink() {
        return Ok(fs::read_link(a)? == fs::read_link(b)?);
    }
    if a_meta.is_file() {
        return Ok(a_meta.len() == b_meta.len() && hash(a)? == hash(b)?);
    }
    let names = |dir: &Path| -> io::Result<Vec<_>> {
        let mut names: Vec<_> =
            fs::read_dir(dir)?.map(|child| Ok(child?.file_name())).collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    };
    let children = names(a)?;
    if children != names(b)? {
        return Ok(false);
    }
    for child in children {
        if !same_tree(&a.join(&child), &b.join(&child))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn hash(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path)?;
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize()),
            count => drop(hasher.update(&chunk[..count])),
        }
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
