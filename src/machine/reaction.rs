//! What the machine does about an event: the edges between the states. Here: who hears what, and
//! the life of children. `failing` leads from a failure to a wait, `trying` from a wait to a try,
//! `person` through what only a person can do.

mod failing;
mod person;
mod retrying;
mod sleep;
mod trying;

use std::time::Duration;

use nix::sys::signal::Signal;

use super::words;
use super::{Answer, Case, ChildEnd, Effect, End, Event, Key, Left, Report, Start, State};
use crate::clock::Moment;
use crate::failure::{ExitReason, FailureKind, TurnState, Verdict};
use crate::journal;
use crate::notify::Occasion;
use crate::rung::Rung;
use crate::service::Reading;

/// A wait this long is worth a notification.
const LONG_WAIT: Duration = Duration::from_secs(60);

/// Takes an event in; what is to be done about it, in order.
pub fn on(case: &mut Case, now: Moment, event: Event) -> Vec<Effect> {
    let mut reaction = Reaction { case, now, effects: Vec::new() };
    if !matches!(reaction.case.state, State::Ended(_)) {
        reaction.to(event);
    }
    reaction.effects
}

/// One event's effects, as they come together.
struct Reaction<'c> {
    case: &'c mut Case,
    now: Moment,
    effects: Vec<Effect>,
}

