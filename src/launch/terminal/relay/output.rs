//! From the child to the user's terminal. In: what the child wrote. Out: the same bytes, shown, and
//! then told. It reads no more than it can pass on.

use std::task::{Context, Poll};

use super::{OUTPUT_CHUNK, Relay, Step};

/// A PTY hands out this much per read, at most.
const PTY_READ: usize = 4 * 1024;
/// A read that brought this much is followed by another before anything is shown: a flood costs
/// fewer writes and wake-ups. A shorter one is the end of a burst, so that no echo waits.
const FLOOD: usize = 2 * 1024;

impl Relay<'_> {
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        if self.filled == 0 {
            while !self.own.is_empty() && !self.tty_closed {
                match self.tty.poll_write(cx, &self.own) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(length)) => drop(self.own.drain(..length)),
                    Poll::Ready(Err(_)) => return Poll::Ready(self.lost_terminal()),
                }
            }
            if self.child_closed {
                return Poll::Pending;
            }
            match self.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => return Poll::Ready(None),
                Poll::Ready(length) => self.filled = self.rewritten(length),
            }
        }
        while self.written < self.filled && !self.swallowing && !self.tty_closed {
            match self.tty.poll_write(cx, &self.output[self.written..self.filled]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(length)) => self.written += length,
                Poll::Ready(Err(_)) => return Poll::Ready(self.lost_terminal()),
            }
        }
        let length = std::mem::take(&mut self.filled);
        self.written = 0;
        self.burst += 1;
        self.more_was_drained();
        self.look_for_suspension();
        Poll::Ready(Some(Step::Output(length)))
    }

    /// Reads a piece of output; its length, 0 if the child's side turned out to be closed.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut length = 0;
        while length + PTY_READ <= OUTPUT_CHUNK {
            match self.child.poll_read(cx, &mut self.output[length..]) {
                Poll::Ready(Ok(count @ 1..)) => {
                    length += count;
                    if count < FLOOD {
                        break;
                    }
                }
                Poll::Ready(_closed) => {
                    self.child_closed = true;
                    return Poll::Ready(length);
                }
                Poll::Pending if length == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(length)
    }

    /// Applies the rewrite to `output[..length]`; its new length.
    fn rewritten(&mut self, length: usize) -> usize {
        let Some(rewrite) = &self.rewrite else { return length };
        let Some(bytes) = rewrite(&self.output[..length], self.tty.size()) else { return length };
        self.output.resize(bytes.len().max(OUTPUT_CHUNK), 0);
        self.output[..bytes.len()].copy_from_slice(&bytes);
        bytes.len()
    }
}
