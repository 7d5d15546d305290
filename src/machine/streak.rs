//! A streak of failures: what was tried since things were last well, and since when the horizon
//! runs. Pure; times are spans of the run's clock, given by the caller.

use std::time::Duration;

use crate::rung::Rung;
use crate::service::Reading;

/// Two crashes within this are one too many (decided per run).
pub const CRASH_WINDOW: Duration = Duration::from_secs(600);

/// One try that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The rung it used.
    pub rung: Rung,
    /// When it was decided.
    pub at: Duration,
    /// What was known of the service in use then.
    pub health: Reading,
}

/// The tries of the present streak of failures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streak {
    tries: Vec<Try>,
    first_failure: Option<Duration>,
    quiet_since: Option<Duration>,
    crashes: Vec<Duration>,
    failed_fixes: Vec<Rung>,
    worked: bool,
    told: bool,
}

impl Streak {
    /// A failure was seen. If the user had everything to themselves for as long as
    /// `healthy_after`, it is the first of another streak; a wait of ours and the attempt after
    /// it are no such time, however long they last.
    pub fn failed(&mut self, at: Duration, crash: bool, healthy_after: Duration) {
        let quiet = self.quiet_since.take();
        if quiet.is_some_and(|since| at.saturating_sub(since) >= healthy_after) {
            self.recovered();
        }
        self.first_failure.get_or_insert(at);
        if crash {
            self.crashes.push(at);
        }
    }

    /// A try was decided.
    pub fn tried(&mut self, rung: Rung, at: Duration, health: Reading) {
        self.tries.push(Try { rung, at, health });
    }

    /// Claude was asked or started again.
    pub fn acted(&mut self) {
        self.quiet_since = None;
    }

    /// The user took over, or is left alone: nothing of ours is under way any more.
    pub fn left_to_the_user(&mut self, at: Duration) {
        self.quiet_since.get_or_insert(at);
    }

    /// A person did something that may cure it: the count and the horizon begin anew.
    pub fn restart(&mut self, at: Duration) {
        self.recovered();
        self.first_failure = Some(at);
    }

    /// Whether nobody was told yet that it lasts; from now on they were.
    pub fn tell_once(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    /// Whether someone was told that it lasts.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// A fix could not be applied; it is not tried again in this streak.
    pub fn fix_failed(&mut self, rung: Rung) {
        self.failed_fixes.push(rung);
    }

    /// A turn succeeded: the streak is over.
    pub fn recovered(&mut self) {
        let crashes = std::mem::take(&mut self.crashes);
        *self = Self { crashes, worked: self.worked, ..Self::default() };
    }

    /// The API has answered in this run: its sign-in and its model are good.
    pub fn worked(&mut self) {
        self.worked = true;
    }

    /// Whether the API has answered in this run.
    #[must_use]
    pub fn has_worked(&self) -> bool {
        self.worked
    }

    /// Since when things have been failing.
    #[must_use]
    pub fn failing_since(&self) -> Option<Duration> {
        self.first_failure
    }

    /// How many tries were made in this streak.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.tries.len()).unwrap_or(u32::MAX)
    }

    /// How many of the latest tries failed although the service answered: those that climb.
    /// A try while it was down or unknown begins the count anew.
    #[must_use]
    pub fn healthy_tries(&self) -> u32 {
        let healthy = self.tries.iter().rev().take_while(|tried| tried.health == Reading::Up);
        u32::try_from(healthy.count()).unwrap_or(u32::MAX)
    }

    /// Whether this rung was used, or failed to be applied, since the service last was down.
    #[must_use]
    pub fn used(&self, rung: Rung) -> bool {
        self.failed_fixes.contains(&rung) || self.uses(rung) > 0
    }

    /// How often this rung was used in this streak.
    #[must_use]
    pub fn uses(&self, rung: Rung) -> usize {
        self.tries.iter().filter(|tried| tried.rung == rung).count()
    }

    /// How many crashes lie within the window before `now`.
    #[must_use]
    pub fn crashes_before(&self, now: Duration) -> usize {
        let recent = |at: &&Duration| now.saturating_sub(**at) < CRASH_WINDOW;
        self.crashes.iter().filter(recent).count()
    }
}
