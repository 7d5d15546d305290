//! Any output, in any chunks, with resizes: the look, the modes and the text depend on the bytes
//! and on where the resizes fell, not on the chunks; the model never goes blind; after a terminal's
//! reset it reads what is written next; and what undoes the modes undoes all of them.

#![no_main]

use claude_safe::parts::watch::{Modes, Screen};
use claude_safe_fuzz::{Places, choices, pieces};
use libfuzzer_sys::fuzz_target;

/// Mostly sizes of real terminals, and the two ends of the range.
fn extent(byte: u8) -> u16 {
    if byte == 0xff { u16::MAX } else { u16::from(byte) % 160 }
}

fuzz_target!(|data: &[u8]| {
    let Some(([rows, cols, seed, resizes], stream)) = choices(data) else { return };
    let mut places = Places::of(seed);
    let resizes = places.cuts(usize::from(resizes % 4), stream.len());
    let mut whole = Screen::new(extent(rows), extent(cols));
    let mut sliced = Screen::new(extent(rows), extent(cols));
    let mut modes = Modes::default();
    for (nth, part) in pieces(stream, &resizes).into_iter().enumerate() {
        if nth > 0 {
            let (rows, cols) = (places.next(60) as u16, places.next(160) as u16);
            whole.resize(rows, cols);
            sliced.resize(rows, cols);
        }
        whole.feed(part);
        for piece in pieces(part, &places.cuts(6, part.len())) {
            sliced.feed(piece);
            // looking parses: each piece is one to the parser
            sliced.look();
            modes.feed(piece);
        }
        assert_eq!(whole.look(), sliced.look());
        assert_eq!(whole.text(), sliced.text());
        assert_eq!(whole.excerpt(), sliced.excerpt());
    }
    let mut whole_modes = Modes::default();
    whole_modes.feed(stream);
    assert_eq!(whole_modes, modes);
    modes.feed(modes.reset().as_bytes());
    assert!(modes.is_default(), "{modes:?}");

    whole.resize(24, 80);
    // CAN ends any sequence, RIS resets
    whole.feed(b"\x18\x1bcready");
    assert_eq!(whole.text(), "ready", "{whole:?}");
});
