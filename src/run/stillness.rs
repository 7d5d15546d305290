//! Whether a headless run has come to a stop: nothing printed, nothing written, no work done.
//! In: what moves, looked at again and again. Out: yes, only if all of it was still for as
//! long as asked. What cannot be seen counts as moving: unknown never ends a run.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A process that only waits may still wake for a timer: so much of one CPU is no work.
const IDLE_SHARE: f64 = 0.02;

/// What moves in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Motion {
    /// Bytes printed so far.
    pub printed: u64,
    /// The transcript's size and time of modification.
    pub transcript: Option<(u64, SystemTime)>,
    /// The CPU time of Claude alone; `None` where it cannot be seen.
    pub cpu: Option<Duration>,
    /// A tool is running, which may wait for anything, or the turn has come to its own end: what
    /// Claude still waits for then is the user's.
    pub excused: bool,
}

/// Remembers since when nothing moved.
#[derive(Debug)]
pub(super) struct Stillness {
    after: Duration,
    since: Instant,
    last: Option<(Instant, Motion)>,
}

impl Stillness {
    /// Without a time (zero) nothing counts as hung.
    pub(super) fn new(after: Duration, now: Instant) -> Self {
        Self { after, since: now, last: None }
    }

    /// Something else moved.
    pub(super) fn moved(&mut self, now: Instant) {
        self.since = now;
    }

    /// Takes a look in: whether it has been still for long enough.
    pub(super) fn look(&mut self, now: Instant, motion: Motion) -> bool {
        let moved = self.last.is_none_or(|(at, last)| {
            let idle = now.duration_since(at).mul_f64(IDLE_SHARE);
            let worked = match (last.cpu, motion.cpu) {
                (Some(before), Some(after)) => before.abs_diff(after) > idle,
                _ => true,
            };
            let seen = |motion: Motion| (motion.printed, motion.transcript);
            worked || motion.excused || seen(last) != seen(motion)
        });
        if moved {
            self.since = now;
        }
        self.last = Some((now, motion));
        !self.after.is_zero() && now.duration_since(self.since) >= self.after
    }
}

/// Size and time of modification of a file.
pub(super) fn of_file(path: &Path) -> Option<(u64, SystemTime)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn motion(printed: u64, cpu_ms: u64) -> Motion {
        let cpu = Some(Duration::from_millis(cpu_ms));
        Motion { printed, transcript: None, cpu, excused: false }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_nothing_ever_counts_as_still() {
        let zero = Instant::now();
        let mut still = Stillness::new(Duration::ZERO, zero);
        for hour in 0..100 {
            assert!(!still.look(zero + Duration::from_secs(3600 * hour), motion(5, 1000)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_still_in_every_way_for_all_the_time_is_still() {
        let zero = Instant::now();
        let minute = |n: u64| zero + Duration::from_secs(60 * n);
        let mut still = Stillness::new(Duration::from_secs(180), zero);
        assert!(!still.look(minute(1), motion(5, 1000)));
        // Timers alone are no work.
        assert!(!still.look(minute(2), motion(5, 1500)));
        assert!(!still.look(minute(3), motion(5, 2000)));
        assert!(still.look(minute(4), motion(5, 2500)));
        for moving in [
            motion(6, 2500),
            motion(5, 9000),
            Motion { excused: true, ..motion(5, 2500) },
            Motion { cpu: None, ..motion(5, 2500) },
            Motion { transcript: Some((1, SystemTime::UNIX_EPOCH)), ..motion(5, 2500) },
        ] {
            let mut still = Stillness::new(Duration::from_secs(120), zero);
            assert!(!still.look(minute(1), motion(5, 2500)));
            assert!(!still.look(minute(2), moving), "{moving:?}");
            assert!(!still.look(minute(3), moving), "{moving:?}");
        }
    }
}
