//! One child at the user's terminal: relayed, watched, and asked again when its turn failed.
//!
//! In: the run, the terminal. Out: how the child ended. Bytes are passed on before they are
//! looked at; nothing is typed unless the watcher allows it, twice: before the paste, and
//! before Enter. The user's own typing ends whatever was planned.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::readings::Witness;
use crate::claude::args::ClaudeArgs;
use crate::claude::hooks::{HookEvent, HookName};
use crate::claude::resume_hint::ResumeHint;
use crate::journal::Event as Entry;
use crate::ladder::{Decision, Reason, Rung, Standing};
use crate::launch::terminal::{Event, Launch, Relay, SpawnError, Tty, spawn};
use crate::notice::Notice;
use crate::notify::Occasion;
use crate::run::advice::what;
use crate::run::waiting::WaitEnd;
use crate::run::{Run, next_hook, now_here};
use crate::service::{Health, Lock, LockName, locks};
use crate::watch::{
    ExitReason, Failure, FailureKind, Hook, InputBox, InputSplitter, Look, Readings, Screen,
    TurnState, Verdict, Watcher, WhyNot, is_typable,
};

/// The pasted message must be seen in the box within this.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// A turn must begin this soon after Enter.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// How often the screen is looked at while the message is on its way.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A screen that has not settled, or a lock that another run holds, is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How often credentials are looked at while a sign-in is needed.
const SIGN_IN_EVERY: Duration = Duration::from_secs(2);
/// A child that is ended for a relaunch gets this long to leave by itself.
const GRACE: Duration = Duration::from_secs(10);

/// How an attempt ended.
pub(super) enum Ended {
    /// By the user's or a signal's will.
    Finished(ExitReason),
    /// By itself; what that means.
    Verdict(Verdict, ExitReason),
    /// By us, to go on with this failure.
    ForRelaunch(Failure),
}

type Future<T> = Pin<Box<dyn std::future::Future<Output = T>>>;

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
    /// Someone must sign in; whoever does, from wherever, lets us go on.
    Person(Failure),
    /// The child is being ended.
    Ending(Failure),
}

/// Everything that belongs to one child.
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
}

