//! What only a person can do: sign in again, or paste a fresh code. In: what is seen of the sign-in
//! and of the screens of a login. Out: one try after a sign-in that changed, or at most one Enter
//! on exactly the failed screen and one on the menu it leads to.

use std::time::Duration;

use super::Reaction;
use crate::failure::{Failure, FailureKind};
use crate::machine::state::{Remedy, Return, State, is_about_sign_in};
use crate::machine::words::{BACK_TO_PASTE, LIKELY_CAUSES, what};
use crate::machine::{Effect, End, Scene, Waiting, Wake};
use crate::notice::short;
use crate::notify::Occasion;
use crate::rung::Rung;
use crate::service::Reading;
use crate::watch::Panel;

/// How often credentials are looked at while a sign-in is needed.
const SIGN_IN_EVERY: Duration = Duration::from_secs(2);
/// How often the screens of a login are looked at on the way back.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The next screen must be there within this.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// A menu takes keys only some time after it is drawn: Enter at once was lost now and then.
const READY_AFTER: Duration = Duration::from_secs(1);

impl Reaction<'_> {
    /// Only a person can go on.
    pub(super) fn person(&mut self, failure: &Failure, why: &str) {
        let about_sign_in = is_about_sign_in(failure.kind);
        let said = format!("{}: {why}", what(failure));
        if self.case.living {
            if about_sign_in {
                self.await_sign_in(failure, None);
            } else {
                self.stand_aside(why);
            }
            self.show(failure, None, why);
            return self.tell(Occasion::PersonNeeded, &said);
        }
        let remedy = Remedy { failure: failure.clone(), rung: Rung::Relaunch };
        let limit = self.case.policy.wait_for_login;
        let waits = about_sign_in && !self.case.means.attended && !limit.is_zero();
        if waits && self.case.how_to_start(&remedy, true).is_some() {
            self.say(format!(
                "waiting up to {} for a sign-in: run `claude` elsewhere and use /login · Ctrl-C stops",
                short(limit)
            ));
            self.tell(Occasion::PersonNeeded, "sign-in needed");
            return self.await_sign_in(failure, Some(self.now.at + limit));
        }
        let exit = Some(self.child_exit());
        if self.case.means.signs_in {
            use FailureKind::{Doubtful, Refused, SignInNeeded};
            if matches!(failure.kind, SignInNeeded | Refused | Doubtful { .. }) {
                self.say(LIKELY_CAUSES.to_owned());
            }
            return self.exit(End::Person { why: why.to_owned(), exit });
        }
        self.give_up(failure, why, false);
    }

    fn await_sign_in(&mut self, failure: &Failure, until: Option<Duration>) {
        let (failure, refused) = (failure.clone(), self.case.refused.clone());
        self.case.state = State::Person { failure, refused, until, typed: false };
        self.look_in(SIGN_IN_EVERY);
    }

    /// Left only by another sign-in than the one that was refused, and then for one try.
    pub(super) fn look_for_sign_in(&mut self, scene: &Scene) {
        let State::Person { failure, refused, until, .. } = &self.case.state else { return };
        let renewed = scene.sign_in.is_renewed(refused);
        let (mut failure, until) = (failure.clone(), *until);
        if renewed {
            // What was waited for a person does not count.
            self.case.streak.restart(self.now.at);
            let rung = if self.case.living { Rung::AskAgain } else { Rung::Relaunch };
            failure.turn = self.case.turn;
            self.waited("credentials", self.now.at);
            return self.claim(Remedy { failure, rung }, self.now.at, Reading::Up);
        }
        if until.is_some_and(|until| self.now.at >= until) {
            let (exit, why) = (Some(self.child_exit()), "nobody signed in".to_owned());
            self.say(format!("{}: {why}", what(&failure)));
            return self.exit(End::Person { why, exit });
        }
        self.look_in(SIGN_IN_EVERY);
    }

    /// The exchange of a code failed: says so, and waits for the token endpoint.
    pub(super) fn see_login_through(&mut self, failure: &Failure, scene: &Scene) {
        let Some(Panel::LoginFailed(text)) = &scene.panel else {
            return self.stand_aside("the failed sign-in is not on screen any more");
        };
        self.tell(Occasion::PersonNeeded, &format!("{}: {BACK_TO_PASTE}", what(failure)));
        self.case.state = State::SigningIn(Return::Waiting(text.clone()));
        self.await_token_endpoint();
    }

    fn await_token_endpoint(&mut self) {
        let (since, until) = (self.now.at, self.case.horizon_ends(self.now.at));
        let wake = Wake::Answers(FailureKind::LoginService);
        self.push(Effect::Wait(Waiting { since, until, wake }));
    }

    pub(super) fn sign_in_wait_over(&mut self, past_horizon: bool) {
        match &self.case.state {
            State::SigningIn(Return::Waiting(_)) if past_horizon => {
                self.stand_aside("the horizon has come");
                self.tell(Occasion::GaveUp, "the sign-in service does not answer");
            }
            State::SigningIn(Return::Waiting(_)) => self.await_token_endpoint(),
            _ => self.push(Effect::Observe),
        }
    }

    pub(super) fn token_endpoint_answers(&mut self) {
        let State::SigningIn(way) = &mut self.case.state else { return };
        if let Return::Waiting(text) = way {
            *way = Return::Leaving(std::mem::take(text));
            self.push(Effect::Observe);
        }
    }

    /// Looks for the screen that must follow.
    pub(super) fn return_to_paste(&mut self, scene: &Scene) {
        let State::SigningIn(way) = &self.case.state else { return };
        let now = self.now.at;
        let (at, in_menu, seen) = match way {
            Return::Waiting(_) => return,
            Return::Leaving(text) => {
                // The first Enter, if the screen is still exactly that one.
                if scene.panel != Some(Panel::LoginFailed(text.clone())) {
                    return self.stand_aside("the failed sign-in is not on screen any more");
                }
                self.push(Effect::Enter);
                return self.on_the_way(Return::ToMenu(now, None));
            }
            Return::ToMenu(at, seen) => (*at, true, *seen),
            Return::ToPaste(at) => (*at, false, None),
        };
        let ready = seen.is_some_and(|seen| now.saturating_sub(seen) >= READY_AFTER);
        match scene.panel {
            Some(Panel::LoginPaste) => self.back_at_login("paste a fresh code"),
            Some(Panel::LoginMethod) if in_menu && !ready => {
                self.on_the_way(Return::ToMenu(at, seen.or(Some(now))));
            }
            Some(Panel::LoginMethod) if in_menu && scene.chose_first && scene.first_entry => {
                self.push(Effect::Enter);
                self.on_the_way(Return::ToPaste(now));
            }
            Some(Panel::LoginMethod) if in_menu && !scene.chose_first => {
                self.back_at_login("choose how to sign in");
            }
            _ if now.saturating_sub(at) > SHOWN_WITHIN => {
                self.stand_aside("the sign-in's screens are not the expected ones");
            }
            _ => self.look_in(LOOK_EVERY),
        }
    }

    fn on_the_way(&mut self, way: Return) {
        self.case.state = State::SigningIn(way);
        self.look_in(LOOK_EVERY);
    }

    fn back_at_login(&mut self, todo: &str) {
        self.stand_aside("back at the sign-in");
        self.tell(Occasion::PersonNeeded, &format!("the sign-in service answers again: {todo}"));
    }

    pub(super) fn observed(&mut self, scene: &Scene) {
        match self.case.state {
            State::Confirming { .. } => self.confirm_emptied(scene),
            State::Weighing { .. } => self.weighed(scene),
            State::Ready { .. } => self.act(scene),
            State::Pasted { .. } => self.confirm_paste(scene),
            State::Entered { .. } => self.confirm_turn(scene),
            State::Person { .. } => self.look_for_sign_in(scene),
            State::SigningIn(_) => self.return_to_paste(scene),
            _ => {}
        }
    }
}
