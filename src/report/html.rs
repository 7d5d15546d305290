//! The night as one self-contained page: no script, no font, nothing loaded from anywhere.
//! In: a night. Out: HTML. Pure. Every word that is not ours goes through [`escaped`].

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::night::Night;
use super::svg::timeline;
use super::tasks::{TaskRow, section};
use super::text::facts;
use super::track::{Ending, Phase, State, Track};
use super::words::{moment, place, printable, short, span};
use crate::journal::Mode;

const STYLE: &str = include_str!("page.css");

/// Nothing may be loaded, and nothing may run, even if a name slipped through.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A text in which nothing is markup, and no character moves or turns others.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            character => safe.push(character),
        }
    }
    safe
}

/// The page.
#[must_use]
pub fn page(night: &Night, tasks: &[TaskRow], home: &Path, zone: &TimeZone) -> String {
    let day = |at: Timestamp| at.to_zoned_datetime(zone.clone()).strftime("%A %-d %B %Y, %H:%M");
    let length = night.until.duration_since(night.since).unsigned_abs();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>claude-safe report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1>{}</h1>\n<p class=\"soft\">{} to {} ({})</p>\n</header>\n",
        headline(night),
        day(night.since),
        day(night.until),
        short(length),
    );
    tiles(&mut page, night);
    section(&mut page, tasks, &|id| night.runs.iter().any(|run| run.run == id));
    if !night.runs.is_empty() {
        page.push_str(
            "<section aria-labelledby=\"timeline\">\n<h2 id=\"timeline\">Timeline</h2>\n",
        );
        page.push_str(&timeline(night, home, zone));
        legend(&mut page, night);
        stretches(&mut page, night, home, zone);
        page.push_str("</section>\n");
    }
    for run in &night.runs {
        one(&mut page, run, home, zone);
    }
    let _ = writeln!(page, "<p class=\"soft\">{}</p>", escaped(night.reckoning));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// The night in one sentence.
fn headline(night: &Night) -> &'static str {
    let needed = night.runs.iter().any(|run| run.state == State::PersonNeeded);
    let bad = night.runs.iter().any(|run| match run.ending {
        Ending::Ended(code) => code != 0 && !run.failures.is_empty(),
        Ending::Lost => true,
        Ending::Running => false,
    });
    match (night.runs.is_empty(), needed, bad, night.totals.failures.is_empty()) {
        (true, ..) => "No run in this time",
        (_, true, ..) => "A run needs you",
        (_, _, true, _) => "Not every run came through",
        (_, _, _, true) => "A quiet time: nothing failed",
        _ => "Every run came through",
    }
}

fn tiles(page: &mut String, night: &Night) {
    let totals = &night.totals;
    let tiles = [
        (span(totals.lost_ms), "lost to failures"),
        (span(totals.saved_ms), "saved by going on"),
        (totals.failures.values().sum::<u32>().to_string(), "failures"),
        (totals.recovered.to_string(), "recoveries"),
    ];
    page.push_str("<ul class=\"tiles\">\n");
    for (figure, name) in tiles {
        let _ = writeln!(page, "<li><b>{figure}</b><span>{name}</span></li>");
    }
    let _ = writeln!(
        page,
        "</ul>\n<p class=\"sum soft\">Runs: {}. Tries that nobody had to make: {}. Waits: {}, {} \
         in all. Requests sent to see how the service is: {}.</p>",
        totals.runs,
        totals.tries,
        totals.waits,
        span(totals.waited_ms),
        totals.looks
    );
}

fn legend(page: &mut String, night: &Night) {
    page.push_str("<ul class=\"legend\" aria-label=\"Legend\">\n");
    let swatch = |page: &mut String, picture: &str, name: &str| {
        let _ = writeln!(
            page,
            "<li><svg width=\"18\" height=\"14\" aria-hidden=\"true\">{picture}</svg>{name}</li>"
        );
    };
    for phase in Phase::ALL {
        if night.runs.iter().any(|run| run.spans.iter().any(|span| span.phase == phase)) {
            let class = phase.class();
            let rect = format!("<rect class=\"{class}\" width=\"18\" height=\"14\" rx=\"3\"/>");
            swatch(page, &rect, phase.name());
        }
    }
    let marks = || night.runs.iter().flat_map(|run| &run.marks);
    if marks().any(|mark| mark.failure.is_some()) {
        swatch(page, "<line class=\"failed\" x1=\"9\" x2=\"9\" y1=\"0\" y2=\"14\"/>", "failure");
    }
    if marks().any(|mark| mark.failure.is_none()) {
        swatch(page, "<circle class=\"recovered\" cx=\"9\" cy=\"7\" r=\"5\"/>", "recovery");
    }
    page.push_str("</ul>\n");
}

/// The picture's content for those who do not see it.
fn stretches(page: &mut String, night: &Night, home: &Path, zone: &TimeZone) {
    page.push_str(
        "<details>\n<summary>The same as a table</summary>\n<div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Table of stretches\">\n<table>\n<thead><tr>\
         <th scope=\"col\">Run</th><th scope=\"col\">From</th><th scope=\"col\">To</th>\
         <th scope=\"col\">Length</th><th scope=\"col\">What</th></tr></thead>\n<tbody>\n",
    );
    for run in &night.runs {
        let name = escaped(&place(&run.cwd, home, 30));
        for stretch in &run.spans {
            let length = stretch.to.duration_since(stretch.from).as_millis();
            let _ = writeln!(
                page,
                "<tr><td>{name}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                moment(stretch.from, zone),
                moment(stretch.to, zone),
                span(u64::try_from(length).unwrap_or(0)),
                stretch.phase.name(),
            );
        }
    }
    page.push_str("</tbody>\n</table>\n</div>\n</details>\n");
}

fn one(page: &mut String, run: &Track, home: &Path, zone: &TimeZone) {
    let (class, end) = match (run.ending, run.state) {
        (Ending::Ended(0), _) => ("good", "exit 0".to_owned()),
        (Ending::Ended(code), _) => ("bad", format!("exit {code}")),
        (Ending::Lost, _) => ("bad", "lost".to_owned()),
        (_, State::Working) => ("good", State::Working.name().to_owned()),
        (_, State::PersonNeeded) => ("bad", State::PersonNeeded.name().to_owned()),
        (_, state) => ("care", state.name().to_owned()),
    };
    let mode = match run.mode {
        Mode::Terminal => "terminal",
        Mode::Headless => "headless",
        Mode::Program => "program",
    };
    let _ = writeln!(
        page,
        "<section aria-labelledby=\"run-{id}\">\n<div class=\"run-head\"><h2 id=\"run-{id}\">{}\
         </h2><span class=\"badge {class}\">{end}</span></div>\n<dl>\n<dt>run</dt>\
         <dd><code>{id}</code>, {mode}, {} to {}</dd>",
        escaped(&place(&run.cwd, home, 120)),
        moment(run.started, zone),
        moment(run.until, zone),
        id = escaped(&run.run),
    );
    if let Some(session) = run.sessions.last() {
        let _ = writeln!(page, "<dt>session</dt><dd><code>{}</code></dd>", escaped(session));
    }
    let found = facts(run);
    for (name, text) in &found {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", escaped(text));
    }
    if run.failures.is_empty() {
        page.push_str("<dt>failures</dt><dd>none</dd>\n");
    }
    page.push_str("</dl>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_become_markup() {
        let safe = escaped("<img src=x onerror='a\"&'>\u{202e}\u{7}");
        assert_eq!(safe, "&lt;img src=x onerror=&#39;a&quot;&amp;&#39;&gt;\\u{202e}\\u{7}");
    }
}
