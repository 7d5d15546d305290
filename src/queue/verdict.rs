//! What a run's end means for its task: the state table. Pure.

use crate::failure::FailureKind;
use crate::journal::Outcome;

use super::task::{Held, State, Task};

/// A usage limit without a known reset is tried again after this (milliseconds).
const UNKNOWN_RESET_MS: i64 = 30 * 60_000;

/// A reset is known to the minute at best.
const RESET_MARGIN_MS: i64 = 5_000;

/// Between tries after a failure, for `--retries` (milliseconds).
const RETRY_AFTER_MS: i64 = 30_000;

/// So often a task may be lost without it counting against it.
const LOST_FOR_FREE: u32 = 2;

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct End {
    /// What the run said of itself, or what its exit code says; `None` if it was lost.
    pub outcome: Option<Outcome>,
    /// Its exit code, if it is known.
    pub code: Option<i32>,
    /// What failed last.
    pub failure: Option<FailureKind>,
    /// Why we ended it, if we did.
    pub cut: Option<Cut>,
    /// Whether the task's check passed, if there is one.
    pub check: Option<Result<(), String>>,
    /// What it cost (US dollars).
    pub spent_usd: f64,
    /// How long it ran (milliseconds).
    pub worked_ms: u64,
    /// Whether Claude used a tool.
    pub used_tools: bool,
    /// Claude ended because its spend cap was reached.
    pub over_budget: bool,
}

/// Why a runner ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It ran too long.
    TooLong,
    /// The runner leaves.
    Leaving,
}

/// What follows beyond the task itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The service was down.
    ServiceDown,
    /// Nothing of this account before then.
    Limit(i64),
    /// Nothing of this account until a person has signed in or changed something.
    Account(String),
}

/// Books the end of a run. The task is changed; what else follows is returned.
pub fn book(task: &mut Task, end: &End, now: i64) -> Effect {
    let record = &mut task.record;
    record.spent_usd += end.spent_usd;
    record.worked_ms += end.worked_ms;
    record.held_by = None;
    record.pause_ms = None;
    record.why = None;
    let spent = record.spent_usd;
    if record.stopped {
        record.stopped = false;
        needs(task, now, "stopped by you; `queue retry` goes on with it");
        return Effect::None;
    }
    if end.cut == Some(Cut::TooLong) {
        needs(task, now, "its time limit came first; `queue retry` goes on with it");
        return Effect::None;
    }
    if end.over_budget
        || task.spec.budget_usd.is_some_and(|budget| over(spent, budget))
            && end.outcome != Some(Outcome::Done)
    {
        needs(task, now, "its budget is spent; raise it with `queue edit`, then `queue retry`");
        return Effect::None;
    }
    match &end.outcome {
        Some(Outcome::Done) => match &end.check {
            Some(Err(why)) => failed(task, now, &format!("its check failed: {why}")),
            _ => {
                task.state = State::Done;
                task.ended = Some(now);
            }
        },
        Some(Outcome::Person { why }) => {
            let account =
                matches!(end.failure, Some(FailureKind::SignInNeeded | FailureKind::Refused));
            task.record.sign_in = end.failure == Some(FailureKind::SignInNeeded);
            needs(task, now, why);
            if account {
                return Effect::Account(why.clone());
            }
        }
        // Cut off by a signal: its own, or one that ended the machine.
        Some(Outcome::Later { .. }) if end.code.is_some_and(|code| code >= 128) => {
            lost(task, now, end.cut == Some(Cut::Leaving));
        }
        None => lost(task, now, false),
        Some(Outcome::Later { not_before }) => {
            task.state = State::Queued;
            if let Some(FailureKind::UsageLimit { .. }) = end.failure {
                let until = not_before
                    .map_or(now + UNKNOWN_RESET_MS, |at| at.as_millisecond() + RESET_MARGIN_MS);
                task.not_before = Some(until);
                task.record.held_by = Some(Held::Limit);
                return Effect::Limit(until);
            }
            task.record.held_by = Some(Held::Service);
            // Someone else is at it: there is nothing to learn about the service.
            if end.failure.is_none() {
                pause(task, now);
                return Effect::None;
            }
            return Effect::ServiceDown;
        }
        Some(Outcome::Failed) => {
            let code = end.code.map(|code| format!("exit {code}")).unwrap_or_default();
            let what =
                end.failure.map(|kind| format!("{} ({code})", kind.name().replace('_', " ")));
            failed(task, now, &what.unwrap_or(code));
        }
    }
    Effect::None
}

/// Whether a cap is used up, but for rounding.
#[must_use]
pub fn over(spent: f64, cap: f64) -> bool {
    spent >= cap - 0.005
}

fn pause(task: &mut Task, now: i64) {
    task.not_before = Some(now + RETRY_AFTER_MS);
    task.record.pause_ms = Some(RETRY_AFTER_MS);
}

fn needs(task: &mut Task, now: i64, why: &str) {
    task.state = State::NeedsYou;
    task.ended = Some(now);
    task.record.why = Some(why.to_owned());
}

fn failed(task: &mut Task, now: i64, why: &str) {
    task.record.failures += 1;
    task.record.why = Some(why.to_owned());
    if task.record.failures <= task.spec.retries {
        task.state = State::Queued;
        pause(task, now);
    } else {
        task.state = State::Failed;
        task.ended = Some(now);
    }
}

