//! From a wait that is over to a try: leave of all others, one more look at a living child, then
//! the two steps in which a message is typed, or the end of the child, the fix and the launch.

use std::time::Duration;

use super::Reaction;
use crate::failure::{Failure, FailureKind, TurnState};
use crate::journal;
use crate::machine::state::{Remedy, State};
use crate::machine::words::{DRAFT_FIRST, LOOK_FIRST, NO_PROOF, PAST_HORIZON};
use crate::machine::{Case, Claim, Effect, End, Obstacle, Scene, Start, Waiting, Wake};
use crate::notify::Occasion;
use crate::rung::Rung;
use crate::service::Reading;
use crate::watch::WhyNot;

/// A screen that has not settled, or a lock that another run holds, is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How often the screen is looked at while the message is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The pasted message must be seen in the box within this.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// A turn must begin this soon after Enter.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

impl Reaction<'_> {
    pub(super) fn claim(&mut self, remedy: Remedy, since: Duration, reading: Reading) {
        let kind = remedy.failure.kind;
        self.case.state = State::Claiming { remedy, since };
        self.claim_for(Some(kind), reading);
    }

    pub(super) fn claim_for(&mut self, kind: Option<FailureKind>, reading: Reading) {
        let line = self.case.line.clone();
        self.push(Effect::Claim(Claim { kind, reading, line }));
    }

    pub(super) fn claimed(&mut self, result: Result<(), Obstacle>) {
        match (&self.case.state, result) {
            (State::Opening, Ok(())) => self.launch(Start::First),
            (State::Opening, Err(obstacle)) => self.held_up(obstacle),
            (State::Claiming { remedy, since }, result) => {
                let (remedy, since) = (remedy.clone(), *since);
                match result {
                    Ok(()) => self.granted(remedy, since),
                    Err(Obstacle::Down(left)) => {
                        self.wait_again(remedy, since, left, (false, false));
                    }
                    Err(Obstacle::Busy | Obstacle::SignInDown) => {
                        self.wait_again(remedy, since, ASK_AGAIN, (false, false));
                    }
                    Err(Obstacle::Foreign(why)) if self.case.living => self.stand_aside(why),
                    Err(Obstacle::Foreign(why)) => self.give_up(&remedy.failure, why, false),
                }
            }
            _ => {}
        }
    }

    /// Something stands in the way of the very first launch.
    fn held_up(&mut self, obstacle: Obstacle) {
        if self.case.streak.failing_since().is_none() {
            self.case.streak.failed(self.now.at, false, Duration::MAX);
            if obstacle == Obstacle::SignInDown {
                self.say("sign-in service down · waiting for it · Ctrl-C stops".to_owned());
            }
        }
        let left = match obstacle {
            Obstacle::Down(left) => left,
            Obstacle::Busy => ASK_AGAIN,
            Obstacle::SignInDown => self.case.least_wait(),
            Obstacle::Foreign(why) => {
                self.say(why.to_owned());
                return self.exit(End::Later { why: why.to_owned(), not_before: None });
            }
        };
        let ends = self.case.horizon_ends(self.now.at);
        let until = (self.now.at + left).min(ends);
        let since = self.case.streak.failing_since().unwrap_or(self.now.at);
        let wake = Wake::Back(FailureKind::AuthRefresh);
        self.push(Effect::Wait(Waiting { since, until, wake }));
    }

    /// The horizon came before the first launch.
    pub(super) fn never_opened(&mut self) {
        self.say(format!("sign-in service down: {PAST_HORIZON}"));
        self.tell(Occasion::GaveUp, "sign-in service down");
        self.exit(End::Later { why: PAST_HORIZON.to_owned(), not_before: None });
    }

    fn wait_again(
        &mut self,
        remedy: Remedy,
        since: Duration,
        span: Duration,
        (up, claimed): (bool, bool),
    ) {
        let due = self.now.at + span;
        self.case.state = State::Waiting { remedy, since, due, up, claimed };
        self.arm();
    }

    /// All others gave leave.
    pub(super) fn granted(&mut self, remedy: Remedy, since: Duration) {
        if self.now.at >= self.case.horizon_ends(self.now.at) {
            return self.give_up(&remedy.failure, PAST_HORIZON, true);
        }
        let early = self.case.earliest().saturating_sub(self.now.at);
        if !early.is_zero() {
            return self.wait_again(remedy, since, early, (false, true));
        }
        if self.case.living {
            return self.look_once_more(remedy, since, None);
        }
        if self.case.means.attended && remedy.rung.question().is_some() {
            self.push(Effect::Question(remedy.rung));
            self.case.state = State::Asking(remedy);
            return;
        }
        self.change_and_start(remedy);
    }

    /// The child has ended: the fix, if there is one, then the next child.
    pub(super) fn change_and_start(&mut self, remedy: Remedy) {
        if !remedy.rung.is_fix() {
            return self.start(&remedy, true);
        }
        self.push(Effect::Fix(remedy.rung, remedy.failure.clone()));
        self.case.state = State::Fixing(remedy);
    }

    pub(super) fn fix_done(&mut self, applied: bool) {
        let State::Fixing(remedy) = &self.case.state else { return };
        let remedy = remedy.clone();
        if !applied {
            self.case.streak.fix_failed(remedy.rung);
        }
        self.start(&remedy, applied);
    }

    /// The next child, if it cannot run a tool twice.
    pub(super) fn start(&mut self, remedy: &Remedy, fixed: bool) {
        let Some(start) = self.case.how_to_start(remedy, fixed) else {
            return self.give_up(&remedy.failure, NO_PROOF, false);
        };
        if start == Start::Open {
            self.say(LOOK_FIRST.to_owned());
            self.tell(Occasion::PersonNeeded, "look before you go on");
        }
        self.launch(start);
    }

    pub(super) fn look_once_more(
        &mut self,
        remedy: Remedy,
        since: Duration,
        unclaimed: Option<(bool, Reading)>,
    ) {
        self.case.state = State::Ready { remedy, since, unclaimed };
        self.push(Effect::Observe);
    }

    /// The last look before anything is done to a living child. A draft is waited for, before
    /// others are asked for leave: they would wait for it too.
    pub(super) fn act(&mut self, scene: &Scene) {
        let State::Ready { remedy, since, unclaimed } = &self.case.state else { return };
        let (remedy, since, unclaimed) = (remedy.clone(), *since, *unclaimed);
        if remedy.rung != Rung::AskAgain {
            return self.end_child(remedy, scene);
        }
        let may_type = self.may_type(scene);
        if matches!(may_type, Err(WhyNot::UserTyped | WhyNot::Draft)) {
            self.push(Effect::Unclaim { worked: None });
            self.show(&remedy.failure, None, DRAFT_FIRST);
            let up = unclaimed.is_some_and(|(up, _)| up);
            return self.wait_again(remedy, since, ASK_AGAIN, (up, false));
        }
        let at_rest = matches!(may_type, Ok(()) | Err(WhyNot::NotSettled | WhyNot::NoPlaceholder));
        if let Some(wait) = unclaimed.filter(|_| at_rest) {
            return self.claim_after_wait(remedy, since, wait);
        }
        match may_type {
            Ok(()) => {
                self.case.acted = Some(self.now.at);
                self.case.streak.acted();
                self.push(Effect::Paste);
                self.case.state = State::Pasted { at: self.now.at };
                self.look_in(LOOK_EVERY);
            }
            Err(WhyNot::NotSettled) => self.wait_again(remedy, since, ASK_AGAIN, (false, true)),
            // Only now is the screen known to be at rest, and it is an older version's.
            Err(WhyNot::NoPlaceholder) if self.may_relaunch(&remedy.failure, scene) => {
                self.end_child(Remedy { rung: Rung::Relaunch, ..remedy }, scene);
            }
            Err(why) => self.stand_aside(&why.to_string()),
        }
    }

    /// Enter, once the box holds exactly our text.
    pub(super) fn confirm_paste(&mut self, scene: &Scene) {
        let State::Pasted { at } = self.case.state else { return };
        let foreign = self.is_foreign(scene);
        match scene.may_enter {
            _ if foreign => self.stand_aside("another process uses the session"),
            Ok(()) => {
                self.push(Effect::Enter);
                self.case.line = None;
                self.case.state = State::Entered { at: self.now.at };
                self.look_in(LOOK_EVERY);
            }
            Err(WhyNot::NotOurText) if self.now.at.saturating_sub(at) < SHOWN_WITHIN => {
                self.look_in(LOOK_EVERY);
            }
            Err(why) => self.stand_aside(&why.to_string()),
        }
    }

    /// After Enter: was it taken?
    pub(super) fn confirm_turn(&mut self, scene: &Scene) {
        let State::Entered { at } = self.case.state else { return };
        if self.now.at.saturating_sub(at) > TAKEN_WITHIN {
            self.push(Effect::Record(journal::Event::Asked { taken: false }));
            return self.stand_aside("the message was not taken");
        }
        // Without hooks, Claude's own note and the screen tell.
        if scene.busy {
            return self.taken();
        }
        self.look_in(LOOK_EVERY);
    }

    /// A turn began with our message.
    pub(super) fn taken(&mut self) {
        self.push(Effect::Record(journal::Event::Asked { taken: true }));
        self.extend([Effect::Cease, Effect::Taken, Effect::Hide]);
        self.case.state = State::Running;
    }

    /// Ends the child, to change something and start it again; unless something came up during
    /// the wait that would be lost.
    fn end_child(&mut self, remedy: Remedy, scene: &Scene) {
        let in_the_way = [
            (!scene.box_empty || scene.panel.is_some(), "there is a draft or a dialog"),
            (scene.busy, "claude is working"),
            (self.is_foreign(scene), "another process uses the session"),
            (scene.background, "claude has work in the background"),
            (self.case.how_to_start(&remedy, true).is_none(), NO_PROOF),
        ];
        if let Some((_, why)) = in_the_way.into_iter().find(|(stands, _)| *stands) {
            return self.stand_aside(why);
        }
        self.extend([Effect::Hide, Effect::EndChild(None)]);
        self.case.state = State::Ending(remedy);
    }
}

