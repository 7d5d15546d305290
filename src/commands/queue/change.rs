//! What a person may change in the queue. In: ids or names. Out: a line for each change. A task
//! that changed meanwhile is read again; a running one is only ever stopped.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::{Desk, usage};
use crate::error::Usage;
use crate::queue::compose::{compose, head_of, when};
use crate::queue::known::{self, PAUSED, Pause};
use crate::queue::task::{State, Task, token};
use crate::queue::{ending, file, place};

/// Some tasks.
#[derive(Debug, clap::Args)]
pub struct Ids {
    /// Ids (`q7`) or names
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

/// Options of `queue edit`.
#[derive(Debug, clap::Args)]
pub struct EditArgs {
    /// Its id or name
    #[arg(value_name = "ID")]
    id: String,
    /// Take the task from this file instead of an editor
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Options of `queue move`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("place").required(true).multiple(false))]
pub struct MoveArgs {
    /// Its id or name
    #[arg(value_name = "ID")]
    id: String,
    /// Before all others
    #[arg(long, group = "place")]
    first: bool,
    /// After all others
    #[arg(long, group = "place")]
    last: bool,
    /// Before this one
    #[arg(long, value_name = "ID", group = "place")]
    before: Option<String>,
}

/// Options of `queue retry`.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    #[command(flatten)]
    ids: Ids,
    /// In a conversation of its own, from the beginning
    #[arg(long)]
    fresh: bool,
}

/// Options of `queue pause`.
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// Until this time, or for this span
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

/// Changes one task; `change` says what cannot be, and is asked again if somebody was faster.
fn change(
    desk: &mut Desk,
    name: &str,
    change: impl Fn(&mut Task) -> Result<(), String>,
) -> anyhow::Result<Task> {
    loop {
        let mut task = desk.find(name)?;
        change(&mut task).map_err(|why| Usage(format!("{}: {why}", task.label())))?;
        if desk.store.save(&mut task)? {
            return Ok(task);
        }
    }
}

