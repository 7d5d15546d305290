//! How fast all runs of a user together may restart claude: a token bucket whose rate halves
//! on a failure and grows on success. Pure: times come in as milliseconds, nothing is read.
//!
//! The rate climbs quickly to just below where the service last refused (the ceiling) and stays
//! there: a bucket that kept probing upwards would waste a start each time it found the limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds of the shared clock.
pub type Millis = u64;

/// The rate before anything is known, and after a recovery (starts per second).
const FIRST_RATE: f64 = 2.5;
/// Never slower than this: one start each five seconds for all runs together.
const SLOWEST: f64 = 0.2;
/// Never faster than this.
const FASTEST: f64 = 8.0;
/// Added by each success below the ceiling (starts per second).
const GROWTH: f64 = 0.25;
/// The ceiling lies here, relative to the rate that failed.
const CEILING_SHARE: f64 = 0.92;
/// A ceiling is forgotten after this long without a failure.
const CEILING_HOLDS_MS: Millis = 60_000;
/// With so many successes since the last failure, the next one means "too fast", not "down".
const SUCCESSES_OF_A_LIVING_SERVICE: u32 = 4;
/// So many starts may follow each other at once.
const BURST: f64 = 2.0;

/// The shared state of the bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    rate: f64,
    tokens: f64,
    /// When `tokens` was right.
    at: Millis,
    ceiling: Option<f64>,
    /// When the rate was last cut.
    cut_at: Millis,
    /// Since then.
    successes: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rate: FIRST_RATE, tokens: BURST, at: 0, ceiling: None, cut_at: 0, successes: 0 }
    }
}

/// A permitted start; handed back with its outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticket {
    at: Millis,
    rate: f64,
}

impl Ticket {
    /// When it was given.
    #[must_use]
    pub fn at(self) -> Millis {
        self.at
    }
}

impl Pace {
    /// Asks for a start: a ticket, or how long until one may be free.
    pub fn ask(&mut self, now: Millis) -> Result<Ticket, Duration> {
        self.refill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(Ticket { at: now, rate: self.rate });
        }
        let wait_ms = (1.0 - self.tokens) / self.rate * 1000.0;
        Err(Duration::from_secs_f64(wait_ms.ceil() / 1000.0))
    }

    /// A start with this ticket worked.
    pub fn succeeded(&mut self, now: Millis, _ticket: Ticket) {
        self.refill(now);
        self.successes = self.successes.saturating_add(1);
        if now.saturating_sub(self.cut_at) > CEILING_HOLDS_MS {
            self.ceiling = None;
        }
        let limit = self.ceiling.unwrap_or(FASTEST).max(self.rate);
        self.rate = (self.rate + GROWTH).min(limit);
    }

    /// A start with this ticket failed on the service.
    pub fn failed(&mut self, now: Millis, ticket: Ticket) {
        self.refill(now);
        // Starts that were under way when the rate was cut say nothing about the new rate.
        if ticket.at < self.cut_at {
            return;
        }
        let overrun = self.successes >= SUCCESSES_OF_A_LIVING_SERVICE;
        self.ceiling = overrun.then(|| (ticket.rate * CEILING_SHARE).max(SLOWEST));
        self.rate = (self.rate.min(ticket.rate) / 2.0).max(SLOWEST);
        self.tokens = 0.0;
        self.cut_at = now;
        self.successes = 0;
    }

    /// The service was down and answers again: start afresh, without a burst, since everybody
    /// was waiting for this moment.
    pub fn recovered(&mut self, now: Millis) {
        *self = Self { tokens: 1.0, at: now, cut_at: now, ..Self::default() };
    }

    /// The present rate (starts per second).
    #[cfg(test)]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    fn refill(&mut self, now: Millis) {
        // A clock that was set back must not freeze the bucket, nor a broken file poison it.
        if !self.rate.is_finite() || !self.tokens.is_finite() || self.at > now {
            let tokens = if self.tokens.is_finite() { self.tokens } else { 0.0 };
            let rate = if self.rate.is_finite() { self.rate } else { FIRST_RATE };
            *self = Self { tokens, rate, at: now, ..Self::default() };
        }
        self.rate = self.rate.clamp(SLOWEST, FASTEST);
        // Milliseconds of a wait are far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        let passed_s = (now - self.at) as f64 / 1000.0;
        self.tokens = (self.tokens.max(0.0) + passed_s * self.rate).min(BURST);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start(pace: &mut Pace, now: Millis) -> Ticket {
        pace.ask(now).expect("a token is free")
    }

    #[test]
    fn the_rate_halves_on_failure_and_grows_on_success() {
        let mut pace = Pace::default();
        let ticket = start(&mut pace, 0);
        pace.failed(1000, ticket);
        assert!((pace.rate() - FIRST_RATE / 2.0).abs() < 1e-9);
        let ticket = start(&mut pace, 10_000);
        pace.succeeded(11_000, ticket);
        assert!((pace.rate() - FIRST_RATE / 2.0 - GROWTH).abs() < 1e-9);
    }

    #[test]
    fn failures_of_starts_from_before_the_cut_do_not_cut_again() {
        let mut pace = Pace::default();
        let (first, second) = (start(&mut pace, 0), start(&mut pace, 0));
        pace.failed(1000, first);
        let once = pace.rate();
        pace.failed(1001, second);
        assert!((pace.rate() - once).abs() < 1e-9);
    }

    #[test]
    fn after_a_total_outage_no_ceiling_holds_the_recovery_back() {
        let mut pace = Pace::default();
        let mut now = 0;
        for _ in 0..20 {
            now += 10_000;
            let ticket = start(&mut pace, now);
            pace.failed(now, ticket);
        }
        assert!((pace.rate() - SLOWEST).abs() < 1e-9);
        for _ in 0..10 {
            now += 6_000;
            let ticket = start(&mut pace, now);
            pace.succeeded(now, ticket);
        }
        assert!(pace.rate() > 2.0, "{}", pace.rate());
    }

    #[test]
    fn a_clock_set_back_does_not_freeze_the_bucket() {
        let mut pace = Pace::default();
        start(&mut pace, 1_000_000_000);
        start(&mut pace, 1_000_000_000);
        assert!(pace.ask(1000).expect_err("the bucket is empty") < Duration::from_secs(10));
        start(&mut pace, 6000);
    }

    proptest! {
        #[test]
        fn whatever_happens_the_wait_is_bounded_and_the_burst_small(
            steps in proptest::collection::vec((0u64..20_000, 0u8..5), 1..200),
            rate in prop::num::f64::ANY,
            tokens in prop::num::f64::ANY,
        ) {
            let mut pace = Pace { rate, tokens, ..Pace::default() };
            let mut now = 1000;
            let mut last = None;
            for (passed, what) in steps {
                now += passed;
                match (what, last) {
                    (0, Some(ticket)) => pace.succeeded(now, ticket),
                    (1, Some(ticket)) => pace.failed(now, ticket),
                    (2, _) => pace.recovered(now),
                    _ => {
                        let granted: Vec<_> =
                            std::iter::from_fn(|| pace.ask(now).ok()).take(10).collect();
                        prop_assert!(granted.len() <= 2);
                        last = granted.last().copied().or(last);
                        let wait = pace.ask(now).expect_err("the burst is spent");
                        prop_assert!(wait <= Duration::from_millis(5001), "{wait:?}");
                    }
                }
            }
        }
    }
}
