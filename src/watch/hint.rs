//! The hints that Claude puts into an empty input box. In: a text. Out: which one it is. Pure.

/// The dim text in an empty input box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// `Resend your message to try again`: the fault may pass.
    Resend,
    /// `Once fixed, resend your message`: sign-in, billing, model, length.
    OnceFixed,
    /// `Run /rewind to go back`: the conversation is damaged.
    RunRewind,
    /// A suggestion.
    Other,
}

/// The hints after a failure, in full.
const HINTS: [(&str, Placeholder); 3] = [
    ("Resend your message to try again", Placeholder::Resend),
    ("Once fixed, resend your message", Placeholder::OnceFixed),
    ("Run /rewind to go back", Placeholder::RunRewind),
];

/// The hint that a dim row is.
pub(super) fn placeholder(row: &str) -> Placeholder {
    let text = row.trim_start_matches(['❯', '>', '\u{a0}', ' ']);
    // a narrow screen cuts them
    let begins = |words: &str| text.starts_with(&words[..words.len().min(11)]);
    HINTS.into_iter().find(|(words, _)| begins(words)).map_or(Placeholder::Other, |(_, kind)| kind)
}

/// The hint that this text is, its rows joined.
pub(super) fn hint(text: &str) -> Option<Placeholder> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    HINTS.into_iter().find_map(|(words, kind)| (text == words).then_some(kind))
}
