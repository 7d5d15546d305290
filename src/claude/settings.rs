//! The settings we pass with `--settings`: our hooks and our status line, added to what the user
//! gave inline. A file of theirs is left alone, and is then all that is passed: rules
//! such as `Read(/secret/**)` count from the directory of the file they stand in, and what Claude
//! says of a file names it. In: the user's value, the commands to add. Out: JSON.
//! `disableAllHooks` is never overridden; what cannot be read is left to Claude.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::hooks::HOOK_WORD;
use super::status_line::STATUS_WORD;

/// What our settings need to name.
#[derive(Debug, Clone, Copy)]
pub struct Injection<'a> {
    /// Our executable.
    pub program: &'a Path,
    /// The run's socket.
    pub socket: &'a Path,
    /// The hook events to ask for.
    pub events: &'a [&'a str],
    /// The run's directory for the status line, and its refresh interval (seconds); `None`
    /// without a terminal.
    pub status_line: Option<(&'a Path, u64)>,
}

/// The user's `--settings`, as far as it may be read.
#[derive(Debug, Default)]
pub enum Given {
    /// There is none.
    #[default]
    Nothing,
    /// JSON on the command line.
    Inline(Map<String, Value>),
    /// A file.
    File(Map<String, Value>),
    /// Nothing that could be read as JSON: Claude is left to judge it.
    Unreadable,
}

impl Given {
    /// Reads a value of `--settings` as Claude does: it takes no pipe for one.
    #[must_use]
    pub fn read(value: &str, cwd: &Path) -> Self {
        let object = |text: &str| serde_json::from_str(text).ok();
        let found = if value.trim_start().starts_with('{') {
            object(value).map(Self::Inline)
        } else {
            let path = Some(cwd.join(value)).filter(|path| path.is_file());
            let text = path.and_then(|path| std::fs::read_to_string(path).ok());
            text.and_then(|text| object(&text)).map(Self::File)
        };
        found.unwrap_or(Self::Unreadable)
    }

    /// What it holds.
    #[must_use]
    pub fn settings(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Inline(settings) | Self::File(settings) => Some(settings),
            Self::Nothing | Self::Unreadable => None,
        }
    }
}

/// A file of Claude's that holds a JSON object; `None` if it cannot be read as one.
#[must_use]
pub fn read_file(file: &Path) -> Option<Map<String, Value>> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// The user's settings with ours added.
#[must_use]
pub fn merge(mut user: Map<String, Value>, add: Injection<'_>) -> Value {
    let command = guarded(add.program, HOOK_WORD, add.socket);
    let hooks = user.entry("hooks").or_insert_with(|| json!({}));
    if let Some(hooks) = hooks.as_object_mut() {
        for event in add.events {
            let ours = json!({"hooks": [{"type": "command", "command": command, "timeout": 5}]});
            // Anything but a list is not what Claude expects: its own message about it is better.
            if let Value::Array(groups) =
                hooks.entry((*event).to_owned()).or_insert_with(|| json!([]))
            {
                groups.push(ours);
            }
        }
    }
    if let Some((dir, refresh_seconds)) = add.status_line {
        let mut ours = json!({
            "type": "command",
            "command": guarded(add.program, STATUS_WORD, dir),
            "refreshInterval": refresh_seconds,
        });
        if let Some(padding) = user.get("statusLine").and_then(|line| line.get("padding")) {
            ours["padding"] = padding.clone();
        }
        user.insert("statusLine".to_owned(), ours);
    }
    Value::Object(user)
}

/// A shell command that runs us, and does nothing at all once we are uninstalled.
fn guarded(program: &Path, word: &str, argument: &Path) -> String {
    let (program, argument) = (quote(program), quote(argument));
    format!("test -x {program} || exit 0; exec {program} {word} {argument}")
}

/// Single-quotes a path for `sh`.
fn quote(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::hooks::EVENTS;
    use super::*;

    fn injection() -> Injection<'static> {
        Injection {
            program: Path::new("/opt/it's/claude-safe"),
            socket: Path::new("/run/s.sock"),
            events: EVENTS,
            status_line: Some((Path::new("/state/run"), 3)),
        }
    }

    #[test]
    fn the_users_hooks_and_keys_stay_beside_ours() {
        let user = json!({
            "model": "opus",
            "disableAllHooks": true,
            "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "mine"}]}]},
            "statusLine": {"type": "command", "command": "my line", "padding": 2},
        });
        let Value::Object(user) = user else { unreachable!() };
        let merged = merge(user, injection());
        assert_eq!(merged["model"], "opus");
        assert_eq!(merged["disableAllHooks"], true);
        assert_eq!(merged["hooks"]["Stop"][0]["hooks"][0]["command"], "mine");
        assert_eq!(
            merged["hooks"]["Stop"][1]["hooks"][0]["command"],
            r"test -x '/opt/it'\''s/claude-safe' || exit 0; exec '/opt/it'\''s/claude-safe' __hook '/run/s.sock'"
        );
        assert_eq!(merged["statusLine"]["refreshInterval"], 3);
        assert_eq!(merged["statusLine"]["padding"], 2);
        for event in EVENTS {
            assert!(merged["hooks"][event].is_array(), "{event}");
        }
    }

    #[test]
    fn without_a_terminal_the_status_line_is_untouched() {
        let merged = merge(Map::new(), Injection { status_line: None, ..injection() });
        assert!(merged.get("statusLine").is_none());
    }

    #[test]
    fn settings_are_read_inline_or_from_a_file_relative_to_the_working_directory() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("s.json"), r#"{"a":1}"#).expect("written");
        let read = |value: &str| Given::read(value, dir.path());
        assert!(matches!(read("s.json"), Given::File(settings) if settings["a"] == 1));
        assert!(matches!(read(r#" {"b":2}"#), Given::Inline(settings) if settings["b"] == 2));
        for broken in ["missing.json", "{broken", "[]"] {
            assert!(matches!(read(broken), Given::Unreadable), "{broken}");
        }
    }
}
