//! Reports for a terminal: as wide as it is, with colour and Unicode only where they are wanted.
//! In: a night and a [`Style`]. Out: text. Pure.

use std::fmt::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::night::Night;
use super::timeline::{Axis, Cell, row};
use super::track::{Ending, Phase, State, Track};
use super::words::{kind, place, printable, rung, short, span, time};
use crate::journal::Mode;

/// How to write.
#[derive(Debug, Clone)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// Colours are wanted.
    pub colour: bool,
    /// The terminal shows Unicode.
    pub unicode: bool,
    /// The user's home, written `~`.
    pub home: PathBuf,
    /// The user's time zone.
    pub zone: TimeZone,
}

impl Style {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn glyph(&self, cell: Cell) -> (&'static str, &'static str) {
        match (cell, self.unicode) {
            (Cell::Nothing, true) => ("2", "·"),
            (Cell::Nothing, false) => ("2", " "),
            (Cell::Done(Phase::Working), true) => ("32", "━"),
            (Cell::Done(Phase::Working), false) => ("32", "="),
            (Cell::Done(Phase::Waiting), true) => ("33", "░"),
            (Cell::Done(Phase::Waiting), false) => ("33", "."),
            (Cell::Done(Phase::Trying), true) => ("34", "▒"),
            (Cell::Done(Phase::Trying), false) => ("34", ">"),
            (Cell::Done(Phase::Fixing), true) => ("35", "▓"),
            (Cell::Done(Phase::Fixing), false) => ("35", "#"),
            (Cell::Done(Phase::Stopped), true) => ("31", "╳"),
            (Cell::Done(Phase::Stopped), false) => ("31", "!"),
            (Cell::Recovered, true) => ("1;32", "✓"),
            (Cell::Recovered, false) => ("1;32", "+"),
        }
    }

    /// Words of ours hold a few signs that such a terminal cannot show.
    fn plain(&self, text: String) -> String {
        if self.unicode {
            return text;
        }
        let signs = [(" · ", ", "), ("…", "..."), ("×", "x"), ("–", "-"), ("’", "'")];
        let text = signs.iter().fold(text, |text, (sign, plain)| text.replace(sign, plain));
        text.chars().map(|sign| if sign.is_ascii() { sign } else { '?' }).collect()
    }
}

/// The night as a page of text.
#[must_use]
pub fn report(night: &Night, style: &Style) -> String {
    let mut page = String::new();
    let moment =
        |at: Timestamp| at.to_zoned_datetime(style.zone.clone()).strftime("%a %-d %b %H:%M");
    let length = night.until.duration_since(night.since).unsigned_abs();
    let title = format!("{} – {} · {}", moment(night.since), moment(night.until), short(length));
    for line in wrapped(&title, style.width) {
        let _ = writeln!(page, "{}", style.bold(&line));
    }
    if night.runs.is_empty() {
        let _ = writeln!(page, "\nNo run did anything in this time.");
        return style.plain(page);
    }
    totals(&mut page, night, style);
    let width = style.width.clamp(20, 160);
    let axis = Axis::new(night.since, night.until, width / 12, &style.zone);
    page.push('\n');
    labels(&mut page, &axis, width, style);
    for run in &night.runs {
        one(&mut page, run, &axis, width, style);
    }
    page.push('\n');
    legend(&mut page, night, width, style);
    // it explains figures that stand there only after a failure
    if !night.totals.failures.is_empty() {
        for line in wrapped(night.reckoning, width) {
            let _ = writeln!(page, "{}", style.dim(&line));
        }
    }
    style.plain(page)
}

fn totals(page: &mut String, night: &Night, style: &Style) {
    let totals = &night.totals;
    let count = |number: u32, one: &str, more: &str| {
        format!("{number} {}", if number == 1 { one } else { more })
    };
    let failures = totals.failures.values().sum();
    let mut parts = vec![count(totals.runs, "run", "runs")];
    if totals.running > 0 {
        parts.push(format!("{} still running", totals.running));
    }
    parts.push(count(failures, "failure", "failures"));
    if failures > 0 {
        parts.push(format!("recovered {}", count(totals.recovered, "time", "times")));
    }
    for line in wrapped(&parts.join(" · "), style.width) {
        let _ = writeln!(page, "{line}");
    }
    if failures > 0 {
        let parts = [
            format!("{} lost", span(totals.lost_ms)),
            format!("{} saved", span(totals.saved_ms)),
            format!("{} nobody had to make", count(totals.tries, "try", "tries")),
            format!("{} to see how the service is", count(totals.looks, "request", "requests")),
        ];
        for line in wrapped(&parts.join(" · "), style.width) {
            let _ = writeln!(page, "{line}");
        }
    }
}

