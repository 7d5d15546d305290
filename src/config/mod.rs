//! The configuration: defaults, then `config.toml`, its profile, `CLAUDE_SAFE_*`, options of
//! `run`, in rising order. In: text and variables. Out: a [`Config`] and what was wrong with
//! the input. A broken file never stops a run: [`load`] returns defaults beside the errors.

pub mod keys;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keys::KEYS;

use crate::ladder::Rung;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The file, at this line (from 1).
    File(usize),
    /// A profile of the file.
    Profile(String, usize),
    /// This environment variable.
    Environment(String),
    /// An option of the command line.
    Option,
}

/// A mistake in the configuration: where, which key, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or variable.
    pub place: String,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.place, self.message),
            None => write!(f, "{}: {}", self.place, self.message),
        }
    }
}

/// A rule added by the user; the same fields as in `rules.toml`, checked by `watch`.
pub type UserRules = Vec<toml::Table>;

/// The resolved configuration: every key has a checked value and an origin.
#[derive(Debug, Clone)]
pub struct Config {
    values: BTreeMap<&'static str, (String, Origin)>,
    /// The user's own `[[rules]]`.
    pub rules: UserRules,
}

impl Default for Config {
    fn default() -> Self {
        let values =
            KEYS.iter().map(|key| (key.name, (key.default.to_owned(), Origin::Default))).collect();
        Self { values, rules: Vec::new() }
    }
}

impl Config {
    /// The value of a key as text, and where it came from.
    #[must_use]
    pub fn get(&self, name: &str) -> (&str, &Origin) {
        let (value, origin) = self.values.get(name).expect("every key in KEYS has a value");
        (value, origin)
    }

    /// Sets a key after checking it.
    pub fn set(&mut self, name: &str, text: &str, origin: Origin) -> Result<(), String> {
        let Some(key) = keys::find(name) else {
            let near = keys::nearest(name, KEYS.iter().map(|key| key.name));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("there is no key `{name}`{hint}"));
        };
        key.check(text).map_err(|wrong| format!("`{name}`: {wrong}"))?;
        self.values.insert(key.name, (text.to_owned(), origin));
        Ok(())
    }

    /// An `on`/`off` key.
    #[must_use]
    pub fn switch(&self, name: &str) -> bool {
        keys::switch(self.get(name).0).expect("values are checked when set")
    }

    /// A span of time.
    #[must_use]
    pub fn duration(&self, name: &str) -> Duration {
        keys::duration(self.get(name).0).expect("values are checked when set")
    }

    /// A whole number.
    #[must_use]
    pub fn integer(&self, name: &str) -> i64 {
        keys::integer(self.get(name).0, i64::MIN, i64::MAX).expect("values are checked when set")
    }

    /// A size (bytes).
    #[must_use]
    pub fn bytes(&self, name: &str) -> u64 {
        keys::bytes(self.get(name).0).expect("values are checked when set")
    }

    /// A list of words.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        keys::list(self.get(name).0)
    }

    /// A text, `None` when empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        Some(self.get(name).0).filter(|text| !text.is_empty())
    }

    /// A path, `None` when empty; `~/` is replaced by the home.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(|text| match text.strip_prefix("~/") {
            Some(rest) => crate::paths::home().join(rest),
            None => PathBuf::from(text),
        })
    }

    /// Whether a rung may be used.
    #[must_use]
    pub fn allows(&self, rung: Rung) -> bool {
        self.switch(&format!("rungs.{}", rung.name()))
    }
}

/// Reads the configuration: the file, then the named profile, then the environment.
/// What is wrong is left at its lower layer and reported.
#[must_use]
pub fn load(
    file: &Path,
    profile: Option<&str>,
    environment: impl Iterator<Item = (String, String)>,
) -> (Config, Vec<Problem>) {
    let mut config = Config::default();
    let mut problems = Vec::new();
    match std::fs::read_to_string(file) {
        Ok(text) => read_file(&mut config, &mut problems, &text, file, profile),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.push(problem(file, None, format!("failed to read: {error}"))),
    }
    for (name, value) in environment {
        if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
            let set = config.set(key.name, &value, Origin::Environment(name.clone()));
            problems.extend(set.err().map(|message| Problem { place: name, line: None, message }));
        }
    }
    (config, problems)
}

fn problem(file: &Path, line: Option<usize>, message: String) -> Problem {
    Problem { place: file.display().to_string(), line, message }
}

