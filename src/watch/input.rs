//! Tells the user's keys and pastes from the terminal's own reports in the bytes read from the
//! terminal. In: chunks as they were read. Out: what they hold, with offsets into the chunk, so
//! that the caller can act at the right byte. It never changes, delays or drops a byte.
//!
//! Where a sequence could be either, it counts as a key: then claude-safe stands aside, while the
//! opposite mistake would type over a draft. A splitter of its own rather than `vte`, which
//! swallows Alt with Backspace or a letter outside ASCII, and knows neither SS3 nor X10 mouse
//! reports nor pastes.

/// What a stretch of input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Printable text.
    Text,
    /// A key other than text.
    Key(Key),
    /// A bracketed paste, or a part of one.
    Paste,
    /// The terminal's own: focus, mouse, answers to queries, colour scheme, size.
    Report,
}

/// The keys that matter to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Return.
    Enter,
    /// Esc, or the first byte of a sequence whose rest was not read yet.
    Escape,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    EndOfFile,
    /// Ctrl-Z.
    Suspend,
    /// Types nothing: arrows, Home, a function key, a modifier alone, Ctrl-L. Up may still bring
    /// an older prompt into the box.
    Move,
    /// Any other: Alt with a letter, Backspace, Tab, …
    Other,
}

/// One stretch of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub input: Input,
    /// Where it ends in the chunk (exclusive). It begins where the one before ends; a sequence
    /// begun in an earlier chunk begins at 0.
    pub end: usize,
}

impl Input {
    /// Whether a person did this.
    #[must_use]
    pub fn is_typing(self) -> bool {
        !matches!(self, Self::Report)
    }

    /// Whether it may leave a text in the input box that was not there.
    #[must_use]
    pub fn may_write(self) -> bool {
        match self {
            Self::Text | Self::Paste | Self::Key(Key::Other | Key::Suspend) => true,
            Self::Report | Self::Key(_) => false,
        }
    }
}

/// Longest string answer (OSC, DCS, APC) that is followed to its end (bytes).
const LONGEST_STRING: usize = 1 << 20;
/// Longest CSI sequence (bytes).
const LONGEST_CSI: usize = 256;

const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC O: one more byte, a function key.
    Ss3,
    /// After ESC [, with the bytes so far.
    Csi(Vec<u8>),
    /// After `CSI M`: this many bytes of an X10 mouse report to come.
    X10(u8),
    /// In an OSC (which BEL may end), DCS, APC, PM or SOS of this length.
    Text { bell: bool, length: usize, escape: bool },
    /// In a paste, with this many bytes of its end seen.
    Paste(usize),
}

/// The splitter: keeps what is unfinished between chunks.
#[derive(Debug, Clone, Default)]
pub struct InputSplitter {
    state: State,
}

impl InputSplitter {
    /// Splits one chunk. A chunk that ends one or two bytes into a sequence counts as a key: a
    /// lone ESC is the Esc key, `ESC ]` is Alt with a bracket. If the rest follows after all,
    /// that is told too, so such a key may have been a report's first bytes.
    pub fn split(&mut self, chunk: &[u8]) -> Vec<Piece> {
        let mut pieces = Pieces(Vec::new());
        let mut at = 0;
        while at < chunk.len() {
            // a byte that ends a broken sequence is looked at again from the ground state
            if self.step(chunk[at], at + 1, &mut pieces) {
                at += 1;
            }
        }
        let end = chunk.len();
        match self.state {
            State::Escape => pieces.push(Input::Key(Key::Escape), end),
            State::Ss3 | State::Text { length: 0, escape: false, .. } => {
                pieces.push(Input::Key(Key::Other), end);
            }
            State::Csi(ref bytes) if bytes.is_empty() => {
                pieces.push(Input::Key(Key::Other), end);
            }
            State::Paste(_) if end > 0 => pieces.push(Input::Paste, end),
            _ => {}
        }
        pieces.0
    }

    /// Takes one byte, which ends at `end`; `false` asks for it to be offered again.
    fn step(&mut self, byte: u8, end: usize, pieces: &mut Pieces) -> bool {
        match &mut self.state {
            State::Ground => match byte {
                0x1b => self.state = State::Escape,
                _ => pieces.push(plain(byte), end),
            },
            State::Escape => match byte {
                b'[' => self.state = State::Csi(Vec::new()),
                b'O' => self.state = State::Ss3,
                b']' | b'P' | b'X' | b'^' | b'_' => {
                    self.state = State::Text { bell: byte == b']', length: 0, escape: false };
                }
                0x1b => pieces.push(Input::Key(Key::Escape), end - 1),
                // Esc, then a control key: two keys
                0x00..=0x1f => {
                    pieces.push(Input::Key(Key::Escape), end - 1);
                    self.state = State::Ground;
                    return false;
                }
                // Alt with a letter
                _ => {
                    pieces.push(Input::Key(Key::Other), end);
                    self.state = State::Ground;
                }
            },
            State::Ss3 => {
                self.state = State::Ground;
                let key = if b"ABCDEFHPQRS".contains(&byte) { Key::Move } else { Key::Other };
                pieces.push(Input::Key(key), end - usize::from(byte < 0x20));
                return byte >= 0x20;
            }
            State::Csi(bytes) => match byte {
                0x20..=0x3f if bytes.len() < LONGEST_CSI => bytes.push(byte),
                b'M' if bytes.is_empty() => self.state = State::X10(3),
                0x40..=0x7e => {
                    let bytes = std::mem::take(bytes);
                    self.state = State::Ground;
                    if byte == b'~' && bytes == b"200" {
                        self.state = State::Paste(0);
                    } else {
                        pieces.push(csi(&bytes, byte), end);
                    }
                }
                _ => {
                    self.state = State::Ground;
                    pieces.push(Input::Key(Key::Other), end - 1);
                    return false;
                }
            },
            State::X10(left) => {
                *left -= 1;
                if *left == 0 {
                    self.state = State::Ground;
                    pieces.push(Input::Report, end);
                }
            }
            State::Text { bell, length, escape } => match byte {
                0x07 if *bell => {
                    self.state = State::Ground;
                    pieces.push(Input::Report, end);
                }
                b'\\' if *escape => {
                    self.state = State::Ground;
                    pieces.push(Input::Report, end);
                }
                0x1b if !*escape => *escape = true,
                // an answer holds no control characters: this was Alt with a bracket, then keys
                _ if *escape || byte < 0x20 || *length >= LONGEST_STRING => {
                    let was_escape = *escape;
                    // the ESC may have been in the chunk before
                    let end = (end - 1).saturating_sub(usize::from(was_escape));
                    pieces.push(Input::Key(Key::Other), end);
                    self.state = if was_escape { State::Escape } else { State::Ground };
                    return false;
                }
                _ => *length += 1,
            },
            State::Paste(seen) => {
                *seen = match byte {
                    _ if PASTE_END[*seen] == byte => *seen + 1,
                    0x1b => 1,
                    _ => 0,
                };
                if *seen == PASTE_END.len() {
                    self.state = State::Ground;
                    pieces.push(Input::Paste, end);
                }
            }
        }
        true
    }
}

