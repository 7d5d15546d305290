//! The screen in which `claude setup-token` itself says that the service failed it, and stays. In:
//! what passes through the terminal. Out: events for the machine, which has one Enter pressed on
//! exactly that screen once the token endpoint answers. `auth login` has no such screen: it leaves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::claude::rules::{Observation, Place};
use crate::failure::{Failure, FailureKind, TurnState};
use crate::launch::terminal::Relay;
use crate::machine::{self, Effect, Event, Report, Scene};
use crate::run::terminal::Contained;
use crate::run::{Run, now_here};
use crate::watch::{Input, InputSplitter, Key, Look, Panel, Screen};

/// A screen that rests this long is looked at.
const SETTLED: Duration = Duration::from_secs(2);

/// One child's screen.
pub(super) struct OwnScreen {
    screen: Screen,
    splitter: InputSplitter,
    /// When it was last written to, if nobody has looked since.
    dirty: Option<Instant>,
    /// This failed screen was reported; the next one is another.
    reported: bool,
    contained: Contained,
}

impl OwnScreen {
    pub(super) fn new(rows: u16, cols: u16) -> Self {
        Self {
            screen: Screen::new(rows, cols),
            splitter: InputSplitter::default(),
            dirty: None,
            reported: false,
            contained: Contained::default(),
        }
    }

    pub(super) fn output(&mut self, bytes: &[u8]) {
        self.dirty = Some(Instant::now());
        self.contained.run(|| self.screen.feed(bytes));
    }

    pub(super) fn resize(&mut self, rows: u16, cols: u16) {
        self.contained.run(|| self.screen.resize(rows, cols));
    }

    /// What of it was typed.
    pub(super) fn input(&mut self, bytes: &[u8]) -> Vec<machine::Key> {
        let pieces = self.contained.run(|| self.splitter.split(bytes)).unwrap_or_default();
        let typed = pieces.iter().filter(|piece| piece.input.is_typing());
        let keys: Vec<_> = typed
            .map(|piece| match piece.input {
                Input::Key(Key::Enter) => machine::Key::Enter,
                Input::Key(Key::Escape) => machine::Key::Escape,
                Input::Key(Key::Interrupt) => machine::Key::Interrupt,
                _ => machine::Key::Text,
            })
            .collect();
        self.reported &= !keys.contains(&machine::Key::Enter);
        keys
    }

    /// What stands there at the end.
    pub(super) fn text(&mut self) -> String {
        self.contained.run(|| self.screen.text()).unwrap_or_default()
    }

    /// When [`Self::step`] is due without another event.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.dirty.filter(|_| !self.contained.failed()).map(|at| at + SETTLED)
    }

    /// Tells the machine, and does what it says.
    pub(super) fn hear(&mut self, run: &mut Run, relay: &mut Relay<'_>, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in run.on(event) {
                match run.carry_out(effect, Some(relay.pid().as_raw())) {
                    None => {}
                    Some(Effect::Observe) => events.push_back(Event::Observed(self.scene(run))),
                    Some(Effect::Enter) => {
                        relay.inject(b"\r");
                        self.reported = false;
                    }
                    Some(Effect::Tell(occasion, text)) => {
                        let bytes = run.notifier.notify(occasion, &text);
                        relay.show(&bytes);
                    }
                    // Nothing is ever pasted, and the relay passes signals on.
                    Some(other) => tracing::debug!(?other, "not done in a sign-in"),
                }
            }
        }
    }

    fn look(&mut self) -> Look {
        self.contained.run(|| self.screen.look()).unwrap_or_default()
    }

    fn scene(&mut self, run: &Run) -> Scene {
        let Look { panel, first_entry, .. } = self.look();
        Scene { panel, first_entry, ..run.bare_scene() }
    }

    /// Looks whether the service failed the exchange of a code.
    pub(super) fn step(&mut self, run: &mut Run, relay: &mut Relay<'_>) {
        if self.dirty.is_none_or(|at| at.elapsed() < SETTLED) {
            return;
        }
        self.dirty = None;
        let Some(Panel::LoginFailed(text)) = self.look().panel else {
            self.reported = false;
            return;
        };
        if std::mem::replace(&mut self.reported, true) {
            return;
        }
        if let Some(failure) = failure(run, &text) {
            let sign_in = run.sign_in_seen();
            self.hear(run, relay, Event::TurnFailed(Report { failure, line: None, sign_in }));
        }
    }
}

/// The failure in a failed screen's words, if it is the service's.
fn failure(run: &Run, text: &str) -> Option<Failure> {
    let found = run.rules.classify(&Observation {
        place: Place::Screen,
        text,
        errors: &[],
        status: None,
        sign_in: Some(run.sign_in()),
        since: None,
        version: run.version,
        now: &now_here(),
    })?;
    let (kind, status) = (found.kind, found.status);
    let evidence = vec![found.evidence];
    let turn = TurnState::NotPrompted;
    let ours = kind == FailureKind::LoginService;
    ours.then_some(Failure { kind, status, evidence, session: None, turn })
}
