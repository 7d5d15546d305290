//! `claude-safe config`: what is configured, where it came from, what is wrong with it.
//! In: the file and the environment. Out: values with their origins, mistakes with their
//! lines, a schema. Writes the user's file only in so far as their editor does; a missing one
//! is begun with every default as a comment.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::claude::rules::Rules;
use crate::config::keys::{self, KEYS};
use crate::config::{self, Config, Origin, Problem, Profile, reference, value};
use crate::error::{Usage, exit};
use crate::notice::say;
use crate::paths;

/// Options of `config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe config show --origin     every value and where it came from
  claude-safe config check             every mistake, with its line and its cure
  claude-safe config edit              in your editor, checked afterwards

Weakest first: defaults, the file, its profile, CLAUDE_SAFE_* variables, options of `run`.
A profile is a table `[profile.NAME]`; the one called `unattended` is used by itself in runs
without a terminal.")]
pub struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Print the values in force
    #[command(after_help = "Examples:
  claude-safe config show --origin
  claude-safe config show retry.max_wait
  claude-safe config show --profile unattended --json")]
    Show {
        /// Only this key, or the keys of this table
        key: Option<String>,
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// With this profile
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
    },
    /// Name every mistake in the file, its profiles and the environment (exit 2 if there is one)
    #[command(after_help = "Examples:
  claude-safe config check
  CLAUDE_SAFE_CONFIG=new.toml claude-safe config check")]
    Check,
    /// Open the file in $VISUAL or $EDITOR, then check it
    #[command(after_help = "Examples:
  claude-safe config edit
  EDITOR=nano claude-safe config edit")]
    Edit,
    /// Print where the file is
    #[command(after_help = "Examples:
  claude-safe config path
  cat \"$(claude-safe config path)\"")]
    Path,
    /// Print a JSON schema of the file, for editors
    #[command(after_help = "Examples:
  claude-safe config schema > ~/.config/claude-safe/schema.json
  then, as the first line of config.toml:  #:schema ./schema.json")]
    Schema,
}

