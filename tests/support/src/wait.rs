//! Waiting with a deadline instead of sleeping: the condition ends the wait, the deadline only
//! the test.

use std::time::{Duration, Instant};

/// How often a condition that nothing announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Looks until `look` finds something; `None` once `deadline` has passed without it.
pub fn wait_until<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Lets `pause` pass: for scripted slowness only, never for waiting on something.
pub(crate) fn pause(pause: Duration) {
    let end = Instant::now() + pause;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        std::thread::park_timeout(left);
    }
}
