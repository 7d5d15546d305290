//! The words of reports: failures, rungs, decisions, times and names, for people. Pure. Names of
//! directories are hostile: nothing in them may move a cursor or turn the direction of writing.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::failure::{FailureKind, Source, TurnState};
use crate::rung::Rung;

pub use crate::notice::short;

/// Milliseconds as people say them.
#[must_use]
pub fn span(milliseconds: u64) -> String {
    short(Duration::from_millis(milliseconds))
}

/// A text that can be printed: control and direction characters are spelt out.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || turns {
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Columns as wide as their widest cell; the last is not filled up.
#[must_use]
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let fill = width.saturating_sub(cell.chars().count());
            line.extend([" ", cell, &" ".repeat(fill), " "]);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// A directory, `~` for the home, at most `most` characters: its end tells the most.
#[must_use]
pub fn place(path: &Path, home: &Path, most: usize) -> String {
    let text = match path.strip_prefix(home) {
        Ok(rest) if home.parent().is_some() => {
            let rest = rest.to_string_lossy();
            if rest.is_empty() { "~".to_owned() } else { format!("~/{rest}") }
        }
        _ => path.to_string_lossy().into_owned(),
    };
    let text = printable(&text);
    let length = text.chars().count();
    if length <= most {
        return text;
    }
    std::iter::once('…').chain(text.chars().skip(length + 1 - most.max(1))).collect()
}

/// A failure's kind.
#[must_use]
pub fn kind(name: &str) -> &str {
    match name {
        "api" => "API failing",
        "auth_refresh" => "sign-in refresh failing",
        "login_service" => "sign-in service failing",
        "sign_in_needed" => "sign-in needed",
        "usage_limit" => "usage limit",
        "refused" => "request refused",
        "doubtful" => "request refused, perhaps for a while",
        "proxy" => "proxy refused the connection",
        "network" => "network",
        "session_broken" => "conversation damaged",
        "start_up" => "left at start-up",
        "crash" => "crash",
        "hang" => "hang",
        other => other,
    }
}

/// A rung.
#[must_use]
pub fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::AskAgain => "ask again",
        Rung::Relaunch => "relaunch",
        Rung::Update => "update",
        Rung::NewSession => "new session",
        Rung::ClearCache => "clear cache",
        Rung::SignInReset => "reset sign-in",
        Rung::ApiKey => "API key",
    }
}

/// What a rung does, as the end of "decided to …".
#[must_use]
pub fn to_do(rung: Rung) -> &'static str {
    match rung {
        Rung::AskAgain => "ask again in the living Claude",
        Rung::Relaunch => "start Claude again in the same conversation",
        Rung::Update => "update Claude, then start it again",
        Rung::NewSession => "ask in a new session; the old one stays on disk",
        Rung::ClearCache => "move the cache aside behind a verified backup, then start again",
        Rung::SignInReset => "move the sign-in aside so that a login can start clean",
        Rung::ApiKey => "use the API key for one launch",
    }
}

/// Where evidence was seen.
#[must_use]
pub fn source(source: Source) -> &'static str {
    match source {
        Source::Exit => "the exit status",
        Source::Result => "the failing result",
        Source::Hook => "the failure hook",
        Source::Transcript => "the transcript",
        Source::Credentials => "the credentials file",
        Source::Screen => "the screen",
        Source::Output => "what Claude printed",
    }
}

/// What the failed turn had done.
#[must_use]
pub fn turn(turn: TurnState) -> &'static str {
    match turn {
        TurnState::Unknown => "Nothing proves whether a tool had run.",
        TurnState::NotPrompted => "No prompt had been sent.",
        TurnState::Untouched => "The prompt had been sent; neither answer nor tool followed it.",
        TurnState::Partial => {
            "Part of the answer or finished tools were there: it is continued, \
                               not repeated."
        }
        TurnState::ToolOpen => "A tool had no result yet: nobody knows whether it ran.",
    }
}

/// Why this kind of failure is met with this rung.
#[must_use]
pub fn because(kind: FailureKind, rung: Rung) -> &'static str {
    match (kind, rung) {
        (FailureKind::Api, _) => {
            "The API failed by itself; nothing on this machine can cure that, so it waits and tries"
        }
        (FailureKind::AuthRefresh, Rung::AskAgain | Rung::Relaunch) => {
            "The sign-in is intact and only its refresh fails: waiting cures it, signing out hurts"
        }
        (FailureKind::AuthRefresh, Rung::ApiKey) => {
            "The sign-in service stays down and the configuration allows the key"
        }
        (FailureKind::AuthRefresh, _) => {
            "The sign-in service answers and yet refuses this sign-in: the cause may lie here"
        }
        (FailureKind::Network { .. } | FailureKind::Proxy, _) => {
            "The service was not reached, which may pass"
        }
        (FailureKind::LoginService, _) => "The sign-in service could not complete a login",
        (FailureKind::UsageLimit { .. }, _) => "The limit lifts at a known time within the horizon",
        (FailureKind::SessionBroken, _) => "This conversation is damaged and no tool had run in it",
        (FailureKind::StartUp | FailureKind::Crash, Rung::Relaunch | Rung::AskAgain) => {
            "Once may be chance, so Claude is started again first"
        }
        (FailureKind::StartUp | FailureKind::Crash, _) => {
            "It fails although the service answers: the cause lies on this machine"
        }
        (FailureKind::Hang, _) => "Nothing moved for as long as `watch.hang_after`",
        (FailureKind::Doubtful { .. }, _) => {
            "Refused, but what is refused worked before or may yet: an outage looks the same"
        }
        (FailureKind::SignInNeeded | FailureKind::Refused, _) => "Only a person can cure it",
    }
}

/// A time of day, and the date where it is not the day of `near`.
#[must_use]
pub fn time(at: Timestamp, near: Timestamp, zone: &TimeZone) -> String {
    let (at, near) = (at.to_zoned_datetime(zone.clone()), near.to_zoned_datetime(zone.clone()));
    let format = if at.date() == near.date() { "%H:%M:%S" } else { "%-d %b %H:%M" };
    at.strftime(format).to_string()
}

/// A moment with its day, to the second.
#[must_use]
pub fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%-d %b %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_can_move_neither_the_cursor_nor_the_direction_of_writing() {
        let shown = printable("a\u{1b}[2Jb\u{202e}c\nd");
        assert_eq!(shown, "a\\u{1b}[2Jb\\u{202e}c\\u{a}d");
    }

    #[test]
    fn places_keep_their_end() {
        let place = |path: &str, most| place(Path::new(path), Path::new("/home/ada"), most);
        assert_eq!(place("/home/ada/work/loom", 40), "~/work/loom");
        assert_eq!(place("/home/ada", 40), "~");
        assert_eq!(place("/home/adam/x", 40), "/home/adam/x");
        assert_eq!(place("/srv/very/long/way/to/loom", 10), "…y/to/loom");
    }
}