struct Pieces(Vec<Piece>);

impl Pieces {
    /// Adds a stretch; text joins the text before it.
    fn push(&mut self, input: Input, end: usize) {
        match self.0.last_mut() {
            Some(last) if input == Input::Text && last.input == Input::Text => last.end = end,
            _ => self.0.push(Piece { input, end }),
        }
    }
}

fn plain(byte: u8) -> Input {
    match byte {
        b'\r' => Input::Key(Key::Enter),
        0x03 => Input::Key(Key::Interrupt),
        0x04 => Input::Key(Key::EndOfFile),
        0x0c => Input::Key(Key::Move),
        0x1a => Input::Key(Key::Suspend),
        0x00..=0x1f | 0x7f => Input::Key(Key::Other),
        _ => Input::Text,
    }
}

/// Classifies a control sequence by its parameter and intermediate bytes and its final byte.
fn csi(bytes: &[u8], last: u8) -> Input {
    let private = matches!(bytes.first(), Some(b'?' | b'>' | b'=' | b'<'));
    let numbers = || numbers(bytes);
    match last {
        b'I' | b'O' if bytes.is_empty() => Input::Report,
        // device attributes, status and colour scheme, size, mode reports
        b'c' | b'n' | b't' => Input::Report,
        b'y' if bytes.ends_with(b"$") => Input::Report,
        // mouse: SGR, and the older form with three numbers
        b'M' | b'm' if private || numbers().len() == 3 => Input::Report,
        // kitty flags, cursor position
        b'u' | b'R' if private => Input::Report,
        b'u' => {
            let numbers = numbers();
            let number = |index: usize| numbers.get(index).copied().flatten();
            modified(number(0).unwrap_or(0), number(1).unwrap_or(1))
        }
        b'~' if bytes.starts_with(b"27;") => match numbers().as_slice() {
            [_, modifiers, code] => modified(code.unwrap_or(0), modifiers.unwrap_or(1)),
            _ => Input::Key(Key::Other),
        },
        // the older cursor position; in row 1 it looks like F3 with a modifier
        b'R' => match numbers().as_slice() {
            [Some(1), Some(0..=16)] | [] => Input::Key(Key::Move),
            [Some(_), Some(_)] => Input::Report,
            _ => Input::Key(Key::Other),
        },
        b'A'..=b'F' | b'H' | b'P' | b'Q' | b'S' | b'Z' if !private => Input::Key(Key::Move),
        b'~' => match numbers().first() {
            // Home, Insert, End, Page Up and Down, and the function keys; 3 is Delete
            Some(Some(1 | 2 | 4..=8 | 11..=15 | 17..=21 | 23..=26 | 28 | 29 | 31..=34)) => {
                Input::Key(Key::Move)
            }
            _ => Input::Key(Key::Other),
        },
        _ => Input::Key(Key::Other),
    }
}

/// The first number of each parameter; sub-parameters (`:`) are left out.
fn numbers(bytes: &[u8]) -> Vec<Option<u32>> {
    let number = |part: &[u8]| {
        let digits = part.split(|byte| *byte == b':').next()?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    bytes.split(|byte| *byte == b';').map(number).collect()
}

/// A key by its code point and its modifiers (1 + bits; shift 1, alt 2, ctrl 4).
fn modified(code: u32, modifiers: u32) -> Input {
    // caps lock and num lock change nothing
    let held = modifiers.saturating_sub(1) & 0b0011_1111;
    Input::Key(match (code, held) {
        (13, 0) => Key::Enter,
        (27, 0) => Key::Escape,
        (99, 4) => Key::Interrupt,
        (100, 4) => Key::EndOfFile,
        (122, 4) => Key::Suspend,
        // Ctrl-L; locks, function keys, the keypad's arrows (without its Delete), media, modifiers alone
        (108, 4) | (57358..=57363 | 57376..=57398 | 57417..=57425 | 57427..=57454, _) => Key::Move,
        _ => Key::Other,
    })
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
