//! Places on a line of time: the axis with its ticks, and one run as a row of cells. Pure.

// Spans of centuries and screens of thousands of columns are exact in an `f64`.
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss)]

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::track::{Phase, Track};

/// What lies between two ticks (seconds), from the finest.
const STEPS_S: [i64; 17] = [
    10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
    604_800, 2_592_000,
];

/// A labelled moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where: 0 is the begin, 1 the end.
    pub place: f64,
    /// Its time of day, or its date at midnight.
    pub label: String,
}

/// A line of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    since: Timestamp,
    length_ms: f64,
    /// The labelled moments, in order.
    pub ticks: Vec<Tick>,
}

impl Axis {
    /// From `since` to `until`, with at most `most` ticks at round times of `zone`.
    #[must_use]
    pub fn new(since: Timestamp, until: Timestamp, most: usize, zone: &TimeZone) -> Self {
        let seconds = until.duration_since(since).as_secs().max(1);
        let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
        let step = STEPS_S.into_iter().find(|step| seconds / step < most);
        let step = step.unwrap_or(STEPS_S[STEPS_S.len() - 1]);
        let length_ms = (until.duration_since(since).as_millis() as f64).max(1.0);
        let mut axis = Self { since, length_ms, ticks: Vec::new() };
        let offset = i64::from(zone.to_offset(since).seconds());
        let first = (since.as_second() + offset).div_euclid(step) * step + step - offset;
        let mut second = first;
        // Rounding, daylight saving and huge spans cannot make this run away.
        while second <= until.as_second() && axis.ticks.len() < 100 {
            let Ok(at) = Timestamp::from_second(second) else { break };
            let local = at.to_zoned_datetime(zone.clone());
            let midnight = local.hour() == 0 && local.minute() == 0 && local.second() == 0;
            let format = match step {
                86_400.. => "%-d %b",
                _ if midnight => "%-d %b",
                60.. => "%H:%M",
                _ => "%H:%M:%S",
            };
            let label = local.strftime(format).to_string();
            axis.ticks.push(Tick { place: axis.place(at), label });
            second += step;
        }
        axis
    }

    /// The column of a place on a line of `width` columns.
    #[must_use]
    pub(super) fn column(place: f64, width: usize) -> usize {
        ((place * width as f64) as usize).min(width.saturating_sub(1))
    }

    /// Where a moment lies, from 0 to 1.
    #[must_use]
    pub fn place(&self, at: Timestamp) -> f64 {
        (at.duration_since(self.since).as_millis() as f64 / self.length_ms).clamp(0.0, 1.0)
    }
}

/// What a cell of a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// The run was not there.
    Nothing,
    /// What was done for the most part; what is no work outweighs any work.
    Done(Phase),
    /// It recovered within this cell.
    Recovered,
}

/// A run as `width` cells.
#[must_use]
pub fn row(track: &Track, axis: &Axis, width: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::Nothing; width];
    for (index, cell) in cells.iter_mut().enumerate() {
        let (left, right) = (index as f64 / width as f64, (index + 1) as f64 / width as f64);
        let shares = Phase::ALL.map(|phase| {
            let spans = track.spans.iter().filter(|span| span.phase == phase);
            let share = spans.map(|span| {
                let part = axis.place(span.to).min(right) - axis.place(span.from).max(left);
                part.max(0.0)
            });
            (share.sum::<f64>(), phase)
        });
        let most = |(share, phase): &(f64, Phase)| (*share > 0.0).then_some((*share, *phase));
        let (work, rest) = shares.split_first().expect("there are phases");
        let rest = rest.iter().filter_map(most).max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, phase)) = rest.or_else(|| most(work)) {
            *cell = Cell::Done(phase);
        }
    }
    for mark in track.marks.iter().filter(|mark| mark.failure.is_none()) {
        if let Some(cell) = cells.get_mut(Axis::column(axis.place(mark.at), width)) {
            *cell = Cell::Recovered;
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn ticks_stand_at_round_local_times_and_midnight_names_the_day() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let (since, until) = (at("2026-11-24T20:10:00Z"), at("2026-11-25T08:10:00Z"));
        let axis = Axis::new(since, until, 6, &zone);
        let labels: Vec<&str> = axis.ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["25 Nov", "03:00", "06:00", "09:00"]);
        assert!(axis.ticks.is_sorted_by(|a, b| a.place < b.place));
        assert!((axis.ticks[0].place - (2.0 * 60.0 + 50.0) / 720.0).abs() < 1e-9);
    }

    #[test]
    fn spans_of_any_length_have_few_ticks() {
        for seconds in [0, 1, 59, 3_600, 86_400, 86_400 * 365, 86_400 * 3_650] {
            let since = at("2026-11-24T20:10:07Z");
            let until = since + jiff::SignedDuration::from_secs(seconds);
            assert!(Axis::new(since, until, 6, &TimeZone::UTC).ticks.len() <= 130, "{seconds}");
        }
    }
}
