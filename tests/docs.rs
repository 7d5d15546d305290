//! What the documents say, compared with the program. `README.md` is held to the same.
//! With `CLAUDE_SAFE_WRITE_DOCS=1` the tables are written instead of compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use claude_safe::parts::cli::Cli;
use claude_safe::parts::config::keys::{self, KEYS};
use claude_safe::parts::config::reference;
use claude_safe::parts::exit;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md, if it is there, and docs/.
fn documents() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("entry"));
    let mut files: Vec<PathBuf> = docs.map(|entry| entry.path()).collect();
    files.push(root().join("README.md"));
    files.retain(|file| file.extension().is_some_and(|ending| ending == "md") && file.exists());
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).expect("text"))).collect()
}

/// Compares what stands between `<!-- NAME… -->` and `<!-- /NAME -->`, wherever that is.
fn compare(name: &str, wanted: &str) -> usize {
    let mut places = 0;
    for (file, text) in documents() {
        let Some((before, rest)) = text.split_once(&format!("<!-- {name}")) else { continue };
        let (comment, rest) = rest.split_once("-->\n").expect("the comment ends");
        let (held, after) = rest.split_once(&format!("<!-- /{name} -->")).expect("an end mark");
        places += 1;
        if std::env::var_os("CLAUDE_SAFE_WRITE_DOCS").is_some() {
            let text = format!("{before}<!-- {name}{comment}-->\n{wanted}<!-- /{name} -->{after}");
            fs::write(&file, text).expect("written");
        } else {
            let cure = "run the test with CLAUDE_SAFE_WRITE_DOCS=1";
            assert_eq!(held, wanted, "{} is behind: {cure}", file.display());
        }
    }
    places
}

#[test]
fn the_tables_are_those_of_the_program() {
    assert!(compare("keys", &reference::table()) > 0);
    assert!(compare("variables", &reference::variables()) > 0);
    let mut codes = "| code | meaning |\n|---|---|\n".to_owned();
    for (code, meaning) in exit::TABLE {
        codes.extend([&format!("| {code} | {meaning} |"), "\n"]);
    }
    // Where a document has no marked table of the codes, it is held to the rows below.
    compare("exit codes", &codes);
}

#[test]
fn the_readme_names_every_exit_code() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else { return };
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with('|')).collect();
    for (code, _) in exit::TABLE {
        let code = code.to_string();
        let names = |row: &&&str| row.split(['|', '`', '*', ' ']).any(|word| word == code);
        assert!(rows.iter().find(names).is_some(), "no row of README.md for exit code {code}");
    }
}

/// The lines of code blocks and the inline code of a document.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line.trim().trim_start_matches("$ ").to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// What follows `claude-safe` in a line of code, up to the next command of the line.
fn calls(code: &str) -> Vec<Vec<&str>> {
    let end = |word: &&str| !matches!(*word, "|" | ">" | "&&" | "||" | "#" | ";" | "--");
    let words: Vec<&str> = code.split_whitespace().collect();
    words
        .iter()
        .enumerate()
        .filter(|(_, word)| word.trim_start_matches("\"$(") == "claude-safe")
        .map(|(index, _)| words[index + 1..].iter().copied().take_while(end).collect())
        .collect()
}

/// The wrong word of a call, if there is one.
fn wrong<'w>(call: &[&'w str]) -> Option<&'w str> {
    let mut command = Cli::command();
    command.build();
    let mut at: &Command = &command;
    for (index, word) in call.iter().enumerate() {
        let plain = word.trim_end_matches([')', '"', ',', '.', ':']);
        if plain == "…" {
            return None;
        }
        if let Some(option) = plain.strip_prefix("--") {
            let name = option.split('=').next().unwrap_or_default();
            // Before a command of ours stands, every word is claude's.
            let known = at.get_arguments().any(|arg| arg.get_long() == Some(name));
            if index > 0 && !known {
                return Some(word);
            }
        } else if let Some(below) = at.find_subcommand(plain) {
            at = below;
        } else if index > 0 && at.has_subcommands() && at.get_name() != "claude-safe" {
            return Some(word);
        }
    }
    None
}

#[test]
fn every_call_in_the_documents_is_one_that_the_program_takes() {
    let mut seen = 0;
    for (file, text) in documents() {
        for code in code(&text) {
            for call in calls(&code) {
                seen += 1;
                assert_eq!(wrong(&call), None, "{}: {code}", file.display());
            }
        }
    }
    assert!(seen > 10, "{seen}");
    assert_eq!(wrong(&["config", "shwo"]), Some("shwo"));
    assert_eq!(wrong(&["shim", "install", "--dri", "x"]), Some("--dri"));
    assert_eq!(wrong(&["-p", "hi"]), None);
}

#[test]
fn every_example_of_the_help_is_one_that_the_program_takes() {
    fn walk(command: &Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        assert!(help.contains("Examples:"), "`{name} --help` has no examples");
        let lines: Vec<&str> = help.lines().filter(|line| line.starts_with("  ")).collect();
        assert!(lines.len() >= 2, "`{name} --help` has {} example", lines.len());
        for line in lines {
            for call in calls(line.split("   ").find(|part| !part.is_empty()).unwrap_or(line)) {
                assert_eq!(wrong(&call), None, "{name}: {line}");
            }
        }
        command.get_subcommands().for_each(walk);
    }
    let mut command = Cli::command();
    command.build();
    walk(&command);
}

#[test]
fn every_key_and_variable_in_the_documents_exists() {
    let tables: BTreeSet<&str> = KEYS.iter().filter_map(|key| key.name.split('.').next()).collect();
    let variables: Vec<String> = KEYS.iter().map(keys::Key::variable).collect();
    for (file, text) in documents() {
        for code in code(&text) {
            for word in code.split(|c: char| !(c.is_alphanumeric() || "._".contains(c))) {
                let in_table = word.split_once('.').is_some_and(|(table, key)| {
                    tables.contains(table)
                        && !key.is_empty()
                        && !["toml", "rs", "db"].contains(&key.split('.').next().unwrap_or(key))
                });
                assert!(!in_table || keys::find(word).is_some(), "{}: `{word}`", file.display());
                let known = variables.iter().any(|name| name == word)
                    || reference::VARIABLES.iter().any(|(name, _)| *name == word)
                    || ["CLAUDE_SAFE_", "CLAUDE_SAFE_WRITE_DOCS"].contains(&word)
                    // the tests' own
                    || word.starts_with("CLAUDE_SAFE_TEST_");
                assert!(
                    known || !word.starts_with("CLAUDE_SAFE_"),
                    "{}: `{word}` is no variable",
                    file.display()
                );
            }
        }
    }
}
