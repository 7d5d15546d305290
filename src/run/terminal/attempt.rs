//! One child at the user's terminal: relayed, watched, and asked again when its turn failed.
//!
//! In: the run, the terminal. Out: how the child ended. Bytes are passed on before they are
//! looked at; nothing is typed unless the watcher allows it, twice: before the paste, and
//! before Enter. The user's own typing ends whatever was planned.

mod asking;
mod deciding;
mod hearing;
mod launching;
mod progress;
mod signing_in;

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::contained::Contained;
use super::readings::Witness;
use crate::claude::credentials::{self, Stamp};
use crate::journal::Event as Entry;
use crate::launch::terminal::{Event, Relay, Tty, guarded};
use crate::machine::Rung;
use crate::notice::Notice;
use crate::notify::Occasion;
use crate::run::waiting::WaitEnd;
use crate::run::{Run, next_hook, now_here};
use crate::service::{Health, Lock};
use crate::watch::{
    ExitReason, Failure, FailureKind, Input, InputBox, InputSplitter, Look, Readings, Screen,
    Verdict, Watcher,
};

pub(in crate::run) use launching::spawned;
pub(in crate::run) use progress::contained;
pub(in crate::run) use signing_in::token_endpoint_answers;

use launching::rewrite_last_words;
use progress::{Done, progress};
use signing_in::Return;

/// How often the screen is looked at while the message is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often credentials are looked at while a sign-in is needed.
const SIGN_IN_EVERY: Duration = Duration::from_secs(2);

/// How an attempt ended.
pub(super) enum Ended {
    /// By the user's or a signal's will.
    Finished(ExitReason),
    /// By itself; what that means.
    Verdict(Verdict, ExitReason),
    /// By us, to go on with this failure.
    ForRelaunch(Failure, Rung),
}

/// What goes on beside the relay.
pub(in crate::run) type Future<T> = Pin<Box<dyn std::future::Future<Output = T>>>;

/// What we are doing about a failure.
enum Stage {
    /// Nothing has failed, or nothing is to be done.
    Watching,
    /// The service is looked at.
    Weighing(Failure, Future<Health>),
    /// The time to act has not come.
    Waiting { failure: Failure, rung: Rung, began: tokio::time::Instant, end: Future<WaitEnd> },
    /// The message was pasted; Enter follows when it is seen in the box.
    Pasted { at: Instant },
    /// Enter was pressed; a turn should begin.
    Entered { at: Instant },
    /// Someone must sign in; whoever does, from wherever, lets us go on, once. Holds the sign-in
    /// that was refused.
    Person(Failure, Option<Stamp>),
    /// A sign-in that the service failed is seen through.
    SigningIn(Return),
    /// The child is being ended.
    Ending(Failure, Rung),
}

/// Everything that belongs to one child.
#[expect(clippy::struct_excessive_bools, reason = "independent observations")]
struct Attempt<'r, 't> {
    run: &'r mut Run,
    relay: Relay<'t>,
    screen: Screen,
    splitter: InputSplitter,
    watcher: Watcher,
    witness: Witness,
    stage: Stage,
    /// The last line of the transcript when the failure was seen: another one is foreign.
    failed_at_line: Option<String>,
    /// Held while a message is on its way, and the turn after it with an expired token.
    locks: Vec<Lock>,
    last_key: Instant,
    /// The prompt was seen, so that an end is no longer one at start-up.
    ready: bool,
    ended_by_signal: bool,
    /// Input that is held back while ours is on its way: it counts as typed once it follows.
    held: Option<Input>,
    /// The last key that was not Enter.
    other_key: Option<Instant>,
    /// The user typed after they submitted their last prompt: it may be a queued message.
    typed_since_prompt: bool,
    /// The person chose the first entry of the login menu.
    chose_first: bool,
    contained: Contained,
}

