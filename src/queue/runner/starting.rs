//! What a runner starts, and why it does not: claims, worktrees, the inbox, and what it tells
//! those who list.

use std::path::Path;
use std::time::Duration;

use super::{Runner, Running, clone, fleet};
use crate::notice::say;
use crate::notify::Occasion;
use crate::queue::compose::compose;
use crate::queue::gates::{self, Known, Wait};
use crate::queue::known::{self, Told};
use crate::queue::output::{self, Summary};
use crate::queue::start::{self, Watch};
use crate::queue::task::{Id, State, Task, now_ms, uptime_ms};
use crate::queue::verdict::{self, End};
use crate::queue::{StoreError, inbox, place, worktree};

/// So many tasks are looked at first; only if none of them may start, all are.
const FIRST_LOOK: u32 = 100;

/// How a run under the queue differs: it hands a limit back instead of sitting in its slot, and
/// the queue tells people itself.
const SETTINGS: [&str; 3] = ["retry.wait_for_limit=off", "notify.on=", "notify.bell="];

impl Runner {
    /// Starts what may start. How long until something else may; `None` when nothing is left.
    pub(super) async fn start_what_may(&mut self) -> Result<Option<Duration>, StoreError> {
        self.open_accounts()?;
        let mut most = Some(FIRST_LOOK);
        loop {
            let mut tasks = self.store.list(&[State::Queued], most)?;
            let more = most.is_some_and(|most| tasks.len() == most as usize);
            // What was begun comes first: its slot, its conversation and its worktree are here.
            tasks.sort_by_key(|task| task.started.is_none());
            let mut known = self.known(&tasks).await?;
            let mut waits = Vec::new();
            let mut started = 0;
            for task in tasks {
                match gates::wait(&task, &known) {
                    None => {
                        if !self.may_start_now()? {
                            return Ok(Some(fleet::PACE));
                        }
                        if self.start(task).await? {
                            started += 1;
                            self.refresh(&mut known);
                        }
                    }
                    Some(wait) => waits.push(wait),
                }
            }
            self.fleet.wants = waits.iter().any(|wait| matches!(wait, Wait::Service(_)));
            let full = self.running.len() >= self.jobs;
            if more && started == 0 && !full {
                most = None;
                continue;
            }
            return Ok(self.next(&waits, &known, more));
        }
    }

    /// Until when nothing changes by itself; `None` when nobody would miss this runner.
    fn next(&mut self, waits: &[Wait], known: &Known, more: bool) -> Option<Duration> {
        let idle = self.running.is_empty() && self.unwritten.is_empty();
        if idle && waits.is_empty() && !more && std::mem::take(&mut self.busy) {
            let _ = self.notifier.notify(Occasion::QueueEmpty, "nothing waits in the queue");
        }
        let passes = |wait: &Wait| match wait {
            Wait::Paused(until, _) => until.is_some(),
            // Another task is in this list itself, or needs somebody.
            Wait::Host(_)
            | Wait::Place(_)
            | Wait::Task(_)
            | Wait::Broken(..)
            | Wait::Account(_)
            | Wait::Day => false,
            _ => true,
        };
        if self.until_empty && idle && !more && !waits.iter().any(passes) {
            return None;
        }
        let soonest = waits.iter().filter_map(Wait::until).min();
        let ms = soonest.map_or(u64::MAX, |at| u64::try_from(at - known.now).unwrap_or(0));
        // A clock that is set back must not be waited for.
        Some(Duration::from_millis(ms.saturating_add(5)))
    }

    async fn known(&mut self, tasks: &[Task]) -> Result<Known, StoreError> {
        let mut known = known::of(&*self.store, &self.config, tasks)?;
        known.owner = Some(self.owner.clone());
        for task in tasks {
            let account = place::here(Path::new(&task.account));
            if let Some(until) = self.outage.breaker().limit_of(&account.to_string_lossy()).await {
                let until = i64::try_from(until).unwrap_or(i64::MAX);
                let held = known.limits.entry(task.account.clone()).or_insert(until);
                *held = until.max(*held);
            }
            if tasks.iter().all(|other| other.account == task.account) {
                break;
            }
        }
        self.refresh(&mut known);
        Ok(known)
    }

    fn refresh(&self, known: &mut Known) {
        known.slots = Some(self.jobs.saturating_sub(self.running.len()));
        known.canary = self.outage.ahead();
        known.down = self.outage.reason();
    }

    /// Claims a task and starts its run: whether a slot was taken.
    async fn start(&mut self, mut task: Task) -> Result<bool, StoreError> {
        task.state = State::Running;
        task.owner = Some(self.owner.clone());
        task.started = Some(now_ms());
        task.ended = None;
        task.record.why = None;
        task.record.uptime_ms = uptime_ms();
        task.record.log_from = log_length(&output::path(&self.state_dir, &task.job()));
        // For good, and on the disk before anything is started.
        if !self.store.save(&mut task)? {
            return Ok(false);
        }
        self.outage.starts(task.id).await;
        let dir = place::here(&task.spec.dir);
        if let Some(repo) = task.spec.repo.clone().filter(|_| !dir.exists()) {
            let running = Running { summary: Summary::default(), job: task.job(), stopped: false };
            self.running.insert(task.id, running);
            let id = task.id;
            self.clones.spawn(async move { (id, clone::clone(&repo, &dir).await) });
            return Ok(true);
        }
        self.begin_or_fail(task).await
    }

