//! What no sequence of events may break: it is watched over at each event and each effect.

use super::{Asked, World, rank};
use crate::failure::{TurnState, Verdict};
use crate::journal;
use crate::machine::{Effect, End, Event, Start, State, Wake};

impl World {
    /// What the event means outside the machine.
    pub(super) fn foresees(&mut self, event: &Event) {
        let answered = match event {
            Event::Health { .. } => matches!(self.asked, Some(Asked::Probe)),
            Event::WaitOver(_) | Event::Slept => matches!(self.asked, Some(Asked::Wait(_))),
            Event::Up => matches!(self.asked, Some(Asked::Wait(wait)) if wait.wake != Wake::Never),
            Event::Claimed(_) => matches!(self.asked, Some(Asked::Claim(_))),
            Event::Answered(_) => matches!(self.asked, Some(Asked::Question)),
            Event::FixDone(_) => matches!(self.asked, Some(Asked::Fix(_))),
            _ => false,
        };
        if answered {
            self.asked = None;
        }
        let state = self.case.state().name();
        let mut fails = |turn: TurnState| {
            // In all others it is heard of, and nothing follows.
            if matches!(event, Event::ChildEnded(_)) || matches!(state, "Running" | "Person") {
                self.acts = 0;
                self.leave = false;
                self.fixed_or_ended = false;
            }
            if rank(turn) > rank(self.worst) {
                self.worst = turn;
            }
        };
        match event {
            Event::TurnFailed(report) if self.living => fails(report.failure.turn),
            Event::ChildEnded(end) if self.living => {
                if let (Verdict::Failed(failure), true) = (&end.verdict, state != "Ending") {
                    fails(failure.turn);
                }
                // What was in the box has gone with it.
                self.pasted = false;
                self.living = false;
            }
            Event::TurnBegan | Event::TurnWorked if self.living => {
                self.since = None;
                let ours = state == "Entered" && *event == Event::TurnBegan;
                if !ours && state != "Ending" {
                    self.worst = TurnState::Untouched;
                }
            }
            Event::Typed(_) if self.living => (self.since, self.typed) = (None, true),
            Event::Claimed(Ok(())) if matches!(state, "Claiming" | "Opening") => self.leave = true,
            Event::Signal(_) => self.signalled = true,
            _ => {}
        }
    }

    /// Carries an effect out; whether it asks for a look.
    pub(super) fn carries_out(&mut self, effect: &Effect) -> bool {
        if self.signalled {
            let quiet = !matches!(
                effect,
                Effect::Launch(_) | Effect::Paste | Effect::Enter | Effect::Fix(..)
            );
            assert!(quiet, "{effect:?} after a signal");
        }
        match effect {
            Effect::Observe => return true,
            Effect::Probe(_) => self.asked = Some(Asked::Probe),
            Effect::Wait(wait) => {
                let state = self.case.state();
                let waits = matches!(state, State::Waiting { .. } | State::Opening);
                if let Some(since) = self.since.filter(|_| waits) {
                    let ends = since + self.case.policy().horizon;
                    assert!(wait.until <= ends, "{wait:?} past the horizon at {ends:?}");
                }
                self.asked = Some(Asked::Wait(*wait));
            }
            Effect::Claim(claim) => self.asked = Some(Asked::Claim(claim.clone())),
            Effect::Question(_) => self.asked = Some(Asked::Question),
            Effect::Fix(rung, _) => {
                assert!(self.leave && !self.living, "a fix without leave, or under a child");
                self.fixed_or_ended = true;
                self.asked = Some(Asked::Fix(*rung));
            }
            Effect::Cease => self.asked = None,
            Effect::Launch(start) => self.launches(*start),
            Effect::Paste => {
                let scene = &self.scene;
                assert!(scene.may_type.is_ok() && !scene.foreign, "pasted into {scene:?}");
                assert!(!self.pasted && self.living && self.leave);
                (self.pasted, self.held) = (true, true);
                self.acts();
            }
            Effect::Enter => {
                let to_login = matches!(self.case.state(), State::SigningIn(_));
                assert!(to_login || self.scene.may_enter.is_ok() && self.pasted);
                self.pasted = false;
            }
            Effect::Withdraw => self.pasted = false,
            Effect::Release | Effect::Taken => self.held = false,
            Effect::EndChild(_) => {
                assert!(self.living, "there is no child to be ended");
                self.fixed_or_ended = true;
            }
            Effect::Exit(end) => self.ended = Some(end.clone()),
            Effect::Record(journal::Event::Recovered { .. }) => self.since = None,
            _ => {}
        }
        false
    }

