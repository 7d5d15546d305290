//! The clock of a run, a value that is handed in: it never goes back, goes on while the machine
//! sleeps (the horizon counts wall time, and a wall clock can be set), and says that it slept.
//! In: tokio's clock, which tests can pause, and the kernel's count of sleep. Out: moments.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Between two readings of a wait; a gap longer by this much was a sleep of the machine.
const STEP: Duration = Duration::from_secs(10);

/// After a sleep of the machine its network needs this long, or half as long again. macOS wakes
/// for moments in which nothing works (a maintenance wake lasts less than 90 s).
pub const NETWORK_RETURNS: Duration =
    Duration::from_secs(if cfg!(target_os = "macos") { 90 } else { 10 });

/// One reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since the clock was made, sleep included.
    pub at: Duration,
    /// By the calendar, which can be set.
    pub wall: Timestamp,
    /// How much of it the machine has slept.
    pub slept: Duration,
}

/// Why a wait for a time ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woke {
    /// It is that time.
    Due,
    /// The machine slept meanwhile: whoever waits must think again.
    Slept,
}

/// A clock.
#[derive(Clone)]
pub struct Clock {
    began: Instant,
    slept_before: Duration,
    asleep: Rc<dyn Fn() -> Duration>,
    wall: Rc<dyn Fn() -> Timestamp>,
}

impl Clock {
    /// The machine's own.
    #[must_use]
    pub fn system() -> Self {
        Self::new(asleep, Timestamp::now)
    }

    /// One that is told how long the machine has slept so far, and the calendar's time.
    pub fn new(
        asleep: impl Fn() -> Duration + 'static,
        wall: impl Fn() -> Timestamp + 'static,
    ) -> Self {
        Self {
            began: Instant::now(),
            slept_before: asleep(),
            asleep: Rc::new(asleep),
            wall: Rc::new(wall),
        }
    }

    /// Since it was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.began.elapsed() + self.slept()
    }

    fn slept(&self) -> Duration {
        (self.asleep)().saturating_sub(self.slept_before)
    }

    /// Now, in both ways.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { at: self.now(), wall: (self.wall)(), slept: self.slept() }
    }

    /// Waits until then, or until the machine has slept.
    pub async fn until(&self, due: Duration) -> Woke {
        loop {
            let before = self.now();
            let left = due.saturating_sub(before);
            if left.is_zero() {
                return Woke::Due;
            }
            tokio::time::sleep(left.min(STEP)).await;
            if self.now().saturating_sub(before) > left.min(STEP) + STEP {
                return Woke::Slept;
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// How long the machine has slept since it was started.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn asleep() -> Duration {
    use nix::time::ClockId;
    // Read in this order, so that what passes in between cannot look like sleep.
    let with_sleep = read(ClockId::CLOCK_BOOTTIME);
    with_sleep.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// How long the machine has slept since it was started.
#[cfg(target_os = "macos")]
fn asleep() -> Duration {
    use nix::libc::{CLOCK_MONOTONIC_RAW, CLOCK_UPTIME_RAW};
    use nix::time::ClockId;
    let with_sleep = read(ClockId::from_raw(CLOCK_MONOTONIC_RAW));
    with_sleep.saturating_sub(read(ClockId::from_raw(CLOCK_UPTIME_RAW)))
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
fn read(clock: nix::time::ClockId) -> Duration {
    nix::time::clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

/// Elsewhere sleep is not seen: a wait then lasts so much longer.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
fn asleep() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sleep_counts_and_ends_a_wait_before_its_time() {
        let slept = Rc::new(Cell::new(Duration::from_secs(500)));
        let asleep = Rc::clone(&slept);
        let clock = Clock::new(move || asleep.get(), || Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Duration::ZERO, "what was before does not count");
        assert_eq!(clock.until(Duration::from_secs(60)).await, Woke::Due);
        assert!(clock.now() >= Duration::from_secs(60));
        let hour = Duration::from_secs(3_600);
        let wait = clock.until(clock.now() + hour * 2);
        let sleep = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            slept.set(slept.get() + hour);
        };
        let (woke, ()) = tokio::join!(wait, sleep);
        assert_eq!(woke, Woke::Slept);
        assert_eq!(clock.moment().slept, hour);
        assert!(clock.now() >= hour && clock.now() < hour + Duration::from_secs(120));
    }
}
