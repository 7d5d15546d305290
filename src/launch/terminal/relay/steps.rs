//! What is looked at in which order, until there is something to tell. In: the stage and both
//! terminals. Out: one step. It goes to sleep only when all sides have been asked.

use std::task::{Context, Poll};

use super::{Relay, Stage, Step};

/// While there is always something to relay, signals are asked for this often (steps).
const SIGNALS_EVERY: u32 = 8;

impl Relay<'_> {
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            match self.poll_once(cx) {
                Poll::Ready(Some(step)) => return Poll::Ready(step),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// `Ready(None)` means that something changed and all must be looked at again.
    fn poll_once(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        match self.stage {
            Stage::Ended(reason) => return Poll::Ready(Some(Step::Exited(reason))),
            Stage::Stopping(suspension) => {
                self.stop(suspension);
                return Poll::Ready(Some(Step::Resumed));
            }
            _ => {}
        }
        if std::mem::take(&mut self.resized) {
            return Poll::Ready(Some(Step::Resized));
        }
        self.step = self.step.wrapping_add(1);
        let signals_first = self.step.is_multiple_of(SIGNALS_EVERY);
        if signals_first && let Poll::Ready(signal) = self.tty.poll_signal(cx) {
            return Poll::Ready(self.signalled(signal));
        }
        if self.stage == Stage::Running
            && let Poll::Ready(step) = self.poll_input(cx)
        {
            return Poll::Ready(step);
        }
        if let Poll::Ready(step) = self.poll_output(cx) {
            return Poll::Ready(step);
        }
        // Nothing is to be relayed: every way to sleep leads past here.
        if !signals_first && let Poll::Ready(signal) = self.tty.poll_signal(cx) {
            return Poll::Ready(self.signalled(signal));
        }
        if let Some(step) = self.suspended() {
            return Poll::Ready(Some(step));
        }
        if let Poll::Ready(step) = self.poll_end(cx) {
            return Poll::Ready(step);
        }
        self.poll_timer(cx)
    }
}
