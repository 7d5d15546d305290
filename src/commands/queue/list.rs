//! `queue list`, `show`, `logs`: what waits, for what, and what came of it. In: the store. Out:
//! a table, JSON, lines.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Desk;
use crate::queue::gates::{self, Known, clock};
use crate::queue::task::{State, Task, now_ms};
use crate::queue::{SET_ASIDE, known, output, place, runner, worktree};
use crate::report::words::{aligned, printable, span};

/// Those that are neither done nor gone, and what ended in the last day (milliseconds).
const SHOWN_FOR_MS: i64 = 24 * 3_600_000;

/// Options of `queue list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Also what ended long ago or was removed
    #[arg(long)]
    all: bool,
    /// Print it again at each change, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// Options of `queue show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its id or name
    #[arg(value_name = "ID")]
    id: String,
}

/// Options of `queue logs`.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    /// Its id or name
    #[arg(value_name = "ID")]
    id: String,
    /// Go on until its run ends
    #[arg(short, long)]
    follow: bool,
}

fn wanted(desk: &Desk, all: bool) -> anyhow::Result<Vec<Task>> {
    let since = now_ms() - SHOWN_FOR_MS;
    let mut tasks = desk.store.list(&State::ALL, None)?;
    tasks.retain(|task| {
        let old = task.ended.is_some_and(|at| at < since);
        all || task.state.lives() || !(old || task.state == State::Removed)
    });
    let rank = |state| match state {
        State::Running => 0,
        State::Queued => 1,
        State::NeedsYou => 2,
        State::Failed => 3,
        State::Done => 4,
        State::Removed => 5,
    };
    tasks.sort_by_key(|task| rank(task.state));
    Ok(tasks)
}

/// What it waits for, or why it stands as it does.
fn reason(task: &Task, known: &Known, zone: &TimeZone) -> Option<String> {
    match task.state {
        State::Queued => gates::wait(task, known).map(|wait| wait.text(known.now, zone)),
        State::NeedsYou | State::Failed => task.record.why.clone(),
        State::Running | State::Done | State::Removed => None,
    }
}

/// Shows the table.
pub(super) fn list(desk: &Desk, args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut last = String::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    loop {
        let tasks = wanted(desk, args.all)?;
        let known = known::for_people(&*desk.store, &desk.config, &desk.state_dir, &tasks)?;
        let text = if desk.json {
            let all: Vec<Value> = tasks.iter().map(|task| as_json(task, &known)).collect();
            format!("{:#}\n", Value::from(all))
        } else {
            table(desk, &tasks, &known)?
        };
        if text != last {
            let clear = if args.watch && !desk.json { "\x1b[H\x1b[2J" } else { "" };
            let mut out = std::io::stdout().lock();
            write!(out, "{clear}{text}").and_then(|()| out.flush())?;
            last = text;
        }
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        runtime.block_on(runner::a_while());
    }
}

fn table(desk: &Desk, tasks: &[Task], known: &Known) -> anyhow::Result<String> {
    let mut text = String::new();
    if let Some(aside) = desk.store.note(SET_ASIDE)? {
        text = format!(
            "an earlier queue was damaged and is kept as {aside}; `queue clean` drops this line\n"
        );
    }
    if tasks.is_empty() {
        return Ok(text + "nothing is in the queue\n");
    }
    let zone = TimeZone::system();
    let mut rows =
        vec![["ID", "TASK", "STATE", "WAITS FOR", "WORKED", "SPENT", "CHANGES"].map(str::to_owned)];
    for task in tasks {
        let worked = worked_ms(task, known.now);
        let dash = |text: Option<String>| text.unwrap_or_else(|| "\u{2013}".to_owned());
        rows.push([
            task.label(),
            short(&printable(&task.name), 32),
            task.state.name().replace('_', " "),
            dash(reason(task, known, &zone).map(|why| printable(&why))),
            dash((worked > 0).then(|| span(worked))),
            dash((task.record.spent_usd > 0.0).then(|| format!("${:.2}", task.record.spent_usd))),
            dash(changes(task)),
        ]);
    }
    Ok(text + &aligned(&rows))
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most - 1).collect();
    format!("{cut}\u{2026}")
}

fn worked_ms(task: &Task, now: i64) -> u64 {
    let running = task.started.filter(|_| task.state == State::Running);
    let now = running.map_or(0, |started| u64::try_from(now - started).unwrap_or(0));
    task.record.worked_ms + now
}

fn changes(task: &Task) -> Option<String> {
    let tree = task.record.worktree.as_ref().zip(task.record.base.as_ref());
    let tree = tree.filter(|_| task.state == State::Running);
    let now = tree.and_then(|(tree, base)| worktree::changes(tree, base));
    now.or_else(|| task.record.changes.clone())
}