fn read_file(
    config: &mut Config,
    problems: &mut Vec<Problem>,
    text: &str,
    file: &Path,
    profile: Option<&str>,
) {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map(|span| line_of(text, span.start));
            problems.push(problem(file, line, error.message().to_owned()));
            return;
        }
    };
    let mut lines = KeyLines::of(text);
    for (name, value) in &table {
        match (name.as_str(), value) {
            ("rules", toml::Value::Array(rules)) => {
                config.rules = rules.iter().filter_map(|rule| rule.as_table().cloned()).collect();
            }
            ("profile", toml::Value::Table(_)) => {}
            _ => apply(config, problems, file, &mut lines, name, value, None),
        }
    }
    let profiles = table.get("profile").and_then(toml::Value::as_table);
    let Some(wanted) = profile else { return };
    match profiles.and_then(|profiles| profiles.get(wanted)) {
        Some(toml::Value::Table(chosen)) => {
            for (name, value) in chosen {
                apply(config, problems, file, &mut lines, name, value, Some(wanted));
            }
        }
        _ => {
            let known = profiles.map(|profiles| profiles.keys().cloned().collect::<Vec<_>>());
            let known = known.filter(|known| !known.is_empty()).map_or_else(
                || "the file has none".to_owned(),
                |known| format!("there are {}", known.join(", ")),
            );
            problems.push(problem(file, None, format!("there is no profile `{wanted}`; {known}")));
        }
    }
}

fn apply(
    config: &mut Config,
    problems: &mut Vec<Problem>,
    file: &Path,
    lines: &mut KeyLines,
    name: &str,
    value: &toml::Value,
    profile: Option<&str>,
) {
    if let toml::Value::Table(table) = value {
        for (key, value) in table {
            apply(config, problems, file, lines, &format!("{name}.{key}"), value, profile);
        }
        return;
    }
    let written = profile.map_or(name.to_owned(), |profile| format!("profile.{profile}.{name}"));
    let line = lines.line(&written);
    let origin = match profile {
        Some(profile) => Origin::Profile(profile.to_owned(), line.unwrap_or(0)),
        None => Origin::File(line.unwrap_or(0)),
    };
    if let Err(message) = config.set(name, &as_text(value), origin) {
        problems.push(problem(file, line, message));
    }
}

/// A TOML value as the text that [`keys::Key::check`] reads.
fn as_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())].matches('\n').count() + 1
}

/// On which line each dotted key stands. The parser does not tell, so the text is looked
/// through for `[table]` and `key =` lines; a line it cannot place is simply not named.
struct KeyLines(BTreeMap<String, usize>);

impl KeyLines {
    fn of(text: &str) -> Self {
        let mut table = String::new();
        let mut lines = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                header.trim_matches(['[', ']']).trim().clone_into(&mut table);
            } else if let Some((key, _)) = line.split_once('=') {
                let key = key.trim().trim_matches('"');
                let name = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
                lines.entry(name).or_insert(index + 1);
            }
        }
        Self(lines)
    }

    fn line(&mut self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str, profile: Option<&str>) -> (Config, Vec<String>) {
        let (mut config, mut problems) = (Config::default(), Vec::new());
        read_file(&mut config, &mut problems, text, Path::new("config.toml"), profile);
        (config, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_default_is_a_value_its_key_takes() {
        for key in KEYS {
            assert_eq!(key.check(key.default), Ok(()), "{}", key.name);
        }
    }

    #[test]
    fn a_mistake_names_file_line_key_and_cure_and_leaves_the_default() {
        let (config, problems) = from("[retry]\nfirst_wiat = \"3s\"\nmax_wait = \"soon\"\n", None);
        assert_eq!(
            problems,
            [
                "config.toml:2: there is no key `retry.first_wiat`; did you mean `retry.first_wait`?",
                "config.toml:3: `retry.max_wait`: `soon` is not a span of time such as `90s`, `10m` or `2h 30m`",
            ]
        );
        assert_eq!(config.duration("retry.max_wait"), Duration::from_secs(60));
    }

    #[test]
    fn a_profile_lies_over_the_file_and_an_unknown_one_is_named() {
        let text = "[retry]\nmax_wait = \"10s\"\n[profile.night.retry]\nmax_wait = \"5m\"\n";
        assert_eq!(from(text, None).0.duration("retry.max_wait"), Duration::from_secs(10));
        let (config, problems) = from(text, Some("night"));
        assert_eq!(config.get("retry.max_wait"), ("5m", &Origin::Profile("night".into(), 4)));
        assert!(problems.is_empty());
        assert_eq!(
            from(text, Some("nigth")).1,
            ["config.toml: there is no profile `nigth`; there are night"]
        );
    }

    #[test]
    fn a_file_that_is_not_toml_is_reported_with_its_line_and_defaults_stand() {
        let (config, problems) = from("[retry]\nmax_wait = = 3\n", None);
        assert!(problems[0].starts_with("config.toml:2: "), "{problems:?}");
        assert_eq!(config.duration("retry.max_wait"), Duration::from_secs(60));
    }
}
