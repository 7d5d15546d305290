//! The model of Claude's screen. In: the child's output bytes and the terminal's size. Out: a
//! [`Look`] on demand. Feeding only copies; bytes are parsed when somebody looks, or in blocks when
//! a backlog has gathered, and what has scrolled away by then is left out. After a fault of the
//! model it begins anew with a blank screen: it must never stop the relay.

mod skim;

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::excerpt::excerpt;
use super::look::{Look, Rows, Title};

/// A backlog of this size is dealt with without waiting for a look (bytes): less than half a
/// millisecond's work at the worst.
const BACKLOG_BYTES: usize = 32 << 10;

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
}

impl std::fmt::Debug for Screen {
    // what stands on the screen is the user's and belongs in no log
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// An empty screen of this size; a size of 0 is taken as 1.
    #[must_use]
    pub fn new(rows: u16, cols: u16) -> Self {
        Self { parser: blank(extent(rows), extent(cols)), backlog: Vec::new() }
    }

    /// Takes output of the child, in chunks of any size.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.backlog.extend_from_slice(bytes);
        if self.backlog.len() >= BACKLOG_BYTES {
            self.skim();
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
        look
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
        // The parser loses text behind a character that came in two pieces: half of one waits.
        self.parse_to(self.backlog.len() - unfinished(&self.backlog));
    }

    /// Parses the backlog, but for the lines of a flood that have scrolled away again.
    fn skim(&mut self) {
        let rows = self.parser.screen().size().0.get();
        if let Some(flood) = skim::flood(&self.backlog, rows) {
            let length = self.backlog.len();
            self.parse_to(flood.head);
            if self.scrolls() {
                let tail = self.backlog.len() - (length - flood.tail);
                let attributes = skim::attributes(&self.backlog[..tail]);
                self.guarded(|parser| parser.process(&attributes));
                self.backlog.drain(..tail);
                return;
            }
        }
        self.parse();
    }

    /// Whether the line feed that was parsed last has scrolled: the line with text that it ended
    /// is not in the last row any more, where the cursor is.
    fn scrolls(&self) -> bool {
        let screen = self.parser.screen();
        let (rows, cols) = screen.size();
        let last = rows.get() - 1;
        let is_blank = |col| screen.cell(last, col).is_none_or(|cell| !cell.has_contents());
        screen.cursor_position() == (last, 0) && (0..cols.get()).all(is_blank)
    }

    fn parse_to(&mut self, end: usize) {
        if end == 0 {
            return;
        }
        let backlog = std::mem::take(&mut self.backlog);
        self.guarded(|parser| parser.process(&backlog[..end]));
        // the allocation is kept for the next backlog
        self.backlog = backlog;
        self.backlog.drain(..end);
    }

    fn guarded(&mut self, work: impl FnOnce(&mut vt100::Parser<Notices>)) {
        let parser = &mut self.parser;
        let size = parser.screen().size();
        // after a panic it is thrown away, so it does not matter how that left it
        if catch_unwind(AssertUnwindSafe(|| work(parser))).is_err() {
            tracing::error!("the screen model failed; it begins anew with a blank screen");
            self.parser = blank(size.0, size.1);
        }
    }
}

fn blank(rows: NonZeroU16, cols: NonZeroU16) -> vt100::Parser<Notices> {
    vt100::Parser::new_with_callbacks(rows, cols, 0, Notices::default())
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
    use proptest::collection::vec;
    use proptest::prelude::*;

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

    #[test]
    fn a_model_that_panicked_begins_anew_and_sees_again() {
        let mut screen = Screen::new(3, 20);
        screen.feed(b"before");
        screen.text();
        screen.guarded(|_| panic!("as a parser may"));
        screen.feed(b"after");
        assert_eq!(screen.text(), "after");
        assert_eq!(screen.parser.screen().size(), (extent(3), extent(20)));
    }

    #[test]
    fn most_of_a_flood_is_not_parsed() {
        let mut screen = Screen::new(24, 80);
        let line = format!("\x1b[2m{:8}\x1b[22m {}\r\n", 7, "x".repeat(60));
        let flood = line.repeat(BACKLOG_BYTES * 4 / line.len());
        let mut left = 0;
        for chunk in flood.as_bytes().chunks(4096) {
            screen.feed(chunk);
            let skimmed = screen.backlog.len() < chunk.len() + 60 * line.len();
            left += usize::from(skimmed && screen.backlog.len() >= 48 * line.len());
        }
        assert!(left > 0, "nothing was left out");
    }

    #[test]
    fn a_row_that_does_not_scroll_keeps_what_was_written_past_the_newer_lines() {
        let mut screen = Screen::new(24, 80);
        screen.feed(b"\x1b[2;9r\x1b[24;1H");
        screen.text();
        let (short, long) = ("short\r\n", format!("{}\r\n", "long ".repeat(12)));
        let flood = format!("{}{long}{}", short.repeat(400), short.repeat(6000));
        screen.feed(flood.as_bytes());
        assert!(screen.text().contains("shortlong"), "{:?}", screen.text());
    }

    /// What a program writes: floods of lines, and everything that changes how they are shown.
    fn output() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "[a-z ]{0,90}",
            "[a-zäé€漢字\u{301} \t]{0,30}",
            Just(String::new()),
            Just("\x1b[1;31mred\x1b[m plain \x1b[48;5;3mground".to_owned()),
            Just("\x1b[2mdim".to_owned()),
        ];
        let end = prop_oneof![4 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")];
        let flood = (vec((line, end), 1..5), 1..3000_usize).prop_map(|(lines, count)| {
            let lines: Vec<String> = lines.iter().map(|(line, end)| line.clone() + end).collect();
            lines.concat().repeat(count / lines.len() + 1)
        });
        let other = prop_oneof![
            Just("\x1b[2;9r"),
            Just("\x1b[3;24r\x1b[5;1H"),
            Just("\x1b[r"),
            Just("\x1b[24;1H"),
            Just("\x1b[?1049h"),
            Just("\x1b[?1049l"),
            Just("\x1b[?7l"),
            Just("\x1b[?6h"),
            Just("\x1b[2J\x1b[H"),
            Just("\x1b7"),
            Just("\x1b8"),
            Just("\x1b]0;title"),
            Just("\x07"),
            Just("\x1bP"),
            Just("\x1b["),
            Just("\x1b(0"),
            Just("\x0e"),
            Just("\x1b[3L\x1b[2P"),
            Just("\x1bc"),
        ]
        .prop_map(str::to_owned);
        vec(prop_oneof![flood, other], 1..8).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_left_out_makes_no_difference(
            bytes in output(),
            chunk in 1..6000_usize,
            rows in 1..40_u16,
            cols in 1..90_u16,
        ) {
            let mut whole = Screen::new(rows, cols);
            let mut skimmed = Screen::new(rows, cols);
            for chunk in bytes.chunks(chunk) {
                skimmed.feed(chunk);
                whole.backlog.extend_from_slice(chunk);
                whole.parse();
            }
            let state = |screen: &mut Screen| {
                screen.parse();
                let model = screen.parser.screen();
                (model.state_formatted(), model.contents_formatted(), model.alternate_screen())
            };
            prop_assert_eq!(state(&mut whole), state(&mut skimmed));
        }
    }
}
