//! `claude-safe rules list | test FILE | learn`: the rules that recognise failures. In: the
//! built-in rules, the user's, a file, and what no rule knew. Out: tables. Changes nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::{Timestamp, ZonedDateTime};

use super::explain::material::{Material, Signed, rules_in_use};
use super::report::style;
use crate::claude::rules::{Listed, Rule};
use crate::error::Usage;
use crate::report::{Style, words, wrapped};
use crate::{paths, unknown};

/// Options of `rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe rules list               every rule, the user's first
  claude-safe rules test output.txt    which rules match, and which one decides
  claude-safe rules learn              failures that no rule knew")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the rules in the order in which they are tried
    #[command(after_help = "Examples:
  claude-safe rules list
  claude-safe rules list --json | jq '.[] | select(.own)'")]
    List {
        /// Print the rules as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which rules match a recording, a result or an output
    #[command(after_help = "Examples:
  claude-safe rules test output.txt
  claude-safe rules test result.json --sign-in emptied

Exit codes: 0 a rule matches, 1 none does.")]
    Test {
        /// The file
        file: PathBuf,
        /// How Claude was signed in
        #[arg(long, value_enum, default_value_t = Signed::Expired)]
        sign_in: Signed,
    },
    /// Show what failed in words that no rule knew
    #[command(after_help = "Examples:
  claude-safe rules learn
  claude-safe rules learn && claude-safe config edit   write a rule of your own")]
    Learn,
}

/// Lists, tests or shows.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let style = style();
    let (page, code) = match &args.command {
        Command::List { json } => (list(*json, &style)?, ExitCode::SUCCESS),
        Command::Test { file, sign_in } => test(file, *sign_in)?,
        Command::Learn => (learn(&style)?, ExitCode::SUCCESS),
    };
    write!(std::io::stdout().lock(), "{page}").context("failed to write the rules")?;
    Ok(code)
}

fn list(json: bool, style: &Style) -> anyhow::Result<String> {
    let rules = rules_in_use();
    let listed: Vec<Listed> = rules.list().iter().map(Rule::listed).collect();
    if json {
        return Ok(serde_json::to_string_pretty(&listed)? + "\n");
    }
    let mut page = String::new();
    for rule in &listed {
        let versions =
            if rule.versions.is_empty() { String::new() } else { format!(", {}", rule.versions) };
        writeln!(page, "{}  {}{versions}", rule.id, rule.class)?;
        let mut facts = vec![("where", rule.places.join(", "))];
        facts.extend(rule.pattern.clone().map(|pattern| ("pattern", pattern)));
        if !rule.conditions.is_empty() {
            facts.push(("if", rule.conditions.join(", ")));
        }
        if !rule.source.is_empty() {
            facts.push(("source", rule.source.clone()));
        }
        for (name, text) in facts {
            let lines = wrapped(&words::printable(&text), style.width.saturating_sub(12));
            for (index, line) in lines.iter().enumerate() {
                writeln!(page, "    {:<8}{line}", if index == 0 { name } else { "" })?;
            }
        }
    }
    Ok(page)
}

fn test(file: &std::path::Path, signed: Signed) -> anyhow::Result<(String, ExitCode)> {
    let material = Material::read(file, None).map_err(Usage::from)?;
    let (rules, now) = (rules_in_use(), ZonedDateTime::now());
    let (text, errors) = (material.text(), material.errors());
    let mut page = String::new();
    let mut any = false;
    for place in material.places() {
        let observation = material.observation(*place, &text, &errors, signed, &now);
        let matching = rules.matching(&observation);
        any |= !matching.is_empty();
        writeln!(page, "as {}:", place.name())?;
        for (index, rule) in matching.iter().enumerate() {
            let listed = rule.listed();
            let decides = if index == 0 { "decides" } else { "also matches" };
            writeln!(page, "  {:<12}  {}  {}", decides, listed.id, listed.class)?;
        }
        if matching.is_empty() {
            writeln!(page, "  no rule matches")?;
        }
    }
    if matches!(material, Material::Recording { .. }) {
        writeln!(
            page,
            "(Of a screen only panels may decide: see `claude-safe explain {}`.)",
            words::printable(&file.to_string_lossy())
        )?;
    }
    Ok((page, ExitCode::from(u8::from(!any))))
}

fn learn(style: &Style) -> anyhow::Result<String> {
    let state_dir = paths::state_dir();
    let kept = unknown::list(&state_dir)
        .with_context(|| format!("failed to read {}", state_dir.join("unknown").display()))?;
    if kept.is_empty() {
        return Ok("Nothing has failed in words that no rule knew.\n".to_owned());
    }
    let mut page = String::new();
    for unknown in &kept {
        let seen = Timestamp::try_from(unknown.seen).unwrap_or(Timestamp::UNIX_EPOCH);
        let seen =
            seen.to_zoned_datetime(style.zone.clone()).strftime("%-d %b %Y %H:%M").to_string();
        writeln!(page, "{}, {seen}, {}", unknown.kind, unknown.path.display())?;
        for line in unknown.text.lines().take(20) {
            writeln!(page, "    {}", words::printable(line))?;
        }
        let more = unknown.text.lines().count().saturating_sub(20);
        if more > 0 {
            writeln!(page, "    ({more} more lines)")?;
        }
        page.push('\n');
    }
    page.push_str(
        "A rule of your own goes into config.toml, for example:\n\n    [[rules]]\n    \
         id = \"my-proxy\"\n    pattern = 'words that only this failure says'\n    \
         class = \"network\"\n\nhint: try it with `claude-safe rules test FILE` on a file above\n",
    );
    Ok(page)
}
