//! A night: every run within a stretch of time, and what it comes to in all. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::track::{Ending, Track, Window, follow};
use crate::journal::Entry;

/// How time lost and saved are reckoned; stands below every report.
pub const RECKONING: &str = "Time lost: from the first failure of a streak to the try that \
    worked, or to the end. Time saved: what Claude worked after such a try without anyone's \
    help, to the end of that turn; alone, Claude would have stood still until a person came.";

/// What all runs come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Runs that did something.
    pub runs: u32,
    /// Of these, how many still go on.
    pub running: u32,
    /// Failures by kind.
    pub failures: BTreeMap<&'static str, u32>,
    /// Streaks of failures that ended well.
    pub recovered: u32,
    /// Waits that ended.
    pub waits: u32,
    /// How long they took (milliseconds).
    pub waited_ms: u64,
    /// Tries that nobody had to make by hand.
    pub tries: u32,
    /// See `RECKONING` (milliseconds).
    pub lost_ms: u64,
    /// See `RECKONING` (milliseconds).
    pub saved_ms: u64,
    /// Requests we sent to learn how the service is.
    pub looks: u32,
}

/// Everything that happened in a stretch of time.
#[derive(Debug, Clone, Serialize)]
pub struct Night {
    /// Its begin.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// What it comes to.
    pub totals: Totals,
    /// The runs, oldest first.
    pub runs: Vec<Track>,
    /// How time lost and saved are reckoned.
    pub reckoning: &'static str,
}

impl Night {
    /// Reckons a night from the journal. `alive` tells whether a run still lives: its id, its
    /// process, and when that wrote its first line.
    #[must_use]
    pub fn reckon(
        entries: &[Entry],
        since: Timestamp,
        until: Timestamp,
        alive: &dyn Fn(&str, i32, Timestamp) -> bool,
    ) -> Self {
        let mut by_run: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            by_run.entry(&entry.run).or_default().push(entry);
        }
        let window = Window { since, until };
        let mut runs: Vec<Track> =
            by_run.values().filter_map(|entries| follow(entries, window, alive)).collect();
        runs.sort_by(|a, b| (a.started, &a.run).cmp(&(b.started, &b.run)));
        let mut totals = Totals::default();
        for run in &runs {
            totals.runs += 1;
            totals.running += u32::from(run.ending == Ending::Running);
            for (kind, count) in &run.failures {
                *totals.failures.entry(kind).or_default() += count;
            }
            totals.recovered += run.recovered;
            totals.waits += run.waits;
            totals.waited_ms += run.waited_ms;
            totals.tries += run.rungs.values().sum::<u32>();
            totals.lost_ms += run.lost_ms;
            totals.saved_ms += run.saved_ms;
            totals.looks += run.looks;
        }
        Self { since, until, totals, runs, reckoning: RECKONING }
    }
}

#[cfg(test)]
#[path = "night_tests.rs"]
mod tests;