/// Runs one child to its end.
pub(super) async fn run(run: &mut Run, tty: &mut Tty) -> io::Result<Ended> {
    let child = spawned(run, tty)?;
    let size = tty.size();
    let mut relay = Relay::start(tty, child)?;
    rewrite_last_words(&mut relay, &run.user);
    let pid = relay.pid().as_raw();
    run.attempts += 1;
    let resumed = !run.plan.sends_prompt();
    run.journal.record(Entry::AttemptStarted { attempt: run.attempts, pid, resumed });
    let now = Instant::now();
    let mut attempt = Attempt {
        run,
        relay,
        screen: Screen::new(size.rows, size.cols),
        splitter: InputSplitter::default(),
        watcher: Watcher::new(now, Timestamp::now()),
        witness: Witness::new(pid),
        stage: Stage::Watching,
        failed_at_line: None,
        locks: Vec::new(),
        last_key: now,
        ready: false,
        ended_by_signal: false,
        held: None,
        other_key: None,
        typed_since_prompt: false,
        chose_first: false,
        contained: Contained::default(),
    };
    let exit = attempt.live().await;
    Ok(attempt.ended(exit))
}

impl Attempt<'_, '_> {
    /// Relays until the child has ended.
    async fn live(&mut self) -> ExitReason {
        loop {
            let deadline = self.next_deadline();
            tokio::select! {
                biased;
                event = self.relay.next() => {
                    let now = Instant::now();
                    match event {
                        Event::Output(bytes) => {
                            self.contained.run(|| self.screen.feed(bytes));
                            self.watcher.output(now);
                        }
                        Event::Input(bytes) => {
                            let typed = self.contained.run(|| self.splitter.split(bytes));
                            let typed = typed.unwrap_or_default();
                            self.analyse(|this| {
                                for piece in &typed {
                                    this.input(now, piece.input);
                                }
                            });
                        }
                        Event::Resized(size) => {
                            self.contained.run(|| self.screen.resize(size.rows, size.cols));
                        }
                        Event::Signal(_) => self.ended_by_signal = true,
                        Event::Suspended | Event::Resumed => {}
                        Event::Exited(reason) => return reason,
                    }
                }
                event = next_hook(self.run.hooks.as_ref()) => {
                    self.analyse(|this| this.hooked(&event));
                }
                done = progress(&mut self.stage) => self.analyse(|this| this.progressed(done)),
                () = until(deadline) => {}
            }
            self.analyse(Self::step);
        }
    }