impl Case {
    /// How the next child may be started after this failure; `None`: in no way, since a tool
    /// might run twice, or nothing is known of what ran (decision 8 of the design).
    pub(super) fn how_to_start(&self, remedy: &Remedy, fixed: bool) -> Option<Start> {
        let Failure { session, .. } = &remedy.failure;
        let resumable = session.is_some() && !self.facts.child_session;
        let fresh = remedy.rung == Rung::NewSession && fixed;
        if self.facts.prompt_uncertain && !self.means.attended {
            return None;
        }
        let turn = self.turn;
        match turn {
            TurnState::NotPrompted | TurnState::Untouched if fresh => Some(Start::Afresh),
            TurnState::NotPrompted => Some(Start::Repeat(turn)),
            // Without a prompt there is nothing that could run twice.
            _ if self.means.signs_in || self.means.attended && session.is_none() => {
                let nothing = self.means.signs_in || !self.facts.prompt;
                nothing.then_some(Start::Repeat(TurnState::NotPrompted))
            }
            TurnState::Untouched if self.facts.child_session => Some(Start::Repeat(turn)),
            TurnState::Untouched | TurnState::Partial => resumable.then_some(Start::Resume),
            TurnState::ToolOpen | TurnState::Unknown => {
                (self.means.attended && resumable).then_some(Start::Open)
            }
        }
    }
}
