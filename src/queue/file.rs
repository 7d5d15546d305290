//! A task as a file: Markdown with TOML between two lines of `+++`. In: text. Out: a task, or
//! what is wrong with it and what would be right. What `queue edit` opens, and what `-f` and
//! the inbox take.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::value::{self, nearest};

const MARK: &str = "+++";

/// The head of a file, as it is written. Everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Head {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// What is cloned to there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// What the host must have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// A worktree from this base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree: Option<String>,
    /// Ids or names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// A time or a span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Higher comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// No second one while it lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// A span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Tries after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// A command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// A session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Claude's arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// The words that a head may hold.
const WORDS: &[&str] = &[
    "name",
    "dir",
    "repo",
    "labels",
    "worktree",
    "after",
    "at",
    "priority",
    "key",
    "budget_usd",
    "timeout",
    "retries",
    "check",
    "resume",
    "args",
];

/// Reads a file's text: its head and its prompt.
pub fn read(text: &str) -> Result<(Head, String), String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(rest) = text
        .strip_prefix(MARK)
        .and_then(|rest| rest.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n'))
    else {
        return prompt(text).map(|prompt| (Head::default(), prompt));
    };
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == MARK {
            let head = head(&rest[..at])?;
            return prompt(&rest[at + line.len()..]).map(|prompt| (head, prompt));
        }
        at += line.len();
    }
    Err(format!("the head begins with {MARK} and has no second {MARK}"))
}

fn prompt(text: &str) -> Result<String, String> {
    let prompt = text.trim();
    if prompt.is_empty() { Err("there is no prompt".to_owned()) } else { Ok(prompt.to_owned()) }
}

fn head(text: &str) -> Result<Head, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count());
        format!("line {}: {}", line + 2, error.message())
    })?;
    if let Some(wrong) = table.keys().find(|key| !WORDS.contains(&key.as_str())) {
        let begins = || WORDS.iter().copied().find(|word| word.starts_with(wrong.as_str()));
        let near = nearest(wrong, WORDS.iter().copied()).or_else(begins);
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("there is no key `{wrong}`{hint}"));
    }
    let head: Head =
        table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    check(&head)?;
    Ok(head)
}

/// What can be checked without a queue.
pub fn check(head: &Head) -> Result<(), String> {
    if let Some(span) = &head.timeout {
        value::duration(span).map_err(|wrong| format!("`timeout`: {wrong}"))?;
    }
    if head.budget_usd.is_some_and(|usd| !(usd.is_finite() && usd > 0.0)) {
        return Err("`budget_usd` is not an amount above 0".to_owned());
    }
    Ok(())
}

/// The file of a task.
#[must_use]
pub fn write(head: &Head, prompt: &str) -> String {
    let head = toml::to_string(head).unwrap_or_default();
    format!("{MARK}\n{head}{MARK}\n{prompt}\n")
}

/// A directory as it was written: `~/` is the home, what is relative begins at `base`.
#[must_use]
pub fn directory(text: &str, base: &Path) -> PathBuf {
    match text.strip_prefix("~/") {
        Some(rest) => crate::paths::home().join(rest),
        None if text == "~" => crate::paths::home(),
        None => base.join(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let head = Head {
            name: Some("fix \"it\"".into()),
            after: vec!["q5".into(), "docs".into()],
            budget_usd: Some(3.5),
            args: vec!["--model".into(), "opus".into()],
            worktree: Some("main".into()),
            ..Head::default()
        };
        let text = write(&head, "Fix it.\n\n+++ is no mark here");
        let back = read(&text).expect("it reads");
        assert_eq!(back, (head, "Fix it.\n\n+++ is no mark here".to_owned()));
    }

    #[test]
    fn a_file_without_a_head_is_all_prompt() {
        assert_eq!(read("# Do it\n").expect("it reads").1, "# Do it");
        assert_eq!(read("+++ not a head").expect("it reads").1, "+++ not a head");
        assert_eq!(read("+++\r\nretries = 2\r\n+++\r\nDo it").expect("reads").0.retries, Some(2));
    }

    #[test]
    fn mistakes_are_named_with_what_would_be_right() {
        for (text, says) in [
            ("+++\nbudget = 3\n+++\nx", "did you mean `budget_usd`?"),
            ("+++\ntimeuot = \"1h\"\n+++\nx", "did you mean `timeout`?"),
            ("+++\ntimeout = \"soon\"\n+++\nx", "not a span of time"),
            ("+++\nname = \n+++\nx", "line 2:"),
            ("+++\nretries = \"two\"\n+++\nx", "invalid type"),
            ("+++\nbudget_usd = -1.0\n+++\nx", "above 0"),
            ("+++\nname = \"x\"\n", "no second +++"),
            ("+++\n+++\n \n", "no prompt"),
            ("", "no prompt"),
        ] {
            let wrong = read(text).expect_err(text);
            assert!(wrong.contains(says), "{text}: {wrong}");
        }
    }
}
