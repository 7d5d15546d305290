//! A world for a case in tests: it keeps what was asked for, answers as a test says, and watches
//! over the promises that no sequence of events may break.

mod promises;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;

use super::delay::Curve;
use super::*;
use crate::claude::credentials::{SignIn, Stamp};
use crate::clock::Moment;
use crate::failure::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState, Verdict};
use crate::rung::Rung;
use crate::service::{Health, Reading};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// What was asked of the loop and is not answered yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Probe,
    Wait(Waiting),
    Claim(Claim),
    Question,
    Fix(Rung),
}

/// Everything outside the machine.
// independent observations
#[allow(clippy::struct_excessive_bools)]
pub(super) struct World {
    pub case: Case,
    pub at: Duration,
    pub wall: Timestamp,
    pub slept: Duration,
    pub asked: Option<Asked>,
    pub scene: Scene,
    /// All effects so far.
    pub done: Vec<(Duration, Effect)>,
    pub ended: Option<End>,
    /// The case before each event, if somebody wants to see it.
    pub visited: Option<Vec<(Case, Moment)>>,
    living: bool,
    signalled: bool,
    /// The user's input is held.
    held: bool,
    /// Our message is in the box.
    pasted: bool,
    /// Acts since the last failure, and when the last was.
    acts: u32,
    acted: Option<Duration>,
    /// Leave was given since the last failure.
    leave: bool,
    /// The worst that is known of the present turn.
    worst: TurnState,
    /// When the streak began, as far as nobody but us did anything since.
    since: Option<Duration>,
    fixed_or_ended: bool,
    /// The user typed while a child lived.
    typed: bool,
}

pub(super) fn policy() -> Policy {
    Policy {
        curve: Curve { first: 3 * SECOND, max: 60 * SECOND },
        horizon: 2 * HOUR,
        longest_limit: 2 * HOUR,
        healthy_after: 600 * SECOND,
        tries: 3,
        dead_sign_in_shows: true,
        allowed: vec![
            Rung::AskAgain,
            Rung::Relaunch,
            Rung::Update,
            Rung::NewSession,
            Rung::ClearCache,
        ],
        unattended_after: 600 * SECOND,
        end_terminal: false,
        wait_for_login: Duration::ZERO,
        after_wake: 10 * SECOND,
        sign_in: "sign in",
    }
}

pub(super) fn failure(kind: FailureKind, turn: TurnState) -> Failure {
    let session = Some("s".to_owned());
    let (rule, excerpt) = ("rule".to_owned(), "words".to_owned());
    let evidence = vec![Evidence { rule, source: Source::Hook, excerpt }];
    Failure { kind, status: None, evidence, session, turn }
}

fn rank(turn: TurnState) -> u8 {
    match turn {
        TurnState::NotPrompted => 0,
        TurnState::Untouched => 1,
        TurnState::Partial => 2,
        TurnState::Unknown => 3,
        TurnState::ToolOpen => 4,
    }
}

impl World {
    pub fn new(policy: Policy, means: Means, facts: Facts) -> Self {
        let scene = at_rest();
        Self {
            case: Case::new(policy, means, facts, 7),
            at: Duration::ZERO,
            wall: Timestamp::from_second(1_000_000).expect("in range"),
            slept: Duration::ZERO,
            asked: None,
            scene,
            done: Vec::new(),
            ended: None,
            visited: None,
            living: false,
            signalled: false,
            held: false,
            pasted: false,
            acts: 0,
            acted: None,
            leave: false,
            worst: TurnState::NotPrompted,
            since: None,
            fixed_or_ended: false,
            typed: false,
        }
    }

    /// A run whose first child lives.
    pub fn launched(policy: Policy, means: Means) -> Self {
        let mut world = Self::new(policy, means, Facts::default());
        world.hears(Event::Begin(None));
        world.hears(Event::Claimed(Ok(())));
        world
    }

    pub fn pass(&mut self, span: Duration) {
        self.at += span;
        self.wall += SignedDuration::try_from(span).expect("short");
    }

    /// The machine sleeps for so long.
    pub fn sleeps(&mut self, span: Duration) {
        self.pass(span);
        self.slept += span;
    }

    /// A failure of the living child, or its end by one.
    pub fn fails(&mut self, kind: FailureKind, turn: TurnState) {
        let failure = failure(kind, turn);
        let (line, sign_in) = (self.scene.line.clone(), self.scene.sign_in.clone());
        if self.case.means().asks && kind != FailureKind::Crash {
            self.hears(Event::TurnFailed(Report { failure, line, sign_in }));
        } else {
            let (exit, verdict) = (ExitReason::Code(1), Verdict::Failed(failure));
            let refuses_ours = false;
            self.hears(Event::ChildEnded(ChildEnd { exit, verdict, refuses_ours, line, sign_in }));
        }
    }