/// Runs one child to its end.
pub(super) async fn run(run: &mut Run, tty: &mut Tty) -> io::Result<Ended> {
    let launch = Launch {
        program: run.plan.program.clone(),
        argv0: None,
        args: run.plan.args(),
        env: run.plan.environment().into_iter().map(|(name, value)| (name.into(), value)).collect(),
        cwd: run.plan.cwd.clone().filter(|dir| dir.is_dir()),
    };
    let child = spawn(&launch, tty).map_err(|error| {
        let kind = match &error {
            SpawnError::NotFound { .. } => io::ErrorKind::NotFound,
            SpawnError::CannotRun { .. } | SpawnError::Directory { .. } => {
                io::ErrorKind::PermissionDenied
            }
            SpawnError::Pty(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    })?;
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
    };
    let exit = attempt.live().await;
    Ok(attempt.ended(exit))
}

/// Claude's "Resume this session with" must not name the settings we added.
fn rewrite_last_words(relay: &mut Relay<'_>, user: &ClaudeArgs) {
    let hint = ResumeHint::of(user);
    relay.rewrite_output(Box::new(move |chunk, size| hint.rewrite(chunk, size.cols)));
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
                            self.screen.feed(bytes);
                            self.watcher.output(now);
                        }
                        Event::Input(bytes) => {
                            let typed: Vec<_> = self.splitter.split(bytes);
                            for piece in typed {
                                self.watcher.input(now, piece.input);
                                if piece.input.is_typing() {
                                    self.user_typed(now);
                                }
                            }
                        }
                        Event::Resized(size) => self.screen.resize(size.rows, size.cols),
                        Event::Signal(_) => self.ended_by_signal = true,
                        Event::Suspended | Event::Resumed => {}
                        Event::Exited(reason) => return reason,
                    }
                }
                event = next_hook(self.run.hooks.as_ref()) => self.hooked(&event),
                done = progress(&mut self.stage) => self.progressed(done),
                () = until(deadline) => {}
            }
            self.step();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let soon = |every| Some(Instant::now() + every);
        let own = match &self.stage {
            Stage::Pasted { .. } | Stage::Entered { .. } => soon(LOOK_EVERY),
            Stage::Person(_) => soon(SIGN_IN_EVERY),
            _ => None,
        };
        [own, self.watcher.next_deadline()].into_iter().flatten().min()
    }

    /// The user is at the keys: what we had planned for this failure is off.
    fn user_typed(&mut self, now: Instant) {
        self.last_key = now;
        match &self.stage {
            Stage::Weighing(..) => self.stand_aside("the user types"),
            Stage::Waiting { began, .. } => {
                let began = *began;
                self.run.waited("user", began);
                self.stand_aside("the user types");
            }
            // Held back until ours is sent, or after it: nothing is mixed.
            Stage::Pasted { .. } | Stage::Entered { .. } => {}
            Stage::Person(_) | Stage::Watching | Stage::Ending(_) => {}
        }
    }

    fn stand_aside(&mut self, why: &str) {
        tracing::info!(why, "standing aside");
        self.stage = Stage::Watching;
        self.failed_at_line = None;
        self.locks.clear();
        self.relay.hold_input(false);
        Notice::clear(&self.run.dir);
    }

    fn hooked(&mut self, event: &HookEvent) {
        // A sub-agent's session and failure are not the turn's.
        if event.agent_id.is_some() {
            return;
        }
        let moved = self.run.session.as_deref().is_some_and(|known| known != event.session_id);
        self.witness.learn(event);
        self.run.learn_session(&event.session_id);
        if event.cwd.is_some() {
            self.run.plan.cwd.clone_from(&event.cwd);
        }
        let now = Instant::now();
        match event.name {
            HookName::SessionStart => self.watcher.hook(now, Hook::SessionStart),
            HookName::UserPromptSubmit => self.turn_began(now),
            HookName::Stop => {
                self.watcher.hook(now, Hook::Stop);
                self.turn_succeeded();
            }
            HookName::StopFailure => {
                self.locks.clear();
                let error = event.error.clone().unwrap_or_default();
                let message = event.last_assistant_message.clone().unwrap_or_default();
                self.watcher.hook(now, Hook::Failure { error, message });
            }
            HookName::SessionEnd | HookName::StatusLine => {}
        }
        // `/clear` and `/resume` leave the failed conversation, and our plans for it.
        if moved && !matches!(self.stage, Stage::Watching | Stage::Ending(_)) {
            self.stand_aside("another session is on screen");
        }
    }

    fn turn_began(&mut self, now: Instant) {
        self.ready = true;
        self.watcher.hook(now, Hook::Prompt);
        match std::mem::replace(&mut self.stage, Stage::Watching) {
            Stage::Entered { .. } => self.taken(),
            Stage::Ending(failure) => self.stage = Stage::Ending(failure),
            _ => self.stand_aside("a turn began"),
        }
    }

    fn taken(&mut self) {
        self.run.journal.record(Entry::Asked { taken: true });
        self.relay.hold_input(false);
        Notice::clear(&self.run.dir);
    }

    fn turn_succeeded(&mut self) {
        self.locks.clear();
        if self.run.recovered() {
            self.tell(Occasion::Recovered, "the turn went through");
        }
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
            (stage, _) => self.stage = stage,
        }
    }

    /// What time alone may have made due.
    fn step(&mut self) {
        let now = Instant::now();
        match &self.stage {
            Stage::Pasted { .. } => self.confirm(now),
            Stage::Entered { at } if now.duration_since(*at) > TAKEN_WITHIN => {
                self.run.journal.record(Entry::Asked { taken: false });
                self.stand_aside("the message was not taken");
            }
            Stage::Entered { .. } => {
                // Without hooks, Claude's own note tells.
                let (look, read) = self.look();
                if look.is_busy() || read.status == Some(crate::claude::session_file::Status::Busy)
                {
                    self.turn_began(now);
                }
            }
            Stage::Person(failure) if failure.kind == FailureKind::SignInNeeded => {
                if self.run.sign_in().can_refresh() {
                    let failure = failure.clone();
                    self.wait(failure, Rung::AskAgain, Duration::ZERO);
                }
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

    fn judge(&mut self, now: Instant) {
        let (look, read) = self.look();
        let rules = &self.run.rules;
        let failure = self.watcher.judge(now, &look, &read, rules, None, &now_here());
        let Some(failure) = failure else { return };
        if !matches!(self.stage, Stage::Watching | Stage::Person(_)) {
            return;
        }
        self.failed_at_line.clone_from(&read.tail.last_uuid);
        let health = Box::pin(self.run.health(&failure));
        self.stage = Stage::Weighing(failure, health);
    }

    fn decide(&mut self, failure: Failure, health: &Health) {
        let now = Instant::now();
        let (look, read) = self.look();
        let why_not = self.watcher.may_type(now, &look, &read).err();
        let typable = is_typable(&self.run.plan.message).is_ok();
        let box_empty = look.box_is_empty() && look.panel.is_none();
        let idle = self.run.config.duration("watch.unattended_after");
        let alone = now.duration_since(self.last_key) >= idle;
        let standing = Standing::TerminalLiving {
            can_ask: typable && matches!(why_not, None | Some(WhyNot::NotSettled)),
            may_relaunch: why_not == Some(WhyNot::NoPlaceholder)
                && box_empty
                && failure.turn != TurnState::ToolOpen
                && !self.run.user.prompt_is_uncertain(),
            may_end: alone && box_empty && self.run.config.switch("rungs.end_terminal"),
        };
        match self.run.decide(&failure, standing, health) {
            Decision::Act { rung, after } => self.wait(failure, rung, after),
            Decision::WaitForPerson(Reason(why)) => {
                self.show(&failure, None, &why);
                self.tell(Occasion::PersonNeeded, &format!("{}: {why}", what(&failure)));
                self.stage = Stage::Person(failure);
            }
            Decision::StandAside(Reason(why)) => self.stand_aside(&why),
            Decision::GiveUp(Reason(why)) => {
                self.show(&failure, None, &why);
                self.tell(Occasion::GaveUp, &why);
            }
        }
    }

    fn wait(&mut self, failure: Failure, rung: Rung, after: Duration) {
        let end = Box::pin(self.run.wait(failure.kind, after));
        self.show(&failure, Some(after), "esc cancels");
        self.stage = Stage::Waiting { failure, rung, began: tokio::time::Instant::now(), end };
    }

    /// Puts a line into Claude's own status line.
    fn show(&mut self, failure: &Failure, after: Option<Duration>, hint: &str) {
        let due = after.and_then(|after| Timestamp::now().checked_add(after).ok());
        let notice = Notice { what: what(failure), due, hint: hint.to_owned() };
        if let Err(error) = notice.show(&self.run.dir) {
            tracing::warn!(%error, "no status line");
        }
    }

    fn act(&mut self, failure: Failure, rung: Rung) {
        match rung {
            Rung::AskAgain => self.ask(failure),
            _ => self.end_child(failure),
        }
    }

    /// First step: paste the message, if everything allows it.
    fn ask(&mut self, failure: Failure) {
        let now = Instant::now();
        let (look, read) = self.look();
        match self.watcher.may_type(now, &look, &read) {
            Ok(()) if !self.lock(&read) => return self.wait(failure, Rung::AskAgain, ASK_AGAIN),
            Ok(()) => {}
            Err(WhyNot::NotSettled) => return self.wait(failure, Rung::AskAgain, ASK_AGAIN),
            Err(why) => return self.stand_aside(&why.to_string()),
        }
        self.relay.hold_input(true);
        let message = &self.run.plan.message;
        self.relay.inject(format!("\x1b[200~{message}\x1b[201~").as_bytes());
        self.stage = Stage::Pasted { at: now };
    }

    /// Second step: Enter, once the box holds exactly our text.
    fn confirm(&mut self, now: Instant) {
        let Stage::Pasted { at } = self.stage else { return };
        let (look, read) = self.look();
        let message = self.run.plan.message.clone();
        match self.watcher.may_enter(&look, &read, &message) {
            Ok(()) => {
                self.relay.inject(b"\r");
                self.failed_at_line = None;
                self.stage = Stage::Entered { at: now };
            }
            Err(WhyNot::NotOurText) if now.duration_since(at) < SHOWN_WITHIN => {}
            Err(why) => self.stand_aside(&why.to_string()),
        }
    }

    /// One run at a time asks in a session, and with an expired token in a directory.
    fn lock(&mut self, read: &Readings) -> bool {
        let session = read.session.clone().unwrap_or_default();
        let mut names = vec![LockName::Session(&session)];
        let expired = read.sign_in == Some(crate::claude::credentials::SignIn::Expired);
        if expired {
            names.push(LockName::Launch(&self.run.claude_dir));
        }
        self.locks.clear();
        for name in names {
            match locks::try_lock(&self.run.state_dir, name) {
                Ok(Some(lock)) => self.locks.push(lock),
                Ok(None) => {
                    self.locks.clear();
                    return false;
                }
                // A state directory that cannot be written to must not stop a recovery.
                Err(error) => tracing::warn!(%error, "no lock"),
            }
        }
        true
    }

    /// Ends the child, to start it again in the same session.
    fn end_child(&mut self, failure: Failure) {
        let (look, _) = self.look();
        if !look.box_is_empty() {
            return self.stand_aside("there is a draft");
        }
        Notice::clear(&self.run.dir);
        self.relay.swallow_output(true);
        self.relay.end(GRACE);
        self.stage = Stage::Ending(failure);
    }

    /// What the end of the child means.
    fn ended(mut self, exit: ExitReason) -> Ended {
        Notice::clear(&self.run.dir);
        if let Stage::Ending(failure) = self.stage {
            return Ended::ForRelaunch(failure);
        }
        if self.ended_by_signal {
            if let Some(session) = &self.run.session {
                tracing::info!("resume with: claude --resume {session}");
            }
            return Ended::Finished(exit);
        }
        let (_, read) = self.look();
        let words = (!self.ready).then(|| self.screen.text());
        let rules = &self.run.rules;
        let verdict =
            self.watcher.exited(Instant::now(), exit, words.as_deref(), &read, rules, &now_here());
        Ended::Verdict(verdict, exit)
    }
}

/// What a stage was waiting for.
enum Done {
    Health(Health),
    Wait(WaitEnd),
}

async fn progress(stage: &mut Stage) -> Done {
    match stage {
        Stage::Weighing(_, health) => Done::Health(health.await),
        Stage::Waiting { end, .. } => Done::Wait(end.await),
        _ => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
