//! The configuration: defaults, then `config.toml`, its profile, `CLAUDE_SAFE_*`, options of
//! `run`, in rising order. In: text and variables. Out: a [`Config`] and what was wrong with
//! the input. A broken file never stops a run: [`load`] returns defaults beside the errors.

mod file;
pub mod keys;
pub mod reference;
pub mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use file::{Entry, File, RuleLines};
use keys::{KEYS, Key, Values};

use crate::rung::Rung;

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

/// The variables that set keys.
pub fn from_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with("CLAUDE_SAFE_"))?;
        Some((name, value.into_string().ok()?))
    })
}

/// A rule added by the user; the same fields as in `rules.toml`, checked by `watch`.
pub type UserRules = Vec<toml::Table>;

/// The resolved configuration: every key has a checked value and an origin.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the keys are set to.
    pub values: Values,
    /// As it was written, and where.
    texts: BTreeMap<&'static str, (String, Origin)>,
    /// The user's own `[[rules]]`.
    pub rules: UserRules,
    /// Where each of them stands.
    rule_lines: Vec<RuleLines>,
    /// Where this was read from.
    file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            values: Values::default(),
            texts: BTreeMap::new(),
            rules: Vec::new(),
            rule_lines: Vec::new(),
            file: PathBuf::new(),
        }
    }
}

impl Config {
    /// The value of a key as text, and where it came from.
    #[must_use]
    pub fn shown(&self, key: &Key) -> (&str, &Origin) {
        let text = self.texts.get(key.name).map(|(text, origin)| (text.as_str(), origin));
        text.unwrap_or((key.default, &Origin::Default))
    }

    /// Sets a key after checking it.
    pub fn set(&mut self, name: &str, text: &str, origin: Origin) -> Result<(), String> {
        let Some(key) = keys::find(name) else {
            let near = value::nearest(name, KEYS.iter().map(|key| key.name));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("there is no key `{name}`{hint}"));
        };
        key.kind
            .check(text)
            .and_then(|()| self.values.take(key.name, text))
            .map_err(|wrong| format!("`{name}`: {wrong}"))?;
        self.texts.insert(key.name, (text.to_owned(), origin));
        Ok(())
    }

    /// Whether a rung may be used.
    #[must_use]
    pub fn allows(&self, rung: Rung) -> bool {
        let rungs = &self.values.rungs;
        match rung {
            Rung::AskAgain => rungs.ask_again,
            Rung::Relaunch => rungs.relaunch,
            Rung::Update => rungs.update,
            Rung::NewSession => rungs.new_session,
            Rung::ClearCache => rungs.clear_cache,
            Rung::SignInReset => rungs.sign_in_reset,
            Rung::ApiKey => rungs.api_key,
        }
    }
}

/// Which profile of the file lies over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile<'a> {
    /// None.
    Base,
    /// This one; that the file has none of this name is a problem.
    Named(&'a str),
    /// The one called `unattended`, if there is one: for a run without a terminal.
    Unattended,
}

impl<'a> Profile<'a> {
    /// The one that was asked for, else the one for the kind of run.
    #[must_use]
    pub fn of(named: Option<&'a str>, headless: bool) -> Self {
        match named {
            Some(name) => Self::Named(name),
            None if headless => Self::Unattended,
            None => Self::Base,
        }
    }
}

/// The profile of runs without a terminal.
const UNATTENDED: &str = "unattended";

/// Chooses a profile where no option does.
pub const PROFILE_VARIABLE: &str = "CLAUDE_SAFE_PROFILE";

/// Reads the configuration: the file, then a profile of it, then the environment.
/// What is wrong is left at its lower layer and reported, in the order of the lines.
#[must_use]
pub fn load(
    file: &Path,
    profile: Profile<'_>,
    environment: impl Iterator<Item = (String, String)>,
) -> (Config, Vec<Problem>) {
    let environment: Vec<_> = environment.collect();
    let variable = environment.iter().find(|(name, value)| {
        name == PROFILE_VARIABLE && !value.is_empty() && !matches!(profile, Profile::Named(_))
    });
    let profile = variable.map_or(profile, |(_, name)| Profile::Named(name));
    let mut config = Config { file: file.to_owned(), ..Config::default() };
    let mut problems = Vec::new();
    match std::fs::read_to_string(file) {
        Ok(text) => problems = config.lay(&text, profile),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            problems.extend(config.no_profile(profile, &[]));
        }
        Err(error) => problems.push(config.problem(None, format!("failed to read: {error}"))),
    }
    for (name, value) in environment {
        if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
            let set = config.set(key.name, &value, Origin::Environment(name.clone()));
            problems.extend(set.err().map(|message| Problem { place: name, line: None, message }));
        }
    }
    (config, problems)
}

/// The profiles a file has; none where it cannot be read.
#[must_use]
pub fn profiles(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    File::read(&text).profiles.into_keys().collect()
}

impl Config {
    /// A mistake in the file this was read from.
    fn problem(&self, line: Option<usize>, message: String) -> Problem {
        Problem { place: self.file.display().to_string(), line, message }
    }

    /// What `Rules::new` found wrong with the rules of this configuration, with their lines.
    #[must_use]
    pub fn rule_problems(&self, wrong: &[(usize, String)]) -> Vec<Problem> {
        let line = |index: usize, message: &str| Some(self.rule_lines.get(index)?.of(message));
        wrong
            .iter()
            .map(|(index, message)| self.problem(line(*index, message), message.clone()))
            .collect()
    }

    fn no_profile(&self, wanted: Profile<'_>, known: &[&str]) -> Option<Problem> {
        let Profile::Named(wanted) = wanted else { return None };
        let hint = match value::nearest(wanted, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "the file has none".to_owned(),
            None => format!("there are {}", known.join(", ")),
        };
        Some(self.problem(None, format!("there is no profile `{wanted}`; {hint}")))
    }

    /// Lays a file and a profile of it over what is there.
    fn lay(&mut self, text: &str, profile: Profile<'_>) -> Vec<Problem> {
        let read = File::read(text);
        let broken = !read.problems.is_empty() && read.entries.is_empty();
        let mut wrong = read.problems;
        for rule in read.rules {
            self.rules.push(rule.table);
            self.rule_lines.push(rule.lines);
        }
        for entry in &read.entries {
            wrong.extend(self.enter(entry, Origin::File(entry.line)));
        }
        let name = match profile {
            Profile::Base => "",
            Profile::Named(name) => name,
            Profile::Unattended => UNATTENDED,
        };
        let mut missing = None;
        match read.profiles.get(name) {
            Some(entries) => {
                for entry in entries {
                    let origin = Origin::Profile(name.to_owned(), entry.line);
                    wrong.extend(self.enter(entry, origin));
                }
            }
            None if broken => {}
            None => {
                let known: Vec<&str> = read.profiles.keys().map(String::as_str).collect();
                missing = self.no_profile(profile, &known);
            }
        }
        wrong.sort();
        let problems = wrong.into_iter().map(|(line, text)| self.problem(Some(line), text));
        problems.chain(missing).collect()
    }

    fn enter(&mut self, entry: &Entry, origin: Origin) -> Option<(usize, String)> {
        let set = match &entry.value {
            Ok(text) => self.set(&entry.name, text, origin),
            Err(wrong) => match keys::find(&entry.name) {
                Some(_) => Err(format!("`{}`: {wrong}", entry.name)),
                // That there is no such key matters more than what its value is.
                None => self.set(&entry.name, "", origin),
            },
        };
        set.err().map(|message| (entry.line, message))
    }
}

#[cfg(test)]
mod tests;