    pub fn ends(&mut self, code: i32) {
        self.ends_so(code, false);
    }

    /// It ends before anything began, and names what was added to the start.
    pub fn refuses_ours(&mut self, code: i32) {
        self.ends_so(code, true);
    }

    fn ends_so(&mut self, code: i32, refuses_ours: bool) {
        let exit = ExitReason::Code(code);
        let (line, sign_in) = (self.scene.line.clone(), self.scene.sign_in.clone());
        let verdict = Verdict::Done(exit);
        self.hears(Event::ChildEnded(ChildEnd { exit, verdict, refuses_ours, line, sign_in }));
    }

    /// Answers what was asked as a working machine with a failing service does, until nothing is
    /// asked any more; time passes as the waits say. At most so often.
    pub fn goes_on(&mut self, reading: Reading, most: u32) {
        for _ in 0..most {
            let Some(asked) = self.asked.clone() else { return };
            if matches!(self.case.state(), State::Entered { .. }) {
                return self.hears(Event::TurnBegan);
            }
            self.answers(&asked, reading);
        }
    }

    pub fn answers(&mut self, asked: &Asked, reading: Reading) {
        match asked {
            Asked::Probe => {
                let health = Health { oauth: reading, api: reading, ..Health::default() };
                self.hears(Event::Health { health, held: reading == Reading::Down });
            }
            Asked::Wait(wait) => {
                self.pass(wait.until.saturating_sub(self.at));
                self.hears(Event::WaitOver(reading));
            }
            Asked::Claim(_) => self.hears(Event::Claimed(Ok(()))),
            Asked::Question => self.hears(Event::Answered(Answer::Yes)),
            Asked::Fix(_) => self.hears(Event::FixDone(true)),
        }
    }

    /// Gives an event to the machine, and carries out what it says.
    pub fn hears(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            self.foresees(&event);
            let before = self.case.state().name();
            let ends = self.case.horizon_ends(self.at);
            let moment = Moment { at: self.at, wall: self.wall, slept: self.slept };
            if let Some(visited) = &mut self.visited {
                visited.push((self.case.clone(), moment));
            }
            let effects = on(&mut self.case, moment, event.clone());
            let tries = |effect: &Effect| matches!(effect, Effect::Launch(_) | Effect::Taken);
            if before != "Running"
                && !effects.iter().any(tries)
                && self.case.state() == &State::Running
            {
                // Nothing of ours goes on: what fails later is another streak.
                self.since = None;
            }
            let timed = matches!(event, Event::Slept | Event::WaitOver(_));
            let waits = matches!(self.case.state().name(), "Waiting" | "Claiming" | "Ready");
            if before == "Waiting" && timed && !waits {
                let given_up = effects.iter().any(|effect| matches!(effect, Effect::Tell(..)));
                assert!(!given_up || self.at >= ends, "gave up at {:?}, before {ends:?}", self.at);
            }
            match self.case.state() {
                State::Person { .. } => self.since = None,
                State::Confirming { .. } | State::Weighing { .. } => {
                    self.since.get_or_insert(self.at);
                }
                _ => {}
            }
            for effect in effects {
                assert!(self.ended.is_none(), "{effect:?} after the end");
                if self.carries_out(&effect) {
                    next = Some(Event::Observed(self.scene.clone()));
                }
                self.done.push((self.at, effect));
            }
            self.holds(before, &event, next.is_some());
        }
    }

    /// How often claude was started or asked.
    pub fn tries(&self) -> usize {
        let is_try = |effect: &Effect| matches!(effect, Effect::Launch(_) | Effect::Paste);
        self.done.iter().filter(|(_, effect)| is_try(effect)).count()
    }

    pub fn told(&self, occasion: crate::notify::Occasion) -> usize {
        let is_told =
            |effect: &Effect| matches!(effect, Effect::Tell(told, _) if *told == occasion);
        self.done.iter().filter(|(_, effect)| is_told(effect)).count()
    }

    pub fn code(&self) -> Option<i32> {
        self.ended.as_ref().map(End::code)
    }
}

/// A sign-in that could be refreshed, the one of this number.
/// A failed turn's screen, in which nothing stands in the way.
pub(super) fn at_rest() -> Scene {
    Scene {
        may_type: Ok(()),
        may_enter: Ok(()),
        box_empty: true,
        background: false,
        sign_in: signed_in(0),
        ..Scene::default()
    }
}

pub(super) fn signed_in(number: u64) -> SignInSeen {
    SignInSeen { sign_in: SignIn::Expired, stamp: Some(Stamp::numbered(number)) }
}

pub(super) const TERM: Signal = Signal::SIGTERM;
