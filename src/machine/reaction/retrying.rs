//! What is said while Claude itself tries again.

use std::time::Duration;

use super::{LONG_WAIT, Reaction};
use crate::failure::{Failure, FailureKind, TurnState};
use crate::machine::words::{self, what};
use crate::machine::{Effect, State};
use crate::notice::Notice;
use crate::notify::Occasion;
use crate::service::Health;

impl Reaction<'_> {
    /// At a terminal Claude's own row tells of each try; ours tells what to expect, each minute.
    fn show_retrying(&mut self, failure: &Failure) {
        let minutes = |at: Duration, since: Duration| at.saturating_sub(since).as_secs() / 60;
        let (since, last) = *self.case.retrying.get_or_insert((self.now.at, self.now.at));
        let lasted = minutes(self.now.at, since);
        if lasted > minutes(last, since) {
            self.case.retrying = Some((since, self.now.at));
            let lasting =
                words::lasting(failure, self.now.at.saturating_sub(since), &Health::default());
            let what = format!("{}{lasting}", what(failure));
            let hint = "Claude itself tries again".to_owned();
            self.push(Effect::Show(Notice { what, due: None, hint }));
        }
    }

    /// Claude itself is trying again: says so once, and tells those who look elsewhere when that
    /// has become a long wait. Waiting for a limit that lifts past the horizon is in vain.
    pub(super) fn retrying(&mut self, kind: FailureKind, status: Option<u16>) {
        if self.case.state != State::Running || !self.case.living {
            return;
        }
        let failure =
            Failure { kind, status, evidence: Vec::new(), session: None, turn: TurnState::Unknown };
        if self.case.means.asks {
            return self.show_retrying(&failure);
        }
        if let FailureKind::UsageLimit { resets: Some(resets) } = kind {
            let left = Duration::try_from(resets.duration_since(self.now.wall));
            if left.is_ok_and(|left| left > self.case.policy.longest_limit) {
                return self.cut(kind);
            }
        }
        match self.case.retrying {
            None => {
                self.case.retrying = Some((self.now.at, Duration::ZERO));
                self.say(words::retrying(&failure, self.now.wall));
            }
            Some((since, Duration::ZERO)) if self.now.at.saturating_sub(since) >= LONG_WAIT => {
                self.case.retrying = Some((since, self.now.at));
                self.tell(Occasion::Waiting, &what(&failure));
            }
            Some(_) => {}
        }
    }
}
