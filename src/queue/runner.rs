//! `queue run`: starts what may start, sees it to its end, and books what came of it. In: the
//! store, and everything that wakes it. Out: an exit code. One runner per user and host; its
//! runs outlive it, and the next one goes on with them.

mod awake;
mod booking;
mod clone;
mod fleet;
mod starting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::bell::Bell;
use super::outage::Outage;
use super::output::Summary;
use super::start::{self, Ended};
use super::task::{Id, State, now_ms};
use super::{Store, StoreError, ending};
use crate::config::Config;
use crate::error::exit;
use crate::notice::say;
use crate::notify::Notifier;
use crate::service::Lock;

/// Nothing is missed for longer, whatever wakes a runner.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// An inbox is looked into this often.
const INBOX_EVERY: Duration = Duration::from_secs(30);
/// The task that goes ahead after an outage is looked at this often.
const CANARY_EVERY: Duration = Duration::from_millis(500);
/// What could not be written is tried again after this.
const WRITE_AGAIN: Duration = Duration::from_secs(5);
/// Runs that are to end get this long before the runner leaves without them.
const LEAVE_WITHIN: Duration = Duration::from_secs(25);
/// History stays this long (milliseconds).
const KEEP_MS: i64 = 90 * 24 * 3_600_000;

/// A task that runs.
struct Running {
    summary: Summary,
    job: String,
    /// It was asked to end, on a person's word.
    stopped: bool,
}

/// The runner.
pub struct Runner {
    store: Box<dyn Store>,
    config: Config,
    state_dir: PathBuf,
    program: PathBuf,
    owner: String,
    jobs: usize,
    until_empty: bool,
    running: BTreeMap<Id, Running>,
    ends: JoinSet<(Id, Ended)>,
    clones: JoinSet<(Id, Result<(), String>)>,
    /// What is in a repository by now, or cannot be; not written yet.
    uncloned: Vec<(Id, Result<(), String>)>,
    /// Ends that could not be written yet.
    unwritten: Vec<(Id, Ended)>,
    leaving: watch::Sender<bool>,
    outage: Outage,
    fleet: fleet::Fleet,
    awake: awake::Awake,
    notifier: Notifier,
    /// Tasks in a row that failed at once.
    quick: Vec<String>,
    /// What this runner has seen end: failed, needs a person.
    seen: (bool, bool),
    /// Something has run since the queue was last empty.
    busy: bool,
    told: Option<String>,
    /// What could not be done, as it was last said.
    trouble: Option<String>,
    _lock: Lock,
}

/// What a runner is made with.
pub struct Options {
    /// Slots.
    pub jobs: usize,
    /// Leave when nothing is left to do.
    pub until_empty: bool,
    /// The program whose `run` is started.
    pub program: PathBuf,
}

impl Runner {
    /// Makes a runner, which holds `lock` while it lives.
    #[must_use]
    pub fn new(
        store: Box<dyn Store>,
        config: Config,
        state_dir: PathBuf,
        options: Options,
        lock: Lock,
    ) -> Self {
        let notifier = Notifier::new(&config, "queue", false);
        Self {
            owner: super::owner(&config),
            outage: Outage::new(&state_dir, config.values.service.probe),
            fleet: fleet::Fleet::default(),
            awake: awake::Awake::new(config.values.queue.inhibit_sleep),
            clones: JoinSet::new(),
            uncloned: Vec::new(),
            trouble: None,
            notifier,
            jobs: options.jobs,
            until_empty: options.until_empty,
            program: options.program,
            store,
            config,
            state_dir,
            running: BTreeMap::new(),
            ends: JoinSet::new(),
            unwritten: Vec::new(),
            leaving: watch::Sender::new(false),
            quick: Vec::new(),
            seen: (false, false),
            busy: false,
            told: None,
            _lock: lock,
        }
    }

    /// Runs until it is told to leave, or until nothing is left.
    pub async fn run(mut self) -> anyhow::Result<u8> {
        let bell = Bell::hang(&self.state_dir, &self.owner);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        if let Err(error) = self.store.forget(now_ms() - KEEP_MS) {
            tracing::warn!(%error, "history is not shortened");
        }
        loop {
            let step = self.step().await;
            self.awake.keep(!self.running.is_empty());
            if step.is_ok() && self.trouble.take().is_some() {
                say("the queue can be used again");
            }
            let wake = match step {
                Ok(Some(wake)) => wake,
                Ok(None) => return Ok(self.leave_when_told().await),
                Err(StoreError::Damaged(_)) => {
                    self.store = super::begin_anew(&self.state_dir)?;
                    continue;
                }
                Err(error @ StoreError::Newer { .. }) => return Err(error.into()),
                Err(error) => {
                    // A full disk, a lock that is held, a database that is away: what runs goes on.
                    let text = error.to_string();
                    // The cause behind it changes while one thing is wrong.
                    let kind = |text: &str| text.split(" (").next().map(str::to_owned);
                    if self.trouble.as_deref().and_then(kind) != kind(&text) {
                        say(&text);
                        self.trouble = Some(text);
                    }
                    Instant::now() + WRITE_AGAIN
                }
            };
            tokio::select! {
                () = bell.rung() => {}
                Some(Ok((id, ended))) = self.ends.join_next() => self.unwritten.push((id, ended)),
                Some(Ok(cloned)) = self.clones.join_next() => self.uncloned.push(cloned),
                () = self.outage.passed() => {}
                () = sleep_until(wake) => {}
                _ = terminate.recv() => return self.leave(Signal::SIGTERM).await,
                _ = interrupt.recv() => return self.leave(Signal::SIGINT).await,
                _ = hang_up.recv() => return self.leave(Signal::SIGHUP).await,
            }
        }
    }

