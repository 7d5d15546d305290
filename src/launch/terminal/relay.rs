//! The loop between the user's terminal and the child's.
//!
//! In: a [`Tty`] and a [`PtyChild`]. Out: [`Event`]s, each after its bytes were passed on. It never
//! changes a byte, never waits for its owner before writing, never lets one direction hold up the
//! other, and reads no more than it can pass on. While nothing happens it sets no timer.

mod end;
mod input;
mod output;
mod signals;
mod steps;
mod suspension;
mod timer;
mod withheld;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use nix::sys::signal::Signal;
use portable_pty::PtySize;
use tokio::time::{Instant, Sleep};

use self::suspension::Suspension;
use super::job_control::SuspensionWatch;
use super::pty::PtyChild;
use super::tty::Tty;
use crate::failure::ExitReason;
use withheld::Withheld;
pub use withheld::is_plain;

/// Output shown with one write and told as one event, at most.
const OUTPUT_CHUNK: usize = 32 * 1024;
const INPUT_CHUNK: usize = 4 * 1024;
/// Chunks passed on in a row before signals and the other side are asked for.
const BURST: u32 = 8;

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

type Change = Box<dyn Fn(&[u8], PtySize) -> Option<Vec<u8>>>;
type IsCut = Box<dyn Fn(&[u8]) -> bool>;

/// A change of the one piece of output that may be changed.
pub struct Rewrite {
    /// What a chunk is replaced with, if it is.
    pub change: Change,
    /// Whether a chunk ends within that piece, so that more is read first if it is at hand.
    pub is_cut: IsCut,
}

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
    withheld: Option<Withheld>,
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
            withheld: None,
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
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.tty.cooked();
    }
}