    /// Runs analysis, which must never stop the relay: after a panic this child is relayed on
    /// without any.
    fn analyse(&mut self, work: impl FnOnce(&mut Self)) {
        let mut contained = std::mem::take(&mut self.contained);
        contained.run(|| work(self));
        let failed = contained.failed();
        self.contained = contained;
        // A child that is being ended is not kept by that.
        if failed && !matches!(self.stage, Stage::Watching | Stage::Ending(..)) {
            self.stage = Stage::Watching;
            self.relay.hold_input(false);
            Notice::clear(&self.run.dir);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.contained.failed() {
            return None;
        }
        let soon = |every| Some(Instant::now() + every);
        let own = match &self.stage {
            Stage::Pasted { .. }
            | Stage::Entered { .. }
            | Stage::SigningIn(Return::ToMenu(..) | Return::ToPaste(_)) => soon(LOOK_EVERY),
            Stage::Person(..) => soon(SIGN_IN_EVERY),
            _ => None,
        };
        [own, self.watcher.next_deadline()].into_iter().flatten().min()
    }

    fn input(&mut self, now: Instant, input: Input) {
        if matches!(self.stage, Stage::Pasted { .. } | Stage::Entered { .. }) {
            return self.held(now, input);
        }
        self.note_login_choice(now, input);
        self.watcher.input(now, input);
        if input.is_typing() {
            self.typed_since_prompt = true;
            self.user_typed(now);
        }
    }

    /// The user is at the keys: what we had planned for this failure is off.
    fn user_typed(&mut self, now: Instant) {
        self.last_key = now;
        match &self.stage {
            Stage::Weighing(..) | Stage::SigningIn(_) => self.stand_aside("the user types"),
            Stage::Waiting { began, rung, .. } => {
                let (began, rung) = (*began, *rung);
                self.run.waited("user", began);
                if rung.question().is_some() {
                    self.run.declined(rung, "typing");
                }
                self.stand_aside("the user types");
            }
            // While ours is on its way, input is held.
            Stage::Pasted { .. }
            | Stage::Entered { .. }
            | Stage::Person(..)
            | Stage::Watching
            | Stage::Ending(..) => {}
        }
    }

    fn stand_aside(&mut self, why: &str) {
        tracing::info!(why, "standing aside");
        self.stage = Stage::Watching;
        self.failed_at_line = None;
        self.locks.clear();
        self.release();
        Notice::clear(&self.run.dir);
    }

    fn tell(&mut self, occasion: Occasion, text: &str) {
        let bytes = self.run.notifier.notify(occasion, text);
        self.relay.show(&bytes);
    }

    fn progressed(&mut self, done: Done) {
        match (std::mem::replace(&mut self.stage, Stage::Watching), done) {
            (Stage::Weighing(failure, _), Done::Health(health)) => self.decide(failure, &health),
            (Stage::Waiting { failure, rung, began, .. }, Done::Wait(end)) => {
                self.run.waited(end.name(), began);
                match end {
                    WaitEnd::Timer | WaitEnd::Probe => self.act(failure, rung),
                    WaitEnd::Horizon => self.stand_aside("the horizon has come"),
                }
            }
            (Stage::SigningIn(Return::Waiting(text, _)), Done::Answers) => {
                self.leave_failed_login(&text);
            }
            (Stage::Ending(failure, rung), _) => self.stage = Stage::Ending(failure, rung),
            (_, Done::Panicked) => self.stand_aside("a wait failed"),
            (stage, _) => self.stage = stage,
        }
    }

    /// What time alone may have made due.
    fn step(&mut self) {
        let now = Instant::now();
        match &self.stage {
            Stage::Pasted { .. } => self.confirm(now),
            Stage::Entered { at } => self.entered(*at, now),
            Stage::SigningIn(_) => self.return_to_paste(now),
            Stage::Person(failure, refused)
                if failure.kind == FailureKind::SignInNeeded
                    && self.run.sign_in().can_refresh()
                    && credentials::stamp(&self.run.claude_dir) != *refused =>
            {
                let failure = failure.clone();
                self.wait(failure, Rung::AskAgain, Duration::ZERO);
            }
            _ => {}
        }
        if self.watcher.needs_look(now) {
            self.judge(now);
        }
    }

    fn look(&mut self) -> (Look, Readings) {
        let look = self.screen.look();
        self.ready |= look.input != InputBox::Absent;
        let mut read = self.witness.read(self.run);
        let line = &read.tail.last_uuid;
        read.foreign_writer |= self.failed_at_line.is_some() && self.failed_at_line != *line;
        (look, read)
    }

    /// What the end of the child means.
    fn ended(mut self, exit: ExitReason) -> Ended {
        Notice::clear(&self.run.dir);
        if let Stage::Ending(failure, rung) = self.stage {
            return Ended::ForRelaunch(failure, rung);
        }
        if self.ended_by_signal {
            if let Some(session) = &self.run.session {
                tracing::info!("resume with: claude --resume {session}");
            }
            return Ended::Finished(exit);
        }
        if self.contained.failed() {
            return Ended::Finished(exit);
        }
        let verdict = guarded(|| {
            let (_, read) = self.look();
            let words = (!self.ready).then(|| self.screen.text());
            let rules = &self.run.rules;
            let now = Instant::now();
            let here = now_here();
            let verdict = self.watcher.exited(now, exit, words.as_deref(), &read, rules, &here);
            self.keep_unknown();
            verdict
        });
        verdict.map_or(Ended::Finished(exit), |verdict| Ended::Verdict(verdict, exit))
    }
}

pub(in crate::run) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
