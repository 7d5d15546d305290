//! A task of the queue: what was asked for, and what came of it so far. Plain data; times are
//! milliseconds since 1970, so that they can be compared in SQL.

use std::path::PathBuf;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::place;

/// The number in `q7`.
pub type Id = i64;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for its turn.
    Queued,
    /// A runner has taken it.
    Running,
    /// It ended well.
    Done,
    /// It failed.
    Failed,
    /// Only a person can go on.
    NeedsYou,
    /// A person took it out.
    Removed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::NeedsYou, Self::Removed];

    /// The name in the table and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::NeedsYou => "needs_you",
            Self::Removed => "removed",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether something may still come of it by itself or by a person's word.
    #[must_use]
    pub fn lives(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::NeedsYou)
    }
}

/// What a person asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// What Claude is asked; it goes to its standard input.
    pub prompt: String,
    /// Where it works, as it is kept (`~/…` is the home of the host that runs it).
    pub dir: PathBuf,
    /// What is cloned to there on a host that does not have it.
    pub repo: Option<String>,
    /// It runs only on a host that has these.
    pub labels: Vec<String>,
    /// A worktree and a branch of its own, from this base (`HEAD` if empty).
    pub worktree: Option<String>,
    /// These must be done first.
    pub after: Vec<Id>,
    /// No two living tasks have the same.
    pub key: Option<String>,
    /// What all its attempts together may cost (US dollars).
    pub budget_usd: Option<f64>,
    /// The longest that an attempt may run (milliseconds).
    pub timeout_ms: u64,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// A command that must exit 0 for the task to count as done.
    pub check: Option<String>,
    /// The conversation to go on with.
    pub resume: Option<String>,
    /// Claude's arguments.
    pub args: Vec<String>,
}

impl Spec {
    /// Of those that are added together, a number below zero means an earlier one; their ids are
    /// known now.
    pub fn after_those_of(&mut self, ids: &[Id]) {
        for after in &mut self.after {
            if let Some(id) = usize::try_from(-*after - 1).ok().and_then(|at| ids.get(at)) {
                *after = *id;
            }
        }
    }
}

/// What came of it so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Failures that count against the retries.
    pub failures: u32,
    /// How often its run was lost (killed, the machine off).
    pub lost: u32,
    /// The journal's runs, oldest first.
    pub runs: Vec<String>,
    /// Claude's session.
    pub session: Option<String>,
    /// Spent so far, as Claude tells it (US dollars).
    pub spent_usd: f64,
    /// Worked so far (milliseconds).
    pub worked_ms: u64,
    /// Why it failed or needs a person, or what it waits for beyond its own times.
    pub why: Option<String>,
    /// It waits for a sign-in, and goes on by itself after one.
    pub sign_in: bool,
    /// It waits because a usage limit holds, or because the service was down.
    pub held_by: Option<Held>,
    /// A person stopped it.
    pub stopped: bool,
    /// Its worktree.
    pub worktree: Option<PathBuf>,
    /// The commit that the worktree began with.
    pub base: Option<String>,
    /// The machine's own clock when its last run began (milliseconds since it was started): the
    /// calendar may be set meanwhile.
    pub uptime_ms: u64,
    /// `not_before` is a pause of ours, of this length (milliseconds), and no time of day.
    pub pause_ms: Option<i64>,
    /// Where in its log its last run began (bytes).
    pub log_from: u64,
    /// What it changed there, for people.
    pub changes: Option<String>,
}

/// What sent a task back into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The service was down.
    Service,
    /// A usage limit.
    Limit,
    /// Its run was lost.
    Lost,
}

/// A task as it stands in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its number.
    pub id: Id,
    /// Counts changes, so that two who change it at once are told apart.
    pub version: i64,
    /// What people call it.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Higher comes first.
    pub priority: i64,
    /// Then lower comes first.
    pub position: f64,
    /// Names its runs: never used twice, so that no journal takes one task for another.
    pub token: String,
    /// Who started it; it stays there, with its conversation and its worktree.
    pub owner: Option<String>,
    /// Claude's configuration directory, whose limits and sign-in it shares.
    pub account: String,
    /// Not before this.
    pub not_before: Option<i64>,
    /// When it was handed in.
    pub added: i64,
    /// When its last attempt began.
    pub started: Option<i64>,
    /// When it came to its end.
    pub ended: Option<i64>,
    /// What was asked for.
    pub spec: Spec,
    /// What came of it.
    pub record: Record,
}

impl Task {
    /// The name of its runs, for `run --job`.
    #[must_use]
    pub fn job(&self) -> String {
        format!("q{}-{}", self.id, self.token)
    }

    /// `q7`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("q{}", self.id)
    }

    /// Where it works on this host: its worktree, if it has one.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.record.worktree.clone().unwrap_or_else(|| place::here(&self.spec.dir))
    }
}

/// A task that is handed in.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// What people call it.
    pub name: String,
    /// Higher comes first.
    pub priority: i64,
    /// Claude's configuration directory.
    pub account: String,
    /// Not before this.
    pub not_before: Option<i64>,
    /// What is asked for.
    pub spec: Spec,
}

/// A name for the runs of a task.
#[must_use]
pub fn token() -> String {
    format!("{:08x}", fastrand::u32(..))
}

/// Now, as the table keeps it.
#[must_use]
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// How long ago the machine was started, its sleep included (milliseconds).
#[must_use]
pub fn uptime_ms() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    let now = clock_gettime(CLOCK).map(std::time::Duration::from).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// The first words of a prompt, for a task without a name.
#[must_use]
pub fn name_of(prompt: &str) -> String {
    const LONGEST: usize = 40;
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("task");
    let line: String =
        line.trim_start_matches(['#', ' ']).chars().filter(|c| !c.is_control()).collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    let cut: String = line.chars().take(LONGEST).collect();
    format!("{} …", cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words))
}
