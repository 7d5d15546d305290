//! Where a restore prepares its files, each checked against the manifest before it is published.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::error::{During as _, Error, Result};
use super::super::manifest::{Entry, Held};
use super::super::select::STAGING;
use super::super::snapshot::Snapshot;
use super::super::{Source, merge, shown};
use super::Done;

/// Where files are prepared: inside Claude's directory, so that a rename brings them in place.
pub(super) struct Staging {
    dir: PathBuf,
    _lock: File,
}

impl Staging {
    pub(super) fn new(target: &Source) -> Result<Self> {
        let top = &target.claude_dir;
        let dir = top.join(STAGING);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).during("make", &dir)?;
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&path).during("open", &path)?;
        if lock.try_lock().is_err() {
            return Err(Error::Busy { dir: top.clone() });
        }
        Ok(Self { dir, _lock: lock })
    }

    /// Writes a file next to where it belongs, checked against the manifest. One name is
    /// enough: what a killed restore left is overwritten.
    pub(super) fn write(
        &self,
        snapshot: &Snapshot,
        entry: &Entry,
        held: &Held,
        live: &Path,
        done: &mut Done,
    ) -> Result<PathBuf> {
        let parent = live.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(0o700).create(parent).during("make", parent)?;
        let there = fs::metadata(parent).during("look at", parent)?.dev();
        let here = fs::metadata(&self.dir).during("look at", &self.dir)?.dev();
        let path = if there == here { self.dir.join("file") } else { parent.join(STAGING) };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).during("remove", &path);
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file =
            options.write(true).create_new(true).mode(0o600).open(&path).during("write", &path)?;
        let written = self.fill(snapshot, entry, held, live, &file, done);
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.map(|()| path)
    }

    fn fill(
        &self,
        snapshot: &Snapshot,
        entry: &Entry,
        held: &Held,
        live: &Path,
        file: &File,
        done: &mut Done,
    ) -> Result<()> {
        let _ = self;
        let read =
            |out: &mut dyn Write| snapshot.read_back(entry, held, out, &()).during("restore", live);
        if held.masked.is_empty() {
            let mut sparse = Sparse { file, hole: 0 };
            read(&mut sparse)?;
            sparse.finish().during("write", live)?;
        } else {
            let mut bytes = Vec::new();
            read(&mut bytes)?;
            let parsed =
                |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map_err(io::Error::from);
            let document = parsed(&bytes).during("read", live)?;
            let now = fs::read(live).ok().and_then(|bytes| parsed(&bytes).ok());
            let (merged, missing) = merge::merge(document, now.as_ref(), &held.masked);
            let name = shown(entry.path.as_path());
            done.missing_secrets.extend(missing.iter().map(|pointer| format!("{name}: {pointer}")));
            let mut file = file;
            serde_json::to_writer_pretty(&mut file, &merged)
                .map_err(io::Error::from)
                .during("write", live)?;
        }
        let permissions = Permissions::from_mode(entry.mode & 0o777);
        file.set_permissions(permissions).during("write", live)?;
        if let Some(time) = entry.mtime.system() {
            file.set_modified(time).during("write", live)?;
        }
        file.sync_all().during("write", live)
    }

    pub(super) fn finish(self) -> Result<()> {
        fs::remove_dir_all(&self.dir).during("remove", &self.dir)
    }
}

/// As long as the chunks that a snapshot is read back in.
static ZEROS: [u8; 128 << 10] = [0; 128 << 10];

/// Leaves holes where a file holds nothing but zeros: a sparse file stays one.
struct Sparse<'a> {
    file: &'a File,
    hole: u64,
}

impl Sparse<'_> {
    fn finish(mut self) -> io::Result<()> {
        let end = self.file.stream_position()? + std::mem::take(&mut self.hole);
        self.file.set_len(end)
    }
}

impl Write for Sparse<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() >= 4096 && ZEROS.get(..bytes.len()) == Some(bytes) {
            self.hole += bytes.len() as u64;
            return Ok(bytes.len());
        }
        if self.hole > 0 {
            let hole = i64::try_from(std::mem::take(&mut self.hole)).map_err(io::Error::other)?;
            self.file.seek(SeekFrom::Current(hole))?;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
