//! The environment as Claude sees it: the process's, and over it the `env` of its settings. In:
//! the files, in the order in which Claude heeds them (measured on 2.1.330). Out: values, and
//! where they came from. Reads only; holds secrets, so `Debug` names variables alone.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::args::ClaudeArgs;
use super::settings::read_file;
use super::status_line::is_trusted;
use crate::paths;

/// Looks up an environment variable; empty values count as unset.
pub trait Lookup {
    /// The value, `None` when unset or empty.
    fn var(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Lookup for F {
    fn var(&self, name: &str) -> Option<String> {
        self(name).filter(|value| !value.is_empty())
    }
}

/// The environment of this process.
#[must_use]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Claude's reading of a switch in the environment.
#[must_use]
pub fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

/// One file's variables.
struct Layer {
    place: PathBuf,
    variables: Map<String, Value>,
}

/// The environment as Claude sees it. The default is the process's alone.
pub struct Environment {
    /// The one that is heeded first comes first.
    layers: Vec<Layer>,
    process: fn(&str) -> Option<String>,
    key_helper: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self { layers: Vec::new(), process: process_env, key_helper: false }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |layer: &Layer| layer.variables.keys().cloned().collect::<Vec<_>>();
        let layers = self.layers.iter().map(|layer| (&layer.place, names(layer)));
        f.debug_map().entries(layers).finish()
    }
}

impl Environment {
    /// What a claude with these arguments would see in this directory. Without a terminal it
    /// heeds a project's settings unasked; at one (`asks_for_trust`) only once they are trusted.
    /// `given` is what `--settings` holds: it may be a pipe, which can be read only once.
    #[must_use]
    pub fn of_claude(
        user: &ClaudeArgs,
        given: Option<&Map<String, Value>>,
        cwd: &Path,
        asks_for_trust: bool,
    ) -> Self {
        let sources = user.value("--setting-sources");
        let heeds = |source: &str| {
            sources.as_ref().is_none_or(|all| all.split(',').any(|one| one.trim() == source))
        };
        // It can be large: read once.
        let config = read_file(&paths::claude_json());
        let is_trusted = || config.as_ref().is_some_and(|config| is_trusted(config, cwd));
        let project = !asks_for_trust || is_trusted();
        let mut environment = Self::default();
        environment.add_file(managed_settings());
        if let Some(settings) = given {
            environment.add(PathBuf::from("--settings"), settings.clone());
        }
        for (source, file, heeded) in [
            ("local", cwd.join(".claude/settings.local.json"), project),
            ("project", cwd.join(".claude/settings.json"), project),
            ("user", paths::claude_config_dir().join("settings.json"), true),
        ] {
            if heeded && heeds(source) {
                environment.add_file(file);
            }
        }
        if let Some(config) = config {
            environment.add(paths::claude_json(), config);
        }
        environment
    }

    fn add_file(&mut self, file: PathBuf) {
        if let Some(settings) = read_file(&file) {
            self.add(file, settings);
        }
    }

    fn add(&mut self, place: PathBuf, mut settings: Map<String, Value>) {
        self.key_helper |= settings.get("apiKeyHelper").is_some_and(Value::is_string);
        if let Some(Value::Object(variables)) = settings.remove("env") {
            self.layers.push(Layer { place, variables });
        }
    }

    /// The value, and the file it comes from unless it is the process's. An empty value in a file
    /// hides those below it.
    fn find(&self, name: &str) -> (Option<String>, Option<&Path>) {
        let named = |layer: &'_ Layer| layer.variables.get(name).and_then(text);
        let found = self.layers.iter().find_map(|layer| Some((layer, named(layer)?)));
        match found {
            Some((layer, value)) => (Some(value), Some(&layer.place)),
            None => ((self.process)(name), None),
        }
    }

    /// The settings file that a variable's value comes from; `None` if it is the process's own.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<&Path> {
        self.find(name).1
    }

