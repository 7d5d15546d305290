//! One run of claude, and all that the machine remembers of it. In: a policy, what the loop around
//! it can do, facts that never change. It is changed by [`on`](super::on) alone.

use std::time::Duration;

use super::delay::Curve;
use super::{ChildEnd, State, Streak};
use crate::failure::{ExitReason, FailureKind, TurnState};
use crate::rung::Rung;

/// What the configuration allows.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The backoff: waits between tries.
    pub curve: Curve,
    /// How long the run waits in all for one failure to pass.
    pub horizon: Duration,
    /// A usage limit that lifts later is not waited for.
    pub longest_limit: Duration,
    /// After so long without a failure, and without anything of ours under way, a new streak begins.
    pub healthy_after: Duration,
    /// Tries against a healthy service before the next rung.
    pub tries: u32,
    /// A sign-in that is dead shows on disk: Claude Code empties it (not all versions).
    pub dead_sign_in_shows: bool,
    /// The rungs that are turned on.
    pub allowed: Vec<Rung>,
    /// No key for this long means that nobody is at the terminal.
    pub unattended_after: Duration,
    /// A living Claude may be ended for a fix while nobody is there.
    pub end_terminal: bool,
    /// For how long a run without a terminal waits for somebody to sign in.
    pub wait_for_login: Duration,
    /// How long the network takes to return after a sleep of the machine.
    pub after_wake: Duration,
    /// What a person is told to do about a dead sign-in.
    pub sign_in: &'static str,
}

/// What the loop around a case can do: the effects it can carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// Ask a living child again, by typing or by a message.
    pub asks: bool,
    /// Ask a person between two children, who may also say *now* or stop.
    pub attended: bool,
    /// The child is a sign-in: there is no conversation, and it starts anew each time.
    pub signs_in: bool,
}

impl Means {
    /// `-p`: children one after another.
    pub const HEADLESS: Self = Self { asks: false, attended: false, signs_in: false };
    /// A person's terminal.
    pub const TERMINAL: Self = Self { asks: true, attended: true, signs_in: false };
    /// `claude auth login` at a terminal.
    pub const SIGN_IN: Self = Self { asks: false, attended: true, signs_in: true };
    /// A program that talks to one child by messages.
    pub const PROGRAM: Self = Self { asks: true, attended: false, signs_in: false };
}

/// What is known of a run from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
// independent facts
#[allow(clippy::struct_excessive_bools)]
pub struct Facts {
    /// The user's arguments hold a prompt.
    pub prompt: bool,
    /// Which of the arguments is the prompt is not certain, so that none is sent again.
    pub prompt_uncertain: bool,
    /// Started from one of Claude's own tools: such a run keeps no session to resume.
    pub child_session: bool,
    /// Our message can be typed.
    pub typable: bool,
}

impl Default for Facts {
    fn default() -> Self {
        Self { prompt: true, prompt_uncertain: false, child_session: false, typable: true }
    }
}

/// One run.
#[derive(Debug, Clone)]
pub struct Case {
    pub(super) policy: Policy,
    pub(super) means: Means,
    pub(super) facts: Facts,
    pub(super) state: State,
    pub(super) streak: Streak,
    pub(super) random: fastrand::Rng,
    /// A child is alive.
    pub(super) living: bool,
    /// A turn was heard of, or somebody typed.
    pub(super) began: bool,
    /// The most that any attempt at the present turn has done: once a tool may have run, no
    /// later attempt proves the contrary.
    pub(super) turn: TurnState,
    /// The transcript's last line when the turn failed.
    pub(super) line: Option<String>,
    /// The sign-in when the turn failed.
    pub(super) refused: super::SignInSeen,
    /// When claude was last started or asked.
    pub(super) acted: Option<Duration>,
    /// No try before then: the service said so.
    pub(super) not_before: Duration,
    /// Before then the network may not be back after a sleep.
    pub(super) awake: Duration,
    /// How much of the run the machine has slept, as far as was seen.
    pub(super) slept: Duration,
    /// How the last child ended.
    pub(super) exit: Option<ExitReason>,
    /// What we ended it for, though it had not failed by itself.
    pub(super) cut: Option<FailureKind>,
    /// A signal that asked for the end while a child was alive.
    pub(super) signal: Option<nix::sys::signal::Signal>,
    /// How many children were started.
    pub(super) attempts: u32,
    pub(super) keys: Keys,
    /// The next turn that begins is the one that we started claude for.
    pub(super) ours_follows: bool,
    /// Since when Claude itself has been trying again in this turn, and when that was last told to
    /// somebody who looks elsewhere, or to the one at the terminal.
    pub(super) retrying: Option<(Duration, Duration)>,
    /// The wait that the service last asked for: our next try comes no earlier either.
    pub(super) asked_wait: Option<Duration>,
}

/// What is known of the person at the keys.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keys {
    /// When they last typed.
    pub(super) last: Duration,
    /// They typed after they submitted their last prompt: it may be a queued message.
    pub(super) queued: bool,
    /// Their last key was Enter.
    pub(super) entered: bool,
}

impl Case {
    /// A run that has not begun. `seed` is for its jitter.
    #[must_use]
    pub fn new(policy: Policy, means: Means, facts: Facts, seed: u64) -> Self {
        Self {
            policy,
            means,
            facts,
            state: State::Fresh,
            streak: Streak::default(),
            random: fastrand::Rng::with_seed(seed),
            living: false,
            began: false,
            turn: TurnState::NotPrompted,
            line: None,
            refused: super::SignInSeen::default(),
            acted: None,
            not_before: Duration::ZERO,
            awake: Duration::ZERO,
            slept: Duration::ZERO,
            exit: None,
            cut: None,
            signal: None,
            attempts: 0,
            keys: Keys::default(),
            ours_follows: false,
            retrying: None,
            asked_wait: None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the configuration allows it.
    #[cfg(test)]
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the loop around it can do.
    #[must_use]
    pub fn means(&self) -> Means {
        self.means
    }

    /// Its streak of failures.
    #[must_use]
    pub fn streak(&self) -> &Streak {
        &self.streak
    }

    /// Why we ended the child, though it had not failed by itself.
    #[must_use]
    pub fn cut(&self) -> Option<FailureKind> {
        self.cut
    }

    /// How many children were started.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// No two tries are closer together.
    #[must_use]
    pub fn least_wait(&self) -> Duration {
        self.policy.curve.least()
    }

    /// When the horizon of the present streak ends.
    pub(super) fn horizon_ends(&self, now: Duration) -> Duration {
        self.streak.failing_since().unwrap_or(now).saturating_add(self.policy.horizon)
    }

    /// The earliest moment for the next try.
    pub(super) fn earliest(&self) -> Duration {
        let paced = self.acted.map_or(Duration::ZERO, |at| at + self.least_wait());
        paced.max(self.not_before).max(self.awake)
    }

    /// Keeps in mind what an attempt had done, and never less than an earlier one.
    pub(super) fn learn_turn(&mut self, turn: TurnState) -> TurnState {
        let more = certainty(turn) > certainty(self.turn);
        if more {
            self.turn = turn;
        }
        self.turn
    }

    pub(super) fn ended(&mut self, end: &ChildEnd) {
        self.living = false;
        self.exit = Some(end.exit);
        self.retrying = None;
    }
}

/// How far a turn may have come: what speaks against sending its prompt again, rising.
fn certainty(turn: TurnState) -> u8 {
    match turn {
        TurnState::NotPrompted => 0,
        TurnState::Untouched => 1,
        TurnState::Partial => 2,
        TurnState::Unknown => 3,
        TurnState::ToolOpen => 4,
    }
}
