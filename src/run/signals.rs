//! The signals that end or interrupt a run without a terminal of its own. One that was ignored
//! when we were started (`nohup`) stays ignored, for us and for the child.

use std::io;

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

/// Subscriptions; they last as long as the process.
pub(super) struct Signals {
    interrupt: Option<unix::Signal>,
    terminate: Option<unix::Signal>,
    hang_up: Option<unix::Signal>,
}

impl Signals {
    /// Subscribes; within a tokio runtime.
    pub(super) fn subscribe() -> io::Result<Self> {
        let one = |signal: Signal| {
            let heard = !crate::launch::is_ignored(signal);
            heard.then(|| unix::signal(SignalKind::from_raw(signal as i32))).transpose()
        };
        Ok(Self {
            interrupt: one(Signal::SIGINT)?,
            terminate: one(Signal::SIGTERM)?,
            hang_up: one(Signal::SIGHUP)?,
        })
    }

    /// The next of them. Cancelling loses none.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            () = heard(&mut self.interrupt) => Signal::SIGINT,
            () = heard(&mut self.terminate) => Signal::SIGTERM,
            () = heard(&mut self.hang_up) => Signal::SIGHUP,
        }
    }
}

async fn heard(stream: &mut Option<unix::Signal>) {
    match stream {
        Some(stream) => {
            stream.recv().await;
        }
        None => std::future::pending().await,
    }
}
