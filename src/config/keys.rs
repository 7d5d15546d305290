//! Every configuration key, once: its kind, default and meaning. The file, the environment
//! (`CLAUDE_SAFE_RETRY_FIRST_WAIT`), `run --set KEY=VALUE`, the README's table and the JSON
//! schema all come from this list. Pure.

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

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted name: table and key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default, as one would write it.
    pub default: &'static str,
    /// Its meaning, one sentence.
    pub doc: &'static str,
}

/// The message typed into a living Claude after a failed turn.
pub const DEFAULT_MESSAGE: &str = "The service failed during my last message and is back. \
    Please carry on from there, without redoing steps that are already finished.";

/// Claude folds a paste of more than 800 characters to `[Pasted text #1]`, and an input box in a
/// small window shows a few lines (bytes; a wide character has at least two).
const LONGEST_MESSAGE_BYTES: usize = 400;

/// The occasions that can be told.
pub const OCCASIONS: &[&str] = &[
    "waiting",
    "person_needed",
    "recovered",
    "gave_up",
    "task_done",
    "task_failed",
    "needs_you",
    "queue_paused",
    "queue_empty",
];

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, doc }
}

/// All keys, in the order in which they are documented.
pub const KEYS: &[Key] = &[
    key(
        "claude.path",
        Kind::Path,
        "",
        "The claude to start; empty: the first on PATH that is not claude-safe.",
    ),
    key(
        "claude.keychain",
        Kind::Choice(&["auto", "on", "off"]),
        "auto",
        "Ask the Keychain when Claude's sign-in was last written (never what it holds); auto: on macOS.",
    ),
    key(
        "retry.first_wait",
        Kind::Duration(Least::Of(100)),
        "3s",
        "Wait before the first try, before jitter (2/3 to 5/3 of it).",
    ),
    key(
        "retry.max_wait",
        Kind::Duration(Least::Of(100)),
        "40s",
        "No wait between tries is longer than this.",
    ),
    key(
        "retry.horizon_terminal",
        Kind::Duration(Least::Zero),
        "2h",
        "How long a run at a terminal waits in all for one failure to pass.",
    ),
    key(
        "retry.horizon_headless",
        Kind::Duration(Least::Zero),
        "12h",
        "How long a run without a terminal waits in all.",
    ),
    key(
        "retry.wait_for_limit",
        Kind::Switch,
        "on",
        "Without a terminal: wait for a usage limit's reset; off: leave at once with 75.",
    ),
    key(
        "retry.healthy_after",
        Kind::Duration(Least::Of(1_000)),
        "10m",
        "After this long without a failure the count of tries starts over.",
    ),
    key(
        "retry.message",
        Kind::Message,
        DEFAULT_MESSAGE,
        "What is typed or sent to continue a failed turn.",
    ),
    key(
        "watch.hang_after",
        Kind::Duration(Least::OffOr(5_000)),
        "30m",
        "Without a terminal: how long nothing may move before a run counts as hung; `0s`: never.",
    ),
    key(
        "watch.unattended_after",
        Kind::Duration(Least::Zero),
        "10m",
        "At a terminal: no key for this long means nobody is there.",
    ),
    key(
        "status_line.refresh",
        Kind::Duration(Least::Zero),
        "3s",
        "How often Claude asks for our status line (3 s or more).",
    ),
    key(
        "rungs.tries",
        Kind::Integer(1, 100),
        "3",
        "Tries against a healthy service before the next rung is used.",
    ),
    key("rungs.ask_again", Kind::Switch, "on", "Type a short message into the living Claude."),
    key("rungs.relaunch", Kind::Switch, "on", "Start Claude again in the same session."),
    key("rungs.update", Kind::Switch, "on", "Run `claude update`."),
    key("rungs.new_session", Kind::Switch, "on", "Ask again in a fresh session."),
    key("rungs.clear_cache", Kind::Switch, "on", "Move the cache aside behind a verified backup."),
    key(
        "rungs.sign_in_reset",
        Kind::Switch,
        "off",
        "Move the credentials file aside so that a login can start clean.",
    ),
    key("rungs.api_key", Kind::Switch, "off", "Use an API key, which costs money."),
    key(
        "rungs.end_terminal",
        Kind::Switch,
        "off",
        "Allow a living terminal UI to be ended for a fix when nobody is there.",
    ),
    key(
        "cache.paths",
        Kind::List(&[]),
        "cache",
        "What the cache rung moves aside, below Claude's directory.",
    ),
    key(
        "api_key.file",
        Kind::Path,
        "",
        "A file with the key (else CLAUDE_SAFE_API_KEY in the environment).",
    ),
    key("api_key.command", Kind::Text, "", "A command that prints the key."),
    key(
        "api_key.max_budget_usd",
        Kind::Integer(1, 10_000),
        "5",
        "Spend cap of one headless launch with the key (US dollars).",
    ),
    key(
        "api_key.runs_per_day",
        Kind::Integer(0, 10_000),
        "10",
        "How many launches a day may use the key.",
    ),
    key(
        "backup.dir",
        Kind::Path,
        "",
        "Where backups lie; empty: `backups` in the state directory.",
    ),
    key("backup.keep", Kind::Integer(1, 10_000), "20", "How many snapshots are kept."),
    key(
        "backup.max_age",
        Kind::Duration(Least::Zero),
        "90d",
        "Snapshots older than this are pruned, never the last good one.",
    ),
    key("backup.max_size", Kind::Bytes, "5GiB", "The snapshots together stay below this."),
    key(
        "service.probe",
        Kind::Switch,
        "on",
        "Ask the service, without credentials, whether it is back (only while something is wrong).",
    ),
    key(
        "service.status_page",
        Kind::Switch,
        "on",
        "Read the public status page while something is wrong.",
    ),
    key("headless.quiet", Kind::Switch, "off", "Print nothing on stderr while waiting."),
    key(
        "headless.wait_for_login",
        Kind::Duration(Least::Zero),
        "0s",
        "How long to wait for someone to sign in.",
    ),
    key("notify.bell", Kind::List(OCCASIONS), "person_needed", "When the terminal bell rings."),
    key(
        "notify.osc",
        Kind::Choice(&["off", "9", "99", "777"]),
        "off",
        "The terminal notification sequence to send.",
    ),
    key(
        "notify.command",
        Kind::Text,
        "",
        "A command that gets each event as JSON on its standard input.",
    ),
    key("notify.desktop", Kind::Switch, "off", "Use the system's desktop notifications."),
    key(
        "notify.on",
        Kind::List(OCCASIONS),
        "waiting, person_needed, recovered, gave_up, task_done, task_failed, needs_you, queue_paused, queue_empty",
        "When osc, command and desktop are used.",
    ),
    key("queue.jobs", Kind::Integer(1, 1000), "1", "How many tasks of the queue run at once."),
    key(
        "queue.max_usd_per_day",
        Kind::Integer(0, 1_000_000),
        "0",
        "No task is started once a day's tasks have cost this (US dollars; 0: no cap).",
    ),
    key(
        "queue.owner",
        Kind::Text,
        "",
        "What this host is called in the queue (empty: its host name).",
    ),
    key("queue.inbox", Kind::Path, "", "A directory in which each Markdown file becomes a task."),
    key(
        "log.level",
        Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "How much the log file holds.",
    ),
];

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether there is a table of this name.
#[must_use]
pub fn has_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == name))
}

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

impl Key {
    /// The environment variable that overrides it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("CLAUDE_SAFE_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// Whether `text` is a value this key takes; the error says what is allowed.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self.kind {
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

#[cfg(test)]
mod tests;
