//! A snapshot is made. It is built in a `.partial-` directory and gets its name by a rename, after
//! everything is on the disk: what has a snapshot's name is whole. Files that did not change since
//! the last snapshot are linked to it.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::content::{self, Content, Outcome, Reading};
use super::disk::{forget_cached, sync_tree};
use super::error::{During as _, Result};
use super::held_path::HeldPath;
use super::manifest::{Entry, FORMAT, Held, Kind, LeftOut, Manifest, Stamp};
use super::parallel::in_parallel;
use super::select::{self, Found, FoundKind};
use super::snapshot::Snapshot;
use super::store::{PARTIAL, Store};
use super::{Progress, Source, lock, space};

/// On transcripts as small as level 3, for three quarters of its CPU time.
const LEVEL: i32 = 2;
/// The compressor's tables grow with its window; 2^21 bytes is what the level would take.
const WINDOW_LOGS: std::ops::RangeInclusive<u32> = 10..=21;
/// A change within this time before a snapshot may have left the file's times as they were
/// (the coarsest file systems count in 2 s), so such files are read again.
const TIME_GRAIN_SECONDS: i64 = 2;
/// A new snapshot, and what it cost.
#[derive(Debug)]
pub struct Created {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Files taken over from the last snapshot by a hard link.
    pub linked: usize,
    /// What was written (bytes).
    pub written: u64,
}

impl Snapshot {
    /// Copies the source's history and settings into a new snapshot. With `reuse`, files
    /// that did not change since the last one are linked to it.
    pub fn create(
        store: &Store,
        _lock: &mut lock::Exclusive,
        source: &Source,
        reason: &str,
        reuse: bool,
        progress: &dyn Progress,
    ) -> Result<Created> {
        let created = Timestamp::now();
        let id = store.next_id(created)?;
        let selection = select::select(source, store.dir())?;
        let last = reuse.then(|| store.latest_readable()).flatten();
        let last = last.as_ref().map(Reusable::of);
        let fresh = |found: &&Found| match &last {
            _ if found.kind != FoundKind::File => false,
            Some(last) => last.find(found).is_none(),
            None => true,
        };
        let to_read = || selection.found.iter().filter(fresh);
        space::check(store.dir(), to_read().map(|found| found.allocated).sum())?;
        progress.start(to_read().map(|found| found.stamp.size).sum());

        let partial = Partial::new(store.dir().join(format!("{PARTIAL}{id}")))?;
        make_directories(&partial.dir, &selection.found)?;
        let making = Making { dir: &partial.dir, source, last: last.as_ref(), progress };
        let made = in_parallel(&selection.found, |found| making.hold(found))?;

        let mut manifest = Manifest {
            format: FORMAT,
            id: id.clone(),
            created,
            reason: reason.to_owned(),
            claude_dir: source.claude_dir.clone(),
            claude_json: source.claude_json.clone(),
            entries: Vec::with_capacity(made.len()),
            left_out: selection.left_out,
        };
        let (mut linked, mut written) = (0, 0);
        for made in made {
            match made {
                Made::Entry(entry) => manifest.entries.push(entry),
                Made::Linked(entry) => {
                    linked += 1;
                    manifest.entries.push(entry);
                }
                Made::Written(entry, bytes) => {
                    written += bytes;
                    manifest.entries.push(entry);
                }
                Made::LeftOut(left_out) => manifest.left_out.push(left_out),
                Made::Nothing => {}
            }
        }
        manifest.write(&partial.dir).during("write the manifest in", &partial.dir)?;
        let dir = partial.complete(store.dir(), &id)?;
        Ok(Created { snapshot: Self { dir, manifest }, linked, written })
    }
}

/// The files of the last snapshot that need not be read again if they did not change.
struct Reusable<'a> {
    snapshot: &'a Snapshot,
    entries: HashMap<&'a HeldPath, (&'a Entry, &'a Held)>,
}

impl<'a> Reusable<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let settled = snapshot.manifest.created.as_second() - TIME_GRAIN_SECONDS;
        let files = snapshot.manifest.files();
        let files = files.filter(|(_, held)| !held.torn && held.live.ctime.0 < settled);
        let entries = files.map(|(entry, held)| (&entry.path, (entry, held))).collect();
        Self { snapshot, entries }
    }

    fn find(&self, found: &Found) -> Option<(&'a Entry, &'a Held)> {
        self.entries.get(&found.path).copied().filter(|(_, held)| held.live == found.stamp)
    }
}

/// A directory that is removed again unless it becomes a snapshot.
struct Partial {
    dir: PathBuf,
    done: bool,
}

impl Partial {
    fn new(dir: PathBuf) -> Result<Self> {
        DirBuilder::new().mode(0o700).create(&dir).during("make", &dir)?;
        Ok(Self { dir, done: false })
    }

