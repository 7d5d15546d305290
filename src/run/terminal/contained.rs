//! Analysis that may panic without harm: it is cut off for good, and the relay goes on.

use crate::launch::terminal::guarded;

/// Runs pieces of analysis until one of them panics.
#[derive(Debug, Default)]
pub(in crate::run) struct Contained {
    failed: bool,
}

impl Contained {
    /// Runs `work`; `None` if it panicked now, or anything here did before.
    pub(in crate::run) fn run<T>(&mut self, work: impl FnOnce() -> T) -> Option<T> {
        if self.failed {
            return None;
        }
        let done = guarded(work);
        if done.is_none() {
            tracing::error!("the analysis failed; this child is only relayed from now on");
            self.failed = true;
        }
        done
    }

    /// Whether a piece has panicked.
    pub(in crate::run) fn failed(&self) -> bool {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_panic_nothing_is_run_any_more_and_nobody_is_harmed() {
        let mut contained = Contained::default();
        assert_eq!(contained.run(|| 1), Some(1));
        assert_eq!(contained.run(|| -> i32 { panic!("a test of a fault in the analysis") }), None);
        assert!(contained.failed());
        let mut ran = false;
        assert_eq!(contained.run(|| ran = true), None);
        assert!(!ran);
    }
}
