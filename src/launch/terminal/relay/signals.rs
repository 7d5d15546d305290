//! Signals that we were sent, and a terminal that went away: both are passed on to the child. In: a
//! signal. Out: what is told of it. None of them ends the relay; the child's end does.

use nix::sys::signal::Signal;

use super::suspension::Suspension;
use super::{Relay, Stage, Step};
use crate::launch::terminal::claim::{self, Claim};
use crate::launch::terminal::job_control::Scope;

impl Relay<'_> {
    pub(super) fn signalled(&mut self, signal: Signal) -> Option<Step> {
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

    pub(super) fn lost_terminal(&mut self) -> Option<Step> {
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

    pub(super) fn resize(&mut self) {
        if let Some(size) = self.tty.refresh_size() {
            self.child.resize(size);
            self.resized = true;
        }
    }
}
