//! The first words of a child that may be started again without what we added. In: its output. Out:
//! lines of plain text are kept for a moment, since a start that is refused says so and ends at
//! once; what draws a screen, and whatever follows, is shown as it comes.

use std::time::Duration;

use tokio::time::Instant;

use super::Relay;

/// A program that says something and goes on is heard no later than this.
const LONGEST: Duration = Duration::from_millis(500);
const MOST_BYTES: usize = 16 << 10;

#[derive(Debug, Default)]
pub(super) struct Withheld {
    bytes: Vec<u8>,
    pub until: Option<Instant>,
}

impl Relay<'_> {
    /// Keeps the child's first words, as long as they are plain.
    pub fn withhold_first_words(&mut self) {
        self.withheld = Some(Withheld::default());
    }

    /// What is still kept: it is the caller's to show.
    pub fn take_withheld(&mut self) -> Vec<u8> {
        self.withheld.take().unwrap_or_default().bytes
    }

    /// Shows what is kept, and keeps nothing more.
    pub fn show_withheld(&mut self) {
        let bytes = self.take_withheld();
        self.own.splice(0..0, bytes);
    }

    /// Keeps `output[..filled]`, or shows it behind what was kept.
    pub(super) fn withhold_or_show(&mut self) {
        let Some(withheld) = &mut self.withheld else { return };
        let new = &self.output[..self.filled];
        if is_plain(new) && withheld.bytes.len() + new.len() <= MOST_BYTES {
            withheld.bytes.extend_from_slice(new);
            withheld.until.get_or_insert_with(|| Instant::now() + LONGEST);
            // As if it were shown.
            self.written = self.filled;
        } else {
            self.show_withheld();
        }
    }
}

/// Whether this is text, with colours at most and the cursor shown again.
#[must_use]
pub fn is_plain(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        rest = &rest[at + 1..];
        let end = rest.iter().skip(1).position(u8::is_ascii_alphabetic);
        match (rest.first(), end) {
            // It goes on in the next piece.
            (None, _) | (Some(b'['), None) => return true,
            (Some(b'['), Some(end)) => {
                let sequence = &rest[1..end + 2];
                if !sequence.ends_with(b"m") && sequence != b"?25h" {
                    return false;
                }
                rest = &rest[end + 2..];
            }
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn text_is_told_from_what_draws_a_screen() {
        for text in [
            "",
            "error: unknown option\r\n",
            "\x1b[0m\x1b[31mError\x1b[39m\r\n\x1b[?25h",
            "a\x1b[3",
        ] {
            assert!(is_plain(text.as_bytes()), "{text:?}");
        }
        for screen in
            ["\x1b[?2004h", "a\x1b[2J", "\x1b]0;claude\x07", "\x1b7", "\x1b[c", "\x1b[?25l"]
        {
            assert!(!is_plain(screen.as_bytes()), "{screen:?}");
        }
    }
}