    /// Whether settings name a program that hands out a key, which outranks a subscription.
    #[must_use]
    pub fn has_key_helper(&self) -> bool {
        self.key_helper
    }
}

impl Lookup for Environment {
    fn var(&self, name: &str) -> Option<String> {
        self.find(name).0.filter(|value| !value.is_empty())
    }
}

/// A value as it reaches the environment: numbers and switches in words.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An administrator's settings, where the platform keeps them.
#[must_use]
pub fn managed_settings() -> PathBuf {
    PathBuf::from(if cfg!(target_os = "macos") {
        "/Library/Application Support/ClaudeCode/managed-settings.json"
    } else {
        "/etc/claude-code/managed-settings.json"
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(layers: &[(&str, Value)]) -> Environment {
        let process = |name: &str| (name == "BASE").then(|| "process".to_owned());
        let mut environment = Environment { process, ..Environment::default() };
        for (place, settings) in layers {
            let Value::Object(settings) = settings.clone() else { panic!("an object") };
            environment.add(PathBuf::from(place), settings);
        }
        environment
    }

    #[test]
    fn settings_outrank_the_process_and_the_first_file_that_names_a_variable_decides() {
        let seen = environment(&[
            ("local", json!({ "env": { "OTHER": "x" } })),
            ("project", json!({ "env": { "BASE": "project" } })),
            ("user", json!({ "env": { "BASE": "user", "COUNT": 3, "ON": true } })),
        ]);
        assert_eq!(seen.var("BASE").as_deref(), Some("project"));
        assert_eq!(seen.place("BASE"), Some(Path::new("project")));
        assert_eq!(seen.var("COUNT").as_deref(), Some("3"));
        assert_eq!(seen.var("ON").as_deref(), Some("true"));
        let seen = environment(&[("user", json!({ "model": "opus" }))]);
        assert_eq!((seen.var("BASE").as_deref(), seen.place("BASE")), (Some("process"), None));
    }

    #[test]
    fn an_empty_value_in_a_file_hides_what_is_below() {
        let seen = environment(&[("user", json!({ "env": { "BASE": "" } }))]);
        assert_eq!(seen.var("BASE"), None);
    }

    #[test]
    fn no_value_is_ever_shown() {
        let seen = environment(&[("user", json!({ "env": { "ANTHROPIC_API_KEY": "sk-secret" } }))]);
        let shown = format!("{seen:?}");
        assert!(shown.contains("ANTHROPIC_API_KEY") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn the_files_of_a_project_and_of_the_arguments_are_read_as_claude_reads_them() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, value: &str| {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            std::fs::write(file, json!({ "env": { "CLAUDE_SAFE_T": value } }).to_string())
                .expect("written");
        };
        let read = |words: &[&str], asks_for_trust| {
            let words: Vec<_> = words.iter().map(Into::into).collect();
            let user = ClaudeArgs::parse(&words);
            let given = user
                .value("--settings")
                .map(|value| crate::claude::settings::Given::read(&value, dir.path()));
            let given = given.as_ref().and_then(crate::claude::settings::Given::settings);
            Environment::of_claude(&user, given, dir.path(), asks_for_trust).var("CLAUDE_SAFE_T")
        };
        assert_eq!(read(&[], false), None);
        write(".claude/settings.json", "project");
        assert_eq!(read(&[], false).as_deref(), Some("project"));
        write(".claude/settings.local.json", "local");
        assert_eq!(read(&[], false).as_deref(), Some("local"));
        assert_eq!(
            read(&["--setting-sources", "user, project"], false).as_deref(),
            Some("project")
        );
        assert_eq!(read(&["--setting-sources=user"], false), None);
        assert_eq!(read(&[], true), None, "nobody trusted it");
        write("flag.json", "flag");
        assert_eq!(read(&["--settings", "flag.json"], true).as_deref(), Some("flag"));
    }
}