    fn acts(&mut self) {
        let least = self.case.policy().curve.least();
        if let Some(last) = self.acted {
            let gap = self.at.saturating_sub(last);
            assert!(gap >= least, "two tries within {gap:?}");
        }
        self.acts += 1;
        assert!(self.acts <= 1, "two tries after one failure");
        let ends = self.since.map(|since| since + self.case.policy().horizon);
        let late = ends.is_some_and(|ends| self.at > ends);
        assert!(!late || self.fixed_or_ended, "a try past the horizon");
        self.acted = Some(self.at);
    }

    fn launches(&mut self, start: Start) {
        assert!(!self.living, "two children at once");
        assert!(self.leave, "a launch without leave");
        let (attended, prompt) = (self.case.means.attended, self.case.facts.prompt);
        let nothing_to_repeat = self.case.means.signs_in || attended && !prompt;
        match start {
            Start::First => assert_eq!(self.case.attempts(), 1),
            // The same try still: nothing of the first start came to Claude.
            Start::AsWritten => {
                assert_eq!((self.case.attempts(), rank(self.worst)), (2, 0), "not the first");
                assert!(!self.typed, "what was typed is lost");
                (self.living, self.acted) = (true, Some(self.at));
                return;
            }
            Start::Repeat(_) if nothing_to_repeat => {}
            Start::Repeat(_) | Start::Afresh => {
                assert!(rank(self.worst) <= 1, "the prompt again after {:?}", self.worst);
            }
            Start::Resume => {
                assert!(rank(self.worst) <= 2, "the turn goes on after {:?}", self.worst);
            }
            Start::Open => assert!(attended, "nobody would look"),
        }
        self.acts();
        self.living = true;
    }

    /// What holds between any two events.
    pub(super) fn holds(&self, before: &str, event: &Event, looks: bool) {
        let state = self.case.state();
        let told = format!("{before} --{event:?}--> {state:?}");
        assert_eq!(self.held, state.holds_input(), "input held: {told}");
        assert_eq!(self.pasted, matches!(state, State::Pasted { .. }), "a paste is left: {told}");
        match state {
            State::Running | State::Ending(_) => {
                assert!(self.living && self.asked.is_none(), "{told}");
            }
            State::Ended(_) => assert!(self.ended.is_some() && self.asked.is_none(), "{told}"),
            State::Fresh => {}
            _ => assert!(looks || self.asked.is_some(), "stuck: {told}"),
        }
        if self.signalled {
            assert!(matches!(state, State::Running | State::Ending(_) | State::Ended(_)), "{told}");
            assert!(self.living || self.ended.is_some(), "a signal ends every state: {told}");
        }
        if before == "Person" && !matches!(state, State::Person { .. }) {
            let by_sign_in = matches!(event, Event::Observed(scene)
                if scene.sign_in.is_renewed(&self.case.refused));
            let by_person = matches!(
                event,
                Event::TurnBegan
                    | Event::TurnWorked
                    | Event::TurnFailed(_)
                    | Event::Signal(_)
                    | Event::ChildEnded(_)
                    | Event::MovedOn
                    | Event::Blind
            );
            let by_time = matches!(state, State::Ended(End::Person { .. }));
            assert!(by_sign_in || by_person || by_time, "a person is needed: {told}");
        }
    }
}
