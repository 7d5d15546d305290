//! The loop between the user's terminal and the child's.
//!
//! In: a [`Tty`] and a [`PtyChild`]. Out: [`Event`]s, each after its bytes were passed on. It never
//! changes a byte, never waits for its owner before writing, never lets one direction hold up the
//! other, and reads no more than it can pass on. While nothing happens it sets no timer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::sys::signal::Signal;
use portable_pty::PtySize;
use tokio::time::{Instant, Sleep};

use super::claim::{self, Claim};
use super::job_control::{LineMode, Scope, SuspensionWatch, holds_leaving_key, holds_suspend_key};
use super::pty::PtyChild;
use super::tty::{self, Tty};
use crate::watch::ExitReason;

/// Output shown with one write and told as one event, at most.
const OUTPUT_CHUNK: usize = 32 * 1024;
/// A PTY hands out this much per read, at most.
const PTY_READ: usize = 4 * 1024;
/// A read that brought this much is followed by another before anything is shown: a flood costs
/// fewer writes and wake-ups. A shorter one is the end of a burst, so that no echo waits.
const FLOOD: usize = 2 * 1024;
const INPUT_CHUNK: usize = 4 * 1024;
/// User input kept at most while the child does not read or input is held; past it the user's
/// terminal keeps the rest.
const INPUT_LIMIT: usize = 64 * 1024;
/// After the child's end, output counts as complete once none came for this long. A grandchild may
/// keep the PTY open for ever, so its end is not waited for.
const QUIET: Duration = Duration::from_millis(30);
/// And at the latest after this, if a grandchild keeps writing.
const LONGEST_DRAIN: Duration = Duration::from_millis(300);
/// Chunks passed on in a row before signals and the other side are asked for.
const BURST: u32 = 8;
/// While there is always something to relay, signals are asked for this often (steps).
const SIGNALS_EVERY: u32 = 8;

