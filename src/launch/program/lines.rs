//! Lines out of chunks. In: bytes as they come. Out: the same bytes, line by line; a line longer
//! than what may be held back comes in pieces.

use crate::program::MOST_HELD_BYTES;

/// Some of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A whole line, its end included.
    Line(&'a [u8]),
    /// Of a line that is too long, or of its end.
    Piece(&'a [u8]),
}

/// Splits chunks into lines; what has no end yet is kept for the next chunk.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    /// The line that is read now has been handed out in part.
    in_pieces: bool,
}

impl Lines {
    /// Hands each line to `take`.
    pub fn feed(&mut self, chunk: &[u8], mut take: impl FnMut(Part<'_>)) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', chunk) {
            let line = &chunk[start..=end];
            start = end + 1;
            if std::mem::take(&mut self.in_pieces) {
                take(Part::Piece(line));
            } else if self.rest.is_empty() {
                take(Part::Line(line));
            } else {
                self.rest.extend_from_slice(line);
                take(Part::Line(&std::mem::take(&mut self.rest)));
            }
        }
        let rest = &chunk[start..];
        if self.in_pieces {
            if !rest.is_empty() {
                take(Part::Piece(rest));
            }
            return;
        }
        self.rest.extend_from_slice(rest);
        if self.rest.len() > MOST_HELD_BYTES {
            self.in_pieces = true;
            take(Part::Piece(&std::mem::take(&mut self.rest)));
        }
    }

    /// The last line, if it has no end.
    pub fn end(&mut self) -> Vec<u8> {
        self.in_pieces = false;
        std::mem::take(&mut self.rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_are_cut(
            bytes in vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200),
            cut in 1..20_usize,
        ) {
            let (mut lines, mut got) = (Lines::default(), Vec::new());
            for chunk in bytes.chunks(cut) {
                lines.feed(chunk, |part| match part {
                    Part::Line(line) => got.push(line.to_vec()),
                    Part::Piece(_) => unreachable!("no line is long"),
                });
            }
            prop_assert!(got.iter().all(|line| line.ends_with(b"\n")));
            let last = lines.end();
            prop_assert!(!last.contains(&b'\n'));
            got.push(last);
            prop_assert_eq!(got.concat(), bytes);
        }
    }

    #[test]
    fn a_line_that_is_too_long_comes_in_pieces() {
        let mut bytes = b"one\n".to_vec();
        bytes.resize(bytes.len() + 3 * MOST_HELD_BYTES, b'x');
        bytes.extend_from_slice(b"\ntwo\n");
        let (mut lines, mut whole, mut pieces) = (Lines::default(), Vec::new(), Vec::new());
        for chunk in bytes.chunks(1 << 20) {
            lines.feed(chunk, |part| match part {
                Part::Line(line) => whole.push(line.to_vec()),
                Part::Piece(piece) => pieces.extend_from_slice(piece),
            });
            assert!(lines.rest.len() <= MOST_HELD_BYTES);
        }
        assert_eq!(whole, [b"one\n", b"two\n"]);
        assert_eq!(pieces.len(), 3 * MOST_HELD_BYTES + 1);
    }
}