    /// Does what can be done now. When to look again; `None` when nothing is left.
    async fn step(&mut self) -> Result<Option<Instant>, StoreError> {
        if self.store.is_replaced() {
            self.store = super::open(&self.config, &self.state_dir)?;
        }
        while let Some((id, ended)) = self.unwritten.pop() {
            if let Err(error) = self.book(id, &ended).await {
                self.unwritten.push((id, ended));
                return Err(error);
            }
        }
        while let Some((id, had)) = self.uncloned.pop() {
            // What cannot be written now is taken over, as a task whose run was lost.
            self.cloned(id, had).await?;
        }
        self.take_letters()?;
        self.adopt()?;
        self.hear_canary().await;
        self.outage.look().await;
        self.agree()?;
        let next = self.start_what_may().await?;
        self.tell()?;
        let canary = self.outage.canary().map(|_| CANARY_EVERY);
        let inbox = self.config.values.queue.inbox.as_ref().map(|_| INBOX_EVERY);
        let soonest =
            [canary, inbox, self.patience()].into_iter().flatten().fold(LOOK_EVERY, Duration::min);
        Ok(next.map(|next| Instant::now() + next.min(soonest)))
    }

    /// Goes on with what an earlier runner of this host left running.
    fn adopt(&mut self) -> Result<(), StoreError> {
        for task in self.store.list(&[State::Running], None)? {
            let ours = task.owner.as_deref() == Some(self.owner.as_str());
            let waits = self.unwritten.iter().any(|(id, _)| *id == task.id);
            if let Some(running) = self.running.get_mut(&task.id).filter(|_| ours) {
                if task.record.stopped && !std::mem::replace(&mut running.stopped, true) {
                    // Said on another host, perhaps.
                    start::end(&self.state_dir, &running.job);
                }
                continue;
            }
            if !ours || waits {
                continue;
            }
            let at_work = ending::is_at_work(&self.state_dir, &task.job());
            tracing::info!(task = task.id, at_work, "taken over");
            self.attend(&task, None);
        }
        Ok(())
    }

    /// Whether the task that goes ahead has shown that the service works.
    async fn hear_canary(&mut self) {
        let Some(id) = self.outage.canary() else { return };
        match self.running.get_mut(&id) {
            Some(running) => {
                let log = super::output::path(&self.state_dir, &running.job);
                running.summary.read_on(&log);
                if running.summary.answered {
                    self.outage.heard(id, true).await;
                }
            }
            None => self.outage.heard(id, false).await,
        }
    }

    /// Asks every run to end, and waits for them; their tasks go on next time.
    async fn leave(mut self, by: Signal) -> anyhow::Result<u8> {
        let _ = self.leaving.send(true);
        if let Err(error) = self.stop_leading() {
            tracing::warn!(%error, "the lead is kept");
        }
        let until = Instant::now() + LEAVE_WITHIN;
        if !self.running.is_empty() {
            say(&format!(
                "ending {} tasks; they go on when the queue runs again",
                self.running.len()
            ));
        }
        while let Ok(Some(end)) = tokio::time::timeout_at(until, self.ends.join_next()).await {
            if let Ok((id, ended)) = end {
                self.unwritten.push((id, ended));
            }
        }
        for (id, ended) in std::mem::take(&mut self.unwritten) {
            if let Err(error) = self.book(id, &ended).await {
                // The next runner finds its end in the journal.
                say(&error.to_string());
            }
        }
        self.notifier.finish(Duration::from_secs(2)).await;
        Ok(match by {
            Signal::SIGINT => exit::INTERRUPTED,
            by => u8::try_from(128 + by as i32).unwrap_or(exit::OURS),
        })
    }

    /// The exit code when nothing is left to do.
    async fn leave_when_told(self) -> u8 {
        let waits = self.store.list(&[State::Queued, State::NeedsYou], None).unwrap_or_default();
        let person = self.seen.1 || waits.iter().any(|task| task.state == State::NeedsYou);
        self.notifier.finish(Duration::from_secs(2)).await;
        match (person, self.seen.0, waits.is_empty()) {
            (true, ..) => exit::PERSON,
            (_, true, _) => 1,
            (.., false) => exit::TRY_LATER,
            (false, false, true) => 0,
        }
    }
}

/// Waits for a while; for commands that look again.
pub async fn a_while() {
    sleep(Duration::from_millis(300)).await;
}
