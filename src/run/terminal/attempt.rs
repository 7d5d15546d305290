//! One child at the user's terminal: relayed, watched, and asked again as the machine says.
//!
//! In: the run, the terminal. Out: how the child ended. Bytes are passed on before they are
//! looked at; nothing is typed unless the watcher allows it, twice: before the paste, and
//! before Enter. Nothing is decided here.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::background::has_work;
use super::contained::Contained;
use super::first_words::FirstWords;
use super::launching::{rewrite_last_words, spawned, until};
use super::readings::Witness;
use crate::claude::hooks::{HookEvent, HookName};
use crate::claude::session_file::Status;
use crate::failure::{ExitReason, FailureKind, TurnState, Verdict};
use crate::launch::terminal::{Event as Relayed, Relay, Tty};
use crate::machine::{self, ChildEnd, Effect, Event, Report, Scene, SignInSeen, State};
use crate::run::{Run, next_hook, now_here};
use crate::unknown;
use crate::watch::{
    Hook, Input, InputBox, InputSplitter, Key, Look, Panel, Readings, Screen, Watcher, WhyNot,
};

/// A child that is ended for a relaunch gets this long to leave by itself.
const GRACE: Duration = Duration::from_secs(10);
/// A choice in a menu counts only if no other key came this shortly before Enter: the screen
/// may not have shown its effect.
const DELIBERATE: Duration = Duration::from_millis(500);
/// Deletes what stands in the box.
const KILL_LINE: &[u8] = b"\x15";

/// Everything that belongs to one child.
struct Attempt<'r, 't> {
    run: &'r mut Run,
    relay: Relay<'t>,
    screen: Screen,
    splitter: InputSplitter,
    watcher: Watcher,
    witness: Witness,
    contained: Contained,
    /// The prompt was seen, so that an end is no longer one at start-up.
    ready: bool,
    /// Input that is held back while ours is on its way: it counts as typed once it follows.
    held: Option<Input>,
    menu: Menu,
    first: FirstWords,
}

/// What the person chose in the login menu.
#[derive(Default)]
struct Menu {
    /// The last key that was not Enter.
    other_key: Option<Instant>,
    /// It was the first entry.
    chose_first: bool,
}

/// Runs one child to its end.
pub(super) async fn run(run: &mut Run, tty: &mut Tty) -> io::Result<ChildEnd> {
    let first = FirstWords::of(run);
    let child = spawned(run, tty)?;
    let size = tty.size();
    let mut relay = Relay::start(tty, child)?;
    rewrite_last_words(&mut relay, &run.user);
    if run.may_refuse_ours() {
        relay.withhold_first_words();
    }
    let pid = relay.pid().as_raw();
    run.child_started(pid, !run.plan.sends_prompt());
    let attempt = Attempt {
        run,
        relay,
        screen: Screen::new(size.rows, size.cols),
        splitter: InputSplitter::default(),
        watcher: Watcher::new(Instant::now(), Timestamp::now()),
        witness: Witness::new(pid),
        contained: Contained::default(),
        ready: false,
        held: None,
        menu: Menu::default(),
        first,
    };
    Ok(attempt.live().await)
}

/// Whether the box holds one paste that Claude has folded, and nothing else.
fn is_folded_paste(look: &Look) -> bool {
    let InputBox::Draft { text, cursor_behind: true } = &look.input else { return false };
    let inner = text.strip_prefix("[Pasted text #").and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| !inner.contains(['[', ']', '\n']))
}

impl Attempt<'_, '_> {
    /// Relays until the child has ended.
    async fn live(mut self) -> ChildEnd {
        let exit = loop {
            let blind = self.contained.failed();
            let deadline = if blind { None } else { self.watcher.next_deadline() };
            let Run { hooks, doing, .. } = &mut *self.run;
            tokio::select! {
                biased;
                event = self.relay.next() => match event {
                    Relayed::Output(bytes) => {
                        self.first.hear(bytes);
                        self.contained.run(|| self.screen.feed(bytes));
                        self.watcher.output(Instant::now());
                    }
                    Relayed::Input(bytes) => {
                        let typed = self.contained.run(|| self.splitter.split(bytes));
                        let typed = typed.unwrap_or_default();
                        self.analyse(|this| {
                            for piece in &typed {
                                this.input(piece.input);
                            }
                        });
                    }
                    Relayed::Resized(size) => {
                        self.contained.run(|| self.screen.resize(size.rows, size.cols));
                    }
                    Relayed::Signal(signal) => self.hear(Event::Signal(signal)),
                    Relayed::Suspended | Relayed::Resumed => {}
                    Relayed::Exited(exit) => break exit,
                },
                event = next_hook(hooks.as_ref()) => self.analyse(|this| this.hooked(&event)),
                done = doing.next_contained(), if !blind => {
                    let event = self.run.done(done);
                    self.analyse(|this| this.hear(event));
                }
                () = until(deadline) => {}
            }
            self.analyse(|this| {
                if this.watcher.needs_look(Instant::now()) {
                    this.judge();
                }
            });
        };
        self.ended(exit)
    }