    /// What was to be cloned is there, or cannot be had.
    pub(super) async fn cloned(
        &mut self,
        id: Id,
        had: Result<(), String>,
    ) -> Result<(), StoreError> {
        self.running.remove(&id);
        let Some(mut task) = self.store.get(id)? else { return Ok(()) };
        let ours = task.owner.as_deref() == Some(self.owner.as_str());
        if task.state != State::Running || !ours {
            return Ok(());
        }
        if task.record.stopped {
            verdict::book(&mut task, &End::default(), now_ms());
            self.store.save(&mut task)?;
            return Ok(());
        }
        match had {
            Ok(()) => self.begin_or_fail(task).await.map(drop),
            Err(why) => self.fail(task, why).await,
        }
    }

    async fn begin_or_fail(&mut self, mut task: Task) -> Result<bool, StoreError> {
        match self.begin(&mut task) {
            Ok(()) => Ok(true),
            Err(why) => self.fail(task, why).await.map(|()| false),
        }
    }

    /// It could not even be started.
    async fn fail(&mut self, mut task: Task, why: String) -> Result<(), StoreError> {
        task.state = State::Failed;
        task.ended = Some(now_ms());
        task.record.why = Some(why);
        self.store.save(&mut task)?;
        self.outage.heard(task.id, false).await;
        self.tell_person(&task);
        Ok(())
    }

    fn begin(&mut self, task: &mut Task) -> Result<(), String> {
        let dir = &place::here(&task.spec.dir);
        if !dir.is_dir() {
            return Err(format!("its directory is gone: {}", dir.display()));
        }
        if let Some(base) = &task.spec.worktree {
            let (tree, commit) = worktree::make(&self.state_dir, dir, &task.job(), base)?;
            task.record.worktree = Some(tree);
            task.record.base.get_or_insert(commit);
            // A stop that came in between is not lost: its version is newer.
            self.store.save(task).map_err(|error| error.to_string())?;
        }
        let settings = SETTINGS.map(str::to_owned);
        let child = start::start(&self.state_dir, &self.program, task, &settings)
            .map_err(|error| format!("it cannot be started: {error}"))?;
        self.attend(task, Some(child));
        Ok(())
    }

    /// Follows a run to its end.
    pub(super) fn attend(&mut self, task: &Task, child: Option<tokio::process::Child>) {
        let began = if child.is_some() { uptime_ms() } else { task.record.uptime_ms };
        let ran = uptime_ms().saturating_sub(began);
        let watch = Watch {
            child,
            state_dir: self.state_dir.clone(),
            job: task.job(),
            dir: task.dir(),
            check: task.spec.check.clone(),
            limit: Duration::from_millis(task.spec.timeout_ms.saturating_sub(ran)),
            leaving: self.leaving.subscribe(),
        };
        let summary = Summary { read_to: task.record.log_from, ..Summary::default() };
        self.running.insert(task.id, Running { summary, job: task.job(), stopped: false });
        let id = task.id;
        self.ends.spawn(async move { (id, start::attend(watch).await) });
    }

    /// Accounts whose sign-in is another by now: their tasks go on.
    fn open_accounts(&mut self) -> Result<(), StoreError> {
        let tasks = self.store.list(&[State::NeedsYou], None)?;
        if tasks.is_empty() {
            return Ok(());
        }
        for account in known::reopened(&*self.store, &self.owner, &tasks)?.into_keys() {
            self.store.set_note(&known::closed(&self.owner, &account), None)?;
            for mut task in tasks.iter().filter(|task| task.account == account).cloned() {
                let ours = task.owner.as_deref() == Some(self.owner.as_str());
                if ours && std::mem::take(&mut task.record.sign_in) {
                    task.state = State::Queued;
                    task.ended = None;
                    self.store.save(&mut task)?;
                }
            }
        }
        Ok(())
    }

    /// Makes tasks of what lies in the inbox.
    pub(super) fn take_letters(&mut self) -> Result<(), StoreError> {
        let Some(dir) = self.config.values.queue.inbox.clone() else { return Ok(()) };
        for letter in inbox::read(&dir) {
            let task = letter.task.and_then(|(mut head, prompt)| {
                head.key.get_or_insert_with(|| inbox::key(&letter.path));
                compose(&*self.store, &[], head, prompt, &crate::paths::home())
                    .map_err(|wrong| wrong.to_string())
            });
            let name = letter.path.display();
            let refused = match task {
                Ok(task) => {
                    self.store.add(&[task])?;
                    None
                }
                Err(wrong) => {
                    let text = format!("{name} is no task: {wrong}");
                    say(&text);
                    let _ = self.notifier.notify(Occasion::NeedsYou, &text);
                    Some(wrong)
                }
            };
            if let Err(error) = inbox::file_away(&letter.path, refused.as_deref()) {
                say(&format!("{name} cannot be moved: {error}"));
            }
        }
        Ok(())
    }

    /// Tells those who list how this runner stands.
    pub(super) fn tell(&mut self) -> Result<(), StoreError> {
        let told =
            Told { jobs: self.jobs, down: self.outage.reason(), canary: self.outage.ahead() };
        let told = serde_json::to_string(&told).unwrap_or_default();
        if self.told.as_ref() != Some(&told) {
            self.store.set_note(&known::told_by(&self.owner), Some(&told))?;
            self.told = Some(told);
        }
        Ok(())
    }
}

fn log_length(log: &std::path::Path) -> u64 {
    std::fs::metadata(log).map_or(0, |meta| meta.len())
}
