//! One run, reckoned from its journal lines: what it did when, what failed, what that cost. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::failure::ExitReason;
use crate::journal::Mode;
use crate::rung::Rung;

mod follow;

pub(super) use follow::follow;

/// What a run is doing over a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Claude works, or is at its prompt.
    Working,
    /// A try is on its way, and nobody knows yet whether it works.
    Trying,
    /// Waiting before the next try.
    Waiting,
    /// A fix is applied.
    Fixing,
    /// Nothing more is done by us: a person is needed.
    Stopped,
}

impl Phase {
    /// All, in the order of a legend.
    pub const ALL: [Self; 5] =
        [Self::Working, Self::Waiting, Self::Trying, Self::Fixing, Self::Stopped];

    /// Its word in a legend.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Trying => "trying again",
            Self::Waiting => "waiting",
            Self::Fixing => "fixing",
            Self::Stopped => "a person is needed",
        }
    }
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// What was done.
    pub phase: Phase,
    /// Its begin.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// A moment worth a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// The failure's kind; `None`: a recovery.
    pub failure: Option<&'static str>,
}

/// A fix that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// When it ended.
    pub at: Timestamp,
    /// Which.
    pub rung: Rung,
    /// What it did, or why it failed.
    pub outcome: Result<String, String>,
}

/// How a run stands at the end of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "ending", content = "code")]
pub enum Ending {
    /// It goes on.
    Running,
    /// It ended with this exit code.
    Ended(i32),
    /// Its process is gone without a last word (killed, or the machine went down).
    Lost,
}

/// What a run is doing at the end of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Claude works, or is at its prompt.
    Working,
    /// Waiting before the next try.
    Waiting,
    /// A message was sent, or Claude started again, to go on after a failure.
    Asking,
    /// A person must go on.
    PersonNeeded,
    /// It ended.
    Ended,
    /// Gone without a last word.
    Lost,
}

impl State {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Asking => "asking",
            Self::PersonNeeded => "needs you",
            Self::Ended => "ended",
            Self::Lost => "lost",
        }
    }
}

/// One run within the time that is looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Track {
    /// The run's id.
    pub run: String,
    /// Our process.
    pub pid: i32,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Terminal or headless.
    pub mode: Mode,
    /// With `run --job`.
    pub job: Option<String>,
    /// If it was learned.
    pub claude_version: Option<String>,
    /// Claude's sessions, the newest last.
    pub sessions: Vec<String>,
    /// When it began (also before the time that is looked at).
    pub started: Timestamp,
    /// When it ended, or was last heard of, or the end of the time that is looked at.
    pub until: Timestamp,
    /// How it stands.
    #[serde(flatten)]
    pub ending: Ending,
    /// How the last child ended.
    pub child: Option<ExitReason>,
    /// What it is doing.
    pub state: State,
    /// The newest failure that is not over.
    pub failing: Option<&'static str>,
    /// When it acts next.
    pub next_try: Option<Timestamp>,
    /// The newest reason it gave.
    pub why: Option<String>,
    /// Children started.
    pub attempts: u32,
    /// Failures by kind.
    pub failures: BTreeMap<&'static str, u32>,
    /// Waits that ended.
    pub waits: u32,
    /// How long they took (milliseconds).
    pub waited_ms: u64,
    /// Rungs that were decided on, and how often.
    pub rungs: BTreeMap<Rung, u32>,
    /// Fixes that were applied.
    pub fixes: Vec<Fix>,
    /// Fixes that a person refused, and how often.
    pub declined: BTreeMap<Rung, u32>,
    /// Streaks of failures that ended well.
    pub recovered: u32,
    /// From the first failure of each streak to the try that worked, or to the end (ms).
    pub lost_ms: u64,
    /// What Claude then worked without anyone's help, to the end of that turn (ms).
    pub saved_ms: u64,
    /// Requests we sent to learn how the service is.
    pub looks: u32,
    /// What was done when, without gaps.
    pub spans: Vec<Span>,
    /// Failures and recoveries.
    pub marks: Vec<Mark>,
}

/// The stretch of time that is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub since: Timestamp,
    pub until: Timestamp,
}

impl Window {
    fn holds(self, at: Timestamp) -> bool {
        self.since <= at && at <= self.until
    }

    /// How much of a stretch lies within (milliseconds).
    fn part_ms(self, from: Timestamp, to: Timestamp) -> u64 {
        let part = to.min(self.until).duration_since(from.max(self.since));
        u64::try_from(part.as_millis()).unwrap_or(0)
    }
}
