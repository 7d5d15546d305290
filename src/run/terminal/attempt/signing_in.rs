//! A sign-in that the service failed, seen through: once the token endpoint answers, the person
//! is brought back to where a fresh code can be pasted. In: the failed panel. Out: at most one
//! Enter on exactly that panel and one on the menu it leads to, and only if the person chose the
//! menu's first entry before. Any key of theirs ends it.

use std::time::{Duration, Instant};

use super::{Attempt, Future, Stage};
use crate::machine::words::what;
use crate::notify::Occasion;
use crate::run::Run;
use crate::service::{Reading, look_once};
use crate::watch::{Failure, FailureKind, Input, Key, Panel};

/// The next screen must be there within this.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// A menu takes keys only some time after it is drawn.
const READY_AFTER: Duration = Duration::from_secs(1);
/// Between two looks at the token endpoint, at first and at most.
const LOOKS: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(15));
/// A choice in a menu counts only if no other key came this shortly before Enter: the screen
/// may not have shown its effect.
const DELIBERATE: Duration = Duration::from_millis(500);

/// How far the way back is.
pub(super) enum Return {
    /// The token endpoint does not answer yet. Holds the failed panel's text.
    Waiting(String, Future<()>),
    /// Enter was pressed on the failed panel; when the menu was first seen after that.
    ToMenu(Instant, Option<Instant>),
    /// Enter was pressed on the menu.
    ToPaste(Instant),
}

impl Attempt<'_, '_> {
    /// Keeps in mind which entry of the login menu a person chose.
    pub(super) fn note_login_choice(&mut self, now: Instant, input: Input) {
        match input {
            Input::Key(Key::Enter) => {
                let look = self.screen.look();
                if look.panel == Some(Panel::LoginMethod) {
                    let sure = self.other_key.is_none_or(|at| now - at >= DELIBERATE);
                    self.chose_first = sure && look.first_entry;
                }
            }
            input if input.is_typing() => {
                self.other_key = Some(now);
                // a digit chooses too
                if self.chose_first && self.screen.look().panel == Some(Panel::LoginMethod) {
                    self.chose_first = false;
                }
            }
            _ => {}
        }
    }

    /// The exchange failed: says so, and waits for the token endpoint.
    pub(super) fn see_login_through(&mut self, failure: &Failure) {
        let (look, _) = self.look();
        let Some(Panel::LoginFailed(text)) = look.panel else { return };
        let words = "once it answers you are brought back to where a fresh code is pasted";
        self.tell(Occasion::PersonNeeded, &format!("{}: {words}", what(failure)));
        if let Some(answers) = token_endpoint_answers(self.run) {
            self.stage = Stage::SigningIn(Return::Waiting(text, answers));
        }
    }

    /// The token endpoint answers: the first Enter, if the screen is still exactly that one.
    pub(super) fn leave_failed_login(&mut self, text: &str) {
        let (look, _) = self.look();
        if look.panel != Some(Panel::LoginFailed(text.to_owned())) {
            return self.stand_aside("the failed sign-in is not on screen any more");
        }
        self.relay.inject(b"\r");
        self.stage = Stage::SigningIn(Return::ToMenu(Instant::now(), None));
    }

    /// Looks for the screen that must follow.
    pub(super) fn return_to_paste(&mut self, now: Instant) {
        let Stage::SigningIn(way) = &self.stage else { return };
        let (at, in_menu, seen) = match way {
            Return::Waiting(..) => return,
            Return::ToMenu(at, seen) => (*at, true, *seen),
            Return::ToPaste(at) => (*at, false, None),
        };
        let look = self.screen.look();
        let ready = seen.is_some_and(|seen| now.duration_since(seen) >= READY_AFTER);
        match look.panel {
            Some(Panel::LoginPaste) => self.back_at_login("paste a fresh code"),
            // What is drawn does not take keys yet: Enter at once was lost now and then.
            Some(Panel::LoginMethod) if in_menu && !ready => {
                self.stage = Stage::SigningIn(Return::ToMenu(at, seen.or(Some(now))));
            }
            Some(Panel::LoginMethod) if in_menu && self.chose_first && look.first_entry => {
                self.relay.inject(b"\r");
                self.stage = Stage::SigningIn(Return::ToPaste(now));
            }
            Some(Panel::LoginMethod) if in_menu && !self.chose_first => {
                self.back_at_login("choose how to sign in");
            }
            _ if now.duration_since(at) > SHOWN_WITHIN => {
                self.stand_aside("the sign-in's screens are not the expected ones");
            }
            _ => {}
        }
    }

    fn back_at_login(&mut self, todo: &str) {
        self.stand_aside("back at the sign-in");
        self.tell(Occasion::PersonNeeded, &format!("the sign-in service answers again: {todo}"));
    }
}

/// Ends when the token endpoint answers; `None` where it cannot be asked.
pub(in crate::run) fn token_endpoint_answers(run: &Run) -> Option<Future<()>> {
    let service = std::rc::Rc::clone(&run.service);
    let endpoints = service.facing(FailureKind::LoginService);
    if endpoints.is_empty() {
        return None;
    }
    Some(Box::pin(async move {
        let mut pause = LOOKS.0;
        loop {
            tokio::time::sleep(pause).await;
            let seen = look_once(&*service.look, &service.breaker, &endpoints).await;
            if !seen.is_empty() && seen.iter().all(|one| one.reading == Reading::Up) {
                return;
            }
            pause = (pause * 2).min(LOOKS.1);
        }
    }))
}
