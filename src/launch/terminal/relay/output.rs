//! From the child to the user's terminal. In: what the child wrote. Out: the same bytes, shown, and
//! then told. It reads no more than it can pass on.

use std::task::{Context, Poll};

use super::{OUTPUT_CHUNK, Relay, Rewrite, Step};

impl Relay<'_> {
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        // Ours, between two pieces of the child's.
        while self.written == 0 && !self.own.is_empty() && !self.tty_closed {
            match self.tty.poll_write(cx, &self.own) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(length)) => drop(self.own.drain(..length)),
                Poll::Ready(Err(_)) => return Poll::Ready(self.lost_terminal()),
            }
        }
        if self.filled == 0 {
            if self.child_closed {
                return Poll::Pending;
            }
            match self.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => return Poll::Ready(None),
                Poll::Ready(length) => self.filled = self.rewritten(length),
            }
            self.withhold_or_show();
            if !self.own.is_empty() {
                return self.poll_output(cx);
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
    ///
    /// One read, even in a flood: it takes what the kernel's queue holds (4 KiB), and while that
    /// is shown and analysed the kernel fills the queue again. Reading on at once would wait for
    /// that, with nothing done meanwhile.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut length = 0;
        loop {
            match self.child.poll_read(cx, &mut self.output[length..OUTPUT_CHUNK]) {
                Poll::Ready(Ok(count @ 1..)) => length += count,
                Poll::Ready(_closed) => {
                    self.child_closed = true;
                    return Poll::Ready(length);
                }
                Poll::Pending if length == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(length),
            }
            let cut = |rewrite: &Rewrite| (rewrite.is_cut)(&self.output[..length]);
            if length == OUTPUT_CHUNK || !self.rewrite.as_ref().is_some_and(cut) {
                return Poll::Ready(length);
            }
        }
    }

    /// Applies the rewrite to `output[..length]`; its new length.
    fn rewritten(&mut self, length: usize) -> usize {
        let Some(rewrite) = &self.rewrite else { return length };
        let Some(bytes) = (rewrite.change)(&self.output[..length], self.tty.size()) else {
            return length;
        };
        self.output.resize(bytes.len().max(OUTPUT_CHUNK), 0);
        self.output[..bytes.len()].copy_from_slice(&bytes);
        bytes.len()
    }
}