/// The labels of the axis, where there is room for them.
fn labels(page: &mut String, axis: &Axis, width: usize, style: &Style) {
    let mut line = String::new();
    for tick in &axis.ticks {
        let column = Axis::column(tick.place, width);
        let taken = line.chars().count();
        let label =
            if style.unicode { format!("╷{}", tick.label) } else { format!("|{}", tick.label) };
        if (taken == 0 || column > taken) && column + label.chars().count() <= width {
            let _ = write!(line, "{}{label}", " ".repeat(column - taken));
        }
    }
    let _ = writeln!(page, "{}", style.dim(&line));
}

fn one(page: &mut String, run: &Track, axis: &Axis, width: usize, style: &Style) {
    let mode = match run.mode {
        Mode::Terminal => "terminal",
        Mode::Headless => "headless",
        Mode::Program => "program",
    };
    let end = match run.ending {
        Ending::Running => run.state.name().to_owned(),
        Ending::Ended(code) => format!("exit {code}"),
        Ending::Lost => "lost".to_owned(),
    };
    // On a narrow screen the directory matters more.
    let mode = if width < 40 { "" } else { mode };
    let rest = format!(" {mode} {end}");
    // Without Unicode three dots stand for one.
    let spare = if style.unicode { 0 } else { 2 };
    let taken = run.run.len() + 1 + rest.chars().count() + spare;
    let room = width.saturating_sub(taken).max(8);
    let (id, cwd) = (style.bold(&run.run), place(&run.cwd, &style.home, room));
    let end = style.paint(colour(run.state, run.ending), &end);
    let mode = if mode.is_empty() { String::new() } else { format!("{} ", style.dim(mode)) };
    let _ = writeln!(page, "\n{id} {cwd} {mode}{end}");
    let mut last = "";
    for cell in row(run, axis, width) {
        let (code, glyph) = style.glyph(cell);
        if style.colour && code != last {
            let _ = write!(page, "\x1b[0;{code}m");
            last = code;
        }
        page.push_str(glyph);
    }
    let _ = writeln!(page, "{}", if style.colour { "\x1b[0m" } else { "" });
    for (name, text) in facts(run) {
        let mut lines = wrapped(&text, width.saturating_sub(13)).into_iter();
        let _ = writeln!(page, "  {name:<10} {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(page, "  {:<10} {line}", "");
        }
    }
}

fn colour(state: State, ending: Ending) -> &'static str {
    match (state, ending) {
        (_, Ending::Ended(0)) | (State::Working, _) => "32",
        (State::Waiting | State::Asking, _) => "33",
        _ => "31",
    }
}

/// What there is to say about a run, by name.
pub(super) fn facts(run: &Track) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let joined = |parts: Vec<String>| parts.join(", ");
    if let Some(job) = &run.job {
        facts.push(("job", printable(job)));
    }
    if !run.failures.is_empty() {
        let failures = run.failures.iter().map(|(name, count)| format!("{} ×{count}", kind(name)));
        facts.push(("failures", joined(failures.collect())));
    }
    if run.waits > 0 {
        facts.push(("waits", format!("{}, {} in all", run.waits, span(run.waited_ms))));
    }
    if !run.rungs.is_empty() {
        let rungs = run.rungs.iter().map(|(name, count)| format!("{} ×{count}", rung(*name)));
        facts.push(("rungs", joined(rungs.collect())));
    }
    for fix in &run.fixes {
        let outcome = match &fix.outcome {
            Ok(did) => did.clone(),
            Err(why) => format!("failed: {why}"),
        };
        facts.push(("fix", format!("{}: {}", rung(fix.rung), printable(&outcome))));
    }
    if !run.declined.is_empty() {
        let declined = run.declined.iter().map(|(name, count)| format!("{} ×{count}", rung(*name)));
        facts.push(("declined", joined(declined.collect())));
    }
    if run.recovered > 0 || run.lost_ms > 0 {
        let recovered = match run.recovered {
            0 => "no".to_owned(),
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let cost = format!("{} lost, {} saved", span(run.lost_ms), span(run.saved_ms));
        facts.push(("recovered", format!("{recovered} · {cost}")));
    }
    if run.looks > 0 {
        facts.push(("requests", format!("{} to see how the service is", run.looks)));
    }
    if let (State::PersonNeeded | State::Lost, Some(why)) = (run.state, &run.why) {
        facts.push(("last said", printable(why)));
    }
    facts
}

