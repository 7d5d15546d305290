//! From a failure to what is done about it: is it one, how is the service, what does the table
//! say, how long is waited. Out: a wait, a person, or an end.

use std::time::Duration;

use super::{LONG_WAIT, Reaction, millis};
use crate::claude::credentials::SignIn;
use crate::failure::{Failure, FailureKind, Source, TurnState};
use crate::journal;
use crate::machine::event::resets;
use crate::machine::state::{Remedy, State};
use crate::machine::table::{self, Decision, Reason, Standing};
use crate::machine::words::{self, NO_PROOF, PAST_HORIZON, may_pass, what};
use crate::machine::{Effect, End, Report, Scene, Waiting, Wake};
use crate::notice::Notice;
use crate::notify::Occasion;
use crate::rung::Rung;
use crate::service::{Health, Reading};
use crate::watch::WhyNot;

/// Credentials count as emptied only if they still are after this long.
const EMPTIED_FOR: Duration = Duration::from_secs(10);
/// How often they are looked at meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Reaction<'_> {
    /// A turn of a living child failed.
    pub(super) fn turn_failed(&mut self, report: Report) {
        if !self.case.living || self.case.signal.is_some() {
            return;
        }
        let failure = &report.failure;
        self.case.learn_turn(failure.turn);
        // A login menu is as often the person's own wish: it says so by itself.
        let seen_only = failure.evidence.iter().all(|found| found.source == Source::Screen);
        if failure.kind == FailureKind::SignInNeeded && seen_only {
            return;
        }
        match self.case.state {
            State::Running => {}
            // Only a turn of their own can fail anew while nobody has signed in.
            State::Person { typed: true, .. } => self.push(Effect::Cease),
            _ => return,
        }
        self.failed(report);
    }

    /// A turn failed, in a child that lives or has ended.
    pub(super) fn failed(&mut self, report: Report) {
        let mut failure = report.failure;
        failure.turn = self.case.learn_turn(failure.turn);
        self.case.line = report.line;
        let emptied = report.sign_in.sign_in == SignIn::Emptied;
        self.case.refused = report.sign_in;
        self.case.ours_follows = false;
        self.push(Effect::Unclaim { worked: Some(!may_pass(&failure)) });
        let crash = failure.kind == FailureKind::Crash;
        self.case.streak.failed(self.now.at, crash, self.case.policy.healthy_after);
        if failure.kind == FailureKind::SignInNeeded && emptied {
            let until = self.now.at + EMPTIED_FOR;
            self.case.state = State::Confirming { failure, until };
            return self.look_in(LOOK_AGAIN);
        }
        self.weigh(failure);
    }

    /// Two processes that refresh at once can leave the file empty for a moment.
    pub(super) fn confirm_emptied(&mut self, scene: &Scene) {
        let State::Confirming { failure, until } = &self.case.state else { return };
        let (mut failure, until) = (failure.clone(), *until);
        if scene.sign_in.sign_in.can_refresh() {
            failure.kind = FailureKind::AuthRefresh;
        } else if self.now.at < until {
            return self.look_in(LOOK_AGAIN);
        }
        self.weigh(failure);
    }

    /// Looks at the screen and the files in so long.
    pub(super) fn look_in(&mut self, span: Duration) {
        let (since, until) = (self.now.at, self.now.at + span);
        self.push(Effect::Wait(Waiting { since, until, wake: Wake::Never }));
    }

    fn weigh(&mut self, failure: Failure) {
        self.push(Effect::Probe(failure.clone()));
        self.case.state = State::Weighing { failure, health: None };
    }

    pub(super) fn health(&mut self, known: Health, is_held: bool) {
        let State::Weighing { failure, health } = &mut self.case.state else { return };
        if self.case.living {
            *health = Some((known, is_held));
            return self.push(Effect::Observe);
        }
        let failure = failure.clone();
        let ended =
            if self.case.means.attended { Standing::Attended } else { Standing::Unattended };
        self.decide(&failure, (&known, is_held), ended, None);
    }

    pub(super) fn weighed(&mut self, scene: &Scene) {
        let State::Weighing { failure, health: Some(known) } = &self.case.state else { return };
        let (failure, known) = (failure.clone(), known.clone());
        let standing = self.standing(&failure, scene);
        self.decide(&failure, (&known.0, known.1), standing, Some(scene));
    }

    fn standing(&self, failure: &Failure, scene: &Scene) -> Standing {
        let case = &self.case;
        let away = self.now.at.saturating_sub(case.keys.last) >= case.policy.unattended_after;
        let empty = scene.box_empty && scene.panel.is_none();
        let may_type = self.may_type(scene);
        // What passes by itself, or when the person goes on, is waited for.
        let is_draft = matches!(may_type, Err(WhyNot::UserTyped | WhyNot::Draft));
        let unsettled = may_type == Err(WhyNot::NotSettled);
        Standing::Living {
            can_ask: case.facts.typable && (may_type.is_ok() || is_draft || unsettled),
            may_relaunch: may_type == Err(WhyNot::NoPlaceholder)
                && self.may_relaunch(failure, scene),
            may_end: away
                && empty
                && !case.keys.queued
                && !self.is_foreign(scene)
                && case.policy.end_terminal
                && !scene.background,
        }
    }

    /// Whether the message may be pasted, as far as is seen and known.
    pub(super) fn may_type(&self, scene: &Scene) -> Result<(), WhyNot> {
        if self.is_foreign(scene) { Err(WhyNot::ForeignWriter) } else { scene.may_type }
    }

    /// Whether someone else has this conversation, or carried it on since the failure.
    pub(super) fn is_foreign(&self, scene: &Scene) -> bool {
        scene.foreign || self.case.line.is_some() && self.case.line != scene.line
    }

    /// Whether nothing would be lost if a living child were ended and resumed.
    pub(super) fn may_relaunch(&self, failure: &Failure, scene: &Scene) -> bool {
        scene.box_empty
            && scene.panel.is_none()
            && failure.turn != TurnState::ToolOpen
            && self.allows(Rung::Relaunch)
            && !self.case.facts.prompt_uncertain
            && !scene.background
    }

    fn decide(
        &mut self,
        failure: &Failure,
        (health, held): (&Health, bool),
        standing: Standing,
        scene: Option<&Scene>,
    ) {
        let case = &mut *self.case;
        let mut decision =
            table::decide(&case.policy, standing, &case.streak, failure, health, self.now);
        let mut proof = true;
        if let Decision::Act { rung, after } = &mut decision {
            // A limit lifts by the calendar; every other wait is spread.
            if resets(failure.kind).is_none_or(|resets| resets <= self.now.wall) {
                *after = case.policy.curve.jittered(*after, &mut case.random);
                if let Some(asked) = case.asked_wait.take() {
                    *after = (*after).max(asked);
                    case.not_before = case.not_before.max(self.now.at + asked);
                }
            }
            let remedy = Remedy { failure: failure.clone(), rung: *rung };
            proof = case.living || case.how_to_start(&remedy, true).is_some();
            if proof {
                case.streak.tried(*rung, self.now.at, table::reading(failure, health));
            } else {
                decision = Decision::GiveUp(Reason(NO_PROOF.to_owned()));
            }
        }
        let known = journal::Event::Failed { failure: failure.clone(), health: health.clone() };
        self.push(Effect::Record(known));
        self.push(Effect::Record(decided(&decision, health)));
        if failure.kind == FailureKind::LoginService
            && let Some(scene) = scene
        {
            return self.see_login_through(failure, scene);
        }
        match decision {
            Decision::Act { .. } if self.is_not_ours(failure.kind) => {
                self.exit(End::Done(self.child_exit()));
            }
            Decision::Act { rung, after } => {
                let remedy = Remedy { failure: failure.clone(), rung };
                if self.case.living {
                    let lasted = self.lasted();
                    let lasting = words::lasting(failure, lasted, health);
                    self.show_more(failure, &lasting, Some(after), "esc cancels");
                } else {
                    let said = words::wait(self.case, &remedy, (health, held), after, self.now.at);
                    self.say(said);
                }
                self.wait(remedy, after);
            }
            Decision::WaitForPerson(Reason(why)) => self.person(failure, &why),
            Decision::StandAside(Reason(why)) if self.case.living => self.stand_aside(&why),
            Decision::StandAside(Reason(why)) | Decision::GiveUp(Reason(why)) => {
                self.give_up(failure, &why, proof && may_pass(failure));
            }
        }
    }

    /// A sign-in's child is started again only after what the service did.
    fn is_not_ours(&self, kind: FailureKind) -> bool {
        use FailureKind::{LoginService, Network};
        self.case.means.signs_in && !matches!(kind, LoginService | Network { certificate: false })
    }

    /// Since the streak's first failure.
    fn lasted(&self) -> Duration {
        self.now.at.saturating_sub(self.case.streak.failing_since().unwrap_or(self.now.at))
    }

    /// Puts a line into Claude's own status line.
    pub(super) fn show(&mut self, failure: &Failure, after: Option<Duration>, hint: &str) {
        self.show_more(failure, "", after, hint);
    }

    fn show_more(&mut self, failure: &Failure, more: &str, after: Option<Duration>, hint: &str) {
        let due = after.and_then(|after| self.now.wall.checked_add(after).ok());
        let what = format!("{}{more}", what(failure));
        self.push(Effect::Show(Notice { what, due, hint: hint.to_owned() }));
    }

    fn wait(&mut self, remedy: Remedy, after: Duration) {
        let since = self.now.at;
        let due = (since + after).max(self.case.not_before).max(self.case.awake);
        self.case.state = State::Waiting { remedy, since, due, up: false, claimed: false };
        self.arm();
    }

    /// Waits for what is next: the try, the horizon, or the moment to tell someone.
    pub(super) fn arm(&mut self) {
        if self.tell_at().is_some_and(|at| self.now.at >= at) && self.case.streak.tell_once() {
            self.tell(Occasion::Waiting, "waiting for the service");
        }
        let State::Waiting { remedy, since, due, up, claimed } = &self.case.state else { return };
        let kind = remedy.failure.kind;
        let wake = if *up || *claimed { Wake::Never } else { Wake::Back(kind) };
        let (since, mut until) = (*since, (*due).min(self.case.horizon_ends(self.now.at)));
        if let Some(tell) = self.tell_at() {
            until = until.min(tell);
        }
        self.push(Effect::Wait(Waiting { since, until, wake }));
    }

    /// When someone who looks elsewhere is told, once in a streak.
    fn tell_at(&self) -> Option<Duration> {
        let alone = !self.case.means.attended && !self.case.streak.is_told();
        let at = self.case.streak.failing_since()? + LONG_WAIT;
        alone.then_some(at)
    }

    pub(super) fn wait_over(&mut self, reading: Reading) {
        let past_horizon = self.now.at >= self.case.horizon_ends(self.now.at);
        match &self.case.state {
            State::Opening if past_horizon => self.never_opened(),
            State::Opening => self.claim_for(Some(FailureKind::AuthRefresh), reading),
            State::Waiting { since, remedy, .. } if past_horizon => {
                let (since, failure) = (*since, remedy.failure.clone());
                self.waited("horizon", since);
                self.give_up(&failure, PAST_HORIZON, true);
            }
            State::Waiting { .. } => self.wait_is_over(reading),
            State::Confirming { .. }
            | State::Pasted { .. }
            | State::Entered { .. }
            | State::Person { .. } => self.push(Effect::Observe),
            State::SigningIn(_) => self.sign_in_wait_over(past_horizon),
            _ => {}
        }
    }

    fn wait_is_over(&mut self, reading: Reading) {
        let State::Waiting { remedy, since, due, up, claimed } = &self.case.state else { return };
        if self.now.at < *due {
            return self.arm();
        }
        let (remedy, since, up, claimed) = (remedy.clone(), *since, *up, *claimed);
        if claimed {
            return self.granted(remedy, since);
        }
        if self.case.living && remedy.rung == Rung::AskAgain {
            return self.look_once_more(remedy, since, Some((up, reading)));
        }
        self.claim_after_wait(remedy, since, (up, reading));
    }

    pub(super) fn claim_after_wait(
        &mut self,
        remedy: Remedy,
        since: Duration,
        (up, reading): (bool, Reading),
    ) {
        self.waited(if up { "probe" } else { "timer" }, since);
        self.claim(remedy, since, if up { Reading::Up } else { reading });
    }

    pub(super) fn up(&mut self) {
        let earliest = self.case.earliest();
        let least = self.case.least_wait();
        match &mut self.case.state {
            State::Opening => self.claim_for(Some(FailureKind::AuthRefresh), Reading::Up),
            State::Waiting { since, due, up, .. } => {
                *up = true;
                *due = (*due).min((*since + least).max(earliest));
                if self.now.at >= *due {
                    return self.wait_over(Reading::Up);
                }
                self.arm();
            }
            State::SigningIn(_) => self.token_endpoint_answers(),
            _ => {}
        }
    }

    /// Somebody at the keys says *now*.
    pub(super) fn hurry(&mut self) {
        let earliest = self.case.earliest().max(self.now.at);
        let State::Waiting { since, due, .. } = &mut self.case.state else { return };
        *due = (*due).min(earliest);
        if self.now.at < *due {
            return self.arm();
        }
        let since = *since;
        self.waited("enter", since);
        // A person's word outweighs a look's.
        let State::Waiting { remedy, .. } = &self.case.state else { return };
        let remedy = remedy.clone();
        self.claim(remedy, since, Reading::Up);
    }

    /// Nothing more is tried; `later`: waiting longer might still cure it.
    pub(super) fn give_up(&mut self, failure: &Failure, why: &str, later: bool) {
        if self.case.living {
            self.stand_aside(why);
            self.show(failure, None, why);
            return self.tell(Occasion::GaveUp, why);
        }
        self.push(Effect::Unclaim { worked: None });
        let said = format!("{}: {why}", what(failure));
        self.say(said.clone());
        let later = later && failure.turn != TurnState::ToolOpen;
        if self.case.means.attended {
            self.push(Effect::SayKept);
        } else {
            let occasion = if later { Occasion::GaveUp } else { Occasion::PersonNeeded };
            self.tell(occasion, &what(failure));
        }
        self.exit(if later {
            End::Later { why: why.to_owned(), not_before: resets(failure.kind) }
        } else {
            let looks = failure.turn == TurnState::ToolOpen && !self.case.means.attended;
            let exit = (!looks).then(|| self.child_exit());
            End::Person { why: said, exit }
        });
    }
}

fn decided(decision: &Decision, health: &Health) -> journal::Event {
    let (name, rung, after_ms, why) = match decision {
        Decision::Act { rung, after } => {
            ("act", Some(*rung), Some(millis(*after)), health.reasons.join("; "))
        }
        Decision::WaitForPerson(Reason(why)) => ("wait_for_person", None, None, why.clone()),
        Decision::StandAside(Reason(why)) => ("stand_aside", None, None, why.clone()),
        Decision::GiveUp(Reason(why)) => ("give_up", None, None, why.clone()),
    };
    journal::Event::Decided { decision: name.to_owned(), rung, after_ms, why }
}
