//! The one table of what is done about a failure: kind × health → rung. Pure: the policy, the
//! streak, the failure and the service's health go in; a decision comes out. It ends: every path
//! leads to a wait within the horizon, to a rung not yet used, or to an end.

use std::time::Duration;

use jiff::Timestamp;

use super::delay::Curve;
use super::words::PAST_HORIZON;
use super::{Policy, Streak};
use crate::clock::Moment;
use crate::failure::{Failure, FailureKind, TurnState};
use crate::rung::Rung;
use crate::service::{Health, Reading};

/// A network fault that lasts this long is said to look local.
const LOOKS_LOCAL_AFTER: Duration = Duration::from_secs(600);

/// So often, after at least these waits, is tried what may be refused for good, and not longer
/// than this after the first failure: six times in nearly three minutes.
const DOUBT_TRIES: u32 = 6;
const DOUBT_FOR: Duration = Duration::from_secs(180);
const DOUBT_WAITS: Curve = Curve { first: Duration::from_secs(3), max: Duration::from_secs(60) };

/// Added to a reset time that is known to the minute only.
const RESET_MARGIN: Duration = Duration::from_secs(5);

/// A reset this far in the past means now, never tomorrow.
const RESET_PAST: Duration = Duration::from_secs(300);

/// What is done about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Wait this long, then apply the rung.
    Act {
        /// The rung.
        rung: Rung,
        /// The wait before it, without jitter.
        after: Duration,
    },
    /// Only a person can go on.
    WaitForPerson(Reason),
    /// Claude goes on by itself, or acting could do harm: leave it alone.
    StandAside(Reason),
    /// The horizon ended, or nothing that is allowed is left.
    GiveUp(Reason),
}

/// Why a run stops acting, as a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(pub String);

/// How a run stands when it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its child has ended, and nobody is there to be asked.
    Unattended,
    /// Its child has ended, and somebody may be at the keys.
    Attended,
    /// A living Claude at its prompt.
    Living {
        /// A message can be typed.
        can_ask: bool,
        /// Nobody is at the keys, nothing would be lost, and the configuration allows it to be
        /// ended for a fix.
        may_end: bool,
        /// Nothing would be lost by a relaunch: no draft, no background task.
        may_relaunch: bool,
    },
}

/// Decides what is done about a failure.
#[must_use]
pub fn decide(
    policy: &Policy,
    standing: Standing,
    streak: &Streak,
    failure: &Failure,
    health: &Health,
    now: Moment,
) -> Decision {
    let question = Question { policy, standing, streak, failure, health, now };
    match failure.kind {
        FailureKind::SignInNeeded => person(policy.sign_in),
        FailureKind::Refused => refused(),
        FailureKind::Doubtful { firm } => question.doubtful(firm),
        FailureKind::UsageLimit { resets } => question.usage_limit(resets),
        FailureKind::Network { certificate: true } => barred(),
        // A look through a proxy that says no reads neither.
        FailureKind::Proxy if health.api == Reading::Unknown => barred(),
        FailureKind::SessionBroken => question.session_broken(),
        FailureKind::AuthRefresh => question.auth_refresh(),
        FailureKind::StartUp | FailureKind::Crash => question.start_up_or_crash(),
        FailureKind::LoginService => question.login_service(),
        FailureKind::Api | FailureKind::Network { .. } | FailureKind::Proxy | FailureKind::Hang => {
            question.wait_and_retry()
        }
    }
}

fn refused() -> Decision {
    person("Claude names the cause above; waiting or retrying would not change it")
}

fn person(what: &str) -> Decision {
    Decision::WaitForPerson(Reason(what.to_owned()))
}

fn barred() -> Decision {
    give_up("a certificate or proxy refuses the connection; see `claude-safe check`")
}

fn give_up(why: &str) -> Decision {
    Decision::GiveUp(Reason(why.to_owned()))
}