fn lost(task: &mut Task, now: i64, by_us: bool) {
    task.state = State::Queued;
    task.record.held_by = Some(Held::Lost);
    if by_us {
        return;
    }
    task.record.lost += 1;
    if task.record.lost > LOST_FOR_FREE {
        task.record.failures += 1;
        if task.record.failures > task.spec.retries {
            let times = task.record.lost;
            needs(
                task,
                now,
                &format!("its run was lost {times} times; `queue retry` goes on with it"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::task::{Record, Spec};
    use super::*;

    const NOW: i64 = 1_000_000;

    fn task() -> Task {
        Task {
            id: 1,
            version: 1,
            name: "x".into(),
            state: State::Running,
            priority: 0,
            position: 1.0,
            token: "t".into(),
            owner: Some("here".into()),
            account: "a".into(),
            not_before: None,
            added: 0,
            started: Some(0),
            ended: None,
            spec: Spec::default(),
            record: Record::default(),
        }
    }

    fn end(outcome: Outcome, code: i32) -> End {
        End { outcome: Some(outcome), code: Some(code), ..End::default() }
    }

    #[test]
    fn each_end_leads_to_its_state() {
        let later = |not_before| Outcome::Later { not_before };
        let person = |why: &str| Outcome::Person { why: why.into() };
        let resets = Timestamp::from_millisecond(NOW + 60_000).ok();
        let limit = FailureKind::UsageLimit { resets };
        let table: [(End, State, Effect, Option<i64>); 9] = [
            (end(Outcome::Done, 0), State::Done, Effect::None, None),
            (end(Outcome::Failed, 1), State::Failed, Effect::None, None),
            (
                End { failure: Some(FailureKind::Api), ..end(later(None), 75) },
                State::Queued,
                Effect::ServiceDown,
                None,
            ),
            (
                End { failure: Some(limit), ..end(later(resets), 75) },
                State::Queued,
                Effect::Limit(NOW + 65_000),
                Some(NOW + 65_000),
            ),
            (end(later(None), 75), State::Queued, Effect::None, Some(NOW + RETRY_AFTER_MS)),
            (end(later(None), 143), State::Queued, Effect::None, None),
            (End::default(), State::Queued, Effect::None, None),
            (end(person("a tool"), 65), State::NeedsYou, Effect::None, None),
            (
                End { failure: Some(FailureKind::SignInNeeded), ..end(person("sign in"), 1) },
                State::NeedsYou,
                Effect::Account("sign in".into()),
                None,
            ),
        ];
        for (end, state, effect, not_before) in table {
            let mut task = task();
            assert_eq!(book(&mut task, &end, NOW), effect, "{end:?}");
            assert_eq!((task.state, task.not_before), (state, not_before), "{end:?}");
            assert_eq!(task.ended.is_some(), !matches!(state, State::Queued), "{end:?}");
        }
    }

    #[test]
    fn a_check_a_cap_a_limit_and_a_word_come_before_the_exit_code() {
        let mut done = end(Outcome::Done, 0);
        done.check = Some(Err("exit 1".into()));
        let mut checked = task();
        book(&mut checked, &done, NOW);
        assert_eq!(checked.state, State::Failed);

        let mut capped = task();
        capped.spec.budget_usd = Some(2.0);
        capped.record.spent_usd = 1.5;
        let dear = End { spent_usd: 0.5, ..end(Outcome::Failed, 1) };
        book(&mut capped, &dear, NOW);
        assert_eq!(capped.state, State::NeedsYou, "a cap asks, it does not fail");
        let mut capped = task();
        capped.spec.budget_usd = Some(0.5);
        book(&mut capped, &End { spent_usd: 0.5, ..end(Outcome::Done, 0) }, NOW);
        assert_eq!(capped.state, State::Done, "its last cent bought the end");

        let mut slow = task();
        book(&mut slow, &End { cut: Some(Cut::TooLong), ..end(Outcome::of(143), 143) }, NOW);
        assert_eq!(slow.state, State::NeedsYou);
        let mut stopped = task();
        stopped.record.stopped = true;
        book(&mut stopped, &end(Outcome::of(143), 143), NOW);
        assert_eq!((stopped.state, stopped.record.stopped), (State::NeedsYou, false));
    }

    #[test]
    fn retries_are_counted_and_what_is_lost_counts_from_the_third_time() {
        let mut task = task();
        task.spec.retries = 1;
        book(&mut task, &end(Outcome::Failed, 1), NOW);
        assert_eq!((task.state, task.not_before), (State::Queued, Some(NOW + RETRY_AFTER_MS)));
        book(&mut task, &end(Outcome::Failed, 1), NOW);
        assert_eq!(task.state, State::Failed);

        let mut lost = self::task();
        for _ in 0..10 {
            book(&mut lost, &End { cut: Some(Cut::Leaving), ..end(Outcome::of(143), 143) }, NOW);
            assert_eq!((lost.state, lost.record.lost), (State::Queued, 0), "we ended it");
        }
        for state in [State::Queued, State::Queued, State::NeedsYou] {
            book(&mut lost, &End::default(), NOW);
            assert_eq!(lost.state, state);
        }
    }
}