    /// Brings everything to the disk, then gives the directory its name.
    fn complete(mut self, store: &Path, id: &str) -> Result<PathBuf> {
        sync_tree(&self.dir).during("write to disk", &self.dir)?;
        let dir = store.join(id);
        fs::rename(&self.dir, &dir).during("name the snapshot", &dir)?;
        self.done = true;
        File::open(store).and_then(|store| store.sync_all()).during("write to disk", store)?;
        Ok(dir)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed now is removed by the next backup.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn make_directories(dir: &Path, found: &[Found]) -> Result<()> {
    let mut directories: Vec<_> =
        found.iter().filter(|found| found.kind == FoundKind::Directory).collect();
    directories.sort_by(|a, b| a.path.cmp(&b.path));
    for directory in directories {
        let path = dir.join(directory.path.stored(false));
        DirBuilder::new().mode(0o700).recursive(true).create(&path).during("make", &path)?;
    }
    Ok(())
}

/// What became of one thing that was found.
enum Made {
    Entry(Entry),
    Linked(Entry),
    Written(Entry, u64),
    LeftOut(LeftOut),
    Nothing,
}

/// A snapshot in the making.
struct Making<'a> {
    dir: &'a Path,
    source: &'a Source,
    last: Option<&'a Reusable<'a>>,
    progress: &'a dyn Progress,
}

impl Making<'_> {
    fn hold(&self, found: &Found) -> Result<Made> {
        let entry = |kind| Entry {
            path: found.path.clone(),
            mode: found.mode,
            mtime: found.stamp.mtime,
            kind,
        };
        match &found.kind {
            FoundKind::Directory => Ok(Made::Entry(entry(Kind::Directory))),
            FoundKind::Link(target) => {
                let path = self.dir.join(found.path.stored(false));
                std::os::unix::fs::symlink(target, &path).during("make", &path)?;
                Ok(Made::Entry(entry(Kind::Link { target: target.clone() })))
            }
            FoundKind::File => {
                let path = self.dir.join(found.path.stored(true));
                let last = self.last.and_then(|last| Some((last.find(found)?, last.snapshot)));
                if let Some(((old, held), snapshot)) = last
                    && link(&snapshot.stored(old), &path, held)
                {
                    return Ok(Made::Linked(entry(Kind::File(held.clone()))));
                }
                self.copy(found, &path)
            }
        }
    }

    fn copy(&self, found: &Found, path: &Path) -> Result<Made> {
        let live = self.source.live(&found.path);
        let reading = Reading {
            masked: select::is_masked(&found.path),
            lines: select::is_lines(&found.path),
        };
        let sink = |stamp: &Stamp| {
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
            let mut encoder = zstd::Encoder::new(BufWriter::with_capacity(128 << 10, file), LEVEL)?;
            encoder.include_checksum(true)?;
            // Small tables for small files. Not the exact size: the frame would promise it, and
            // the file may change, or be masked.
            let log = stamp.size.checked_next_power_of_two().map_or(u32::MAX, u64::ilog2);
            encoder.window_log(log.clamp(*WINDOW_LOGS.start(), *WINDOW_LOGS.end()))?;
            Ok(encoder)
        };
        let outcome =
            content::read(&live, reading, sink, &mut |bytes| self.progress.advance(bytes))
                .during("copy into the backup", &live)?;
        match outcome {
            Outcome::Vanished => Ok(Made::Nothing),
            Outcome::Unfit { reason, failed } => {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(error).during("remove", path);
                    }
                    _ => {}
                }
                Ok(Made::LeftOut(LeftOut { path: found.path.clone(), reason, failed }))
            }
            Outcome::Read(content) => {
                let held = finish(content, found, path).during("write", path)?;
                let written = held.stored_size;
                let mtime = held.live.mtime;
                let entry = Entry {
                    path: found.path.clone(),
                    mode: found.mode,
                    mtime,
                    kind: Kind::File(held),
                };
                Ok(Made::Written(entry, written))
            }
        }
    }
}

type Encoder = zstd::Encoder<'static, BufWriter<File>>;

fn finish(content: Content<Encoder>, found: &Found, path: &Path) -> io::Result<Held> {
    let file = content.sink.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    // `zstd -d` gives the file its time back.
    if let Some(time) = content.live.mtime.system() {
        file.set_modified(time)?;
    }
    if cfg!(not(target_os = "linux")) {
        // On macOS `sync_all` empties the disk's own cache each time; once, at the end, will do.
        nix::unistd::fsync(&file)?;
    }
    // The disk begins to write while the next files are compressed.
    forget_cached(&file);
    let usual = found.path.as_path().as_os_str().len() + ".zst".len();
    let stored = found.path.stored(true);
    let stored_as = (stored.as_os_str().len() != usual).then(|| super::shown(&stored));
    debug_assert!(path.ends_with(&stored));
    Ok(Held {
        size: content.size,
        stored_size: file.metadata()?.len(),
        blake3: content.blake3.to_hex().to_string(),
        live: content.live,
        torn: content.torn,
        masked: content.masked,
        stored_as,
    })
}

/// Links a file of the last snapshot, if it is there as it should be.
fn link(old: &Path, new: &Path, held: &Held) -> bool {
    let intact = fs::symlink_metadata(old)
        .is_ok_and(|meta| meta.is_file() && meta.len() == held.stored_size);
    intact && fs::hard_link(old, new).is_ok()
}
