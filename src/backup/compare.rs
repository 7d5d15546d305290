//! What differs between a snapshot and another one, or the live files.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::Serialize;

use super::content::{self, Outcome, Reading};
use super::error::{During as _, Result};
use super::held_path::HeldPath;
use super::manifest::{Entry, Held, Kind, Stamp};
use super::select::{self, FoundKind};
use super::snapshot::Snapshot;
use super::{Source, Store};

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the later one has it.
    Added,
    /// Only the earlier one has it.
    Removed,
    /// Both have it, with different content.
    Changed,
}

/// What changed from one snapshot to a later one. Times and permissions do not count.
#[must_use]
pub fn between(old: &Snapshot, new: &Snapshot) -> BTreeMap<HeldPath, Change> {
    let mut changes = BTreeMap::new();
    for entry in &old.manifest().entries {
        match new.manifest().get(&entry.path) {
            None => drop(changes.insert(entry.path.clone(), Change::Removed)),
            Some(other) if !same_kind(&entry.kind, &other.kind) => {
                changes.insert(entry.path.clone(), Change::Changed);
            }
            Some(_) => {}
        }
    }
    let added = new.manifest().entries.iter().filter(|e| old.manifest().get(&e.path).is_none());
    changes.extend(added.map(|entry| (entry.path.clone(), Change::Added)));
    changes
}

fn same_kind(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::File(a), Kind::File(b)) => a.blake3 == b.blake3,
        (a, b) => a == b,
    }
}

/// What changed in the live files since a snapshot.
pub fn with_live(
    store: &Store,
    old: &Snapshot,
    source: &Source,
) -> Result<BTreeMap<HeldPath, Change>> {
    let live = select::select(source, store.dir())?;
    let mut changes = BTreeMap::new();
    let mut met = std::collections::HashSet::new();
    for found in &live.found {
        met.insert(&found.path);
        let same = match (old.manifest().get(&found.path).map(|entry| &entry.kind), &found.kind) {
            (None, _) => {
                let unfit = old.manifest().left_out.iter().any(|one| one.path == found.path);
                if !unfit {
                    changes.insert(found.path.clone(), Change::Added);
                }
                continue;
            }
            (Some(Kind::File(held)), FoundKind::File) => is_live(source, &found.path, held)?,
            (Some(Kind::Link { target }), FoundKind::Link(now)) => target == now,
            (Some(kind), found) => *kind == Kind::Directory && *found == FoundKind::Directory,
        };
        if !same {
            changes.insert(found.path.clone(), Change::Changed);
        }
    }
    let gone = old.manifest().entries.iter().filter(|entry| !met.contains(&entry.path));
    changes.extend(gone.map(|entry| (entry.path.clone(), Change::Removed)));
    Ok(changes)
}

/// Whether the live file has the content that is held (secrets aside).
pub(super) fn is_live(source: &Source, path: &HeldPath, held: &Held) -> Result<bool> {
    let live = source.live(path);
    if fs::symlink_metadata(&live).is_ok_and(|meta| !held.torn && Stamp::of(&meta) == held.live) {
        return Ok(true);
    }
    let reading = Reading { masked: select::is_masked(path), lines: select::is_lines(path) };
    let outcome =
        content::read(&live, reading, |_| Ok(io::sink()), &mut |_| {}).during("read", &live)?;
    Ok(match outcome {
        Outcome::Read(content) => !content.torn && content.blake3.to_hex().as_str() == held.blake3,
        _ => false,
    })
}

/// Whether an entry holds all of what its live file was when it was read, so that the live
/// file may be replaced.
pub(super) fn holds_whole(entry: &Entry) -> bool {
    match &entry.kind {
        Kind::File(held) => !held.torn && held.masked.is_empty(),
        Kind::Link { .. } | Kind::Directory => true,
    }
}
