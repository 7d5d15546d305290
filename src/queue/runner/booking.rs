//! What a runner does when a run has ended: the task's new state, what it cost, what follows for
//! the others, and whom to tell.

use serde_json::json;

use super::Runner;
use crate::journal::Outcome;
use crate::notice::say;
use crate::notify::Occasion;
use crate::queue::known::{self, Closed, PAUSED, Pause};
use crate::queue::start::Ended;
use crate::queue::task::{Id, State, Task, now_ms};
use crate::queue::verdict::{self, Effect, End};
use crate::queue::{StoreError, output, worktree};

/// A task that failed within this, without a tool, failed at once (milliseconds).
const AT_ONCE_MS: u64 = 60_000;
/// So many of these in a row pause the queue.
const QUICK_FAILURES: usize = 2;

impl Runner {
    /// Books the end of a task's run.
    pub(super) async fn book(&mut self, id: Id, ended: &Ended) -> Result<(), StoreError> {
        let Some(mut task) = self.store.get(id)? else {
            self.running.remove(&id);
            return Ok(());
        };
        let ours = task.owner.as_deref() == Some(self.owner.as_str());
        if task.state != State::Running || !ours {
            self.running.remove(&id);
            return Ok(());
        }
        let end = self.end_of(&task, ended);
        let effect = loop {
            let effect = verdict::book(&mut task, &end, now_ms());
            if let Some(last) = &ended.last {
                if !task.record.runs.contains(&last.run) {
                    task.record.runs.push(last.run.clone());
                }
                task.record.session = last.session.clone().or(task.record.session.take());
            }
            let tree = task.record.worktree.as_ref().zip(task.record.base.as_ref());
            task.record.changes = tree.and_then(|(tree, base)| worktree::changes(tree, base));
            if self.store.save(&mut task)? {
                break effect;
            }
            // Somebody changed it meanwhile: a stop, most likely.
            match self.store.get(id)? {
                Some(newer) if newer.state == State::Running => task = newer,
                // Somebody took it away.
                _ => {
                    self.running.remove(&id);
                    return Ok(());
                }
            }
        };
        self.running.remove(&id);
        self.busy = true;
        tracing::info!(task = id, state = task.state.name(), code = ended.code, "a run ended");
        if end.spent_usd > 0.0 {
            self.store.add_to_note(&known::day(), end.spent_usd)?;
        }
        let works = matches!(end.outcome, Some(Outcome::Done)) || end.used_tools;
        self.outage.heard(id, works || !matches!(effect, Effect::ServiceDown)).await;
        self.follow(&task, effect)?;
        self.count_quick(&task, &end)?;
        self.tell_person(&task);
        Ok(())
    }

    fn end_of(&mut self, task: &Task, ended: &Ended) -> End {
        let mut summary =
            self.running.get(&task.id).map(|running| running.summary.clone()).unwrap_or_default();
        summary.read_on(&output::path(&self.state_dir, &task.job()));
        // A run that is booked already is not the one that was lost.
        let last = ended.last.as_ref().filter(|last| !task.record.runs.contains(&last.run));
        let word = last.and_then(|last| last.ended.as_ref());
        let code = word.map(|word| word.code).or(ended.code);
        End {
            outcome: word.map(|word| word.outcome.clone()).or(ended.code.map(Outcome::of)),
            code,
            failure: last.and_then(|last| last.failure),
            cut: ended.cut,
            check: ended.check.clone(),
            spent_usd: summary.spent_usd,
            worked_ms: ended.worked_ms,
            used_tools: summary.used_tools,
            over_budget: summary.over_budget,
        }
    }

    fn follow(&mut self, task: &Task, effect: Effect) -> Result<(), StoreError> {
        match effect {
            Effect::None => {}
            Effect::ServiceDown => self.outage.down("a task met it"),
            Effect::Limit(until) => {
                self.store.set_note(&known::limit_of(&task.account), Some(&until.to_string()))?;
            }
            Effect::Account(why) => {
                let shut = Closed { why, stamp: known::stamp(&task.account) };
                let shut = serde_json::to_string(&shut).unwrap_or_default();
                self.store.set_note(&known::closed(&self.owner, &task.account), Some(&shut))?;
            }
        }
        Ok(())
    }

    /// Two tasks in a row that fail at once mean something that the others would meet too.
    fn count_quick(&mut self, task: &Task, end: &End) -> Result<(), StoreError> {
        let failed = end.outcome == Some(Outcome::Failed);
        if !failed || end.worked_ms >= AT_ONCE_MS || end.used_tools {
            if matches!(task.state, State::Done | State::Failed) {
                self.quick.clear();
            }
            return Ok(());
        }
        self.quick.push(task.label());
        if self.quick.len() < QUICK_FAILURES {
            return Ok(());
        }
        let why = format!("{} failed at once; `queue resume` goes on", self.quick.join(" and "));
        self.quick.clear();
        let pause = Pause { until: None, why: why.clone() };
        self.store.set_note(PAUSED, Some(&serde_json::to_string(&pause).unwrap_or_default()))?;
        say(&format!("the queue is paused: {why}"));
        let _ = self.notifier.notify(Occasion::QueuePaused, &why);
        Ok(())
    }

    pub(super) fn tell_person(&mut self, task: &Task) {
        let occasion = match task.state {
            State::Done => Occasion::TaskDone,
            State::Failed => Occasion::TaskFailed,
            State::NeedsYou => Occasion::NeedsYou,
            State::Queued | State::Running | State::Removed => return,
        };
        self.seen.0 |= task.state == State::Failed;
        self.seen.1 |= task.state == State::NeedsYou;
        let why = task.record.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let state = task.state.name().replace('_', " ");
        let text = format!("{} {} {state}{why}", task.label(), task.name);
        let more = json!({
            "id": task.label(),
            "name": task.name,
            "state": task.state,
            "cost_usd": task.record.spent_usd,
            "session": task.record.session,
        });
        let _ = self.notifier.notify_about(occasion, &text, more);
        say(&text);
    }
}
