//! Any keys, in any chunks: each stretch ends behind the one before and within its chunk; where
//! chunks end does not change what is told; the end of a paste brings every state to the ground,
//! and then everything read has been told.

#![no_main]

use claude_safe::parts::watch::{Input, InputSplitter, Piece};
use claude_safe_fuzz::{Places, choices, pieces};
use libfuzzer_sys::fuzz_target;

/// Stretches with their places in the whole input; text and pastes join over chunks.
fn told(chunks: &[&[u8]]) -> Vec<(Input, usize)> {
    let mut splitter = InputSplitter::default();
    let (mut all, mut before): (Vec<(Input, usize)>, usize) = (Vec::new(), 0);
    for chunk in chunks {
        let mut last = 0;
        for Piece { input, end } in splitter.split(chunk) {
            assert!(last <= end && end <= chunk.len(), "{last} {end} {}", chunk.len());
            last = end;
            let joins = matches!(input, Input::Text | Input::Paste);
            match all.last_mut() {
                Some(last) if joins && last.0 == input => last.1 = before + end,
                _ => all.push((input, before + end)),
            }
        }
        before += chunk.len();
    }
    let paste_end = b"\x1b[201~";
    let last = splitter.split(paste_end).last().map(|piece| piece.end);
    assert_eq!(last, Some(paste_end.len()), "a byte was not told");
    assert_eq!(splitter.split(b"x"), [Piece { input: Input::Text, end: 1 }]);
    all
}

fuzz_target!(|data: &[u8]| {
    let Some(([seed, count], bytes)) = choices(data) else { return };
    let mut cuts = Places::of(seed).cuts(usize::from(count % 16), bytes.len());
    told(&pieces(bytes, &cuts));
    // a chunk that ends one or two bytes into a sequence counts as a key, so nothing is cut there
    cuts.retain(|cut| !bytes[cut.saturating_sub(2)..*cut].contains(&0x1b));
    assert_eq!(told(&pieces(bytes, &cuts)), told(&[bytes]));
});
