//! When to look at the service, and when to try it although it reads down. Pure.

use std::time::Duration;

use super::Reading;

/// The first interval between probes, before jitter.
const FIRST: Duration = Duration::from_secs(2);
/// The longest interval before jitter. With it a recovery is seen after about 4 s in the median,
/// however long the outage was; at 15 s that would be 7 s.
const LONGEST: Duration = Duration::from_secs(8);
/// Each interval is so much longer than the one before: quickly, since what is over soon is over
/// by the first looks, and each look is a request to a service in trouble.
const GROWTH: f64 = 1.6;
/// A host that answers is looked at no more often than this: only one that reads down can come
/// back, and in most outages the edge answers strangers all the time.
pub const WHILE_UP: Duration = Duration::from_secs(60);
/// Jitter is drawn evenly from this share of the interval to one plus it.
const LEAST_SHARE: f64 = 2.0 / 3.0;

/// A service that reads down is tried all the same this often: the probe may be wrong.
pub const TRY_ANYWAY_AFTER: Duration = Duration::from_secs(600);

/// The intervals between the probes of one wait.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    interval: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { interval: FIRST }
    }
}

impl Schedule {
    /// The time from the start of one probe to the start of the next; `down` is whether any host
    /// reads down, `chance` lies in 0..1.
    pub fn next(&mut self, down: bool, chance: f64) -> Duration {
        if !down {
            *self = Self::default();
            return WHILE_UP.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 4.0);
        }
        let jittered = self.interval.mul_f64(LEAST_SHARE * (1.0 + chance.clamp(0.0, 1.0)));
        self.interval = self.interval.mul_f64(GROWTH).min(LONGEST);
        jittered
    }
}

/// Whether claude may be launched or asked although a probe was read: at once unless the probe
/// says down, and then once in ten minutes. `since_last_try` is the time since the last launch
/// or ask of any run, `None` if there was none in this outage. Give it the probe's reading, not
/// [`Health`](super::Health): what our own attempt met is down by definition, and waiting on
/// it would end all tries.
#[must_use]
pub fn may_try(since_last_try: Option<Duration>, probe: Reading) -> bool {
    match probe {
        Reading::Up | Reading::Unknown => true,
        Reading::Down => since_last_try.is_some_and(|passed| passed >= TRY_ANYWAY_AFTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_start_about_two_seconds_apart_and_end_below_fifteen() {
        let mut schedule = Schedule::default();
        let first = schedule.next(true, 0.5);
        assert_eq!(first, Duration::from_secs(2));
        let later: Vec<_> =
            (0..50).map(|index| schedule.next(true, f64::from(index % 2))).collect();
        assert!(later.iter().all(|interval| *interval <= Duration::from_secs(15)));
        assert!(later.iter().rev().take(10).all(|interval| *interval >= Duration::from_secs(5)));
    }

    #[test]
    fn a_host_that_answers_is_looked_at_once_a_minute_at_most() {
        let mut schedule = Schedule::default();
        for chance in [0.0, 0.5, 1.0] {
            assert!(schedule.next(false, chance) >= Duration::from_secs(60));
        }
        assert_eq!(schedule.next(true, 0.5), Duration::from_secs(2), "it has just gone down");
    }

    #[test]
    fn a_service_that_reads_down_is_tried_once_in_ten_minutes() {
        let minutes = |count: u64| Some(Duration::from_secs(60 * count));
        assert!(may_try(None, Reading::Up));
        assert!(may_try(minutes(0), Reading::Unknown));
        assert!(!may_try(None, Reading::Down));
        assert!(!may_try(minutes(9), Reading::Down));
        assert!(may_try(minutes(10), Reading::Down));
    }
}
