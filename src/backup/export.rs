//! One ordinary `.tar.zst` of a snapshot, its files as they were (not compressed twice).

use std::io::{self, Write};

use super::Progress;
use super::error::{During as _, Result};
use super::manifest::Kind;
use super::snapshot::Snapshot;

/// Writes the archive to `out`. A damaged file ends it with an error: the archive is then
/// not to be used.
pub fn export(snapshot: &Snapshot, out: impl Write, progress: &dyn Progress) -> Result<()> {
    let manifest = snapshot.manifest();
    progress.start(manifest.files().map(|(_, held)| held.size).sum());
    let encoder = zstd::Encoder::new(out, 3).during("write", snapshot.dir())?;
    let mut archive = tar::Builder::new(encoder);
    for entry in &manifest.entries {
        let path = entry.path.as_path();
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_mtime(u64::try_from(entry.mtime.0).unwrap_or(0));
        header.set_size(0);
        match &entry.kind {
            Kind::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                archive.append_data(&mut header, path, io::empty())
            }
            Kind::Link { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, path, target)
            }
            Kind::File(held) => {
                header.set_size(held.size);
                // The archive wants to read, a snapshot wants to write: a pipe joins them.
                let (reader, mut writer) = io::pipe().during("open a pipe for", path)?;
                std::thread::scope(|scope| {
                    let feeding =
                        scope.spawn(move || snapshot.read_back(entry, held, &mut writer, progress));
                    let appended =
                        archive.append_data(&mut header, path, reader.take_exactly(held.size));
                    match feeding.join().expect("reading back does not panic") {
                        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error),
                        _ => appended,
                    }
                })
            }
        }
        .during("archive", path)?;
    }
    let encoder = archive.into_inner().during("write", snapshot.dir())?;
    encoder.finish().and_then(|mut out| out.flush()).during("write", snapshot.dir())
}

/// Fails instead of ending early, so that a short file cannot shift what follows it.
trait TakeExactly: io::Read + Sized {
    fn take_exactly(self, left: u64) -> Exactly<Self> {
        Exactly { reader: self, left }
    }
}

impl<R: io::Read> TakeExactly for R {}

struct Exactly<R> {
    reader: R,
    left: u64,
}

impl<R: io::Read> io::Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        if count == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }
}
