//! The clock by which a run counts its waits: it never goes back, and it goes on while the
//! machine sleeps (the horizon counts wall time, and a wall clock can be set).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
/// On macOS this one goes on through sleep.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// Between two readings; a longer gap than twice this was a sleep of the machine.
const STEP: Duration = Duration::from_secs(10);

/// Now.
pub(super) fn now() -> Duration {
    clock_gettime(CLOCK).map(Duration::from).unwrap_or_default()
}

/// Waits until then. Whether the machine slept on the way: the caller decides what that means,
/// and the wait ends there.
pub(super) async fn until(due: Duration) -> bool {
    loop {
        let before = now();
        let left = due.saturating_sub(before);
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(left.min(STEP)).await;
        if now().saturating_sub(before) > left.min(STEP) + STEP {
            return true;
        }
    }
}
