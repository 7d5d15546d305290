//! What a snapshot holds: `manifest.json`, and its BLAKE3 beside it in `manifest.json.b3`.
//! Hashes are those of the form that is held, which is what `zstd -d` prints: for a JSON file
//! with secrets, the masked form. Plain data and its reading and writing, nothing else.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::held_path::{HeldPath, raw};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The manifest's file name.
pub const FILE: &str = "manifest.json";
const HASH_FILE: &str = "manifest.json.b3";

/// Seconds since 1970 and nanoseconds, as the file system has them: any value can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time(pub i64, pub i64);

impl Time {
    /// The same as the standard library has it; `None` if it is out of range.
    #[must_use]
    pub fn system(self) -> Option<SystemTime> {
        let nanos = Duration::from_nanos(u64::try_from(self.1).ok()?);
        let seconds = Duration::from_secs(self.0.unsigned_abs());
        let base = if self.0 < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(seconds)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(seconds)
        };
        base?.checked_add(nanos)
    }
}

/// The whole of a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The snapshot's name: a number that only grows, and the time.
    pub id: String,
    /// When it was begun.
    pub created: Timestamp,
    /// Why: `by hand`, `before clear_cache` …
    pub reason: String,
    /// Claude's directory, as `.claude` here.
    #[serde(with = "raw")]
    pub claude_dir: PathBuf,
    /// `.claude.json`.
    #[serde(with = "raw")]
    pub claude_json: PathBuf,
    /// Files, directories and links, in the order of their paths.
    pub entries: Vec<Entry>,
    /// What was met and is not held, with the reason.
    pub left_out: Vec<LeftOut>,
}

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it belongs.
    pub path: HeldPath,
    /// Permission bits.
    pub mode: u32,
    /// Time of its last change.
    pub mtime: Time,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// A file, compressed by itself.
    File(Held),
    /// A directory.
    Directory,
    /// A link; what it points to is not held.
    Link {
        /// Where it points.
        #[serde(with = "raw")]
        target: PathBuf,
    },
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Length of the held form (bytes).
    pub size: u64,
    /// Length of the compressed file (bytes).
    pub stored_size: u64,
    /// BLAKE3 of the held form, hexadecimal.
    pub blake3: String,
    /// The live file when it was read, to know later whether it changed.
    pub live: Stamp,
    /// It was being written: what is held ends at its last full line then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub torn: bool,
    /// JSON pointers of the values that were masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<String>,
    /// Where it is stored, when that is not simply its path with `.zst`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_as: Option<String>,
}

/// What changes when a file is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Length (bytes).
    pub size: u64,
    /// Time of the last change of content.
    pub mtime: Time,
    /// Time of the last change of anything; cannot be set by hand, as `mtime` can.
    pub ctime: Time,
    /// The file's number; another one means another file.
    pub inode: u64,
}

impl Stamp {
    /// The stamp in a file's metadata.
    #[must_use]
    pub fn of(meta: &std::fs::Metadata) -> Self {
        Self {
            size: meta.size(),
            mtime: Time(meta.mtime(), meta.mtime_nsec()),
            ctime: Time(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        }
    }
}

/// Something that is not in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where it is.
    pub path: HeldPath,
    /// Why, for people.
    pub reason: String,
    /// It belonged in, but could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl Manifest {
    /// The files among the entries.
    pub fn files(&self) -> impl Iterator<Item = (&Entry, &Held)> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::File(held) => Some((entry, held)),
            _ => None,
        })
    }

    /// The entry of this path.
    #[must_use]
    pub fn get(&self, path: &HeldPath) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|entry| entry.path.cmp(path));
        found.ok().map(|index| &self.entries[index])
    }

    /// Writes it, and its hash, into a snapshot's directory. The entries get sorted.
    pub fn write(&mut self, dir: &Path) -> io::Result<()> {
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
        let bytes = serde_json::to_vec(self).map_err(io::Error::other)?;
        let hash = blake3::hash(&bytes).to_hex();
        for (name, content) in [(FILE, &bytes[..]), (HASH_FILE, hash.as_bytes())] {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(dir.join(name))?;
            file.write_all(content)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Reads and checks it; a manifest that was changed, cut or is newer than this program
    /// is an error.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let bytes = std::fs::read(dir.join(FILE))?;
        let mut hash = String::new();
        io::Read::read_to_string(&mut File::open(dir.join(HASH_FILE))?, &mut hash)?;
        let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        if hash.trim() != blake3::hash(&bytes).to_hex().as_str() {
            return Err(wrong("the manifest does not match its hash".into()));
        }
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if manifest.format > FORMAT {
            return Err(wrong(format!("format {} is newer than this program", manifest.format)));
        }
        Ok(manifest)
    }
}
