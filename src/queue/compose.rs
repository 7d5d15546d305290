//! From what a person wrote to a task: times, names, directories made certain. In: a head and a
//! prompt, and the queue for what is named in them. Out: a task that can be added, or what is
//! wrong.

use std::path::Path;

use jiff::civil::{Date, DateTime, Time};
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};

use super::file::{self, Head};
use super::place;
use super::store::{Store, StoreError};
use super::task::{Id, NewTask, Spec, State, Task, name_of};
use crate::config::value;

/// The longest that an attempt runs unless said otherwise.
const TIMEOUT: &str = "4h";

/// What is wrong with a task, or with the queue.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// The task.
    #[error("{0}")]
    Task(String),
    /// The queue.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a task. `batch` are those that are added before it, at the same time; `base` is where
/// its relative directory begins.
pub fn compose(
    store: &dyn Store,
    batch: &[NewTask],
    head: Head,
    prompt: String,
    base: &Path,
) -> Result<NewTask, Wrong> {
    file::check(&head).map_err(Wrong::Task)?;
    let dir = head.dir.as_deref().map_or_else(|| base.to_owned(), |dir| file::directory(dir, base));
    if !dir.is_dir() && head.repo.is_none() {
        return Err(Wrong::Task(format!("`dir`: {} is no directory", dir.display())));
    }
    let mut after = Vec::new();
    for name in &head.after {
        after.push(named(store, batch, name)?);
    }
    let now = ZonedDateTime::now();
    let at = head.at.as_deref().map(|text| when(text, &now)).transpose();
    let not_before = at.map_err(|wrong| Wrong::Task(format!("`at`: {wrong}")))?;
    let timeout = head.timeout.as_deref().unwrap_or(TIMEOUT);
    let timeout =
        value::duration(timeout).map_err(|wrong| Wrong::Task(format!("`timeout`: {wrong}")))?;
    let name = head.name.unwrap_or_else(|| name_of(&prompt));
    if is_id(&name).is_some() || name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(Wrong::Task(format!(
            "`name`: `{}` is taken for an id, or is no name",
            name.escape_debug()
        )));
    }
    Ok(NewTask {
        name,
        priority: head.priority.unwrap_or(0),
        account: super::known::account(),
        not_before: not_before.map(Timestamp::as_millisecond),
        spec: Spec {
            prompt,
            dir: place::kept(&dir),
            repo: head.repo,
            labels: head.labels,
            worktree: head.worktree,
            after,
            key: head.key,
            budget_usd: head.budget_usd,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            retries: head.retries.unwrap_or(0),
            check: head.check,
            resume: head.resume,
            args: head.args,
        },
    })
}

/// The head that would make this task.
#[must_use]
pub fn head_of(task: &Task) -> Head {
    let spec = &task.spec;
    let span = |ms: u64| match ms / 60_000 {
        minutes if minutes.is_multiple_of(60) && minutes > 0 => format!("{}h", minutes / 60),
        minutes if ms.is_multiple_of(60_000) => format!("{minutes}m"),
        _ => format!("{}s", ms / 1000),
    };
    let at = task.not_before.and_then(|at| Timestamp::from_millisecond(at).ok());
    Head {
        name: Some(task.name.clone()),
        dir: Some(spec.dir.to_string_lossy().into_owned()),
        repo: spec.repo.clone(),
        labels: spec.labels.clone(),
        worktree: spec.worktree.clone(),
        after: spec.after.iter().map(|id| format!("q{id}")).collect(),
        at: at.map(|at| format!("{at:.0}")),
        priority: Some(task.priority),
        key: spec.key.clone(),
        budget_usd: spec.budget_usd,
        timeout: Some(span(spec.timeout_ms)),
        retries: Some(spec.retries),
        check: spec.check.clone(),
        resume: spec.resume.clone(),
        args: spec.args.clone(),
    }
}

