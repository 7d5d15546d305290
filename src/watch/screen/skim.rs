//! Which part of a flood of plain lines need not be parsed, because all of it has scrolled away by
//! the end. In: the bytes that nobody has looked at. Out: where the head ends, which must be parsed
//! and must be seen to scroll, and where the tail begins, which fills the screen again. Pure.

use memchr::{memchr_iter, memrchr_iter};

/// A backlog whose middle may be left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flood {
    /// Ends behind a line feed, with something visible on the line before it.
    pub head: usize,
    /// Begins at the start of a line; screenfuls follow.
    pub tail: usize,
}

/// Finds the middle of `bytes`, if they are lines of text and colours alone and many more than the
/// `rows` of the screen.
pub(super) fn flood(bytes: &[u8], rows: u16) -> Option<Flood> {
    let rows = usize::from(rows);
    let ends = |at: &usize| *at > 0 && bytes[at - 1] == b'\r';
    let head = 1 + memchr_iter(b'\n', bytes).filter(ends).nth(rows)?;
    let tail = 1 + memrchr_iter(b'\n', bytes).filter(ends).nth(2 * rows)?;
    let last_line = &bytes[..head - 2];
    let last_line = &last_line[memchr::memrchr(b'\n', last_line)? + 1..];
    let worth_it = tail.checked_sub(head)? > 0
        && shows_text(last_line)
        && shows_text(&bytes[tail..])
        && bytes.get(tail).is_some_and(u8::is_ascii);
    (worth_it && is_plain(bytes)).then_some(Flood { head, tail })
}

/// The colours and attributes in `bytes`, without the text.
pub(super) fn attributes(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    for at in memchr_iter(0x1b, bytes) {
        let end = bytes[at..].iter().position(|&byte| byte == b'm').unwrap_or_default();
        kept.extend_from_slice(&bytes[at..=at + end]);
    }
    kept
}

fn shows_text(bytes: &[u8]) -> bool {
    let mut in_sequence = false;
    bytes.iter().any(|&byte| match byte {
        0x1b => {
            in_sequence = true;
            false
        }
        b'm' if in_sequence => {
            in_sequence = false;
            false
        }
        _ => !in_sequence && (0x21..0x7f).contains(&byte),
    })
}

/// Whether the bytes hold text, ends of lines, tabulators and SGR sequences alone.
fn is_plain(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        let text = rest.iter().position(|&byte| !is_text(byte)).unwrap_or(rest.len());
        rest = &rest[text..];
        match rest {
            [] => return true,
            // U+0080 to U+009F are control characters
            [0xc2, 0xa0..=0xbf, ..] | [b'\r' | b'\n' | b'\t', ..] => rest = &rest[1..],
            [0x1b, b'[', sequence @ ..] => {
                let is_parameter = |byte: &u8| matches!(byte, b'0'..=b'9' | b';' | b':');
                let end = sequence.iter().position(|byte| !is_parameter(byte));
                match end {
                    Some(end) if sequence[end] == b'm' => rest = &sequence[end + 1..],
                    _ => return false,
                }
            }
            _ => return false,
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f && byte != 0xc2
}
