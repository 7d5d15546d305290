//! The backup directory: its snapshots by name, its README, its leftovers.
//! A snapshot is a directory `NNNN-TIME`; the number only grows, so the order holds even when
//! the clock is set back. What begins with `.partial-` is not a snapshot and is cleaned up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::{During as _, Error, Result};
use super::lock;
use super::snapshot::Snapshot;

/// Marks a snapshot that is being made or removed.
pub(super) const PARTIAL: &str = ".partial-";

const README: &str = include_str!("README.txt");

/// A backup directory, which need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store in this directory.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory if need be, excludes other processes and removes what killed ones
    /// left. Waits up to a minute for another backup.
    pub fn lock_exclusive(&self) -> Result<lock::Exclusive> {
        crate::paths::private_dir(&self.dir).during("make", &self.dir)?;
        let lock = lock::exclusive(&self.dir)?;
        for name in self.names(|name| name.starts_with(PARTIAL))? {
            let path = self.dir.join(name);
            fs::remove_dir_all(&path).during("remove", &path)?;
        }
        let readme = self.dir.join("README.txt");
        if fs::read(&readme).ok().as_deref() != Some(README.as_bytes()) {
            crate::paths::write_private(&readme, README.as_bytes()).during("write", &readme)?;
        }
        Ok(lock)
    }

    /// Keeps other processes from removing snapshots.
    pub fn lock_shared(&self) -> Result<lock::Shared> {
        lock::shared(&self.dir)
    }

    /// The names of all snapshots, oldest first.
    pub fn ids(&self) -> Result<Vec<String>> {
        let mut ids = self.names(|name| number(name).is_some())?;
        ids.sort_by_key(|id| number(id));
        Ok(ids)
    }

    fn names(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let children = match fs::read_dir(&self.dir) {
            Ok(children) => children,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).during("read", &self.dir),
        };
        let names = children.filter_map(io::Result::ok);
        let names = names.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = names.filter_map(|child| child.file_name().into_string().ok());
        Ok(names.filter(|name| wanted(name)).collect())
    }

    /// The snapshot of this name: whole, its number, or `latest`.
    pub fn find(&self, name: &str) -> Result<Snapshot> {
        let ids = self.ids()?;
        let found = match name {
            "latest" => ids.last(),
            _ => ids.iter().find(|id| {
                *id == name || name.parse().is_ok_and(|wanted: u64| number(id) == Some(wanted))
            }),
        };
        match (found, ids.last()) {
            (Some(id), _) => Snapshot::open(self, id),
            (None, None) => {
                let dir = super::shown(&self.dir);
                Err(Error::NoSuchSnapshot(format!("there is no snapshot yet in {dir}")))
            }
            (None, Some(latest)) => Err(Error::NoSuchSnapshot(format!(
                "there is no snapshot `{}`; the latest is {latest}",
                super::shown(Path::new(name))
            ))),
        }
    }

    /// The newest snapshot that can be read.
    pub(super) fn latest_readable(&self) -> Option<Snapshot> {
        self.ids().ok()?.iter().rev().find_map(|id| Snapshot::open(self, id).ok())
    }

    /// A name for the next snapshot.
    pub(super) fn next_id(&self, now: Timestamp) -> Result<String> {
        let last = self.ids()?.last().and_then(|id| number(id)).unwrap_or(0);
        Ok(format!("{:04}-{}", last + 1, now.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// Removes a snapshot. It stops being one before its first file goes.
    pub fn remove(&self, _lock: &mut lock::Exclusive, id: &str) -> Result<()> {
        let (from, to) = (self.dir.join(id), self.dir.join(format!("{PARTIAL}removed-{id}")));
        fs::rename(&from, &to).during("remove", &from)?;
        fs::remove_dir_all(&to).during("remove", &to)
    }
}

/// The number in a snapshot's name; `None` if it is not such a name.
fn number(id: &str) -> Option<u64> {
    let (number, time) = id.split_once('-')?;
    (number.len() >= 4 && time.ends_with('Z')).then(|| number.parse().ok()).flatten()
}