/// The number in `q7`.
#[must_use]
pub fn is_id(text: &str) -> Option<Id> {
    text.strip_prefix('q')?.parse().ok().filter(|id| *id > 0)
}

/// The task that a person means: by its id, or by the name of the newest one that has it. One of
/// the batch is a number below zero until it is added.
fn named(store: &dyn Store, batch: &[NewTask], name: &str) -> Result<Id, Wrong> {
    if let Some(at) = batch.iter().rposition(|task| task.name == name) {
        return Ok(-Id::try_from(at).unwrap_or(Id::MAX - 1) - 1);
    }
    find(store, name).map(|task| task.id)
}

/// The task that a person means.
pub fn find(store: &dyn Store, name: &str) -> Result<Task, Wrong> {
    let found = match is_id(name) {
        Some(id) => store.get(id)?,
        None => {
            let named = store.list(&State::ALL, None)?;
            named.into_iter().filter(|task| task.name == name).max_by_key(|task| task.id)
        }
    };
    found.ok_or_else(|| {
        Wrong::Task(format!("no task is `{}`; `queue list --all` shows them", name.escape_debug()))
    })
}

/// When: a span from now, the next time the clock shows this, or a date and time.
pub fn when(text: &str, now: &ZonedDateTime) -> Result<Timestamp, String> {
    let late = |error: jiff::Error| error.to_string();
    if let Ok(span) = value::duration(text) {
        let span = jiff::SignedDuration::try_from(span).map_err(|error| error.to_string())?;
        return now.timestamp().checked_add(span).map_err(late);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let zoned = |civil: DateTime| civil.to_zoned_datetime(now.time_zone().clone()).map_err(late);
    if text.len() <= 8
        && let Ok(time) = text.parse::<Time>()
    {
        let today = zoned(now.date().to_datetime(time))?;
        let next = if today.timestamp() > now.timestamp() {
            today
        } else {
            let tomorrow = now.date().checked_add(1.day()).map_err(late)?;
            zoned(tomorrow.to_datetime(time))?
        };
        return Ok(next.timestamp());
    }
    let date = || text.parse::<Date>().ok().filter(|_| text.len() <= 10);
    let civil = date().map(|date| date.to_datetime(Time::midnight()));
    match civil.or_else(|| text.parse::<DateTime>().ok()) {
        Some(civil) => Ok(zoned(civil)?.timestamp()),
        None => {
            Err(format!("`{text}` is neither a span (`30m`), a time (`02:00`) nor a date and time"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_next_one_also_across_midnight_and_the_change_of_the_clock() {
        let now: ZonedDateTime =
            "2026-10-24T23:30:00+02:00[Europe/Berlin]".parse().expect("a time");
        let when = |text: &str| when(text, &now).map(|at| at.to_string());
        assert_eq!(when("23:45").as_deref(), Ok("2026-10-24T21:45:00Z"));
        assert_eq!(
            when("23:30").as_deref(),
            Ok("2026-10-25T22:30:00Z"),
            "tomorrow, in winter time"
        );
        assert_eq!(when("04:00").as_deref(), Ok("2026-10-25T03:00:00Z"));
        assert_eq!(when("30m").as_deref(), Ok("2026-10-24T22:00:00Z"));
        assert_eq!(when("2026-12-01").as_deref(), Ok("2026-11-30T23:00:00Z"));
        assert_eq!(when("2026-12-01T08:00").as_deref(), Ok("2026-12-01T07:00:00Z"));
        assert_eq!(when("2026-12-01T08:00:00Z").as_deref(), Ok("2026-12-01T08:00:00Z"));
        assert!(when("tonight").is_err_and(|wrong| wrong.contains("`02:00`")));
    }

    #[test]
    fn only_q_and_a_number_is_an_id() {
        assert_eq!(is_id("q7"), Some(7));
        for other in ["7", "q", "q0", "q-1", "queue", "Q7"] {
            assert_eq!(is_id(other), None, "{other}");
        }
    }
}