/// What happened. Borrowed bytes must be used before the next call.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'r> {
    /// The child wrote this, and it is on the user's terminal (unless output is swallowed).
    Output(&'r [u8]),
    /// The user's terminal sent this (keys, pastes, reports); it was passed on or is held.
    Input(&'r [u8]),
    /// Both terminals have this size now.
    Resized(PtySize),
    /// The terminal is given back; the next call stops this process.
    Suspended,
    /// We were continued and so was the child.
    Resumed,
    /// A signal asked us to end; it was passed on to the child. A lost terminal counts as SIGHUP.
    Signal(Signal),
    /// The child has ended and its output is out; the terminal is restored. Repeats if called on.
    Exited(ExitReason),
}

/// What a chunk is replaced with, if it is.
pub type Rewrite = Box<dyn Fn(&[u8], PtySize) -> Option<Vec<u8>>>;

enum Step {
    Output(usize),
    Input(usize),
    Resized,
    Suspended,
    Resumed,
    Signal(Signal),
    Exited(ExitReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// What the child wrote before it suspended is still on its way.
    Suspending(Suspension),
    /// The owner knows; the next poll stops us.
    Stopping(Suspension),
    /// The child has ended so; its last output is on its way.
    Draining {
        reason: ExitReason,
        quiet: Instant,
        latest: Instant,
    },
    Ended(ExitReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Suspension {
    scope: Scope,
    /// Whether the child must be stopped; if not, it has suspended itself.
    forced: bool,
}

/// One child at the user's terminal, from its start to its end.
///
/// Dropping it earlier restores the terminal and hangs up on the child.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the owner asked for and which ends are open: all independent of the stage"
)]
pub struct Relay<'t> {
    tty: &'t mut Tty,
    child: PtyChild,
    stage: Stage,
    output: Vec<u8>,
    rewrite: Option<Rewrite>,
    /// Bytes of ours that are to be shown.
    own: Vec<u8>,
    /// `output[written..filled]` is not shown yet.
    filled: usize,
    written: usize,
    burst: u32,
    step: u32,
    input: Box<[u8]>,
    to_child: VecDeque<u8>,
    held: Vec<u8>,
    holding: bool,
    swallowing: bool,
    /// No process has the child's side open.
    child_closed: bool,
    /// The user's terminal is gone.
    tty_closed: bool,
    hung_up: bool,
    resized: bool,
    suspension: Option<SuspensionWatch>,
    next_look: Option<Instant>,
    kill_at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'t> Relay<'t> {
    /// Makes the terminal raw and begins to relay.
    pub fn start(tty: &'t mut Tty, child: PtyChild) -> io::Result<Self> {
        tty.raw()?;
        Ok(Self {
            tty,
            child,
            stage: Stage::Running,
            output: vec![0; OUTPUT_CHUNK],
            rewrite: None,
            own: Vec::new(),
            filled: 0,
            written: 0,
            burst: 0,
            step: 0,
            input: vec![0; INPUT_CHUNK].into_boxed_slice(),
            to_child: VecDeque::new(),
            held: Vec::new(),
            holding: false,
            swallowing: false,
            child_closed: false,
            tty_closed: false,
            hung_up: false,
            resized: false,
            suspension: None,
            next_look: None,
            kill_at: None,
            timer: None,
        })
    }

    /// The next event. Cancel-safe: all progress is kept in the relay.
    pub async fn next(&mut self) -> Event<'_> {
        if self.burst >= BURST {
            self.burst = 0;
            tokio::task::yield_now().await;
        }
        match poll_fn(|cx| self.poll_step(cx)).await {
            Step::Output(length) => Event::Output(&self.output[..length]),
            Step::Input(length) => Event::Input(&self.input[..length]),
            Step::Resized => Event::Resized(self.tty.size()),
            Step::Suspended => Event::Suspended,
            Step::Resumed => Event::Resumed,
            Step::Signal(signal) => Event::Signal(signal),
            Step::Exited(reason) => Event::Exited(reason),
        }
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> nix::unistd::Pid {
        self.child.pid()
    }

    /// Holds the user's input back (at most 64 KiB, then their terminal waits), or lets it follow.
    pub fn hold_input(&mut self, holding: bool) {
        self.holding = holding;
        if !holding {
            let held = std::mem::take(&mut self.held);
            self.forward(&held);
        }
    }

    /// Types `bytes` after all input passed on so far; held input follows later.
    pub fn inject(&mut self, bytes: &[u8]) {
        self.to_child.extend(bytes);
    }

    /// Keeps the child's output from the terminal (it is still reported), for a child that is being
    /// replaced; modes it leaves on are reset at its end.
    pub fn swallow_output(&mut self, swallow: bool) {
        self.swallowing = swallow;
    }

    /// Looks at each chunk before it is shown and may replace it: for the one line of Claude's that
    /// would name what we added to its arguments. It must be quick, and must not panic.
    pub fn rewrite_output(&mut self, rewrite: Rewrite) {
        self.rewrite = Some(rewrite);
    }

    /// Shows bytes of ours (a bell, a notification) between two pieces of the child's output.
    pub fn show(&mut self, bytes: &[u8]) {
        self.own.extend_from_slice(bytes);
    }

    /// Asks the child to end (SIGTERM); after `grace` kills it and everything it started. Call
    /// [`Relay::next`] until [`Event::Exited`].
    pub fn end(&mut self, grace: Duration) {
        self.suspension = None;
        self.child.signal(Signal::SIGTERM);
        self.child.signal_group(Signal::SIGCONT);
        self.kill_at = Some(Instant::now() + grace);
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
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
        let clear = self.filled == 0;
        match self.stage {
            Stage::Suspending(suspension) if clear => {
                self.stage = Stage::Stopping(suspension);
                return Poll::Ready(Some(Step::Suspended));
            }
            Stage::Draining { reason, quiet, .. }
                if clear && (self.child_closed || Instant::now() >= quiet) =>
            {
                self.finish(reason);
                return Poll::Ready(Some(Step::Exited(reason)));
            }
            Stage::Draining { .. } => {}
            _ => {
                if let Poll::Ready(reason) = self.child.poll_exit(cx) {
                    // Waiting fails only if the status is lost; then nothing is known of it.
                    let reason = reason.unwrap_or(ExitReason::Code(1));
                    let now = Instant::now();
                    let (quiet, latest) = (now + QUIET, now + LONGEST_DRAIN);
                    self.stage = Stage::Draining { reason, quiet, latest };
                    self.kill_at = None;
                    self.suspension = None;
                    // The kernel reports the closed side anew.
                    self.child_closed = false;
                    return Poll::Ready(None);
                }
            }
        }
        self.poll_timer(cx)
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
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
        if let Stage::Draining { reason, latest, .. } = self.stage {
            let quiet = latest.min(Instant::now() + QUIET);
            self.stage = Stage::Draining { reason, quiet, latest };
        }
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

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        self.poll_typing(cx);
        if self.tty_closed || self.to_child.len() + self.held.len() >= INPUT_LIMIT {
            return Poll::Pending;
        }
        match self.tty.poll_read(cx, &mut self.input) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(self.lost_terminal()),
            Poll::Ready(Ok(length)) => {
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

    fn forward(&mut self, input: &[u8]) {
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

    fn look_for_suspension(&mut self) {
        if self.suspension.is_some() && self.child.line_mode() == Some(LineMode::Cooked) {
            self.suspension = None;
            if self.stage == Stage::Running {
                self.stage = Stage::Suspending(Suspension { scope: Scope::Group, forced: false });
            }
        }
    }

    fn stop(&mut self, suspension: Suspension) {
        if suspension.forced {
            self.child.signal_group(Signal::SIGSTOP);
        }
        tty::stop(suspension.scope);
        self.resize();
        self.child.signal_group(Signal::SIGCONT);
        self.stage = Stage::Running;
    }

    fn resize(&mut self) {
        if let Some(size) = self.tty.refresh_size() {
            self.child.resize(size);
            self.resized = true;
        }
    }

    fn signalled(&mut self, signal: Signal) -> Option<Step> {
        match signal {
            Signal::SIGWINCH => {
                self.resize();
                None
            }
            Signal::SIGTSTP => {
                if self.stage == Stage::Running {
                    let suspension = Suspension { scope: Scope::Process, forced: true };
                    self.stage = Stage::Suspending(suspension);
                }
                None
            }
            // After a SIGSTOP, which nobody hears coming.
            Signal::SIGCONT => {
                claim::with(Claim::raw_again).ok();
                self.resize();
                self.child.signal_group(Signal::SIGCONT);
                Some(Step::Resumed)
            }
            Signal::SIGHUP => self.hang_up(),
            _ => {
                self.suspension = None;
                self.child.signal(signal);
                Some(Step::Signal(signal))
            }
        }
    }

    fn lost_terminal(&mut self) -> Option<Step> {
        self.tty_closed = true;
        self.hang_up()
    }

    /// A lost terminal hangs up on the whole group, once.
    fn hang_up(&mut self) -> Option<Step> {
        if std::mem::replace(&mut self.hung_up, true) {
            return None;
        }
        self.suspension = None;
        self.child.signal_group(Signal::SIGHUP);
        self.child.signal_group(Signal::SIGCONT);
        Some(Step::Signal(Signal::SIGHUP))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        let drained = match self.stage {
            // Output that the terminal does not take yet is waited for without a limit.
            Stage::Draining { quiet, .. } if self.filled == 0 => Some(quiet),
            _ => None,
        };
        let look = self.suspension.as_ref().and(self.next_look);
        let Some(deadline) = [drained, look, self.kill_at].into_iter().flatten().min() else {
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
        if look.is_some_and(|at| at <= now) {
            self.next_look = self.suspension.as_ref().and_then(|watch| watch.next_look(now));
            self.look_for_suspension();
            if self.next_look.is_none() {
                self.suspension = None;
            }
        }
        Poll::Ready(None)
    }

    fn finish(&mut self, reason: ExitReason) {
        self.stage = Stage::Ended(reason);
        self.timer = None;
        let held = std::mem::take(&mut self.held);
        self.tty.unread(&held);
        self.tty.cooked();
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.tty.cooked();
    }
}
