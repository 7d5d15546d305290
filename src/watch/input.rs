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
    /// Any other: arrows, Alt with a letter, Backspace, …
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
                pieces.push(Input::Key(Key::Other), end - usize::from(byte < 0x20));
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
            [Some(1), Some(0..=16)] => Input::Key(Key::Other),
            [Some(_), Some(_)] => Input::Report,
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
        _ => Key::Other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inputs(bytes: &[u8]) -> Vec<Input> {
        InputSplitter::default().split(bytes).into_iter().map(|piece| piece.input).collect()
    }

    fn key(key: Key) -> Vec<Input> {
        vec![Input::Key(key)]
    }

    #[test]
    fn what_a_terminal_says_by_itself_is_not_typing() {
        let reports: &[&[u8]] = &[
            b"\x1b[I",
            b"\x1b[O",
            b"\x1b[?62;4;22c",
            b"\x1b[>1;10;0c",
            b"\x1b[?2026;2$y",
            b"\x1b[?1016;0$y",
            b"\x1b[24;80R",
            b"\x1b[?24;80R",
            b"\x1b[?0u",
            b"\x1b[?5u",
            b"\x1b[?997;1n",
            b"\x1b[0n",
            b"\x1b[<0;12;4M",
            b"\x1b[<0;12;4m",
            b"\x1b[<65;12;4M",
            b"\x1b[M !!",
            b"\x1b[M\x20\x1b\x03",
            b"\x1b[32;12;4M",
            b"\x1b[6;18;9t",
            b"\x1b[48;24;80;0;0t",
            b"\x1b]11;rgb:1111/2222/3333\x1b\\",
            b"\x1b]11;rgb:1111/2222/3333\x07",
            b"\x1bP>|XTerm(388)\x1b\\",
            b"\x1bP1+r\x1b\\",
            b"\x1b_Gi=31;OK\x1b\\",
        ];
        for report in reports {
            assert_eq!(inputs(report), [Input::Report], "{:?}", report.escape_ascii().to_string());
        }
    }

    #[test]
    fn keys_are_told_in_plain_kitty_and_modify_other_keys_form() {
        for (bytes, wanted) in [
            (&b"\r"[..], Key::Enter),
            (b"\x1b[13u", Key::Enter),
            (b"\x03", Key::Interrupt),
            (b"\x1b[99;5u", Key::Interrupt),
            (b"\x1b[27;5;99~", Key::Interrupt),
            (b"\x04", Key::EndOfFile),
            (b"\x1b[100;5u", Key::EndOfFile),
            (b"\x1a", Key::Suspend),
            (b"\x1b[122;5u", Key::Suspend),
            (b"\x1b[122;69u", Key::Suspend),
            (b"\x1b[122:90;5:1u", Key::Suspend),
            (b"\x1b[27;5;122~", Key::Suspend),
            (b"\x1b", Key::Escape),
            (b"\x1b[27u", Key::Escape),
            (b"\x1b[122;6u", Key::Other),
            (b"\x1b[A", Key::Other),
            (b"\x1bOP", Key::Other),
            (b"\x1b[1;5R", Key::Other),
            (b"\x1b[3~", Key::Other),
            (b"\x1bb", Key::Other),
            (b"\x1b\x7f", Key::Other),
            (b"\x7f", Key::Other),
            (b"\n", Key::Other),
            (b"\x1b[Z", Key::Other),
            (b"\x1b]", Key::Other),
        ] {
            assert_eq!(inputs(bytes), key(wanted), "{:?}", bytes.escape_ascii().to_string());
        }
        assert_eq!(inputs("grün".as_bytes()), [Input::Text]);
        assert_eq!(inputs("\u{1b}é".as_bytes())[0], Input::Key(Key::Other));
    }

    #[test]
    fn ctrl_z_in_a_paste_is_text_and_its_place_outside_of_one_is_told() {
        assert_eq!(inputs(b"\x1b[200~a\x1ab\x1b[201~"), [Input::Paste]);
        assert_eq!(
            InputSplitter::default().split(b"ab\x1acd"),
            [
                Piece { input: Input::Text, end: 2 },
                Piece { input: Input::Key(Key::Suspend), end: 3 },
                Piece { input: Input::Text, end: 5 },
            ]
        );
    }

    #[test]
    fn a_paste_over_many_chunks_is_told_with_each_and_its_end_is_found() {
        let mut splitter = InputSplitter::default();
        let mut all = Vec::new();
        for chunk in [&b"\x1b[200~one\x1b[20"[..], b"0~two\x1b", b"[201", b"~x"] {
            all.push(splitter.split(chunk).into_iter().map(|p| p.input).collect::<Vec<_>>());
        }
        let paste = vec![Input::Paste];
        assert_eq!(all, [paste.clone(), paste.clone(), paste, vec![Input::Paste, Input::Text]]);
    }

    #[test]
    fn an_answer_broken_off_by_an_esc_of_the_chunk_before_is_survived() {
        let mut splitter = InputSplitter::default();
        splitter.split(b"\x1b]11;x\x1b");
        let told: Vec<Input> = splitter.split(b"x").into_iter().map(|p| p.input).collect();
        assert_eq!(told, [Input::Key(Key::Other), Input::Key(Key::Other)]);
    }

    #[test]
    fn alt_with_a_bracket_does_not_hide_the_keys_that_follow() {
        let mut splitter = InputSplitter::default();
        assert!(splitter.split(b"\x1b]").iter().any(|piece| piece.input.is_typing()));
        splitter.split(b"h");
        let wanted = [Input::Key(Key::Other), Input::Key(Key::Interrupt)];
        let pieces: Vec<Input> = splitter.split(b"\x03").into_iter().map(|p| p.input).collect();
        assert_eq!(pieces, wanted);
    }

    /// A stretch with its place in the whole input.
    fn absolute(chunks: &[&[u8]]) -> Vec<(Input, usize)> {
        let mut splitter = InputSplitter::default();
        let mut before = 0;
        let mut all: Vec<(Input, usize)> = Vec::new();
        for chunk in chunks {
            for piece in splitter.split(chunk) {
                let joins = matches!(piece.input, Input::Text | Input::Paste);
                match all.last_mut() {
                    Some(last) if joins && last.0 == piece.input => last.1 = before + piece.end,
                    _ => all.push((piece.input, before + piece.end)),
                }
            }
            before += chunk.len();
        }
        all
    }

    fn sequences() -> impl Strategy<Value = Vec<u8>> {
        let pieces: &[&[u8]] = &[
            b"hello",
            b"\r",
            b"\x03",
            b"\x1a",
            b"\x1b[I",
            b"\x1b[?62c",
            b"\x1b[A",
            b"\x1bOP",
            b"\x1b[122;5u",
            b"\x1b[27;5;122~",
            b"\x1b[<0;1;2M",
            b"\x1b[M !!",
            b"\x1bb",
            b"\x1b[200~p\x1aste\x1b[201~",
            b"\x1b]11;rgb:0/0/0\x1b\\",
            b"\x1bP>|x\x1b\\",
            "❯é".as_bytes(),
            b"\x1b[24;80R",
            b"\x1b_G\x1b\\",
            b"\x7f",
        ];
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..20)
            .prop_map(|pieces| pieces.concat())
    }

    /// Cuts at these places, except where a chunk would end within the first two bytes of a
    /// sequence: there a key is told, rightly.
    fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.retain(|place| {
            let before = |back: usize| place.checked_sub(back).and_then(|at| bytes.get(at));
            before(1) != Some(&0x1b) && before(2) != Some(&0x1b)
        });
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn chunking_does_not_change_what_is_told(
            bytes in sequences(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            prop_assert_eq!(absolute(&cut(&bytes, &cuts)), absolute(&[&bytes]));
        }

        #[test]
        fn any_bytes_in_any_chunks_are_survived_and_offsets_rise_within_the_chunk(
            chunks in prop::collection::vec(prop::collection::vec(
                prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b'\\'), Just(b'~')],
                0..40), 0..10),
        ) {
            let mut splitter = InputSplitter::default();
            for chunk in &chunks {
                let mut last = 0;
                for piece in splitter.split(chunk) {
                    prop_assert!(piece.end <= chunk.len());
                    prop_assert!(piece.end >= last);
                    last = piece.end;
                }
            }
        }
    }
}
