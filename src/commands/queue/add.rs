//! `queue add`: from arguments, stdin or files to tasks, all or none. In: what a person wrote.
//! Out: ids, and with `--wait` the task's own end.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::{Desk, usage};
use crate::error::{Usage, exit};
use crate::notice::say;
use crate::queue::compose::compose;
use crate::queue::file::{self, Head};
use crate::queue::task::{Id, NewTask, State};
use crate::queue::{owner, runner};
use crate::service::{LockName, locks};

/// Options of `queue add`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe queue add 'Update the docs' --worktree --after q7 -- --model opus
  ssh host claude-safe queue add - < task.md
  claude-safe queue add -f night/*.md --at 02:00

A file is Markdown; TOML between two lines of `+++` at its head sets what these options set.
Options given here count for every task that does not set them itself.")]
pub struct Args {
    /// What Claude is to do; `-` reads it from standard input
    #[arg(value_name = "PROMPT", required_unless_present = "file")]
    prompt: Option<String>,
    /// A task file; may be given more than once
    #[arg(short, long, value_name = "FILE", num_args = 1.., conflicts_with = "prompt")]
    file: Vec<PathBuf>,
    /// What people call it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it works (default: here)
    #[arg(long, value_name = "DIR")]
    dir: Option<String>,
    /// The git repository that a host clones to there if it has none
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// Only on a host that has this (`queue.labels`)
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// In a git worktree and on a branch of its own, from this base
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    worktree: Option<String>,
    /// Only after these are done
    #[arg(long, value_name = "ID", num_args = 1..)]
    after: Vec<String>,
    /// Not before: `02:00`, `30m`, or a date and time
    #[arg(long, value_name = "WHEN")]
    at: Option<String>,
    /// Higher comes first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// Before all others
    #[arg(long, conflicts_with = "priority")]
    next: bool,
    /// No second task with this key while one lives
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// What all its attempts together may cost (US dollars)
    #[arg(long, value_name = "USD")]
    budget: Option<f64>,
    /// The longest that an attempt may run (default: 4h)
    #[arg(long, value_name = "SPAN")]
    timeout: Option<String>,
    /// How often it is tried again after a failure (default: 0)
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// A command that must exit 0, else the task has failed
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,
    /// Go on with this conversation
    #[arg(long, value_name = "SESSION")]
    resume: Option<String>,
    /// Wait for its end, and leave with its exit code
    #[arg(long)]
    wait: bool,
    /// Claude's arguments
    #[arg(last = true, value_name = "CLAUDE'S ARGS")]
    for_claude: Vec<String>,
}

/// Hands in tasks.
pub(super) fn run(desk: &mut Desk, args: &Args) -> anyhow::Result<ExitCode> {
    let mut tasks: Vec<NewTask> = Vec::new();
    let here = std::env::current_dir().context("failed to find the working directory")?;
    let next = args.next.then(|| top(desk)).transpose()?;
    for (place, text) in texts(args)? {
        let wrong = |wrong: String| Usage(format!("{place}{wrong}"));
        let (head, prompt) = match &args.prompt {
            Some(given) if given != "-" => (Head::default(), text.trim().to_owned()),
            _ => file::read(&text).map_err(wrong)?,
        };
        if prompt.is_empty() {
            return Err(wrong("there is no prompt".to_owned()).into());
        }
        let mut head = args.over(head);
        head.priority = next.or(head.priority);
        let task = compose(&*desk.store, &tasks, head, prompt, &here);
        tasks.push(task.map_err(|error| match usage(error).downcast::<Usage>() {
            Ok(Usage(text)) => wrong(text).into(),
            Err(other) => other,
        })?);
    }
    let ids = desk.store.add(&tasks)?;
    desk.ring();
    print(desk, &ids, &tasks)?;
    if args.wait {
        return wait(desk, &ids);
    }
    let lock = LockName::Queue(&owner(&desk.config));
    if !desk.json && matches!(locks::try_lock(&desk.state_dir, lock), Ok(Some(_))) {
        let (last, wait) = (
            ids.last().copied().unwrap_or(0),
            if ids.len() == 1 { "waits" } else { "is the last that waits" },
        );
        say(&format!("q{last} {wait}; start it with: claude-safe queue run"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// What a file says goes before what is given for all.
    fn over(&self, head: Head) -> Head {
        let many = |own: Vec<String>, given: &Vec<String>| {
            if own.is_empty() { given.clone() } else { own }
        };
        Head {
            name: head.name.or_else(|| self.name.clone()),
            dir: head.dir.or_else(|| self.dir.clone()),
            repo: head.repo.or_else(|| self.repo.clone()),
            labels: many(head.labels, &self.labels),
            worktree: head.worktree.or_else(|| self.worktree.clone()),
            after: many(head.after, &self.after),
            at: head.at.or_else(|| self.at.clone()),
            priority: head.priority.or(self.priority),
            key: head.key.or_else(|| self.key.clone()),
            budget_usd: head.budget_usd.or(self.budget),
            timeout: head.timeout.or_else(|| self.timeout.clone()),
            retries: head.retries.or(self.retries),
            check: head.check.or_else(|| self.check.clone()),
            resume: head.resume.or_else(|| self.resume.clone()),
            args: many(head.args, &self.for_claude),
        }
    }
}

/// Where each text comes from, for its mistakes, and the text.
fn texts(args: &Args) -> anyhow::Result<Vec<(String, String)>> {
    match args.prompt.as_deref() {
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("failed to read the prompt")?;
            Ok(vec![(String::new(), text)])
        }
        Some(prompt) => Ok(vec![(String::new(), prompt.to_owned())]),
        None => {
            let read = |file: &PathBuf| {
                let name = file.display();
                let text = std::fs::read_to_string(file);
                let text = text.map_err(|error| Usage(format!("{name}: {error}")))?;
                Ok((format!("{name}: "), text))
            };
            args.file.iter().map(read).collect()
        }
    }
}

/// A priority above all that wait.
fn top(desk: &Desk) -> anyhow::Result<i64> {
    let first = desk.store.list(&[State::Queued], Some(1))?;
    Ok(first.first().map_or(1, |task| task.priority.saturating_add(1)))
}

fn print(desk: &Desk, ids: &[Id], tasks: &[NewTask]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if desk.json {
        let all: Vec<_> = ids
            .iter()
            .zip(tasks)
            .map(|(id, task)| json!({ "id": format!("q{id}"), "name": task.name }))
            .collect();
        serde_json::to_writer_pretty(&mut out, &all)?;
        writeln!(out)?;
    } else {
        for id in ids {
            writeln!(out, "q{id}")?;
        }
    }
    Ok(())
}

/// Waits until all have ended. The exit code of the worst.
fn wait(desk: &Desk, ids: &[Id]) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = async {
        loop {
            let mut states = Vec::new();
            for id in ids {
                states.push(desk.store.get(*id)?.map_or(State::Removed, |task| task.state));
            }
            if !states.iter().any(|state| matches!(state, State::Queued | State::Running)) {
                return anyhow::Ok(states);
            }
            runner::a_while().await;
        }
    };
    let states = runtime.block_on(async {
        tokio::select! {
            states = ended => states.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    })?;
    let Some(states) = states else { return Ok(ExitCode::from(exit::INTERRUPTED)) };
    let is = |wanted: State| states.contains(&wanted);
    Ok(ExitCode::from(match () {
        () if is(State::NeedsYou) => exit::PERSON,
        () if is(State::Failed) || is(State::Removed) => 1,
        () => 0,
    }))
}
