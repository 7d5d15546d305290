//! `claude-safe queue …`: hand in tasks, see and change what waits, run them. In: arguments.
//! Out: lines, or JSON with `--json`.

mod add;
mod change;
mod clean;
mod list;
mod run;
mod service;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;

use crate::config::{self, Config, Profile};
use crate::error::Usage;
use crate::paths;
use crate::queue::compose::{Wrong, find};
use crate::queue::task::{State, Task};
use crate::queue::{self, Store};
use crate::report::tasks::TaskRow;

/// Options of `queue`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe queue add 'Fix the flaky tests' -- --permission-mode acceptEdits
  claude-safe queue add -f tasks/*.md     a file for each task
  claude-safe queue run --until-empty     run what waits, then leave
  claude-safe queue list                  what waits, and for what

docs/queue.md has the task file, the states and recipes.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Hand in a task; nothing has to run for it
    Add(Box<add::Args>),
    /// Show what waits and runs, and what it waits for
    #[command(after_help = "Examples:
  claude-safe queue list                     what waits, runs and has just ended
  claude-safe queue list --all --json        everything, for a program")]
    List(list::ListArgs),
    /// Show all about one task
    #[command(after_help = "Examples:
  claude-safe queue show q7                  by its id
  claude-safe queue show nightly --json      by its name, for a program")]
    Show(list::ShowArgs),
    /// Print what a task's runs said
    #[command(after_help = "Examples:
  claude-safe queue logs q7                  what its runs have said
  claude-safe queue logs q7 -f               and what they say from now on")]
    Logs(list::LogsArgs),
    /// Change a task that does not run, in $VISUAL or $EDITOR
    #[command(after_help = "Examples:
  claude-safe queue edit q7                  in your editor
  claude-safe queue edit q7 -f task.md       from a file")]
    Edit(change::EditArgs),
    /// Move a task in the order
    #[command(after_help = "Examples:
  claude-safe queue move q7 --first          before all others
  claude-safe queue move q7 --before q3      before that one")]
    Move(change::MoveArgs),
    /// Take tasks out of the queue
    #[command(after_help = "Examples:
  claude-safe queue rm q7                    take it out
  claude-safe queue rm q7 q8                 both")]
    Rm(change::Ids),
    /// End the runs of tasks; their conversations stay
    #[command(after_help = "Examples:
  claude-safe queue stop q7                  end its run; its conversation stays
  claude-safe queue stop q7 q8               both")]
    Stop(change::Ids),
    /// Put tasks back into the queue; they go on in their conversations
    #[command(after_help = "Examples:
  claude-safe queue retry q7                 go on in its conversation
  claude-safe queue retry q7 --fresh         from the beginning")]
    Retry(change::RetryArgs),
    /// Free a task of a host that is gone for good; its tools may run again
    #[command(after_help = "Examples:
  claude-safe queue release q7               its host is gone for good
  claude-safe queue release q7 q8            both")]
    Release(change::Ids),
    /// Start nothing more
    #[command(after_help = "Examples:
  claude-safe queue pause                    until `queue resume`
  claude-safe queue pause --until 07:00      until then")]
    Pause(change::PauseArgs),
    /// Start again what waits, and forget known limits
    #[command(after_help = "Examples:
  claude-safe queue resume                   start what waits
  claude-safe queue resume --json            and say so to a program")]
    Resume,
    /// Remove unused worktrees, and history
    #[command(after_help = "Examples:
  claude-safe queue clean                    what ended more than two weeks ago
  claude-safe queue clean --older 2d         or two days")]
    Clean(clean::Args),
    /// Run what waits
    Run(run::Args),
    /// Run the queue at each boot
    #[command(after_help = "Examples:
  claude-safe queue service install          at each boot, as a user unit
  claude-safe queue service remove           not any more")]
    Service(service::Args),
}

/// What every command works with.
struct Desk {
    store: Box<dyn Store>,
    config: Config,
    state_dir: PathBuf,
    json: bool,
}

impl Desk {
    fn open(json: bool) -> anyhow::Result<Self> {
        let state_dir = paths::state_dir();
        let (config, problems) = config::load(
            &paths::config_file(),
            Profile::of(None, true),
            config::from_environment(),
        );
        for problem in problems {
            crate::notice::say(&format!("{problem} (using the default)"));
        }
        Ok(Self { store: queue::open(&config, &state_dir)?, config, state_dir, json })
    }

    fn find(&self, name: &str) -> anyhow::Result<Task> {
        find(&*self.store, name).map_err(usage)
    }

    /// Tells the runners that something changed.
    fn ring(&self) {
        queue::ring(&self.state_dir);
    }
}

/// A mistake of the user is exit 2; a fault of the store is ours.
fn usage(wrong: Wrong) -> anyhow::Error {
    match wrong {
        Wrong::Task(text) => Usage(text).into(),
        Wrong::Store(error) => error.into(),
    }
}

/// The queue as `status` and `report` see it: what cannot be read is said, and holds up nothing.
fn in_use(state_dir: &Path) -> Option<Box<dyn Store>> {
    let (config, _) =
        config::load(&paths::config_file(), Profile::of(None, true), config::from_environment());
    let store = queue::if_used(&config, state_dir);
    store.inspect_err(|error| crate::notice::say(&error.to_string())).ok().flatten()
}

/// One line for `status`: how many tasks stand where. Empty without a queue.
pub(super) fn counted(state_dir: &Path) -> String {
    const SHOWN: [State; 3] = [State::Running, State::Queued, State::NeedsYou];
    let tasks = in_use(state_dir).and_then(|store| store.list(&SHOWN, None).ok());
    let Some(tasks) = tasks.filter(|tasks| !tasks.is_empty()) else { return String::new() };
    let count = |state: State| {
        let number = tasks.iter().filter(|task| task.state == state).count();
        (number > 0).then(|| format!("{number} {}", state.name().replace('_', " ")))
    };
    let counts: Vec<String> = SHOWN.into_iter().filter_map(count).collect();
    format!("Queue: {} (claude-safe queue list)\n", counts.join(", "))
}

/// The tasks that ran in this time, for `report`. None without a queue.
pub(super) fn of_the_night(state_dir: &Path, since: Timestamp, until: Timestamp) -> Vec<TaskRow> {
    let tasks = in_use(state_dir).and_then(|store| store.list(&State::ALL, None).ok());
    let (since, until) = (since.as_millisecond(), until.as_millisecond());
    let mut tasks = tasks.unwrap_or_default();
    tasks.retain(|task| {
        let began = task.started.is_some_and(|at| at < until);
        began && task.ended.is_none_or(|at| at >= since)
    });
    tasks.sort_by_key(|task| task.started);
    let row = |task: Task| TaskRow {
        id: task.label(),
        name: task.name,
        state: task.state.name(),
        why: task.record.why,
        worked_ms: task.record.worked_ms,
        spent_usd: task.record.spent_usd,
        changes: task.record.changes,
        runs: task.record.runs,
    };
    tasks.into_iter().map(row).collect()
}

/// Runs a command.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut desk = match args.command {
        Command::Service(args) => return service::run(&args),
        _ => Desk::open(args.json)?,
    };
    match args.command {
        Command::Add(args) => add::run(&mut desk, &args),
        Command::List(args) => list::list(&desk, &args),
        Command::Show(args) => list::show(&desk, &args),
        Command::Logs(args) => list::logs(&desk, &args),
        Command::Edit(args) => change::edit(&mut desk, &args),
        Command::Move(args) => change::shift(&mut desk, &args),
        Command::Rm(ids) => change::remove(&mut desk, &ids),
        Command::Stop(ids) => change::stop(&mut desk, &ids),
        Command::Retry(args) => change::retry(&mut desk, &args),
        Command::Release(ids) => change::release(&mut desk, &ids),
        Command::Pause(args) => change::pause(&mut desk, &args),
        Command::Resume => change::resume(&mut desk),
        Command::Clean(args) => clean::run(&mut desk, &args),
        Command::Run(args) => run::run(desk, &args),
        Command::Service(_) => unreachable!("it needs no queue"),
    }
}
