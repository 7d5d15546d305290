//! Retention: by number, age and size together. Never removes the last snapshot that is good,
//! and removes nothing when none of those to be kept is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::error::Result;
use super::snapshot::{Snapshot, VerifiedSnapshot};
use super::store::Store;
use crate::config::Config;

/// What may be kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many snapshots.
    pub keep: usize,
    /// How old one may be.
    pub max_age: Duration,
    /// How much they may take together (bytes on the disk, links counted once).
    pub max_size: u64,
}

impl Limits {
    /// The configured ones.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            keep: usize::try_from(config.values.backup.keep).unwrap_or(1).max(1),
            max_age: config.values.backup.max_age,
            max_size: config.values.backup.max_size,
        }
    }
}

/// Removes what is beyond the limits; the names of what went, oldest first.
/// `good` is a snapshot that was verified just now.
pub fn prune(
    store: &Store,
    limits: &Limits,
    good: Option<&VerifiedSnapshot>,
) -> Result<Vec<String>> {
    let mut lock = store.lock_exclusive()?;
    let doomed = beyond(store, limits, good, Timestamp::now())?;
    for id in &doomed {
        store.remove(&mut lock, id)?;
    }
    Ok(doomed)
}

/// The names of what `prune` would remove now.
pub fn beyond(
    store: &Store,
    limits: &Limits,
    good: Option<&VerifiedSnapshot>,
    now: Timestamp,
) -> Result<Vec<String>> {
    let ids = store.ids()?;
    let (mut kept, mut doomed) = (Vec::new(), Vec::new());
    let (mut seen, mut size) = (BTreeSet::new(), 0);
    for id in ids.iter().rev() {
        size += disk_size(&store.dir().join(id), &mut seen);
        let snapshot = Snapshot::open(store, id).ok();
        // With the clock set back a snapshot lies in the future: it has no age.
        let age = snapshot.map(|snapshot| now.duration_since(snapshot.manifest().created));
        let old = age.and_then(|age| Duration::try_from(age).ok());
        let old = old.is_some_and(|age| age > limits.max_age);
        if kept.len() >= limits.keep || old || size > limits.max_size {
            doomed.push(id.clone());
        } else {
            kept.push(id.clone());
        }
    }
    if doomed.is_empty() {
        return Ok(doomed);
    }
    let is_good = |id: &String| {
        good.is_some_and(|good| good.manifest().id == *id)
            || Snapshot::open(store, id).and_then(|snapshot| snapshot.verify(&())).is_ok()
    };
    if !kept.iter().any(is_good) {
        let Some(last_good) = doomed.iter().position(is_good) else { return Ok(Vec::new()) };
        doomed.remove(last_good);
    }
    doomed.reverse();
    Ok(doomed)
}

/// What a directory takes on the disk, counting each file once over all of `seen` (bytes).
pub fn disk_size(dir: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let mut total = 0;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for child in fs::read_dir(dir).into_iter().flatten().filter_map(std::io::Result::ok) {
            let Ok(meta) = child.metadata() else { continue };
            if meta.is_dir() {
                open.push(child.path());
            }
            if seen.insert((meta.dev(), meta.ino())) {
                total += meta.blocks() * 512;
            }
        }
    }
    total
}
