//! `claude-safe report`: what happened overnight. In: the journal. Out: a page of text, JSON, or
//! an HTML file. Changes nothing but that file.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::value;
use crate::error::Usage;
use crate::report::{self, Night, Style};
use crate::{journal, paths, runs};

/// Options of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe report                       the last 12 hours
  claude-safe report --since 2026-11-24    since that day's midnight
  claude-safe report --html night.html     the same as one page with a picture")]
pub struct Args {
    /// From when: a span back from now (`12h`), a date or a time
    #[arg(long, value_name = "WHEN", default_value = "12h")]
    since: String,
    /// Until when (default: now)
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    html: Option<PathBuf>,
}

/// Reports.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (now, style) = (Timestamp::now(), style());
    let moment = |option: &str, text: &str| {
        when(text, now, &style.zone).map_err(|wrong| Usage(format!("{option}: {wrong}")))
    };
    let since = moment("--since", &args.since)?;
    let until = args.until.as_ref().map_or(Ok(now), |until| moment("--until", until))?;
    if since >= until {
        return Err(Usage(format!("--since: {since:.0} is not before {until:.0}")).into());
    }
    let state_dir = paths::state_dir();
    let entries = journal::read(&state_dir);
    let alive = |run: &str, pid, began| runs::is_alive(&state_dir, run, pid, began);
    let night = Night::reckon(&entries, since, until, &alive);
    let tasks = super::queue::of_the_night(&state_dir, since, until);
    if let Some(file) = &args.html {
        let page = report::page(&night, &tasks, &style.home, &style.zone);
        write_page(file, &page).with_context(|| format!("failed to write {}", file.display()))?;
        crate::notice::say(&format!("wrote {}", file.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        let mut all = serde_json::to_value(&night)?;
        all["tasks"] = serde_json::to_value(&tasks)?;
        serde_json::to_writer_pretty(&mut out, &all).map_err(std::io::Error::from)
    } else {
        let tasks = report::tasks::text(&tasks);
        let between = if tasks.is_empty() { "" } else { "\n" };
        write!(out, "{tasks}{between}{}", report::report(&night, &style))
    }
    .and_then(|()| if args.json { writeln!(out) } else { Ok(()) })
    .context("failed to write the report")?;
    Ok(ExitCode::SUCCESS)
}

/// The page names directories and sessions: its owner alone may read it, until they share it.
fn write_page(file: &Path, page: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(file)?.write_all(page.as_bytes())
}

/// A span back from now, a date's midnight, or a time.
fn when(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Ok(span) = value::duration(text) {
        let span = SignedDuration::try_from(span).map_err(|error| error.to_string())?;
        return now.checked_sub(span).map_err(|_| format!("`{text}` is too far back"));
    }
    let local = || {
        let civil = text
            .parse::<Date>()
            .map(|date| date.to_datetime(jiff::civil::Time::midnight()))
            .ok()
            .filter(|_| text.len() <= 10)
            .or_else(|| text.parse::<DateTime>().ok())?;
        civil.to_zoned_datetime(zone.clone()).ok().map(|zoned| zoned.timestamp())
    };
    text.parse::<Timestamp>().ok().or_else(local).ok_or_else(|| {
        format!("`{text}` is neither a span (`12h`), a date (`2026-11-24`) nor a time")
    })
}

/// How this terminal wants to be written to.
pub(super) fn style() -> Style {
    let stdout = std::io::stdout();
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let terminal = stdout.is_terminal();
    let columns = || set("COLUMNS")?.parse().ok().filter(|columns| *columns > 0);
    Style {
        width: if terminal { columns_of_terminal() } else { None }.or_else(columns).unwrap_or(80),
        colour: terminal
            && set("NO_COLOR").is_none()
            && set("TERM").is_none_or(|term| term != "dumb"),
        unicode: ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| set(name)).is_some_and(
            |locale| {
                let locale = locale.to_ascii_lowercase();
                locale.ends_with("utf-8") || locale.ends_with("utf8")
            },
        ),
        home: paths::home(),
        zone: TimeZone::system(),
    }
}

fn columns_of_terminal() -> Option<usize> {
    let size = crate::launch::terminal_size(&std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spans_dates_or_moments() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().expect("a time");
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let when = |text| when(text, now, &zone).map(|at| at.to_string());
        assert_eq!(when("12h").as_deref(), Ok("2026-11-24T20:00:00Z"));
        assert_eq!(when("2d").as_deref(), Ok("2026-11-23T08:00:00Z"));
        assert_eq!(when("2026-11-24").as_deref(), Ok("2026-11-23T22:00:00Z"));
        assert_eq!(when("2026-11-24T21:30").as_deref(), Ok("2026-11-24T19:30:00Z"));
        assert_eq!(when("2026-11-24T21:30:00Z").as_deref(), Ok("2026-11-24T21:30:00Z"));
        assert!(when("yesterday").is_err_and(|wrong| wrong.contains("`12h`")));
        assert!(when("2026-13-01").is_err());
    }
}
