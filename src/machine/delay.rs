//! The backoff: how long to wait before a retry. The only place that knows the `backoff` crate: it gives the
//! curve, and jitter is applied here, from a generator the caller owns. Pure.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Jitter is drawn evenly from this share of the wait to one plus it.
const LEAST_SHARE: f64 = 2.0 / 3.0;

/// The curve of waits: from `first`, doubling, to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Curve {
    /// Before the first try.
    pub first: Duration,
    /// The cap.
    pub max: Duration,
}

impl Curve {
    /// The wait before try number `tries` (from 0), without jitter.
    #[must_use]
    pub fn wait(self, tries: u32) -> Duration {
        let mut curve = ExponentialBackoff {
            current_interval: self.first,
            initial_interval: self.first,
            max_interval: self.max,
            multiplier: 2.0,
            // Its jitter draws from a global generator, its end reads a clock.
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        // The curve is flat once it is at the cap; 64 doublings reach any cap.
        for _ in 0..tries.min(64) {
            curve.next_backoff();
        }
        curve.next_backoff().unwrap_or(self.max).min(self.max)
    }

    /// No wait is shorter than this, jitter included.
    #[must_use]
    pub fn least(self) -> Duration {
        self.first.min(self.max).mul_f64(LEAST_SHARE)
    }

    /// A wait with jitter: 2/3 to 5/3 of it, never above the cap, but for a wait that is.
    #[must_use]
    pub fn jittered(self, wait: Duration, random: &mut fastrand::Rng) -> Duration {
        wait.mul_f64(LEAST_SHARE + random.f64()).min(self.max.max(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CURVE: Curve = Curve { first: Duration::from_secs(3), max: Duration::from_secs(60) };

    #[test]
    fn waits_double_up_to_the_cap() {
        let waits: Vec<u64> = (0..7).map(|tries| CURVE.wait(tries).as_secs()).collect();
        assert_eq!(waits, [3, 6, 12, 24, 48, 60, 60]);
    }

    proptest! {
        #[test]
        fn the_first_wait_is_two_to_five_seconds_and_none_exceeds_the_cap(seed: u64, tries in 0u32..200) {
            let mut random = fastrand::Rng::with_seed(seed);
            let first = CURVE.jittered(CURVE.wait(0), &mut random);
            prop_assert!(first >= Duration::from_secs(2) && first <= Duration::from_secs(5));
            prop_assert!(CURVE.jittered(CURVE.wait(tries), &mut random) <= CURVE.max);
        }
    }
}
