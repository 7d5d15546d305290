//! The child's end: its last output is waited for, a little while. In: its exit status. Out: the
//! terminal, restored. An open terminal that nobody writes to is not waited for.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::{Relay, Stage, Step};
use crate::failure::ExitReason;

/// After the child's end, output counts as complete once none came for this long. A grandchild may
/// keep the PTY open for ever, so its end is not waited for.
const QUIET: Duration = Duration::from_millis(30);
/// And at the latest after this, if a grandchild keeps writing.
const LONGEST_DRAIN: Duration = Duration::from_millis(300);

impl Relay<'_> {
    /// Whether the child has ended, and after that whether its last output is out.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        if let Stage::Draining { reason, quiet, .. } = self.stage {
            let shown = self.filled == 0 && (self.own.is_empty() || self.tty_closed);
            if shown && (self.child_closed || Instant::now() >= quiet) {
                self.finish(reason);
                return Poll::Ready(Some(Step::Exited(reason)));
            }
            return Poll::Pending;
        }
        // Waiting fails only if the status is lost; then nothing is known of it.
        let reason = ready!(self.child.poll_exit(cx)).unwrap_or(ExitReason::Code(1));
        let now = Instant::now();
        let (quiet, latest) = (now + QUIET, now + LONGEST_DRAIN);
        self.stage = Stage::Draining { reason, quiet, latest };
        self.kill_at = None;
        self.suspension = None;
        // The kernel reports the closed side anew.
        self.child_closed = false;
        Poll::Ready(None)
    }

    /// Output came after the child's end: the quiet begins anew, up to the latest instant.
    pub(super) fn more_was_drained(&mut self) {
        if let Stage::Draining { reason, latest, .. } = self.stage {
            let quiet = latest.min(Instant::now() + QUIET);
            self.stage = Stage::Draining { reason, quiet, latest };
        }
    }

    fn finish(&mut self, reason: ExitReason) {
        self.stage = Stage::Ended(reason);
        self.timer = None;
        let held = std::mem::take(&mut self.held);
        self.tty.unread(&held);
        self.tty.cooked();
    }
}