fn tell(desk: &Desk, tasks: &[Task], what: &str) -> anyhow::Result<ExitCode> {
    desk.ring();
    let mut out = std::io::stdout().lock();
    if desk.json {
        let all: Vec<_> = tasks
            .iter()
            .map(|task| json!({ "id": task.label(), "name": task.name, "state": task.state }))
            .collect();
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
    } else {
        for task in tasks {
            writeln!(out, "{} {what}", task.label())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn each(
    desk: &mut Desk,
    ids: &Ids,
    what: &str,
    edit: impl Fn(&mut Task) -> Result<(), String>,
) -> anyhow::Result<ExitCode> {
    let mut tasks = Vec::new();
    for id in &ids.ids {
        tasks.push(change(desk, id, &edit)?);
    }
    tell(desk, &tasks, what)
}

fn now() -> i64 {
    crate::queue::task::now_ms()
}

/// Takes tasks out.
pub(super) fn remove(desk: &mut Desk, ids: &Ids) -> anyhow::Result<ExitCode> {
    each(desk, ids, "is removed", |task| {
        if task.state == State::Running {
            return Err(format!("it runs; `queue stop {}` first", task.label()));
        }
        task.state = State::Removed;
        task.ended = Some(now());
        Ok(())
    })
}

/// Ends runs.
pub(super) fn stop(desk: &mut Desk, ids: &Ids) -> anyhow::Result<ExitCode> {
    let mut tasks = Vec::new();
    for id in &ids.ids {
        let task = change(desk, id, |task| match task.state {
            State::Running => {
                task.record.stopped = true;
                Ok(())
            }
            State::Queued => {
                task.state = State::NeedsYou;
                task.ended = Some(now());
                task.record.why = Some("stopped by you; `queue retry` goes on with it".to_owned());
                Ok(())
            }
            _ => Err("it does not run".to_owned()),
        })?;
        if task.state == State::Running {
            // Of another host's run that host's runner hears.
            crate::queue::end(&desk.state_dir, &task.job());
        }
        tasks.push(task);
    }
    tell(desk, &tasks, "stops")
}

/// Puts tasks back.
pub(super) fn retry(desk: &mut Desk, args: &RetryArgs) -> anyhow::Result<ExitCode> {
    each(desk, &args.ids, "waits again", |task| {
        match task.state {
            State::Running => return Err("it runs".to_owned()),
            State::Done if !args.fresh => {
                return Err("it is done; --fresh does it again".to_owned());
            }
            _ => {}
        }
        task.state = State::Queued;
        task.ended = None;
        task.not_before = None;
        task.record.pause_ms = None;
        task.record.why = None;
        task.record.held_by = None;
        task.record.failures = 0;
        task.record.lost = 0;
        if args.fresh {
            // Other runs, another conversation; its worktree stays with the old name.
            task.token = token();
            task.record.session = None;
            task.record.log_from = 0;
        }
        Ok(())
    })
}

/// Frees tasks of a host that is gone.
pub(super) fn release(desk: &mut Desk, ids: &Ids) -> anyhow::Result<ExitCode> {
    let state_dir = desk.state_dir.clone();
    let own = crate::queue::owner(&desk.config);
    let code =
        each(desk, ids, "is free for every host; tools of it that ran may run again", |task| {
            if task.owner.as_deref() == Some(own.as_str())
                && ending::is_at_work(&state_dir, &task.job())
            {
                return Err(format!("it runs here; `queue stop {}`", task.label()));
            }
            if !matches!(task.state, State::Running | State::Queued) {
                return Err("it does not wait for a host".to_owned());
            }
            task.owner = None;
            task.state = State::Queued;
            Ok(())
        })?;
    Ok(code)
}

/// Moves a task.
pub(super) fn shift(desk: &mut Desk, args: &MoveArgs) -> anyhow::Result<ExitCode> {
    let waiting = desk.store.list(&[State::Queued], None)?;
    let own = desk.find(&args.id)?.id;
    let others: Vec<&Task> = waiting.iter().filter(|task| task.id != own).collect();
    let place = if let Some(before) = &args.before {
        let before = desk.find(before)?.id;
        let at = others.iter().position(|task| task.id == before);
        let at = at.ok_or_else(|| Usage(format!("q{before} does not wait")))?;
        let next = others[at];
        let above = at.checked_sub(1).map(|above| others[above]);
        let above = above.filter(|above| above.priority == next.priority);
        let position =
            above.map_or(next.position - 1.0, |above| f64::midpoint(above.position, next.position));
        Some((next.priority, position))
    } else if args.first {
        others.first().map(|first| (first.priority, first.position - 1.0))
    } else {
        others.last().map(|last| (last.priority, last.position + 1.0))
    };
    let task = change(desk, &args.id, |task| {
        if task.state != State::Queued {
            return Err("it does not wait".to_owned());
        }
        if let Some((priority, position)) = place {
            (task.priority, task.position) = (priority, position);
        }
        Ok(())
    })?;
    tell(desk, &[task], "is moved")
}

/// Pauses the queue.
pub(super) fn pause(desk: &mut Desk, args: &PauseArgs) -> anyhow::Result<ExitCode> {
    let until =
        args.until.as_deref().map(|text| when(text, &jiff::ZonedDateTime::now())).transpose();
    let until = until.map_err(|wrong| Usage(format!("--until: {wrong}")))?;
    let pause =
        Pause { until: until.map(jiff::Timestamp::as_millisecond), why: "by you".to_owned() };
    desk.store.set_note(PAUSED, Some(&serde_json::to_string(&pause)?))?;
    done(
        desk,
        &json!({ "paused": true, "until": until }),
        "nothing more is started; what runs goes on",
    )
}

/// Starts it again: a person's word opens accounts and lifts known limits too.
pub(super) fn resume(desk: &mut Desk) -> anyhow::Result<ExitCode> {
    desk.store.set_note(PAUSED, None)?;
    let owner = crate::queue::owner(&desk.config);
    for task in desk.store.list(&[State::Queued, State::NeedsYou], None)? {
        desk.store.set_note(&known::closed(&owner, &task.account), None)?;
        if desk.store.note(&known::limit_of(&task.account))?.is_some() {
            desk.store.set_note(&known::limit_of(&task.account), None)?;
            crate::queue::lift_limit(&desk.state_dir, &task.account)?;
        }
    }
    done(desk, &json!({ "paused": false }), "the queue goes on")
}

fn done(desk: &Desk, json: &serde_json::Value, text: &str) -> anyhow::Result<ExitCode> {
    desk.ring();
    let mut out = std::io::stdout().lock();
    let text = if desk.json { format!("{json:#}") } else { text.to_owned() };
    writeln!(out, "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// Changes what a task is.
pub(super) fn edit(desk: &mut Desk, args: &EditArgs) -> anyhow::Result<ExitCode> {
    let before = desk.find(&args.id)?;
    if before.state == State::Running {
        return Err(Usage(format!("{}: it runs", before.label())).into());
    }
    let text = match &args.file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| Usage(format!("{}: {error}", file.display())))?,
        None => in_editor(desk, &before)?,
    };
    let (head, prompt) = file::read(&text).map_err(Usage)?;
    let new =
        compose(&*desk.store, &[], head, prompt, &place::here(&before.spec.dir)).map_err(usage)?;
    if leads_to(desk, &new.spec.after, before.id)? {
        return Err(Usage(format!("`after`: {} would wait for itself", before.label())).into());
    }
    let mut task = before;
    task.name = new.name;
    task.priority = new.priority;
    task.not_before = new.not_before;
    task.record.pause_ms = None;
    task.spec = new.spec;
    if !desk.store.save(&mut task)? {
        return Err(
            Usage(format!("{} changed meanwhile; nothing was written", task.label())).into()
        );
    }
    tell(desk, &[task], "is changed")
}

/// Whether one of these waits for `id` in the end.
fn leads_to(desk: &Desk, after: &[i64], id: i64) -> anyhow::Result<bool> {
    let (mut open, mut seen) = (after.to_vec(), Vec::new());
    while let Some(next) = open.pop() {
        if next == id {
            return Ok(true);
        }
        if !seen.contains(&next) {
            seen.push(next);
            open.extend(desk.store.get(next)?.map(|task| task.spec.after).unwrap_or_default());
        }
    }
    Ok(false)
}

fn in_editor(desk: &Desk, task: &Task) -> anyhow::Result<String> {
    let path = desk.state_dir.join(format!("queue/edit-{}-{}.md", task.label(), token()));
    crate::paths::private_dir(&desk.state_dir.join("queue"))?;
    let mut options = std::fs::OpenOptions::new();
    let mut draft = options.write(true).create_new(true).mode(0o600).open(&path)?;
    draft.write_all(file::write(&head_of(task), &task.spec.prompt).as_bytes())?;
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(&path)
        .status()
        .with_context(|| format!("failed to run {editor}"));
    let text = std::fs::read_to_string(&path);
    // Prompts lie in the queue alone.
    let _ = std::fs::remove_file(&path);
    if !status?.success() {
        return Err(Usage(format!("{editor} failed; nothing was changed")).into());
    }
    text.context("failed to read what was edited")
}
