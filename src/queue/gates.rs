//! What a task waits for. Pure: the task and what is known go in; the first thing in its way
//! comes out, in words that `queue list` shows and the runner obeys.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::task::{Held, Id, State, Task};

/// What is known when a task is looked at.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Now (milliseconds).
    pub now: i64,
    /// Who asks; `None` for a person.
    pub owner: Option<String>,
    /// What the host that asks has to offer.
    pub labels: Vec<String>,
    /// The tasks whose directory this host neither has nor can make.
    pub elsewhere: BTreeSet<Id>,
    /// The queue is paused: until when, if that is set, and why.
    pub paused: Option<(Option<i64>, String)>,
    /// The day's money is spent.
    pub day_is_spent: bool,
    /// How the tasks that others wait for stand: label and state.
    pub others: BTreeMap<Id, (String, State)>,
    /// Until when a usage limit holds an account.
    pub limits: BTreeMap<String, i64>,
    /// Why an account can start nothing.
    pub accounts: BTreeMap<String, String>,
    /// The service reads down, for this reason.
    pub down: Option<String>,
    /// The first task after an outage, on whose first good turn the others wait.
    pub canary: Option<Id>,
    /// Slots that are free; `None` when nobody runs the queue.
    pub slots: Option<usize>,
}

/// What is in a task's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Somebody paused the queue.
    Paused(Option<i64>, String),
    /// It is another host's.
    Host(String),
    /// A host that has this.
    Place(String),
    /// Its time.
    Until(i64),
    /// Another task.
    Task(String),
    /// Another task, which did not end well.
    Broken(String, State),
    /// A usage limit.
    Limit(i64),
    /// A person, for its account.
    Account(String),
    /// Tomorrow, or a higher cap.
    Day,
    /// The service.
    Service(String),
    /// The first task after an outage.
    Canary(Id),
    /// A slot.
    Slot,
    /// Somebody who runs the queue.
    Runner,
}

impl Wait {
    /// When it passes by itself, if that is known.
    #[must_use]
    pub fn until(&self) -> Option<i64> {
        match self {
            Self::Paused(until, _) => *until,
            Self::Until(until) | Self::Limit(until) => Some(*until),
            _ => None,
        }
    }

    /// In words.
    #[must_use]
    pub fn text(&self, now: i64, zone: &TimeZone) -> String {
        let at = |at: i64| clock(at, now, zone);
        match self {
            Self::Paused(Some(until), why) => format!("paused until {} ({why})", at(*until)),
            Self::Paused(None, why) => format!("paused ({why})"),
            Self::Host(host) => format!("host {host}, which began it"),
            Self::Place(what) => format!("a host with {what}"),
            Self::Until(until) => at(*until),
            Self::Task(task) => task.clone(),
            Self::Broken(task, state) => match state {
                State::NeedsYou => format!("{task}, which needs you"),
                State::Removed => format!("{task}, which was removed"),
                _ => format!("{task}, which failed"),
            },
            Self::Limit(until) => format!("usage limit, resets {}", at(*until)),
            Self::Account(why) => why.clone(),
            Self::Day => "tomorrow: queue.max_usd_per_day is spent".to_owned(),
            Self::Service(why) => format!("the service ({why})"),
            Self::Canary(id) => format!("q{id}, the first since the outage"),
            Self::Slot => "a free slot".to_owned(),
            Self::Runner => "claude-safe queue run".to_owned(),
        }
    }
}

/// A time as people say it: the clock's alone if it is near.
#[must_use]
pub fn clock(at: i64, now: i64, zone: &TimeZone) -> String {
    let Ok(moment) = Timestamp::from_millisecond(at) else { return "a time".to_owned() };
    let near = (at - now).abs() < 20 * 3_600_000;
    let form = if near { "%H:%M" } else { "%a %d %b %H:%M" };
    moment.to_zoned_datetime(zone.clone()).strftime(form).to_string()
}

