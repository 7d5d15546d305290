//! The signals a launcher at a terminal must hear, as one source for the event loop.
//!
//! A signal that was ignored when we were started (`nohup`) stays ignored: a handler of ours would
//! also take that protection from the child, since caught signals return to their default at exec.

use std::io;
use std::task::{Context, Poll};

use nix::libc;
use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

use crate::launch::is_ignored;

const HEARD: [Signal; 7] = [
    Signal::SIGWINCH,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];

/// The subscribed signals. Subscriptions last as long as the process.
#[derive(Debug)]
pub(super) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Subscribes. Must be called inside a tokio runtime with I/O enabled.
    pub(super) fn subscribe() -> io::Result<Self> {
        let mut streams = Vec::with_capacity(HEARD.len());
        for signal in HEARD {
            if !is_ignored(signal) {
                let kind = SignalKind::from_raw(signal as libc::c_int);
                streams.push((signal, unix::signal(kind)?));
            }
        }
        Ok(Self { streams })
    }

    /// The next signal; several of one kind that arrived together count as one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        for (signal, stream) in &mut self.streams {
            if stream.poll_recv(cx).is_ready() {
                return Poll::Ready(*signal);
            }
        }
        Poll::Pending
    }
}