fn as_json(task: &Task, known: &Known) -> Value {
    let at = |ms: Option<i64>| ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    json!({
        "id": task.label(),
        "name": task.name,
        "state": task.state,
        "waits_for": reason(task, known, &TimeZone::UTC),
        "directory": task.dir(),
        "branch": task.record.worktree.as_ref().map(|_| worktree::branch(&task.job())),
        "changes": changes(task),
        "repo": task.spec.repo,
        "labels": task.spec.labels,
        "priority": task.priority,
        "after": task.spec.after.iter().map(|id| format!("q{id}")).collect::<Vec<_>>(),
        "key": task.spec.key,
        "not_before": at(task.not_before),
        "added": at(Some(task.added)),
        "started": at(task.started),
        "ended": at(task.ended),
        "worked_ms": worked_ms(task, known.now),
        "spent_usd": task.record.spent_usd,
        "budget_usd": task.spec.budget_usd,
        "failures": task.record.failures,
        "job": task.job(),
        "runs": task.record.runs,
        "session": task.record.session,
        "owner": task.owner,
        "account": place::here(std::path::Path::new(&task.account)),
    })
}

/// Shows one task.
pub(super) fn show(desk: &Desk, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let task = desk.find(&args.id)?;
    let tasks = desk.store.list(&[State::Queued, State::Running], None)?;
    let tasks: Vec<Task> =
        tasks.into_iter().filter(|other| other.id != task.id).chain([task.clone()]).collect();
    let known = known::for_people(&*desk.store, &desk.config, &desk.state_dir, &tasks)?;
    let mut out = std::io::stdout().lock();
    if desk.json {
        let mut all = as_json(&task, &known);
        all["prompt"] = task.spec.prompt.clone().into();
        all["args"] = task.spec.args.clone().into();
        all["check"] = task.spec.check.clone().into();
        writeln!(out, "{all:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let zone = TimeZone::system();
    let when = |at: Option<i64>| at.map(|at| clock(at, known.now, &zone));
    let state = task.state.name().replace('_', " ");
    let spent = format!("${:.2}", task.record.spent_usd);
    let budget = task.spec.budget_usd.map(|budget| format!(" of ${budget:.2}")).unwrap_or_default();
    let lines: Vec<(&str, Option<String>)> = vec![
        ("state", Some(state)),
        ("waits for", reason(&task, &known, &zone)),
        ("directory", Some(task.dir().display().to_string())),
        ("repository", task.spec.repo.clone()),
        ("labels", (!task.spec.labels.is_empty()).then(|| task.spec.labels.join(", "))),
        ("branch", task.record.worktree.as_ref().map(|_| worktree::branch(&task.job()))),
        ("changes", changes(&task)),
        (
            "after",
            (!task.spec.after.is_empty()).then(|| {
                task.spec.after.iter().map(|id| format!("q{id}")).collect::<Vec<_>>().join(", ")
            }),
        ),
        ("check", task.spec.check.clone()),
        ("claude's arguments", (!task.spec.args.is_empty()).then(|| task.spec.args.join(" "))),
        ("added", when(Some(task.added))),
        ("started", when(task.started)),
        ("ended", when(task.ended)),
        ("worked", Some(span(worked_ms(&task, known.now)))),
        ("spent", Some(format!("{spent}{budget}"))),
        (
            "runs",
            (!task.record.runs.is_empty())
                .then(|| format!("{} (claude-safe log RUN)", task.record.runs.join(", "))),
        ),
        ("conversation", task.record.session.as_ref().map(|id| format!("claude --resume {id}"))),
    ];
    writeln!(out, "{} {}", task.label(), printable(&task.name))?;
    for (name, value) in lines {
        if let Some(value) = value {
            writeln!(out, "  {name:<19}{}", printable(&value))?;
        }
    }
    writeln!(out)?;
    for line in task.spec.prompt.lines() {
        writeln!(out, "  {}", printable(line))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what a task's runs said, and goes on.
pub(super) fn logs(desk: &Desk, args: &LogsArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut read_to = 0;
    loop {
        let task = desk.find(&args.id)?;
        let runs = matches!(task.state, State::Running | State::Queued);
        if let Ok(mut log) = std::fs::File::open(output::path(&desk.state_dir, &task.job())) {
            log.seek(SeekFrom::Start(read_to))?;
            let mut reader = BufReader::new(log);
            let mut line = Vec::new();
            let mut out = std::io::stdout().lock();
            while reader.read_until(b'\n', &mut line)? > 0 && (line.ends_with(b"\n") || !runs) {
                read_to += line.len() as u64;
                let text = String::from_utf8_lossy(&line);
                if desk.json {
                    out.write_all(&line)?;
                } else if let Some(shown) = output::shown(text.trim_end()) {
                    writeln!(out, "{shown}")?;
                }
                line.clear();
            }
            out.flush()?;
        }
        if !args.follow || !runs {
            return Ok(ExitCode::SUCCESS);
        }
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(300)).await });
    }
}