impl Reaction<'_> {
    fn to(&mut self, event: Event) {
        self.sees_sleep(&event);
        self.case.began |= self.case.living
            && matches!(
                event,
                Event::TurnBegan
                    | Event::TurnWorked
                    | Event::TurnFailed(_)
                    | Event::Retrying { .. }
                    | Event::Typed(_)
                    | Event::Hung
            );
        match event {
            Event::Begin(left) => self.begin(left),
            Event::TurnFailed(report) => self.turn_failed(report),
            Event::TurnBegan => self.turn_began(),
            Event::TurnWorked => self.turn_worked(),
            Event::ChildEnded(end) => self.child_ended(end),
            Event::Retrying { kind, status, asked } => {
                self.case.asked_wait = asked;
                self.retrying(kind, status);
            }
            Event::Hung => self.cut(FailureKind::Hang),
            Event::Typed(key) => self.typed(key),
            Event::MovedOn => self.moved_on(),
            Event::Blind => self.drop_plan("the analysis failed"),
            Event::Answered(answer) => self.answered(answer),
            Event::Observed(scene) => self.observed(&scene),
            Event::Health { health, held } => self.health(health, held),
            Event::WaitOver(reading) => self.wait_over(reading),
            Event::Up => self.up(),
            Event::Slept => self.slept(),
            Event::Claimed(result) => self.claimed(result),
            Event::FixDone(applied) => self.fix_done(applied),
            Event::Signal(signal) => self.signal(signal),
        }
    }

    fn begin(&mut self, left: Option<Left>) {
        if self.case.state != State::Fresh {
            return;
        }
        if let Some(Left { session, turn: TurnState::ToolOpen }) = left {
            let why = words::cut_off_in_a_tool(&session);
            self.say(why.clone());
            self.tell(Occasion::PersonNeeded, &why);
            return self.exit(End::Person { why, exit: None });
        }
        self.case.state = State::Opening;
        self.claim_for(None, Reading::Unknown);
    }

    fn launch(&mut self, start: Start) {
        let case = &mut *self.case;
        case.attempts += 1;
        case.living = true;
        case.acted = Some(self.now.at);
        case.streak.acted();
        case.cut = None;
        case.ours_follows = matches!(start, Start::Repeat(_) | Start::Resume);
        case.keys.queued = false;
        case.state = State::Running;
        if self.case.means.signs_in && start != Start::First {
            self.tell(Occasion::PersonNeeded, "sign in again: paste a fresh code");
        }
        self.push(Effect::Launch(start));
    }

    fn turn_began(&mut self) {
        if !self.case.living {
            return;
        }
        match &self.case.state {
            State::Entered { .. } => return self.taken(),
            State::Ending(_) => return,
            State::Running => {}
            _ => self.stand_aside("a turn began"),
        }
        if !std::mem::take(&mut self.case.ours_follows) {
            self.own_turn();
        }
    }

    /// The user's own turn: what the last one had done says nothing about it.
    fn own_turn(&mut self) {
        let keys = &mut self.case.keys;
        keys.queued &= !keys.entered;
        self.case.turn = TurnState::Untouched;
        self.case.line = None;
        self.case.retrying = None;
        self.case.streak.left_to_the_user(self.now.at);
    }

    fn turn_worked(&mut self) {
        if !self.case.living || matches!(self.case.state, State::Ending(_)) {
            return;
        }
        match self.case.state {
            State::Entered { .. } => self.taken(),
            State::Running => {}
            _ => self.stand_aside("the turn worked"),
        }
        self.push(Effect::Unclaim { worked: Some(true) });
        self.case.streak.worked();
        if self.recovered() {
            self.tell(Occasion::Recovered, "the turn went through");
        }
        self.push(Effect::Hide);
        self.case.retrying = None;
        self.case.turn = TurnState::Untouched;
        self.case.line = None;
    }

    /// The streak is over. Whether there was one.
    fn recovered(&mut self) -> bool {
        let Some(since) = self.case.streak.failing_since() else { return false };
        self.case.streak.recovered();
        let after_ms = millis(self.now.at.saturating_sub(since));
        self.push(Effect::Record(journal::Event::Recovered { after_ms }));
        true
    }

    fn child_ended(&mut self, end: ChildEnd) {
        if !self.case.living {
            return;
        }
        let retried = self.case.retrying.is_some();
        self.case.ended(&end);
        let state = std::mem::replace(&mut self.case.state, State::Running);
        if state.holds_input() {
            self.push(Effect::Release);
        }
        self.extend([Effect::Cease, Effect::Hide]);
        if let Some(signal) = self.case.signal {
            self.push(Effect::Unclaim { worked: None });
            return self.exit(End::Signal { signal, exit: Some(end.exit) });
        }
        let first = self.case.attempts == 1 && state == State::Running;
        if end.refuses_ours && first && !self.case.began {
            return self.launch(Start::AsWritten);
        }
        if let State::Ending(remedy) = state {
            return self.change_and_start(remedy);
        }
        match end.verdict {
            Verdict::Done(exit) => self.done(exit, retried),
            Verdict::Failed(failure) => {
                let (line, sign_in) = (end.line, end.sign_in);
                self.failed(Report { failure, line, sign_in });
            }
        }
    }

    /// The child's own end is the run's.
    fn done(&mut self, exit: ExitReason, retried: bool) {
        self.push(Effect::Unclaim { worked: Some(true) });
        // At a terminal the turns themselves tell, and one can leave in the middle of an outage.
        if exit == ExitReason::Code(0) && !self.case.means.asks {
            self.case.streak.worked();
            let recovered = self.recovered();
            if (recovered || retried) && !self.case.means.attended {
                self.say("recovered".to_owned());
                self.tell(Occasion::Recovered, "recovered");
            }
        }
        self.exit(End::Done(exit));
    }

    /// Ends a child that has not failed by itself.
    fn cut(&mut self, kind: FailureKind) {
        let idle = self.case.state == State::Running && self.case.living;
        if idle && !self.case.means.asks && self.case.cut.is_none() && self.case.signal.is_none() {
            self.case.cut = Some(kind);
            self.push(Effect::EndChild(Some(kind)));
        }
    }

    fn typed(&mut self, key: Key) {
        let keys = &mut self.case.keys;
        keys.last = self.now.at;
        keys.queued = true;
        keys.entered = key == Key::Enter;
        let stops = self.case.means.asks && matches!(key, Key::Escape | Key::Interrupt);
        match &mut self.case.state {
            // Claude's own tries end with its turn.
            State::Running if stops && self.case.retrying.take().is_some() => {
                self.push(Effect::Hide);
            }
            State::Person { typed, .. } => *typed = true,
            State::Waiting { .. } if !self.case.living && key == Key::Enter => self.hurry(),
            State::Pasted { .. } | State::Entered { .. }
                if matches!(key, Key::Escape | Key::Interrupt) =>
            {
                self.stand_aside("the user cancels");
            }
            // A fix needs that nobody is there; whoever types is.
            State::Waiting { remedy, since, .. }
                if self.case.living && (key == Key::Escape || remedy.rung.question().is_some()) =>
            {
                let (rung, since) = (remedy.rung, *since);
                self.waited("user", since);
                if rung.question().is_some() {
                    let by = "typing".to_owned();
                    self.push(Effect::Record(journal::Event::Declined { rung, by }));
                }
                self.stand_aside("the user types");
            }
            State::SigningIn(_) if self.case.living => self.stand_aside("the user types"),
            State::Weighing { .. }
            | State::Confirming { .. }
            | State::Claiming { .. }
            | State::Ready { .. }
                if self.case.living && key == Key::Escape =>
            {
                self.stand_aside("the user cancels");
            }
            // While ours is on its way, input is held; a draft is waited for, and what types
            // nothing cancels nothing.
            _ => {}
        }
    }

    fn signal(&mut self, signal: Signal) {
        if !self.case.living {
            self.push(Effect::Unclaim { worked: None });
            return self.exit(End::Signal { signal, exit: None });
        }
        self.case.signal = Some(signal);
        self.drop_plan("a signal asks for the end");
        self.push(Effect::Pass(signal));
    }

    /// Nobody waits for this conversation any more; without a child nothing is left to do.
    fn moved_on(&mut self) {
        let began = !matches!(self.case.state, State::Fresh | State::Opening);
        if began && !self.case.living {
            self.push(Effect::Unclaim { worked: None });
            return self.exit(End::Done(self.child_exit()));
        }
        self.drop_plan("the conversation was left");
    }

    /// Whatever is planned for a living child is off; one that is being ended ends.
    fn drop_plan(&mut self, why: &str) {
        if self.case.living && !matches!(self.case.state, State::Running | State::Ending(_)) {
            self.stand_aside(why);
        }
    }

    /// Leaves a living child alone, and what is in its box to the user.
    fn stand_aside(&mut self, why: &str) {
        tracing::info!(why, "standing aside");
        let state = std::mem::replace(&mut self.case.state, State::Running);
        self.extend([Effect::Cease, Effect::Unclaim { worked: None }]);
        if matches!(state, State::Pasted { .. }) {
            self.push(Effect::Withdraw);
        }
        if state.holds_input() {
            self.push(Effect::Release);
        }
        self.push(Effect::Hide);
        self.case.line = None;
        self.case.streak.left_to_the_user(self.now.at);
    }

    /// The run ends.
    fn exit(&mut self, end: End) {
        self.case.state = State::Ended(end.clone());
        self.extend([Effect::Cease, Effect::Exit(end)]);
    }

    /// Claude's own end, after which nothing more is done.
    fn child_exit(&self) -> ExitReason {
        self.case.exit.unwrap_or(ExitReason::Code(1))
    }

    fn answered(&mut self, answer: Answer) {
        let State::Asking(remedy) = &self.case.state else { return };
        let remedy = remedy.clone();
        match answer {
            Answer::Yes => self.change_and_start(remedy),
            Answer::Refused(by) => {
                let rung = remedy.rung;
                self.case.streak.fix_failed(rung);
                let by = by.to_owned();
                self.push(Effect::Record(journal::Event::Declined { rung, by }));
                self.start(&remedy, false);
            }
        }
    }

    fn waited(&mut self, by: &str, since: Duration) {
        let waited_ms = millis(self.now.at.saturating_sub(since));
        self.push(Effect::Record(journal::Event::WaitEnded { by: by.to_owned(), waited_ms }));
    }

    fn allows(&self, rung: Rung) -> bool {
        self.case.policy.allowed.contains(&rung)
    }

    fn say(&mut self, text: String) {
        self.push(Effect::Say(text));
    }

    fn tell(&mut self, occasion: Occasion, text: &str) {
        self.push(Effect::Tell(occasion, text.to_owned()));
    }

    fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn extend(&mut self, effects: impl IntoIterator<Item = Effect>) {
        self.effects.extend(effects);
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
