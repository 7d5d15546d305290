//! What the value of a key may be, and how it is read from text. Pure.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

/// What a key's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `on` or `off` (or true, false).
    Switch,
    /// A span of time: `90s`, `10m`, `2h 30m`.
    Duration(Least),
    /// A whole number between these.
    Integer(i64, i64),
    /// A size: `500MiB`, `5GiB`.
    Bytes,
    /// Any text.
    Text,
    /// One line that is typed to Claude: no key or command of Claude's may hide in it.
    Message,
    /// A path; `~/` is the home.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list, each one of these words (any text if there are none).
    List(&'static [&'static str]),
}

/// The least that a span of time may be: less would be no wait, or an end at the first look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Least {
    /// Anything; `0s` is never, or at once.
    Zero,
    /// This much (milliseconds).
    Of(u64),
    /// This much (milliseconds), or `0s` for never.
    OffOr(u64),
}

/// No span of time is longer: ten years are for ever, and clocks can count them.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// Claude folds a paste of more than 800 characters to `[Pasted text #1]`, and an input box in a
/// small window shows a few lines (bytes; a wide character has at least two).
const LONGEST_MESSAGE_BYTES: usize = 400;

/// The known name nearest to a wrong one, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(wrong, name), name))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

impl Kind {
    /// Whether `text` is a value it takes; the error says what is allowed.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Kind::Switch => switch(text).map(drop),
            Kind::Duration(least) => span(text, least),
            Kind::Integer(low, high) => integer(text, low, high).map(drop),
            Kind::Bytes => bytes(text).map(drop),
            Kind::Text | Kind::Path => Ok(()),
            Kind::Message => message(text),
            Kind::Choice(words) => choice(text, words),
            Kind::List(words) => list(text)
                .iter()
                .filter(|_| !words.is_empty())
                .try_for_each(|item| choice(item, words)),
        }
    }

    /// What it takes, as a noun.
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Switch => "`on` or `off`".to_owned(),
            Self::Duration(_) => "a span of time".to_owned(),
            Self::Integer(low, high) => format!("a whole number from {low} to {high}"),
            Self::Bytes => "a size".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Message => "a line of text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Choice(words) => format!("one of {}", quoted(words)),
            Self::List([]) => "a list of texts".to_owned(),
            Self::List(words) => format!("a list of {}", quoted(words)),
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A type that a key's text is read into.
pub(super) trait Value: Sized {
    /// Reads it; the error says what is allowed.
    fn read(text: &str) -> Result<Self, String>;
}

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        switch(text)
    }
}

impl Value for Duration {
    fn read(text: &str) -> Result<Self, String> {
        duration(text)
    }
}

impl Value for i64 {
    fn read(text: &str) -> Result<Self, String> {
        integer(text, Self::MIN, Self::MAX)
    }
}

/// A size (bytes).
impl Value for u64 {
    fn read(text: &str) -> Result<Self, String> {
        bytes(text)
    }
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// None when empty.
impl Value for Option<String> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }
}

/// None when empty; `~/` is the home.
impl Value for Option<PathBuf> {
    fn read(text: &str) -> Result<Self, String> {
        let path = |text: &str| match text.strip_prefix("~/") {
            Some(rest) => crate::paths::home().join(rest),
            None => PathBuf::from(text),
        };
        Ok(Some(text).filter(|text| !text.is_empty()).map(path))
    }
}

impl Value for Vec<String> {
    fn read(text: &str) -> Result<Self, String> {
        Ok(list(text))
    }
}

/// Reads `on`/`off`.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(format!("`{text}` is not `on` or `off`")),
    }
}

/// Reads a span of time such as `90s`, `2h 30m` or `90d` (a day has 24 hours here).
pub fn duration(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<u64>().ok());
    let parsed = match days {
        Some(days) => days.checked_mul(86_400).map(Duration::from_secs),
        None => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok()),
    };
    parsed.ok_or_else(|| format!("`{text}` is not a span of time such as `90s`, `10m` or `2h 30m`"))
}

/// Whether a span of time is one that a key takes.
fn span(text: &str, least: Least) -> Result<(), String> {
    let span = duration(text)?;
    let (least, off) = match least {
        Least::Zero => (0, true),
        Least::Of(least) => (least, false),
        Least::OffOr(least) => (least, true),
    };
    if span > LONGEST {
        return Err(format!("`{text}` is longer than {}d", LONGEST.as_secs() / 86_400));
    }
    if span >= Duration::from_millis(least) || (off && span.is_zero()) {
        return Ok(());
    }
    let least = match least {
        whole if whole.is_multiple_of(1_000) => format!("{}s", whole / 1_000),
        part => format!("{part}ms"),
    };
    let or_off = if off { ", and not `0s` (never)" } else { "" };
    Err(format!("`{text}` is less than `{least}`{or_off}"))
}

/// Reads a whole number within bounds.
pub fn integer(text: &str, low: i64, high: i64) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("`{text}` is not a whole number from {low} to {high}"))
}

/// Reads a size such as `500MiB` (bytes).
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].trim() {
        "" | "B" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        "TiB" => Some(40),
        _ => None,
    };
    shift
        .zip(digits.parse::<u64>().ok())
        .and_then(|(shift, number)| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("`{text}` is not a size such as `500MiB` or `5GiB`"))
}

/// What may be typed to Claude: one line, and not one that it takes for a command or a choice.
fn message(text: &str) -> Result<(), String> {
    let first = text.chars().next();
    if first.is_none_or(|first| first.is_ascii_digit() || "/!#@".contains(first)) {
        return Err("is empty or begins with a digit or one of / ! # @".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("holds a line break or another control character".to_owned());
    }
    if text.len() > LONGEST_MESSAGE_BYTES {
        return Err(format!(
            "is longer than {LONGEST_MESSAGE_BYTES} bytes, so that it could not be checked in the \
             input box before Enter"
        ));
    }
    Ok(())
}

/// Splits a list at its commas.
#[must_use]
pub fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn choice(text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    let hint = nearest(text, words.iter().copied()).map(|word| format!("; did you mean `{word}`?"));
    Err(format!("`{text}` is not one of {}{}", words.join(", "), hint.unwrap_or_default()))
}
