//! What `keys::KEYS` says, in the forms people and editors read: the table of the docs, a JSON
//! schema, a first `config.toml`. Pure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::keys::{KEYS, Key};
use super::value::{self, Kind};

/// Variables that are no key of the configuration, and what they do.
pub const VARIABLES: &[(&str, &str)] = &[
    ("CLAUDE_SAFE", "`off` starts plain claude, without claude-safe."),
    ("CLAUDE_SAFE_CLAUDE", "The claude to start; stronger than `claude.path`."),
    ("CLAUDE_SAFE_CONFIG", "The configuration file to read."),
    ("CLAUDE_SAFE_PROFILE", "The profile of the configuration to use, as `run --profile` does."),
    ("CLAUDE_SAFE_STATE_DIR", "Where journal, logs and backups lie."),
    ("CLAUDE_SAFE_API_KEY", "The key of the API key rung, if that is on."),
];

/// All keys as a Markdown table.
#[must_use]
pub fn table() -> String {
    let mut text = "| key | takes | default | meaning |\n|---|---|---|---|\n".to_owned();
    for key in KEYS {
        let default = match key.default {
            "" => "empty".to_owned(),
            default => format!("`{default}`"),
        };
        let Key { name, doc, .. } = key;
        let _ = writeln!(text, "| `{name}` | {} | {default} | {doc} |", key.kind.allowed());
    }
    text
}

/// The other variables as a Markdown table.
#[must_use]
pub fn variables() -> String {
    let mut text = "| variable | meaning |\n|---|---|\n".to_owned();
    for (name, doc) in VARIABLES {
        let _ = writeln!(text, "| `{name}` | {doc} |");
    }
    text
}

/// A `config.toml` in which every key stands as a comment with its default.
#[must_use]
pub fn template() -> String {
    let mut text = "# claude-safe. Every line below is a default: take the # away to change it.\n\
                    # `claude-safe config check` names every mistake.\n"
        .to_owned();
    let mut last = "";
    for key in KEYS {
        let (table, name) = split(key);
        if table != last {
            let _ = write!(text, "\n[{table}]\n");
            last = table;
        }
        let _ = writeln!(text, "# {}\n#{name} = {}", key.doc, toml_value(key, key.default));
    }
    text + "\n# For runs without a terminal:\n#[profile.unattended.retry]\n\
            #horizon_headless = \"24h\"\n"
}

/// A value as TOML writes it.
#[must_use]
pub fn toml_value(key: &Key, text: &str) -> String {
    match key.kind {
        Kind::Integer(..) => text.to_owned(),
        Kind::List(_) => {
            let items = value::list(text);
            toml::Value::Array(items.into_iter().map(toml::Value::String).collect()).to_string()
        }
        _ => toml::Value::String(text.to_owned()).to_string(),
    }
}

/// A JSON schema of `config.toml`, as editors read it.
#[must_use]
pub fn schema() -> Value {
    let keys = tables();
    let mut top = keys.clone();
    top.insert("rules".into(), rules());
    top.insert(
        "profile".into(),
        json!({
            "type": "object",
            "description": "Profiles: chosen by `run --profile NAME`; the one called \
                            `unattended` is used by runs without a terminal.",
            "additionalProperties": {
                "type": "object", "properties": keys, "additionalProperties": false
            },
        }),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "claude-safe config.toml",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
    })
}

fn tables() -> Map<String, Value> {
    let mut tables = Map::new();
    for key in KEYS {
        let (table, name) = split(key);
        let table = tables.entry(table).or_insert_with(
            || json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        );
        table["properties"][name] = property(key);
    }
    tables
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Switch => json!({ "enum": ["on", "off", true, false] }),
        Kind::Duration(_) => json!({ "type": "string", "examples": ["90s", "10m", "2h 30m"] }),
        Kind::Integer(low, high) => {
            json!({ "type": "integer", "minimum": low, "maximum": high })
        }
        Kind::Bytes => json!({ "type": "string", "examples": ["500MiB", "5GiB"] }),
        Kind::Text | Kind::Path => json!({ "type": "string" }),
        Kind::Message => {
            json!({ "type": "string", "pattern": "^[^0-9/!#@\\x00-\\x1f][^\\x00-\\x1f]*$" })
        }
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::List([]) => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::List(words) => json!({ "type": "array", "items": { "enum": words } }),
    };
    property["description"] = json!(key.doc);
    property["default"] = match key.kind {
        // In a file one writes the word.
        Kind::Switch => json!(key.default),
        _ => json_value(key, key.default),
    };
    property
}

/// A key's value as JSON.
#[must_use]
pub fn json_value(key: &Key, text: &str) -> Value {
    match key.kind {
        Kind::Integer(..) => json!(text.parse::<i64>().unwrap_or_default()),
        Kind::Switch => json!(value::switch(text).unwrap_or_default()),
        Kind::List(_) => json!(value::list(text)),
        _ => json!(text),
    }
}

fn rules() -> Value {
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "type": "array",
        "description": "Rules of your own, tried before the built-in ones.",
        "items": {
            "type": "object",
            "required": ["id", "class"],
            "properties": {
                "id": { "type": "string" },
                "class": { "type": "string" },
                "where": texts.clone(),
                "pattern": { "type": "string" },
                "status": { "type": "array", "items": { "type": ["integer", "string"] } },
                "error": texts,
                "sign_in": { "type": "string" },
                "certificate": { "type": "boolean" },
                "firm": { "type": "boolean" },
                "versions": { "type": "string" },
                "source": { "type": "string" },
            },
            "additionalProperties": false,
        },
    })
}

fn split(key: &Key) -> (&'static str, &'static str) {
    key.name.split_once('.').expect("every key is in a table")
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Origin, Profile, load};
    use super::*;

    fn read(text: &str) -> (Config, Vec<super::super::Problem>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).expect("written");
        load(&file, Profile::Base, std::iter::empty())
    }

    #[test]
    fn the_template_says_nothing_and_uncommented_it_says_every_default() {
        let (config, problems) = read(&template());
        assert_eq!(problems, []);
        assert!(KEYS.iter().all(|key| config.shown(key).1 == &Origin::Default));
        let lines = template();
        let settings: Vec<&str> = lines
            .lines()
            .filter(|line| !line.starts_with("# "))
            .map(|line| line.trim_start_matches('#'))
            .collect();
        let (config, problems) = read(&settings.join("\n"));
        assert_eq!(problems, []);
        for key in KEYS {
            let (value, origin) = config.shown(key);
            assert!(matches!(origin, Origin::File(_)), "{}", key.name);
            assert_eq!(value, key.default);
        }
    }

    #[test]
    fn the_schema_knows_every_key_and_gives_defaults_that_it_allows() {
        let schema = schema();
        for key in KEYS {
            let (table, name) = split(key);
            let property = &schema["properties"][table]["properties"][name];
            assert_eq!(property["description"], key.doc, "{}", key.name);
            if let Some(words) = property["enum"].as_array() {
                assert!(words.contains(&property["default"]), "{}", key.name);
            }
        }
    }
}
