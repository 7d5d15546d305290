//! The one timer, set only while something is due. In: the deadlines. Out: what was due is done. An
//! idle relay has none, so that it wakes nobody.

use std::task::{Context, Poll};

use tokio::time::Instant;

use super::{Relay, Stage, Step};

impl Relay<'_> {
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        let drained = match self.stage {
            // Output that the terminal does not take yet is waited for without a limit.
            Stage::Draining { quiet, .. } if self.filled == 0 => Some(quiet),
            _ => None,
        };
        let look = self.suspension.as_ref().and(self.next_look);
        let withheld = self.withheld.as_ref().and_then(|withheld| withheld.until);
        let Some(deadline) = [drained, look, self.kill_at, withheld].into_iter().flatten().min()
        else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.child.kill_all();
        }
        if withheld.is_some_and(|at| at <= now) {
            self.show_withheld();
        }
        if look.is_some_and(|at| at <= now) {
            self.next_look = self.suspension.as_ref().and_then(|watch| watch.next_look(now));
            self.look_for_suspension();
            if self.next_look.is_none() {
                self.suspension = None;
            }
        }
        Poll::Ready(None)
    }
}