fn stand_aside(why: &str) -> Decision {
    Decision::StandAside(Reason(why.to_owned()))
}

struct Question<'a> {
    policy: &'a Policy,
    standing: Standing,
    streak: &'a Streak,
    failure: &'a Failure,
    health: &'a Health,
    now: Moment,
}

impl Question<'_> {
    fn allows(&self, rung: Rung) -> bool {
        self.policy.allowed.contains(&rung)
    }

    fn down(&self) -> bool {
        reading(self.failure, self.health) == Reading::Down
    }

    /// Failing against a service that answers, often enough to climb.
    fn may_climb(&self, tries: u32) -> bool {
        !self.down() && self.streak.healthy_tries() >= tries
    }

    /// How long this streak of failures has lasted.
    fn failing_for(&self) -> Duration {
        let since = self.streak.failing_since().unwrap_or(self.now.at);
        self.now.at.saturating_sub(since)
    }

    /// What is refused and has worked in this run is an outage's to refuse. What never worked is
    /// tried some times over minutes; the API's own word only where our look finds it failing.
    fn doubtful(&self, firm: bool) -> Decision {
        let answered = matches!(self.failure.turn, TurnState::Partial | TurnState::ToolOpen);
        if self.streak.has_worked() || answered {
            return self.wait_and_retry();
        }
        // A wait for a service that our look finds down says nothing about the key.
        let soon = self.failing_for() < DOUBT_FOR || self.down();
        let again = self.streak.count() < DOUBT_TRIES && soon;
        let failing = self.down() || self.health.intercepted;
        match (firm && !failing, again) {
            (true, _) => refused(),
            (false, true) => match self.wait_and_retry() {
                Decision::Act { rung, after } => {
                    let least = DOUBT_WAITS.wait(self.streak.count());
                    Decision::Act { rung, after: after.max(least) }
                }
                other => other,
            },
            (false, false) => person("refused each time: Claude names above what to renew"),
        }
    }

    /// Asks or relaunches after the next wait, within the horizon.
    fn wait_and_retry(&self) -> Decision {
        let tool_open = self.failure.turn == TurnState::ToolOpen;
        if tool_open && self.standing == Standing::Unattended {
            return give_up("a tool was running: a person must look before it runs again");
        }
        let rung = match self.standing {
            Standing::Living { can_ask: true, .. } => Rung::AskAgain,
            Standing::Unattended
            | Standing::Attended
            | Standing::Living { may_relaunch: true, .. } => Rung::Relaunch,
            Standing::Living { .. } => {
                return stand_aside("something of yours is in the way; send it when you are ready");
            }
        };
        if !self.allows(rung) {
            return give_up(&format!("`rungs.{}` is off", rung.name()));
        }
        self.act(rung)
    }

    fn act(&self, rung: Rung) -> Decision {
        let after = self.policy.curve.wait(self.streak.count());
        if self.failing_for() + after > self.policy.horizon {
            return give_up(PAST_HORIZON);
        }
        Decision::Act { rung, after }
    }

    /// The first of these fixes that is allowed and not yet used.
    fn next_fix(&self, fixes: &[Rung]) -> Option<Decision> {
        if let Standing::Living { may_end: false, .. } = self.standing {
            return None;
        }
        // Never below one already used in this streak.
        let highest = fixes.iter().rposition(|fix| self.streak.used(*fix));
        let open = &fixes[highest.map_or(0, |index| index + 1)..];
        let fix = *open.iter().find(|fix| self.allows(**fix))?;
        Some(self.act(fix))
    }

    fn auth_refresh(&self) -> Decision {
        if self.down() && self.streak.count() >= self.policy.tries {
            let headless = self.standing == Standing::Unattended;
            if headless && self.allows(Rung::ApiKey) && !self.streak.used(Rung::ApiKey) {
                return self.act(Rung::ApiKey);
            }
        }
        // Seconds of refusals may still be the service's: twice as many tries as elsewhere.
        if self.may_climb(self.policy.tries.saturating_mul(2)) {
            if let Some(fix) = self.next_fix(&[Rung::Update, Rung::SignInReset]) {
                return fix;
            }
            // An edge that answers us proves little, a token that Claude keeps proves enough.
            if !self.policy.dead_sign_in_shows {
                return person(
                    "the sign-in service answers, but this sign-in is refused: use /login",
                );
            }
        }
        self.wait_and_retry()
    }

    fn start_up_or_crash(&self) -> Decision {
        let again =
            self.failure.kind == FailureKind::Crash && self.streak.crashes_before(self.now.at) > 1;
        if again && self.standing != Standing::Unattended {
            return give_up("Claude crashed twice within 10 minutes; try `claude update`");
        }
        if self.failure.turn == TurnState::ToolOpen {
            // Resuming shows the conversation; nothing is sent, so nothing runs twice.
            return match self.standing {
                Standing::Unattended => give_up("a tool was running when Claude died"),
                _ => self.act(Rung::Relaunch),
            };
        }
        let fixes = [Rung::Update, Rung::ClearCache];
        let used = fixes.iter().any(|fix| self.streak.used(*fix));
        if !self.down() && (again || used || self.may_climb(self.policy.tries)) {
            return self
                .next_fix(&fixes)
                .unwrap_or_else(|| give_up("nothing that is allowed is left to try"));
        }
        self.wait_and_retry()
    }

    fn session_broken(&self) -> Decision {
        let untouched = matches!(self.failure.turn, TurnState::Untouched | TurnState::NotPrompted);
        let living = matches!(self.standing, Standing::Living { .. });
        if living {
            return person("this conversation is damaged: /rewind goes back, /clear starts afresh");
        }
        if !untouched {
            return person("this conversation cannot be gone on with: start a new one");
        }
        self.next_fix(&[Rung::NewSession])
            .unwrap_or_else(|| give_up("this conversation is damaged, and a new one did not help"))
    }

    fn login_service(&self) -> Decision {
        match self.standing {
            Standing::Living { .. } => {
                stand_aside("the sign-in service is failing; paste a fresh code once it is back")
            }
            _ => self.wait_and_retry(),
        }
    }

    fn usage_limit(&self, resets: Option<Timestamp>) -> Decision {
        if self.standing != Standing::Unattended {
            return stand_aside("Claude itself goes on when the limit resets");
        }
        let Some(resets) = resets else {
            return give_up("the usage limit is reached, and when it resets is not known");
        };
        let left = resets.duration_since(self.now.wall);
        let wait = match Duration::try_from(left) {
            Ok(left) => left + RESET_MARGIN,
            // The local clock may be ahead: then the first try comes too early, and more follow.
            Err(_) if left.unsigned_abs() <= RESET_PAST => {
                self.policy.curve.wait(self.streak.count())
            }
            Err(_) => return give_up("the usage limit should have reset by now"),
        };
        if self.failing_for() + wait > self.policy.longest_limit {
            return give_up(&format!("the usage limit resets at {resets}, past the horizon"));
        }
        Decision::Act { rung: Rung::Relaunch, after: wait }
    }
}

/// Whether something may be changed about such a failure while the service answers.
#[must_use]
pub fn may_be_fixed(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::AuthRefresh | FailureKind::StartUp | FailureKind::Crash)
}

/// How the service reads for this failure: one that itself names a fault of the service met a
/// service that is down, whatever a look says (a start that a 503 ended, too).
#[must_use]
pub fn reading(failure: &Failure, health: &Health) -> Reading {
    match failure.service_fault() {
        Some(_) => Reading::Down,
        None => health.facing(failure.kind),
    }
}

/// Whether a network fault has lasted so long that it looks local.
#[must_use]
pub fn looks_local(streak: &Streak, at: Duration) -> bool {
    streak.failing_since().is_some_and(|since| at.saturating_sub(since) >= LOOKS_LOCAL_AFTER)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
