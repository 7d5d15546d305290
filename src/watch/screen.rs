//! The model of Claude's screen. In: the child's output bytes and the terminal's size. Out: a
//! [`Look`] on demand. Feeding only copies; bytes are parsed when
//! somebody looks, or in blocks when a backlog has gathered. A fault of the model blinds it and
//! nothing else: it must never stop the relay.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::excerpt::excerpt;
use super::look::{Look, Rows, Title};

/// A backlog of this size is parsed without waiting for a look (bytes). As much as one read of a
/// PTY brings: in a flood the kernel fetches the next piece meanwhile, and a larger block would
/// only let its queue run full.
const BACKLOG_BYTES: usize = 4 << 10;

/// Screens are modelled up to this size (rows and columns); beyond it only this corner.
const LARGEST: u16 = 1000;

/// What the parser reports beside the cells.
#[derive(Debug, Default)]
struct Notices {
    title: Title,
}

impl vt100::Callbacks for Notices {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title = Title::of(title);
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, params: &[&[u8]]) {
        // a title with a semicolon in it arrives in pieces
        if let [b"0" | b"2", title, _, ..] = params {
            self.title = Title::of(title);
        }
    }
}

/// The model.
pub struct Screen {
    parser: vt100::Parser<Notices>,
    backlog: Vec<u8>,
    blind: bool,
}

impl std::fmt::Debug for Screen {
    // what stands on the screen is the user's and belongs in no log
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("blind", &self.blind).finish_non_exhaustive()
    }
}

impl Screen {
    /// An empty screen of this size; a size of 0 is taken as 1.
    #[must_use]
    pub fn new(rows: u16, cols: u16) -> Self {
        let (rows, cols) = (extent(rows), extent(cols));
        let parser = vt100::Parser::new_with_callbacks(rows, cols, 0, Notices::default());
        Self { parser, backlog: Vec::new(), blind: false }
    }

    /// Takes output of the child, in chunks of any size.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.blind {
            return;
        }
        self.backlog.extend_from_slice(bytes);
        if self.backlog.len() >= BACKLOG_BYTES {
            self.parse();
        }
    }

    /// The terminal changed its size.
    pub fn resize(&mut self, rows: u16, cols: u16) {
        self.parse();
        self.guarded(|parser| parser.set_size(extent(rows), extent(cols)));
    }

    /// What stands there now.
    pub fn look(&mut self) -> Look {
        self.parse();
        let mut look = Look::default();
        self.guarded(|parser| {
            look = Look::at(parser.screen(), parser.callbacks().title);
        });
        if self.blind { Look::default() } else { look }
    }

    /// The text of the visible rows, for an exit's last words and for `explain`.
    pub fn text(&mut self) -> String {
        self.parse();
        let mut text = String::new();
        self.guarded(|parser| text = parser.screen().contents());
        text
    }

    /// What is kept of a failure that no rule knew: Claude's last words, nothing of the user's.
    pub fn excerpt(&mut self) -> String {
        self.parse();
        let mut text = String::new();
        self.guarded(|parser| text = excerpt(&Rows::of(parser.screen())));
        text
    }

    fn parse(&mut self) {
        if self.backlog.is_empty() {
            return;
        }
        let backlog = std::mem::take(&mut self.backlog);
        // The parser loses text behind a character that came in two pieces: half of one waits.
        let whole = backlog.len() - unfinished(&backlog);
        self.guarded(|parser| parser.process(&backlog[..whole]));
        // the allocation is kept for the next backlog
        self.backlog = backlog;
        self.backlog.drain(..whole);
    }

    fn guarded(&mut self, work: impl FnOnce(&mut vt100::Parser<Notices>)) {
        if self.blind {
            return;
        }
        let parser = &mut self.parser;
        // neither is used again after a panic, so it does not matter how it left them
        if catch_unwind(AssertUnwindSafe(|| work(parser))).is_err() {
            tracing::error!("the screen model failed; the screen is not read any more");
            self.blind = true;
        }
    }
}

/// How many bytes at the end are the beginning of a UTF-8 character.
fn unfinished(bytes: &[u8]) -> usize {
    for (before, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > before + 1 { before + 1 } else { 0 };
    }
    0
}

fn extent(size: u16) -> NonZeroU16 {
    NonZeroU16::new(size.min(LARGEST)).unwrap_or(NonZeroU16::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_comes_in_pieces_costs_no_text_behind_it() {
        let text = "try 2 · ← 4 s \u{a0}… 𝄞.";
        let mut whole = Screen::new(24, 80);
        whole.feed(text.as_bytes());
        for cut in 1..text.len() {
            let mut screen = Screen::new(24, 80);
            screen.feed(&text.as_bytes()[..cut]);
            screen.text();
            screen.feed(&text.as_bytes()[cut..]);
            assert_eq!(screen.text(), whole.text(), "cut at {cut}");
        }
    }
}
