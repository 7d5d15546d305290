//! Reads one live file so that what is held is a state the file really had.
//! In: a path. Out: its content, masked if need be, into a sink, and the file's stamp.
//! A file that changes while it is read is read again; one that never rests is cut at its
//! last full line. Never follows a link, never blocks on a pipe, never holds a file in memory.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use serde::de::IgnoredAny;

use super::manifest::Stamp;
use super::mask::Masker;

/// How often a changing file is read before it is taken as torn.
const TRIES: u32 = 3;
/// What is read at once (bytes).
const CHUNK_BYTES: usize = 128 << 10;

/// What a hole holds.
static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// How a file is to be read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// JSON whose secrets are masked.
    pub masked: bool,
    /// It grows line by line, and can be cut at a full line.
    pub lines: bool,
}

/// What became of a file.
#[derive(Debug)]
pub enum Outcome<S> {
    /// It was read.
    Read(Content<S>),
    /// It is not there any more.
    Vanished,
    /// It cannot be held; the sentence says why. `failed` if it belonged in.
    Unfit { reason: String, failed: bool },
}

/// A file's content, as it went into the sink.
#[derive(Debug)]
pub struct Content<S> {
    /// The sink it was written to.
    pub sink: S,
    /// Length (bytes).
    pub size: u64,
    /// Hash of it.
    pub blake3: blake3::Hash,
    /// The live file when it was read.
    pub live: Stamp,
    /// It was still being written.
    pub torn: bool,
    /// JSON pointers of what was masked.
    pub masked: Vec<String>,
}

/// Reads the file into a sink; `sink` makes a fresh one for each try.
pub fn read<S: Write>(
    path: &Path,
    reading: Reading,
    mut sink: impl FnMut(&Stamp) -> io::Result<S>,
    progress: &mut dyn FnMut(u64),
) -> io::Result<Outcome<S>> {
    let mut last_wrong = None;
    for attempt in 1..=TRIES {
        let file = match open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Vanished),
            Err(error) => {
                let reason = format!("failed to read: {error}");
                return Ok(Outcome::Unfit { reason, failed: true });
            }
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            let reason = "it became something else while it was read".to_owned();
            return Ok(Outcome::Unfit { reason, failed: true });
        }
        let before = Stamp::of(&meta);
        if reading.masked
            && let Err(error) = check_json(&file)
        {
            last_wrong = Some(error);
            continue;
        }
        let last = attempt == TRIES;
        // Never past the length it had: a file that grows as fast as it is read has no end.
        let limit =
            if last && reading.lines { last_full_line(&file, before.size)? } else { before.size };
        let hashing = Hashing { sink: sink(&before)?, hasher: blake3::Hasher::new(), size: 0 };
        let copied = if reading.masked {
            let mut masker = Masker::new(hashing);
            match copy(&file, &mut masker, limit, progress) {
                Ok(read) => masker.finish().map(|(hashing, masked)| (hashing, masked, read)),
                Err(error) => Err(error),
            }
        } else {
            let mut hashing = hashing;
            copy(&file, &mut hashing, limit, progress).map(|read| (hashing, Vec::new(), read))
        };
        let (hashing, masked, read) = match copied {
            Ok(copied) => copied,
            // Not JSON any more: it changed since it was checked.
            Err(error) if reading.masked && is_json_error(&error) => {
                last_wrong = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let after = Stamp::of(&file.metadata()?);
        let whole = after == before && read == before.size;
        if whole || last {
            return Ok(Outcome::Read(Content {
                size: hashing.size,
                blake3: hashing.hasher.finalize(),
                sink: hashing.sink,
                live: before,
                torn: !whole,
                masked,
            }));
        }
    }
    let why = last_wrong.map(|error| error.to_string()).unwrap_or_default();
    let reason = format!("not JSON, so its secrets could not be masked ({why})");
    Ok(Outcome::Unfit { reason, failed: false })
}

fn open(path: &Path) -> io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

fn check_json(file: &File) -> io::Result<()> {
    let reader = BufReader::with_capacity(CHUNK_BYTES, file);
    serde_json::from_reader::<_, IgnoredAny>(reader).map(drop).map_err(io::Error::from)
}

fn is_json_error(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<serde_json::Error>()).is_some()
}

