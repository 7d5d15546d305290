//! The timeline as a picture: one SVG whose places are percentages, so that it is as wide as its
//! page and its words stay readable on a telephone. In: a night. Out: markup. Pure.

use std::fmt::Write as _;
use std::path::Path;

use jiff::tz::TimeZone;

use super::html::escaped;
use super::night::Night;
use super::timeline::Axis;
use super::track::{Ending, Phase, Track};
use super::words::{kind, place, span, time};

const TOP: u32 = 26;
const ROW: u32 = 58;
const BAR: u32 = 18;

/// A bar is at least this wide (percent), or a wait of seconds could not be seen.
const LEAST: f64 = 0.25;

impl Phase {
    /// Its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Trying => "trying",
            Self::Waiting => "waiting",
            Self::Fixing => "fixing",
            Self::Stopped => "stopped",
        }
    }
}

/// The picture of a night.
pub(super) fn timeline(night: &Night, home: &Path, zone: &TimeZone) -> String {
    let height = TOP + ROW * u32::try_from(night.runs.len()).unwrap_or(1) + 4;
    let mut svg = format!(
        "<svg class=\"timeline\" role=\"img\" aria-labelledby=\"tl-title tl-desc\" width=\"100%\" \
         height=\"{height}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <title id=\"tl-title\">Timeline of {} runs</title>\n<desc id=\"tl-desc\">{}</desc>\n\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" class=\"hatch-ground\"/>\
         <rect width=\"2.5\" height=\"6\" class=\"hatch-line\"/></pattern></defs>\n",
        night.runs.len(),
        escaped(&description(night)),
    );
    let axis = Axis::new(night.since, night.until, 5, zone);
    for tick in &axis.ticks {
        let x = tick.place * 100.0;
        let anchor = if x > 90.0 {
            "end"
        } else if x < 5.0 {
            "start"
        } else {
            "middle"
        };
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.3}%\" x2=\"{x:.3}%\" y1=\"20\" y2=\"{height}\"/>\
             <text class=\"tick\" x=\"{x:.3}%\" y=\"13\" text-anchor=\"{anchor}\">{}</text>",
            escaped(&tick.label)
        );
    }
    for (index, run) in night.runs.iter().enumerate() {
        let top = TOP + ROW * u32::try_from(index).unwrap_or(0);
        row(&mut svg, run, &axis, top, home, zone);
    }
    svg.push_str("</svg>\n");
    svg
}

fn description(night: &Night) -> String {
    let totals = &night.totals;
    format!(
        "One row for each run, from left to right in time. {} failures, recovered {} times, {} \
         lost, {} saved. The table of stretches below holds the same.",
        totals.failures.values().sum::<u32>(),
        totals.recovered,
        span(totals.lost_ms),
        span(totals.saved_ms),
    )
}

fn row(svg: &mut String, run: &Track, axis: &Axis, top: u32, home: &Path, zone: &TimeZone) {
    let end = match run.ending {
        Ending::Running => run.state.name().to_owned(),
        Ending::Ended(code) => format!("exit {code}"),
        Ending::Lost => "lost".to_owned(),
    };
    let (text, bar) = (top + 16, top + 26);
    let _ = writeln!(
        svg,
        "<g class=\"run\"><svg class=\"label\" width=\"72%\" height=\"{bar}\"><text \
         class=\"name\" x=\"0\" y=\"{text}\">{}</text></svg>\
         <text class=\"end\" x=\"100%\" y=\"{text}\" text-anchor=\"end\">{}</text>\
         <rect class=\"ground\" x=\"0\" y=\"{bar}\" width=\"100%\" height=\"{BAR}\" rx=\"4\"/>",
        escaped(&place(&run.cwd, home, 30)),
        escaped(&end),
    );
    for stretch in &run.spans {
        let (from, to) = (axis.place(stretch.from) * 100.0, axis.place(stretch.to) * 100.0);
        let width = (to - from).max(LEAST);
        let length = stretch.to.duration_since(stretch.from).as_millis();
        let _ = writeln!(
            svg,
            "<rect class=\"bar {}\" x=\"{:.3}%\" y=\"{bar}\" width=\"{width:.3}%\" \
             height=\"{BAR}\"><title>{}, {} – {}, {}</title></rect>",
            stretch.phase.class(),
            from.min(100.0 - width),
            stretch.phase.name(),
            time(stretch.from, stretch.from, zone),
            time(stretch.to, stretch.from, zone),
            span(u64::try_from(length).unwrap_or(0)),
        );
    }
    for mark in &run.marks {
        // A mark at an edge would be cut in half.
        let x = (axis.place(mark.at) * 100.0).clamp(0.8, 99.2);
        let at = time(mark.at, mark.at, zone);
        let _ = match mark.failure {
            Some(failure) => writeln!(
                svg,
                "<line class=\"mark failed\" x1=\"{x:.3}%\" x2=\"{x:.3}%\" y1=\"{}\" y2=\"{}\">\
                 <title>{at} {}</title></line>",
                bar - 6,
                bar + 5,
                escaped(kind(failure))
            ),
            None => writeln!(
                svg,
                "<circle class=\"mark recovered\" cx=\"{x:.3}%\" cy=\"{}\" r=\"5\">\
                 <title>{at} recovered</title></circle>",
                bar + BAR / 2
            ),
        };
    }
    svg.push_str("</g>\n");
}