/// Shows, checks or edits.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let file = paths::config_file();
    let mut out = io::stdout().lock();
    match args.command {
        ConfigCommand::Show { key, origin, json, profile } => {
            let profile = Profile::of(profile.as_deref(), false);
            let (config, problems) = config::load(&file, profile, environment());
            for problem in &problems {
                say(&format!("{problem} (using the default)"));
            }
            show(&mut out, &config, &file, &Shown { key, origin, json })
        }
        ConfigCommand::Check => check(&mut out, &file),
        ConfigCommand::Edit => edit(&mut out, &file),
        ConfigCommand::Path => {
            out.write_all(file.as_os_str().as_bytes())?;
            writeln!(out)?;
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Schema => {
            serde_json::to_writer_pretty(&mut out, &reference::schema())?;
            writeln!(out)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

struct Shown {
    key: Option<String>,
    origin: bool,
    json: bool,
}

fn show(
    out: &mut impl Write,
    config: &Config,
    file: &Path,
    shown: &Shown,
) -> anyhow::Result<ExitCode> {
    let wanted = |name: &str| match &shown.key {
        None => true,
        Some(key) => {
            name == key || name.strip_prefix(key.as_str()).is_some_and(|r| r.starts_with('.'))
        }
    };
    let keys: Vec<_> = KEYS.iter().filter(|key| wanted(key.name)).collect();
    if keys.is_empty() {
        let asked = shown.key.as_deref().unwrap_or_default();
        let near = value::nearest(asked, KEYS.iter().map(|key| key.name));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(Usage(format!("there is no key `{asked}`{hint}")).into());
    }
    if shown.json {
        let values: Map<String, Value> = keys
            .iter()
            .map(|key| {
                let (text, origin) = config.shown(key);
                let value = reference::json_value(key, text);
                let origin = json!({ "value": value, "origin": origin_json(origin, file) });
                (key.name.to_owned(), if shown.origin { origin } else { value })
            })
            .collect();
        serde_json::to_writer_pretty(&mut *out, &values)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    for key in keys {
        let (text, origin) = config.shown(key);
        write!(out, "{} = {}", key.name, reference::toml_value(key, text))?;
        if shown.origin {
            write!(out, "  # {}", origin_text(origin, file))?;
        }
        writeln!(out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn origin_text(origin: &Origin, file: &Path) -> String {
    let file = file.display();
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File(line) => format!("{file}:{line}"),
        Origin::Profile(name, line) => format!("{file}:{line}, profile {name}"),
        Origin::Environment(name) => name.clone(),
        Origin::Option => "command line".to_owned(),
    }
}

fn origin_json(origin: &Origin, file: &Path) -> Value {
    let file = file.display().to_string();
    match origin {
        Origin::Default => json!({ "from": "default" }),
        Origin::File(line) => json!({ "from": "file", "file": file, "line": line }),
        Origin::Profile(name, line) => {
            json!({ "from": "profile", "profile": name, "file": file, "line": line })
        }
        Origin::Environment(name) => json!({ "from": "environment", "variable": name }),
        Origin::Option => json!({ "from": "option" }),
    }
}

fn check(out: &mut impl Write, file: &Path) -> anyhow::Result<ExitCode> {
    let problems = problems(file);
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    match (problems.len(), file.exists()) {
        (0, true) => writeln!(out, "{}: no mistakes", file.display())?,
        (0, false) => writeln!(out, "{}: not there; defaults are used", file.display())?,
        _ => return Ok(ExitCode::from(exit::USAGE)),
    }
    Ok(ExitCode::SUCCESS)
}

/// All mistakes: of the file, each of its profiles, its rules, the environment.
fn problems(file: &Path) -> Vec<Problem> {
    let (config, mut problems) = config::load(file, Profile::Base, environment());
    let (_, wrong) = Rules::new(&config.rules);
    problems.extend(config.rule_problems(&wrong));
    let names = config::profiles(file);
    for name in &names {
        let profile = Profile::Named(name);
        problems.extend(config::load(file, profile, std::iter::empty()).1);
    }
    problems.extend(environment().filter_map(|(name, _)| misspelt(&name)));
    let mut seen = Vec::new();
    problems.retain(|problem| {
        !seen.contains(problem) && {
            seen.push(problem.clone());
            true
        }
    });
    problems.sort_by_key(|problem| (problem.line.is_none(), problem.line));
    problems
}

/// A variable of ours that does nothing, if it looks like one that does.
fn misspelt(name: &str) -> Option<Problem> {
    let word = name.strip_prefix("CLAUDE_SAFE_")?;
    let known: Vec<String> = KEYS.iter().map(keys::Key::variable).collect();
    let known = known.iter().map(String::as_str);
    let known = known.chain(reference::VARIABLES.iter().map(|(name, _)| *name));
    let mut known = known.filter_map(|name| name.strip_prefix("CLAUDE_SAFE_"));
    if known.clone().any(|known| known == word) {
        return None;
    }
    let near = value::nearest(word, &mut known)?;
    let message = format!("there is no such variable; did you mean `CLAUDE_SAFE_{near}`?");
    Some(Problem { place: name.to_owned(), line: None, message })
}

fn edit(out: &mut impl Write, file: &Path) -> anyhow::Result<ExitCode> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".into());
    let template = reference::template();
    let fresh = !file.exists();
    if fresh {
        let dir = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)
            .with_context(|| format!("failed to make the directory {}", dir.display()))?;
        paths::write_private(file, template.as_bytes())
            .with_context(|| format!("failed to write {}", file.display()))?;
    }
    // Through a shell, as git does: an editor may come with arguments.
    let status = Command::new("sh")
        .args(["-c", "eval \"$0 \\\"\\$1\\\"\""])
        .arg(&editor)
        .arg(file)
        .status()
        .context("failed to run sh")?;
    if fresh && std::fs::read(file).is_ok_and(|text| text == template.as_bytes()) {
        // Nothing was said, so nothing is kept.
        std::fs::remove_file(file)
            .with_context(|| format!("failed to remove {}", file.display()))?;
    }
    if !status.success() {
        anyhow::bail!("failed to edit {}: the editor ended with {status}", file.display());
    }
    check(out, file)
}
