//! Follows the journal lines of one run, from its start to its end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Ending, Fix, Mark, Phase, Span, State, Track, Window};
use crate::journal::{Entry, Event};

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
pub fn follow(
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