fn legend(page: &mut String, night: &Night, width: usize, style: &Style) {
    let used = |phase| night.runs.iter().any(|run| run.spans.iter().any(|s| s.phase == phase));
    let phases = Phase::ALL.into_iter().filter(|phase| used(*phase));
    let mut entries: Vec<(Cell, &str)> =
        phases.map(|phase| (Cell::Done(phase), phase.name())).collect();
    if night.totals.recovered > 0 {
        entries.push((Cell::Recovered, "recovered"));
    }
    let mut column = 0;
    for (cell, name) in entries {
        let (code, glyph) = style.glyph(cell);
        let length = name.chars().count() + 2;
        if column > 0 {
            let fits = column + 3 + length <= width;
            page.push_str(if fits { "   " } else { "\n" });
            column = if fits { column + 3 } else { 0 };
        }
        let _ = write!(page, "{} {name}", style.paint(code, glyph));
        column += length;
    }
    page.push('\n');
}

/// The runs as a table.
#[must_use]
pub fn status(night: &Night, now: Timestamp, style: &Style) -> String {
    let mut page = String::new();
    if night.runs.is_empty() {
        page.push_str("No run now, and none in the last day.\n");
        return page;
    }
    let room = style.width.saturating_sub(if style.unicode { 48 } else { 50 }).clamp(12, 60);
    let head = format!(
        "{:<8} {:>7} {:<9} {:<room$} {:<12} {}",
        "RUN", "PID", "STATE", "DIRECTORY", "SINCE", "NEXT"
    );
    let _ = writeln!(page, "{}", style.dim(head.trim_end()));
    for run in night.runs.iter().rev() {
        let since = time(run.started, now, &style.zone);
        let cwd = place(&run.cwd, &style.home, room);
        let state = style.paint(colour(run.state, run.ending), &format!("{:<9}", run.state.name()));
        let next = match (run.ending, run.next_try) {
            (Ending::Ended(code), _) => format!("exit {code}"),
            (_, Some(due)) => {
                let left = std::time::Duration::try_from(due.duration_since(now));
                // past its time a wait goes on only while a probe says down
                left.ok().filter(|left| !left.is_zero()).map_or("when up".to_owned(), short)
            }
            _ => String::new(),
        };
        let line = format!("{:<8} {:>7} {state} {cwd:<room$} {since:<12} {next}", run.run, run.pid);
        let _ = writeln!(page, "{}", line.trim_end());
        let mut detail = Vec::new();
        if let Some(failing) = run.failing.filter(|_| run.ending != Ending::Ended(0)) {
            detail.push(kind(failing).to_owned());
        }
        let active = matches!(run.ending, Ending::Running | Ending::Lost);
        if let Some(session) = run.sessions.last().filter(|_| active) {
            detail.push(format!("session {}", printable(session)));
        }
        if let (Some(why), true) = (&run.why, active && run.failing.is_some()) {
            detail.push(printable(why));
        }
        for line in wrapped(&detail.join(" · "), style.width.saturating_sub(9)) {
            let _ = writeln!(page, "{:8} {}", "", style.dim(&line));
        }
    }
    style.plain(page)
}

/// Lines of at most `width` characters, broken at blanks; a longer word is broken anywhere.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(10);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let characters: Vec<char> = word.chars().collect();
        for (index, piece) in characters.chunks(width).enumerate() {
            let space = usize::from(length > 0 && index == 0);
            if length > 0 && length + space + piece.len() > width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 && index == 0 {
                line.push(' ');
                length += 1;
            }
            line.extend(piece);
            length += piece.len();
        }
    }
    if length > 0 {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
