//! The clock by which a run counts its waits: it never goes back, and it goes on while the
//! machine sleeps (the horizon counts wall time, and a wall clock can be set).

use std::sync::LazyLock;
use std::time::Duration;

use tokio::time::Instant;

/// Between two readings; a longer gap than twice this was a sleep of the machine.
const STEP: Duration = Duration::from_secs(10);

/// When the process first asked, by tokio's clock (which tests can pause) and in sleep so far.
static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| (Instant::now(), asleep()));

/// Now, since the process first asked.
pub(super) fn now() -> Duration {
    START.0.elapsed() + asleep().saturating_sub(START.1)
}

/// How long the machine has slept since it was started.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn asleep() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    // Read in this order, so that what passes in between cannot look like sleep.
    let boot = read(ClockId::CLOCK_BOOTTIME);
    boot.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// Elsewhere sleep is not seen: a wait then lasts so much longer.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn asleep() -> Duration {
    Duration::ZERO
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
