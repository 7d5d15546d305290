//! From the user's terminal to the child. In: keys. Out: the same keys, unless they are held back.
//! A child that does not read stops this direction alone.

use std::task::{Context, Poll};

use tokio::time::Instant;

use super::suspension::Suspension;
use super::{Relay, Stage, Step};
use crate::launch::terminal::job_control::{
    LineMode, Scope, SuspensionWatch, holds_leaving_key, holds_suspend_key,
};

/// User input kept at most while the child does not read or input is held; past it the user's
/// terminal keeps the rest.
const INPUT_LIMIT: usize = 64 * 1024;

impl Relay<'_> {
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        self.poll_typing(cx);
        if self.tty_closed || self.to_child.len() + self.held.len() >= INPUT_LIMIT {
            return Poll::Pending;
        }
        match self.tty.poll_read(cx, &mut self.input) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(self.lost_terminal()),
            Poll::Ready(Ok(length)) => {
                self.show_withheld();
                let input = std::mem::take(&mut self.input);
                if self.holding {
                    self.held.extend_from_slice(&input[..length]);
                } else {
                    self.forward(&input[..length]);
                    self.poll_typing(cx);
                }
                self.input = input;
                Poll::Ready(Some(Step::Input(length)))
            }
        }
    }

    /// Passes on as much as the child takes now.
    fn poll_typing(&mut self, cx: &mut Context<'_>) {
        while !self.to_child.is_empty() {
            let (front, _) = self.to_child.as_slices();
            match self.child.poll_write(cx, front) {
                Poll::Pending => return,
                Poll::Ready(Ok(length)) => drop(self.to_child.drain(..length)),
                // Nobody will ever read it.
                Poll::Ready(Err(_)) => self.to_child.clear(),
            }
        }
    }

    pub(super) fn forward(&mut self, input: &[u8]) {
        self.to_child.extend(input);
        if holds_suspend_key(input) {
            match self.child.line_mode() {
                Some(LineMode::Raw) => {
                    let now = Instant::now();
                    let watch = SuspensionWatch::new(now);
                    self.next_look = watch.next_look(now);
                    self.suspension = Some(watch);
                }
                // The kernel turns the key into a signal and drops it, as the group is orphaned.
                Some(LineMode::Cooked) => {
                    self.stage =
                        Stage::Suspending(Suspension { scope: Scope::Group, forced: true });
                }
                None => {}
            }
        } else if holds_leaving_key(input) {
            self.suspension = None;
        }
    }
}
