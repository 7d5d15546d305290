//! One run, reckoned from its journal lines: what it did when, what failed, what that cost. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::journal::{Entry, Event, Mode};
use crate::machine::Rung;
use crate::watch::ExitReason;

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

/// Follows the lines of one run.
struct Follower {
    track: Track,
    window: Window,
    phase: Phase,
    phase_from: Timestamp,
    /// The first failure of the present streak.
    streak_from: Option<Timestamp>,
    /// When Claude was last started or asked.
    tried_at: Timestamp,
}

/// Reckons one run from its entries, oldest first. `None`: it did nothing within the window, or
/// its beginning is not known any more.
pub(super) fn follow(
    entries: &[&Entry],
    window: Window,
    alive: &dyn Fn(&str, i32, Timestamp) -> bool,
) -> Option<Track> {
    let (first, rest) = entries.split_first()?;
    let Event::RunStarted { pid, cwd, mode, claude_version, job } = &first.event else {
        return None;
    };
    let track = Track {
        run: first.run.clone(),
        pid: *pid,
        cwd: cwd.clone(),
        mode: *mode,
        job: job.clone(),
        claude_version: claude_version.clone(),
        sessions: Vec::new(),
        started: first.at,
        until: window.until,
        ending: Ending::Running,
        child: None,
        state: State::Working,
        failing: None,
        next_try: None,
        why: None,
        attempts: 0,
        failures: BTreeMap::new(),
        waits: 0,
        waited_ms: 0,
        rungs: BTreeMap::new(),
        fixes: Vec::new(),
        declined: BTreeMap::new(),
        recovered: 0,
        lost_ms: 0,
        saved_ms: 0,
        looks: 0,
        spans: Vec::new(),
        marks: Vec::new(),
    };
    let mut follower = Follower {
        track,
        window,
        phase: Phase::Working,
        phase_from: first.at,
        streak_from: None,
        tried_at: first.at,
    };
    for entry in rest.iter().filter(|entry| entry.at <= window.until) {
        follower.event(entry.at, &entry.event);
    }
    let last = entries.last().map_or(first.at, |entry| entry.at);
    follower.end(last, alive)
}

impl Follower {
    fn event(&mut self, at: Timestamp, event: &Event) {
        let counts = self.window.holds(at);
        let one = u32::from(counts);
        match event {
            Event::AttemptStarted { .. } => {
                self.track.attempts += one;
                self.begins(at);
            }
            Event::Session { id } => {
                self.track.sessions.retain(|known| known != id);
                self.track.sessions.push(id.clone());
            }
            Event::Failed { failure, .. } => {
                let kind = failure.kind.name();
                if counts {
                    *self.track.failures.entry(kind).or_default() += 1;
                    self.track.marks.push(Mark { at, failure: Some(kind) });
                }
                self.streak_from.get_or_insert(at);
                self.track.failing = Some(kind);
                self.turn_to(Phase::Waiting, at);
            }
            Event::Decided { decision, rung, after_ms, why } => {
                self.track.why = Some(why.clone()).filter(|why| !why.is_empty());
                let acts = decision == "act";
                self.turn_to(if acts { Phase::Waiting } else { Phase::Stopped }, at);
                if let (true, Some(rung)) = (counts, rung) {
                    *self.track.rungs.entry(*rung).or_default() += 1;
                }
                let wait = after_ms.and_then(|ms| i64::try_from(ms).ok());
                let wait = wait.map(SignedDuration::from_millis).filter(|_| acts);
                self.track.next_try = wait.and_then(|wait| at.checked_add(wait).ok());
            }
            Event::WaitEnded { waited_ms, .. } => {
                self.track.waits += one;
                self.track.waited_ms += if counts { *waited_ms } else { 0 };
                self.turn_to(Phase::Trying, at);
            }
            Event::Asked { taken: true } => self.begins(at),
            Event::Asked { taken: false } => self.turn_to(Phase::Stopped, at),
            Event::Fixed { rung, outcome } => {
                // What followed the wait was the fix.
                self.phase = Phase::Fixing;
                self.turn_to(Phase::Trying, at);
                if counts {
                    self.track.fixes.push(Fix { at, rung: *rung, outcome: outcome.clone() });
                }
            }
            Event::Declined { rung, .. } if counts => {
                *self.track.declined.entry(*rung).or_default() += 1;
            }
            Event::Recovered { .. } => self.recovered(at, counts),
            // Within a streak all time is lost already.
            Event::Retried { waited_ms, .. } if counts && self.streak_from.is_none() => {
                self.track.lost_ms += waited_ms;
            }
            Event::RunStarted { .. } | Event::Declined { .. } | Event::Retried { .. } => {}
            Event::Probed { looks, .. } => self.track.looks += if counts { *looks } else { 0 },
            Event::RunEnded { code, child, .. } => {
                self.track.ending = Ending::Ended(*code);
                self.track.child = *child;
                self.track.until = at;
            }
        }
    }

    /// Claude was started or asked.
    fn begins(&mut self, at: Timestamp) {
        self.tried_at = at;
        let failing = self.streak_from.is_some();
        self.turn_to(if failing { Phase::Trying } else { Phase::Working }, at);
    }

    fn recovered(&mut self, at: Timestamp, counts: bool) {
        if let Some(from) = self.streak_from.take() {
            // The try that worked was work, not loss.
            let worked_from = self.tried_at.max(from);
            self.track.lost_ms += self.window.part_ms(from, worked_from);
            self.track.saved_ms += self.window.part_ms(worked_from, at);
            self.turn_to(Phase::Trying, worked_from);
            self.phase = Phase::Working;
        }
        if counts {
            self.track.recovered += 1;
            self.track.marks.push(Mark { at, failure: None });
        }
        self.track.failing = None;
        self.turn_to(Phase::Working, at);
    }

    /// Closes the present stretch and begins the next.
    fn turn_to(&mut self, phase: Phase, at: Timestamp) {
        let from = self.phase_from.max(self.window.since);
        let to = at.min(self.window.until);
        if from < to {
            match self.track.spans.last_mut() {
                Some(last) if last.phase == self.phase && last.to == from => last.to = to,
                _ => self.track.spans.push(Span { phase: self.phase, from, to }),
            }
        }
        self.phase = phase;
        self.phase_from = at.max(self.phase_from);
        self.track.next_try = None;
    }

    fn end(
        mut self,
        last: Timestamp,
        alive: &dyn Fn(&str, i32, Timestamp) -> bool,
    ) -> Option<Track> {
        let heard_later = last > self.window.until;
        if self.track.ending == Ending::Running
            && !heard_later
            && !alive(&self.track.run, self.track.pid, self.track.started)
        {
            self.track.ending = Ending::Lost;
            self.track.until = last;
        }
        let until = self.track.until;
        if until < self.window.since || self.track.started > self.window.until {
            return None;
        }
        let next_try = self.track.next_try;
        let phase = self.phase;
        self.turn_to(phase, until);
        self.track.next_try = next_try.filter(|_| self.track.ending == Ending::Running);
        if let Some(from) = self.streak_from {
            self.track.lost_ms += self.window.part_ms(from, until);
        }
        self.track.state = match (self.track.ending, phase) {
            (Ending::Ended(_), _) => State::Ended,
            (Ending::Lost, _) => State::Lost,
            (Ending::Running, Phase::Working) => State::Working,
            (Ending::Running, Phase::Waiting) => State::Waiting,
            (Ending::Running, Phase::Trying | Phase::Fixing) => State::Asking,
            (Ending::Running, Phase::Stopped) => State::PersonNeeded,
        };
        Some(self.track)
    }
}
