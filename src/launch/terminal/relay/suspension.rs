//! Ctrl-Z and `fg`: the child's suspension is noticed, and we stop in its place. In: the child's
//! line mode. Out: a stop of this process, after which the child goes on.

use nix::sys::signal::Signal;

use super::{Relay, Stage, Step};
use crate::launch::terminal::job_control::{LineMode, Scope};
use crate::launch::terminal::tty;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspension {
    pub(super) scope: Scope,
    /// Whether the child must be stopped; if not, it has suspended itself.
    pub(super) forced: bool,
}

impl Relay<'_> {
    pub(super) fn look_for_suspension(&mut self) {
        if self.suspension.is_some() && self.child.line_mode() == Some(LineMode::Cooked) {
            self.suspension = None;
            if self.stage == Stage::Running {
                self.stage = Stage::Suspending(Suspension { scope: Scope::Group, forced: false });
            }
        }
    }

    /// Goes on to the stop once what the child wrote before it is out.
    pub(super) fn suspended(&mut self) -> Option<Step> {
        let Stage::Suspending(suspension) = self.stage else { return None };
        (self.filled == 0).then(|| {
            self.stage = Stage::Stopping(suspension);
            Step::Suspended
        })
    }

    pub(super) fn stop(&mut self, suspension: Suspension) {
        if suspension.forced {
            self.child.signal_group(Signal::SIGSTOP);
        }
        tty::stop(suspension.scope);
        self.resize();
        self.child.signal_group(Signal::SIGCONT);
        self.stage = Stage::Running;
    }
}
