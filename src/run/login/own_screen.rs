//! The screen in which `claude setup-token` itself says that the service failed it, and stays. In:
//! what passes through the terminal. Out: a ring, and once the token endpoint answers one Enter on
//! exactly that screen, which leads back to where a fresh code is pasted. Any key of the person's
//! ends it. `auth login` has no such screen: it leaves.

use std::future::pending;
use std::time::{Duration, Instant};

use crate::claude::rules::{Observation, Place};
use crate::launch::terminal::Relay;
use crate::machine::table::Standing;
use crate::machine::words::what;
use crate::notify::Occasion;
use crate::run::terminal::{Contained, Future, contained, token_endpoint_answers};
use crate::run::{Run, now_here};
use crate::service::Health;
use crate::watch::{Failure, FailureKind, Input, InputSplitter, Key, Panel, Screen, TurnState};

/// A screen that rests this long is looked at.
const SETTLED: Duration = Duration::from_secs(2);
/// The next screen must be there within this, and is looked for this often.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

enum Stage {
    Watching,
    /// The service is waited for; holds the failed screen's text.
    Waiting(String, Future<()>),
    /// Enter was pressed.
    Entered(Instant),
}

/// One child's screen.
pub(super) struct OwnScreen {
    screen: Screen,
    splitter: InputSplitter,
    /// When it was last written to, if nobody has looked since.
    dirty: Option<Instant>,
    stage: Stage,
    /// This failed screen was dealt with; the next one is another.
    told: bool,
    contained: Contained,
}

impl OwnScreen {
    pub(super) fn new(rows: u16, cols: u16) -> Self {
        Self {
            screen: Screen::new(rows, cols),
            splitter: InputSplitter::default(),
            dirty: None,
            stage: Stage::Watching,
            told: false,
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

    pub(super) fn input(&mut self, bytes: &[u8]) {
        let typed = self.contained.run(|| self.splitter.split(bytes)).unwrap_or_default();
        for piece in typed.iter().filter(|piece| piece.input.is_typing()) {
            self.stage = Stage::Watching;
            self.told &= piece.input != Input::Key(Key::Enter);
        }
    }

    /// What stands there at the end.
    pub(super) fn text(&mut self) -> String {
        self.contained.run(|| self.screen.text()).unwrap_or_default()
    }

    /// When [`Self::step`] is due without another event.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.stage {
            _ if self.contained.failed() => None,
            Stage::Entered(_) => Some(Instant::now() + LOOK_EVERY),
            Stage::Watching => self.dirty.map(|at| at + SETTLED),
            Stage::Waiting(..) => None,
        }
    }

    /// Ends when the token endpoint answers while it is waited for.
    pub(super) async fn answers(&mut self) {
        let Stage::Waiting(_, answers) = &mut self.stage else { return pending().await };
        if contained(answers).await.is_none() {
            self.stage = Stage::Watching;
        }
    }

    /// The token endpoint answers: Enter, if the screen is still exactly that one.
    pub(super) fn leave(&mut self, relay: &mut Relay<'_>) {
        let Stage::Waiting(text, _) = std::mem::replace(&mut self.stage, Stage::Watching) else {
            return;
        };
        if self.panel() == Some(Panel::LoginFailed(text)) {
            relay.inject(b"\r");
            self.told = false;
            self.stage = Stage::Entered(Instant::now());
        }
    }

    /// What time alone may have made due.
    pub(super) fn step(&mut self, run: &mut Run, relay: &mut Relay<'_>) {
        let now = Instant::now();
        let say = |run: &mut Run, relay: &mut Relay<'_>, text: &str| {
            let bytes = run.notifier.notify(Occasion::PersonNeeded, text);
            relay.show(&bytes);
        };
        match &self.stage {
            Stage::Waiting(..) => {}
            Stage::Entered(at) => {
                let late = now.duration_since(*at) > SHOWN_WITHIN;
                if self.panel() == Some(Panel::LoginPaste) {
                    self.stage = Stage::Watching;
                    say(run, relay, "the sign-in service answers again: paste a fresh code");
                } else if late {
                    self.stage = Stage::Watching;
                }
            }
            Stage::Watching => {
                if self.dirty.is_none_or(|at| now.duration_since(at) < SETTLED) {
                    return;
                }
                self.dirty = None;
                let Some(Panel::LoginFailed(text)) = self.panel() else {
                    self.told = false;
                    return;
                };
                if std::mem::replace(&mut self.told, true) {
                    return;
                }
                let Some(failure) = failure(run, &text) else { return };
                let nobody =
                    Standing::Living { can_ask: false, may_end: false, may_relaunch: false };
                run.decide(&failure, nobody, &Health::default());
                if let Some(answers) = token_endpoint_answers(run) {
                    self.stage = Stage::Waiting(text, answers);
                }
                let words = "once it answers you are brought back to where a fresh code is pasted";
                say(run, relay, &format!("{}: {words}", what(&failure)));
            }
        }
    }

    fn panel(&mut self) -> Option<Panel> {
        self.contained.run(|| self.screen.look().panel)?
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