/// The first thing in the way of a queued task; `None` means that it may start.
#[must_use]
pub fn wait(task: &Task, known: &Known) -> Option<Wait> {
    if let Some((until, why)) = &known.paused
        && until.is_none_or(|until| until > known.now)
    {
        return Some(Wait::Paused(*until, why.clone()));
    }
    if let (Some(mine), Some(theirs)) = (&known.owner, &task.owner)
        && mine != theirs
    {
        return Some(Wait::Host(theirs.clone()));
    }
    if let Some(label) = task.spec.labels.iter().find(|label| !known.labels.contains(label)) {
        return Some(Wait::Place(label.clone()));
    }
    if known.elsewhere.contains(&task.id) {
        return Some(Wait::Place(task.spec.dir.display().to_string()));
    }
    let by_limit = task.record.held_by == Some(Held::Limit);
    // A clock that was set back makes no pause longer than it was meant to be.
    let over = |until: i64| task.record.pause_ms.is_some_and(|pause| until - known.now > pause);
    let held = |until: &i64| *until > known.now && !over(*until);
    if let Some(until) = task.not_before.filter(held) {
        return Some(if by_limit { Wait::Limit(until) } else { Wait::Until(until) });
    }
    for id in &task.spec.after {
        match known.others.get(id) {
            // Its history is over; nothing says that it failed.
            Some((_, State::Done)) | None => {}
            Some((label, State::Queued | State::Running)) => {
                return Some(Wait::Task(label.clone()));
            }
            Some((label, state)) => return Some(Wait::Broken(label.clone(), *state)),
        }
    }
    if let Some(until) = known.limits.get(&task.account).filter(|until| **until > known.now) {
        return Some(Wait::Limit(*until));
    }
    if let Some(why) = known.accounts.get(&task.account) {
        return Some(Wait::Account(why.clone()));
    }
    if known.day_is_spent {
        return Some(Wait::Day);
    }
    if let Some(why) = &known.down {
        return Some(Wait::Service(why.clone()));
    }
    if let Some(canary) = known.canary {
        return Some(Wait::Canary(canary));
    }
    match known.slots {
        None => Some(Wait::Runner),
        Some(0) => Some(Wait::Slot),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::{Record, Spec};
    use super::*;

    pub(crate) fn task() -> Task {
        Task {
            id: 9,
            version: 1,
            name: "x".into(),
            state: State::Queued,
            priority: 0,
            position: 1.0,
            token: "t".into(),
            owner: None,
            account: "a".into(),
            not_before: None,
            added: 0,
            started: None,
            ended: None,
            spec: Spec::default(),
            record: Record::default(),
        }
    }

    fn free() -> Known {
        Known { now: 1000, owner: Some("here".into()), slots: Some(1), ..Known::default() }
    }

    /// Every gate alone, and each before those that come after it.
    #[test]
    fn the_first_thing_in_the_way_is_named() {
        let mut task = task();
        let mut known = free();
        assert_eq!(wait(&task, &known), None);
        known.slots = Some(0);
        assert_eq!(wait(&task, &known), Some(Wait::Slot));
        known.slots = None;
        assert_eq!(wait(&task, &known), Some(Wait::Runner));
        known.canary = Some(3);
        assert_eq!(wait(&task, &known), Some(Wait::Canary(3)));
        known.down = Some("HTTP 529".into());
        assert_eq!(wait(&task, &known), Some(Wait::Service("HTTP 529".into())));
        known.day_is_spent = true;
        assert_eq!(wait(&task, &known), Some(Wait::Day));
        known.accounts.insert("a".into(), "sign in".into());
        assert_eq!(wait(&task, &known), Some(Wait::Account("sign in".into())));
        known.limits.insert("a".into(), 2000);
        assert_eq!(wait(&task, &known), Some(Wait::Limit(2000)));
        task.spec.after = vec![1, 2, 4];
        known.others.insert(1, ("q1".into(), State::Done));
        known.others.insert(2, ("q2".into(), State::Failed));
        assert_eq!(wait(&task, &known), Some(Wait::Broken("q2".into(), State::Failed)));
        known.others.insert(2, ("q2".into(), State::Running));
        assert_eq!(wait(&task, &known), Some(Wait::Task("q2".into())));
        task.not_before = Some(1500);
        assert_eq!(wait(&task, &known), Some(Wait::Until(1500)));
        task.record.held_by = Some(Held::Limit);
        assert_eq!(wait(&task, &known), Some(Wait::Limit(1500)));
        task.owner = Some("there".into());
        assert_eq!(wait(&task, &known), Some(Wait::Host("there".into())));
        known.paused = Some((Some(1200), "by hand".into()));
        assert_eq!(wait(&task, &known), Some(Wait::Paused(Some(1200), "by hand".into())));
        known.paused = Some((Some(900), "by hand".into()));
        assert_eq!(wait(&task, &known), Some(Wait::Host("there".into())), "that pause is over");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_pause_longer() {
        let mut task = task();
        task.not_before = Some(31_000);
        task.record.pause_ms = Some(30_000);
        let mut known = free();
        assert_eq!((known.now, wait(&task, &known)), (1000, Some(Wait::Until(31_000))));
        known.now = -7_200_000;
        assert_eq!(wait(&task, &known), None);
        task.record.pause_ms = None;
        assert_eq!(wait(&task, &known), Some(Wait::Until(31_000)), "a time of day is awaited");
    }

    #[test]
    fn a_task_goes_to_a_host_that_has_what_it_needs() {
        let mut task = task();
        task.spec.labels = vec!["gpu".into(), "linux".into()];
        task.spec.dir = "~/src/app".into();
        let mut known = free();
        known.labels = vec!["gpu".into()];
        assert_eq!(wait(&task, &known), Some(Wait::Place("linux".into())));
        known.labels.push("linux".into());
        assert_eq!(wait(&task, &known), None);
        known.elsewhere.insert(task.id);
        assert_eq!(wait(&task, &known), Some(Wait::Place("~/src/app".into())));
    }

    #[test]
    fn times_that_have_come_and_limits_of_others_hold_nothing() {
        let mut task = task();
        task.not_before = Some(1000);
        task.owner = Some("here".into());
        let mut known = free();
        known.limits = [("a".into(), 1000), ("b".into(), 9000)].into();
        known.accounts.insert("b".into(), "sign in".into());
        assert_eq!(wait(&task, &known), None);
    }
}
