//! Reads the end of one transcript, again and again. In: its path. Out: its [`Tail`]. What was
//! read stays read: a look costs what was written since the last one, and the first one no more
//! than the last turn.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{FIRST_READ_BYTES, READ_CAP_BYTES, Tail, Turn};
use crate::failure::TurnState;

/// A line that may be a prompt, as Claude writes it.
static OF_USER: LazyLock<Regex> = LazyLock::new(|| pattern(r#""type":"user""#));
/// One that only brings what a tool said.
static OF_TOOL: LazyLock<Regex> = LazyLock::new(|| pattern(r#""type":"tool_result""#));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern that tests compile")
}

/// What was read of a transcript so far.
#[derive(Debug, Default)]
pub struct Reader {
    /// Which file it is.
    file: Option<(u64, u64)>,
    /// Up to where, whole lines only (bytes).
    read: u64,
    turn: Turn,
    /// The last turn's beginning, or the file's, is among what was read.
    complete: bool,
}

impl Reader {
    /// Reads on.
    pub fn tail(&mut self, path: &Path) -> io::Result<Tail> {
        let mut file = File::open(path)?;
        let meta = file.metadata()?;
        let id = |meta: &Metadata| (meta.dev(), meta.ino());
        let grown = meta.len().saturating_sub(self.read);
        if self.file != Some(id(&meta)) || meta.len() < self.read || grown > READ_CAP_BYTES {
            let (start, complete) = beginning(&mut file, meta.len())?;
            *self = Self { file: Some(id(&meta)), read: start, complete, ..Self::default() };
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read))?;
        file.take(READ_CAP_BYTES).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (whole, torn) = bytes.split_at(whole);
        self.turn.lines(whole);
        self.read += whole.len() as u64;
        self.complete |= self.turn.prompted;
        // It may be whole but for its end; it is read again when that is there.
        let mut turn = self.turn.clone();
        turn.lines(torn);
        let complete = self.complete || turn.prompted;
        let state = if complete { turn.state() } else { TurnState::Unknown };
        Ok(turn.tail(state, meta.len()))
    }
}

/// Where to begin, so that the last turn is in what follows, and some of what was before; the
/// second value tells whether its beginning was found.
fn beginning(file: &mut File, size: u64) -> io::Result<(u64, bool)> {
    let mut want = FIRST_READ_BYTES;
    loop {
        let from = size.saturating_sub(want);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(want).read_to_end(&mut bytes)?;
        // The first line is torn when we began in the middle.
        let skip = match bytes.iter().position(|byte| *byte == b'\n') {
            _ if from == 0 => 0,
            Some(end) => end + 1,
            None => bytes.len(),
        };
        let found = from == 0 || has_prompt(&bytes[skip..]);
        if found || want >= READ_CAP_BYTES {
            return Ok((from + skip as u64, found));
        }
        want *= 4;
    }
}

/// Whether a turn begins in these lines.
fn has_prompt(bytes: &[u8]) -> bool {
    let found: Vec<usize> = OF_USER.find_iter(bytes).map(|found| found.start()).collect();
    let start = |at: usize| bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    found.into_iter().rev().map(start).any(|start| {
        let line = bytes[start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut turn = Turn::default();
        if !OF_TOOL.is_match(line) {
            turn.lines(line);
        }
        turn.prompted
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;
    use proptest::test_runner::TestCaseError;
    use serde_json::{Value, json};

    use super::*;
    use crate::claude::transcript::tail;

    fn line(kind: u8, filler: usize) -> Value {
        let text = "x \"type\":\"user\" ".repeat(filler);
        match kind {
            0 => json!({"type": "user", "uuid": "u", "message": {"content": text}}),
            1 => {
                json!({"type": "assistant", "uuid": "a", "message": {"content": [{"type": "text", "text": text}]}})
            }
            2 => {
                json!({"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "t"}]}})
            }
            3 => {
                json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t", "content": text}]}})
            }
            4 => json!({"type": "user", "isMeta": true, "message": {"content": text}}),
            5 => json!({"type": "user", "isCompactSummary": true, "message": {"content": text}}),
            _ => {
                json!({"type": "assistant", "isApiErrorMessage": true, "apiErrorStatus": 500, "message": {"content": []}})
            }
        }
    }

    /// What it tells of the turn; of the turns before it tells more, the more it has read.
    fn same(read_on: &Tail, path: &Path) -> Result<(), TestCaseError> {
        let anew = tail(path).expect("readable");
        prop_assert_eq!(
            (read_on.turn, read_on.finished, &read_on.failure, &read_on.last_uuid, read_on.size),
            (anew.turn, anew.finished, &anew.failure, &anew.last_uuid, anew.size)
        );
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn reading_on_tells_what_reading_anew_tells(
            lines in prop::collection::vec((0_u8..7, 0_usize..20_000), 0..12),
            cut in 0_usize..400,
        ) {
            let file = tempfile::NamedTempFile::new().expect("a temporary file");
            let mut all = Vec::new();
            for (kind, filler) in &lines {
                all.extend(format!("{}\n", line(*kind, *filler)).into_bytes());
            }
            // As it was written: a look may come in the middle of a line.
            let mut reader = Reader::default();
            let mut out = file.reopen().expect("ours");
            for piece in all.chunks(all.len() / 5 + cut + 1) {
                out.write_all(piece).expect("written");
                same(&reader.tail(file.path()).expect("readable"), file.path())?;
            }
            // Another file in its place, as after a rewind.
            let shorter = tempfile::NamedTempFile::new().expect("a temporary file");
            std::fs::write(shorter.path(), &all[all.len() / 2..]).expect("written");
            same(&reader.tail(shorter.path()).expect("readable"), shorter.path())?;
            // All of it forward tells the same as from the last prompt on.
            let mut turn = Turn::default();
            turn.lines(&all);
            prop_assert_eq!(turn.state(), tail(file.path()).expect("readable").turn);
        }
    }

    #[test]
    fn a_look_reads_only_what_was_written_since_the_last() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut reader = Reader::default();
        writeln!(file, "{}\n{}", line(0, 1), line(1, 20_000)).expect("written");
        reader.tail(file.path()).expect("readable");
        let read = reader.read;
        writeln!(file, "{}", line(6, 0)).expect("written");
        let tail = reader.tail(file.path()).expect("readable");
        assert!(tail.failure.is_some() && tail.turn == TurnState::Partial);
        assert!(read > 300_000 && reader.read - read < 200, "{read}, {}", reader.read);
    }
}
