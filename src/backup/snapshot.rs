//! One snapshot: opened, read back, verified. A [`VerifiedSnapshot`] was re-read and re-hashed from
//! the disk, and is what a fix must show before it moves anything.

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Progress;
use super::disk::forget_cached;
use super::error::{Error, Result};
use super::manifest::{Entry, Held, Kind, Manifest};
use super::parallel::in_parallel;
use super::store::Store;

/// No more sentences than this about one damaged snapshot.
const PROBLEMS_SHOWN: usize = 10;

/// A snapshot whose manifest could be read.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(super) dir: PathBuf,
    pub(super) manifest: Manifest,
}

/// A snapshot whose every file was read back from the disk and found right.
#[derive(Debug)]
pub struct VerifiedSnapshot(Snapshot);

impl VerifiedSnapshot {
    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// What it holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The store it lies in.
    #[must_use]
    pub fn store(&self) -> Store {
        self.0.store()
    }
}

impl Snapshot {
    /// Opens the snapshot of this name.
    pub fn open(store: &Store, id: &str) -> Result<Self> {
        let dir = store.dir().join(id);
        let manifest = Manifest::read(&dir).map_err(|error| Error::Damaged {
            id: id.to_owned(),
            problems: vec![format!("the manifest cannot be read: {error}")],
        })?;
        Ok(Self { dir, manifest })
    }

    /// What it holds.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn store(&self) -> Store {
        Store::new(self.dir.parent().unwrap_or(Path::new("/")).to_owned())
    }

    /// Where a file's compressed form lies.
    #[must_use]
    pub fn stored(&self, entry: &Entry) -> PathBuf {
        self.dir.join(entry.path.stored(matches!(entry.kind, Kind::File(_))))
    }

    /// Reads every file back from the disk and compares it with the manifest.
    pub fn verify(self, progress: &dyn Progress) -> Result<VerifiedSnapshot> {
        progress.start(self.manifest.files().map(|(_, held)| held.size).sum());
        let checked = in_parallel(&self.manifest.entries, |entry| Ok(self.check(entry, progress)))?;
        let mut problems: Vec<String> = checked.into_iter().flatten().collect();
        if problems.is_empty() {
            return Ok(VerifiedSnapshot(self));
        }
        let more = problems.len().saturating_sub(PROBLEMS_SHOWN);
        problems.truncate(PROBLEMS_SHOWN);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(Error::Damaged { id: self.manifest.id, problems })
    }

    /// What is wrong with an entry, if anything.
    fn check(&self, entry: &Entry, progress: &dyn Progress) -> Option<String> {
        let path = self.stored(entry);
        let found = match &entry.kind {
            Kind::File(held) => self.read_back(entry, held, &mut io::sink(), progress),
            Kind::Directory => fs::symlink_metadata(&path).and_then(|meta| {
                meta.is_dir().then_some(()).ok_or(io::ErrorKind::NotADirectory.into())
            }),
            Kind::Link { target } => fs::read_link(&path)
                .and_then(|found| (found == *target).then_some(()).ok_or(differs("its target"))),
        };
        found.err().map(|error| format!("{}: {error}", super::shown(entry.path.as_path())))
    }

    /// Writes a file's content to `out`; an error if it is not what the manifest says.
    pub(super) fn read_back(
        &self,
        entry: &Entry,
        held: &Held,
        out: &mut dyn io::Write,
        progress: &dyn Progress,
    ) -> io::Result<()> {
        let flags = nix::fcntl::OFlag::O_NOFOLLOW;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits()).open(self.stored(entry))?;
        if file.metadata()?.len() != held.stored_size {
            return Err(differs("its stored size"));
        }
        forget_cached(&file);
        let mut decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(64 << 10, file))?;
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; 128 << 10];
        let mut size = 0;
        loop {
            let count = decoder.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            size += count as u64;
            // A damaged or hostile file must not fill the disk before its hash is known.
            if size > held.size {
                return Err(differs("its size"));
            }
            hasher.update(&chunk[..count]);
            out.write_all(&chunk[..count])?;
            progress.advance(count as u64);
        }
        if size != held.size || hasher.finalize().to_hex().as_str() != held.blake3 {
            return Err(differs("its content"));
        }
        Ok(())
    }
}

fn differs(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not what the manifest says"))
}