/// Where the last line that is complete at this size ends (bytes).
fn last_full_line(file: &File, size: u64) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut end = size;
    while end > 0 {
        let start = end.saturating_sub(CHUNK_BYTES as u64);
        let part = &mut chunk[..usize::try_from(end - start).expect("at most one chunk")];
        match file.read_exact_at(part, start) {
            Ok(()) => {}
            // It was cut meanwhile: look before the cut.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        if let Some(newline) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn copy(
    file: &File,
    out: &mut impl Write,
    limit: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    while done < limit {
        let most = usize::try_from(limit - done).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let hole = usize::try_from(hole_at(file, done)?).map_or(most, |hole| hole.min(most));
        let count = if hole > 0 {
            out.write_all(&ZEROS[..hole])?;
            hole
        } else {
            match file.read_at(&mut chunk[..most], done) {
                Ok(0) => break,
                Ok(count) => {
                    out.write_all(&chunk[..count])?;
                    count
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
        };
        done += count as u64;
        progress(count as u64);
    }
    Ok(done)
}

/// How much of a hole begins here (bytes). Reading it would fill the page cache with zeros.
fn hole_at(file: &File, at: u64) -> io::Result<u64> {
    let Ok(offset) = i64::try_from(at) else { return Ok(0) };
    let data = match lseek(file, offset, Whence::SeekData) {
        Ok(data) => data.unsigned_abs(),
        // No more data: a hole up to the end, which may lie before `at` if the file was cut.
        Err(Errno::ENXIO) => file.metadata()?.len(),
        // Not every file system knows its holes.
        Err(_) => at,
    };
    Ok(data.saturating_sub(at))
}

/// Hashes and counts what passes.
struct Hashing<S> {
    sink: S,
    hasher: blake3::Hasher,
    size: u64,
}

impl<S: Write> Write for Hashing<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Reading = Reading { masked: false, lines: true };

    #[test]
    fn a_file_that_never_rests_is_held_up_to_its_last_full_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        std::fs::write(&path, "{\"n\":1}\n").unwrap();
        let grow = |_: u64| {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(b"{\"n\":2}\n{\"torn").unwrap();
        };
        let outcome = read(&path, LINES, |_| Ok(Vec::new()), &mut { grow }).unwrap();
        let Outcome::Read(content) = outcome else { panic!("{outcome:?}") };
        assert!(content.torn);
        assert!(content.sink.ends_with(b"\n"), "{:?}", String::from_utf8_lossy(&content.sink));
        assert!(std::fs::read(&path).unwrap().starts_with(&content.sink));
    }

    #[test]
    fn a_file_that_changes_once_is_read_again_and_held_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        std::fs::write(&path, "a\n").unwrap();
        let mut grown = false;
        let mut grow = |_: u64| {
            if !std::mem::replace(&mut grown, true) {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                file.write_all(b"no newline").unwrap();
            }
        };
        let outcome = read(&path, LINES, |_| Ok(Vec::new()), &mut grow).unwrap();
        let Outcome::Read(content) = outcome else { panic!("{outcome:?}") };
        assert!(!content.torn);
        assert_eq!(content.sink, b"a\nno newline");
        assert_eq!(content.blake3, blake3::hash(b"a\nno newline"));
    }

    #[test]
    fn holes_are_read_as_zeros_and_only_as_far_as_the_file_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        std::fs::write(&path, "a\n").unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"b\n", (1 << 20) + 77).unwrap();
        file.set_len((3 << 20) + 5).unwrap();
        let outcome = read(&path, LINES, |_| Ok(Vec::new()), &mut |_| {}).unwrap();
        let Outcome::Read(content) = outcome else { panic!("{outcome:?}") };
        assert_eq!(content.size, (3 << 20) + 5);
        assert!(content.sink == std::fs::read(&path).unwrap());
        // Cut while it is read: no zeros stand in for what is gone.
        let mut cut = |_: u64| file.set_len(2).unwrap();
        let (live, mut out) = (File::open(&path).unwrap(), Vec::new());
        let done = copy(&live, &mut out, content.size, &mut cut).unwrap();
        assert_eq!((done, out.len()), (CHUNK_BYTES as u64, CHUNK_BYTES));
    }

    #[test]
    fn a_settings_file_that_is_not_json_is_not_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        std::fs::write(&path, "{\"env\": {\"KEY\": \"secret\"").unwrap();
        let reading = Reading { masked: true, lines: false };
        let outcome = read(&path, reading, |_| Ok(Vec::new()), &mut |_| {}).unwrap();
        assert!(matches!(outcome, Outcome::Unfit { failed: false, .. }), "{outcome:?}");
    }

    #[test]
    fn a_link_put_in_the_place_of_a_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        let outcome = read(&path, LINES, |_| Ok(Vec::new()), &mut |_| {}).unwrap();
        assert!(matches!(outcome, Outcome::Unfit { failed: true, .. }), "{outcome:?}");
    }
}
