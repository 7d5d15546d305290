//! The machine slept. In: how much so far, and a wait that it ended. Out: a moment before which
//! nothing is tried; some machines wake for less than that, with the keychain locked and no network.

use std::time::Duration;

use super::Reaction;
use crate::machine::Event;
use crate::machine::state::State;
use crate::service::Reading;

/// Less is no sleep after which the network must return.
const A_SLEEP: Duration = Duration::from_secs(10);

impl Reaction<'_> {
    /// A sleep may also fall where nothing was waited for. Whoever types has woken the machine
    /// for good.
    pub(super) fn sees_sleep(&mut self, event: &Event) {
        let slept = self.now.slept.saturating_sub(self.case.slept);
        self.case.slept = self.now.slept;
        if matches!(event, Event::Typed(_)) {
            self.case.awake = self.case.awake.min(self.now.at);
        } else if slept >= A_SLEEP || *event == Event::Slept {
            // The network is not back at once, and many machines wake at the same hour.
            let share = 1.0 + self.case.random.f64() / 2.0;
            self.case.awake = self.now.at + self.case.policy.after_wake.mul_f64(share);
        }
    }

    /// A wait saw it.
    pub(super) fn slept(&mut self) {
        let awake = self.case.awake;
        let ends = self.case.horizon_ends(self.now.at);
        match &mut self.case.state {
            State::Waiting { .. } if self.now.at >= ends => self.wait_over(Reading::Unknown),
            State::Waiting { due, .. } => {
                *due = (*due).max(awake);
                self.arm();
            }
            State::Opening => self.look_in(awake.saturating_sub(self.now.at)),
            _ => self.wait_over(Reading::Unknown),
        }
    }
}
