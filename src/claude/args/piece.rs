//! One piece of the command line: a flag with its values, a word, a separator.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use super::flags::Arity::{Many, None as Zero, One, Optional};
use super::flags::known;

/// One piece of the command line, with the words it was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A known flag by its first spelling, with its values.
    Flag {
        name: &'static str,
        values: Vec<OsString>,
        words: Vec<OsString>,
        /// Its letter follows that of the piece before in the same word, as `c` in `-pc`.
        clustered: bool,
        /// Its value stands in the same word (`--flag=value`, `-nvalue`): none follows.
        attached: bool,
    },
    /// A flag we do not know; a bare word after it may be its value or the prompt.
    Unknown { words: Vec<OsString>, clustered: bool },
    /// A word that is no flag.
    Positional(OsString),
    /// `--`.
    Separator(OsString),
}

impl Piece {
    pub(super) fn words(&self) -> &[OsString] {
        match self {
            Self::Flag { words, .. } | Self::Unknown { words, .. } => words,
            Self::Positional(word) | Self::Separator(word) => std::slice::from_ref(word),
        }
    }

    pub(super) fn clustered(&self) -> bool {
        matches!(self, Self::Flag { clustered: true, .. } | Self::Unknown { clustered: true, .. })
    }

    /// Whether a bare word behind this would be one of its values.
    pub(super) fn takes_more(&self) -> bool {
        match self {
            Self::Flag { attached: true, .. } => false,
            Self::Flag { name, values, .. } => match known(name) {
                Some((_, Many)) => true,
                Some((_, One | Optional)) => values.is_empty(),
                _ => false,
            },
            Self::Unknown { words, .. } => words.len() == 1 && !words[0].as_bytes().contains(&b'='),
            _ => false,
        }
    }
}

/// What stands behind a flag in its own word.
pub(super) enum Joined {
    Value(OsString),
    /// The flag as a word of its own, and the word without it.
    Flags(OsString, OsString),
}

/// `--flag=value`, `-fvalue` (if it takes one), `-fg` (if it takes none).
pub(super) fn in_one_word(word: &OsStr) -> Option<(&'static str, Joined)> {
    let bytes = word.as_bytes();
    let long = bytes.starts_with(b"--");
    let at = if long { bytes.iter().position(|byte| *byte == b'=')? } else { 2 };
    let (flag, rest) = bytes.split_at_checked(at)?;
    let (name, arity) = known(std::str::from_utf8(flag).ok()?)?;
    let value = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    match (arity, long) {
        // Claude looks for `--tmux=classic` before it parses.
        (Zero, true) if name != "--tmux" => None,
        (_, true) => Some((name, Joined::Value(value(&rest[1..])))),
        (Zero, false) => {
            let more = value(&[b"-", rest].concat());
            Some((name, Joined::Flags(value(flag), more)))
        }
        (_, false) => Some((name, Joined::Value(value(rest)))),
    }
}

/// Whether claude takes this word for a value where it may be a flag.
pub(super) fn is_value(word: &OsString) -> bool {
    let bytes = word.as_bytes();
    bytes.len() <= 1 || bytes[0] != b'-'
}