    /// Runs analysis, which must never stop the relay: after a panic this child is relayed on
    /// without any.
    fn analyse(&mut self, work: impl FnOnce(&mut Self)) {
        let mut contained = std::mem::take(&mut self.contained);
        let before = contained.failed();
        contained.run(|| work(self));
        let failed = contained.failed();
        self.contained = contained;
        if failed && !before {
            self.hear(Event::Blind);
        }
    }

    /// Tells the machine, and does what it says.
    fn hear(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.run.on(event) {
                let living = Some(self.relay.pid().as_raw());
                match self.run.carry_out(effect, living) {
                    None => {}
                    Some(Effect::Observe) => events.push_back(Event::Observed(self.scene())),
                    Some(effect) => self.carry_out(effect),
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Paste => {
                self.relay.hold_input(true);
                let message = &self.run.plan.message;
                self.relay.inject(format!("\x1b[200~{message}\x1b[201~").as_bytes());
            }
            Effect::Enter => self.relay.inject(b"\r"),
            Effect::Withdraw => {
                let look = self.screen.look();
                if look.box_holds_exactly(&self.run.plan.message) || is_folded_paste(&look) {
                    self.relay.inject(KILL_LINE);
                }
            }
            Effect::Release => self.release(),
            Effect::Taken => {
                self.watcher.turn_seen();
                self.ready = true;
                self.release();
            }
            Effect::EndChild(_) => {
                // What is typed from now on is the next child's.
                self.relay.hold_input(true);
                self.relay.swallow_output(true);
                self.relay.end(GRACE);
            }
            Effect::Tell(occasion, text) => {
                let bytes = self.run.notifier.notify(occasion, &text);
                self.relay.show(&bytes);
            }
            // The relay has done so.
            Effect::Pass(_) => {}
            other => tracing::error!(?other, "not done while a child lives"),
        }
    }

    fn input(&mut self, input: Input) {
        let now = Instant::now();
        let key = input.is_typing().then_some(match input {
            Input::Key(Key::Escape) => machine::Key::Escape,
            Input::Key(Key::Interrupt) => machine::Key::Interrupt,
            Input::Key(Key::Enter) => machine::Key::Enter,
            _ => machine::Key::Text,
        });
        if self.run.case.state().holds_input() {
            if key.is_some() {
                self.held = Some(input);
            }
        } else {
            self.note_login_choice(now, input);
            self.watcher.input(now, input);
        }
        if let Some(key) = key {
            self.hear(Event::Typed(key));
        }
    }

    /// Keeps in mind which entry of the login menu a person chose.
    fn note_login_choice(&mut self, now: Instant, input: Input) {
        let in_menu = |look: &Look| look.panel == Some(Panel::LoginMethod);
        match input {
            Input::Key(Key::Enter) => {
                let look = self.screen.look();
                if in_menu(&look) {
                    let sure = self.menu.other_key.is_none_or(|at| now - at >= DELIBERATE);
                    self.menu.chose_first = sure && look.first_entry;
                }
            }
            input if input.is_typing() => {
                self.menu.other_key = Some(now);
                // a digit chooses too
                if self.menu.chose_first && in_menu(&self.screen.look()) {
                    self.menu.chose_first = false;
                }
            }
            _ => {}
        }
    }

    /// Lets held input follow; from now on it counts as typed.
    fn release(&mut self) {
        self.relay.hold_input(false);
        if let Some(input) = self.held.take() {
            self.watcher.input(Instant::now(), input);
        }
    }

    /// What Claude's hooks tell of the turn: where it is, and whether it began, ended or failed.
    fn hooked(&mut self, event: &HookEvent) {
        self.first.forget();
        // A sub-agent's session and failure are not the turn's.
        if event.agent_id.is_some() {
            return;
        }
        let moved = self.run.session.as_deref().is_some_and(|known| known != event.session_id);
        self.witness.learn(event);
        self.run.learn_session(&event.session_id);
        self.run.plan.learn(event);
        let now = Instant::now();
        let heard = match event.name {
            HookName::SessionStart => {
                self.watcher.hook(now, Hook::SessionStart);
                None
            }
            HookName::UserPromptSubmit => {
                self.ready = true;
                self.watcher.hook(now, Hook::Prompt);
                Some(Event::TurnBegan)
            }
            HookName::Stop => {
                self.watcher.hook(now, Hook::Stop);
                Some(Event::TurnWorked)
            }
            HookName::StopFailure => {
                let error = event.error.clone().unwrap_or_default();
                let message = event.last_assistant_message.clone().unwrap_or_default();
                self.watcher.hook(now, Hook::Failure { error, message });
                None
            }
            HookName::SessionEnd | HookName::StatusLine => None,
        };
        if let Some(event) = heard {
            self.hear(event);
        }
        if moved {
            self.hear(Event::MovedOn);
        }
    }

    /// Looks whether a turn has failed, or worked where no hook says so.
    fn judge(&mut self) {
        let (look, read) = self.look();
        let (rules, version) = (&self.run.rules, self.run.version);
        let failure = self.watcher.judge(Instant::now(), &look, &read, rules, version, &now_here());
        let Some(failure) = failure else {
            self.keep_unknown();
            let at_rest = !look.is_busy() && read.status != Some(Status::Busy);
            let answered = read.tail.turn == TurnState::Partial && read.tail.failure.is_none();
            let watching = *self.run.case.state() == State::Running;
            if at_rest && answered && watching && !self.watcher.hooks_run() {
                self.hear(Event::TurnWorked);
            }
            // In mid-turn the transcript does not tell; nothing is done about it but a word.
            if let Some(retrying) = look.retrying {
                let (kind, status) = (FailureKind::Api, retrying.status);
                self.hear(Event::Retrying { kind, status, asked: None });
            }
            return;
        };
        let sign_in = self.run.sign_in_seen();
        self.hear(Event::TurnFailed(Report { failure, line: read.tail.last_uuid, sign_in }));
    }

    /// Keeps the screen of a failure that no rule knew, for `rules learn`.
    fn keep_unknown(&mut self) {
        if self.watcher.take_unknown() {
            unknown::keep(&self.run.state_dir, "screen", &self.screen.excerpt());
        }
    }

    fn look(&mut self) -> (Look, Readings) {
        let look = self.screen.look();
        self.ready |= look.input != InputBox::Absent;
        let read = self.witness.read(self.run);
        (look, read)
    }

    /// All that the machine may need to know of this moment.
    fn scene(&mut self) -> Scene {
        let (look, read) = self.look();
        if self.watcher.may_type(Instant::now(), &look, &read) == Err(WhyNot::UserTyped) {
            // A box that is empty again since is only learned of by a look.
            let (rules, version) = (&self.run.rules, self.run.version);
            let now = Instant::now();
            let _ = self.watcher.judge(now, &look, &read, rules, version, &now_here());
        }
        let message = &self.run.plan.message;
        let busy = look.is_busy() || read.status == Some(Status::Busy);
        let box_empty = look.box_is_empty();
        let decides = matches!(self.run.case.state(), State::Weighing { .. } | State::Ready { .. });
        let may_end = decides && box_empty && !busy;
        let SignInSeen { sign_in, stamp } = self.run.sign_in_seen();
        Scene {
            may_type: self.watcher.may_type(Instant::now(), &look, &read),
            may_enter: self.watcher.may_enter(&look, &read, message),
            box_empty,
            busy,
            foreign: read.foreign_writer,
            // Asked only where the child could be ended.
            background: !may_end || has_work(self.relay.pid().as_raw()),
            line: read.tail.last_uuid,
            sign_in: SignInSeen { sign_in: read.sign_in.unwrap_or(sign_in), stamp },
            panel: look.panel,
            first_entry: look.first_entry,
            chose_first: self.menu.chose_first,
        }
    }

    /// What the end of the child means.
    fn ended(mut self, exit: ExitReason) -> ChildEnd {
        let sign_in = self.run.sign_in_seen();
        let mut contained = std::mem::take(&mut self.contained);
        let read = contained.run(|| {
            let (look, read) = self.look();
            let seen = look.permission_mode.map(str::to_owned);
            self.run.plan.heard.learn_last_mode(seen.or(read.tail.permission_mode.clone()));
            let words = (!self.ready).then(|| self.screen.text());
            let rules = &self.run.rules;
            let now = Instant::now();
            let verdict =
                self.watcher.exited(now, exit, words.as_deref(), &read, rules, &now_here());
            self.keep_unknown();
            (verdict, read.tail.last_uuid)
        });
        let (verdict, line) = read.unwrap_or((Verdict::Done(exit), None));
        if let Some(session) = &self.run.session {
            tracing::info!("resume with: claude --resume {session}");
        }
        let refuses_ours = self.first.refuses_ours(self.run, exit);
        let withheld = self.relay.take_withheld();
        if !refuses_ours {
            crate::notice::ring(&withheld);
        }
        ChildEnd { exit, verdict, refuses_ours, line, sign_in }
    }
}
