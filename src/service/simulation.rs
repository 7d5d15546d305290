//! A discrete simulation of many runs at the end of an outage: ours, which share probes and
//! pace, against runs that back off each on its own. Uses the very algorithms of [`pace`] and
//! [`schedule`]; time is a counter of milliseconds, chance a seeded generator.
//!
//! [`pace`]: super::pace
//! [`schedule`]: super::schedule

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::pace::{Millis, Pace, Ticket};
use super::schedule::Schedule;

const RUNS: usize = 300;
const DOWN_FOR_MS: Millis = 300_000;
const CAPACITY_PER_S: usize = 5;
const COLLAPSE_ABOVE_PER_S: usize = 10;
const COLLAPSED_FOR_MS: Millis = 30_000;
/// From the start of claude to the answer that tells whether it worked.
const OUTCOME_AFTER_MS: Millis = 1_000;
/// Every run done, and not a moment before the service could have managed it.
const BOUND_MS: Millis = DOWN_FOR_MS + 1000 * (RUNS / CAPACITY_PER_S) as Millis;

/// A service that is down at first, then takes so many starts a second and collapses above.
#[derive(Default)]
struct Service {
    /// Starts of the last second, accepted or not.
    arrived: VecDeque<Millis>,
    accepted: VecDeque<Millis>,
    collapsed_until: Millis,
}

impl Service {
    fn is_up(&self, now: Millis) -> bool {
        now >= DOWN_FOR_MS && now >= self.collapsed_until
    }

    fn start(&mut self, now: Millis) -> bool {
        for times in [&mut self.arrived, &mut self.accepted] {
            while times.front().is_some_and(|at| at + 1000 <= now) {
                times.pop_front();
            }
        }
        self.arrived.push_back(now);
        if now >= DOWN_FOR_MS && self.arrived.len() > COLLAPSE_ABOVE_PER_S {
            self.collapsed_until = now + COLLAPSED_FOR_MS;
        }
        let works = self.is_up(now) && self.accepted.len() < CAPACITY_PER_S;
        if works {
            self.accepted.push_back(now);
        }
        works
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Probe,
    Ask(usize),
    /// Which run, and whether it worked.
    Outcome(usize, bool),
}

#[derive(Debug)]
struct Outcome {
    wasted: usize,
    probes: usize,
    /// When the last run was done.
    done_at: Millis,
}

/// A time drawn evenly below `below_ms`.
fn spread(chance: &mut fastrand::Rng, below_ms: Millis) -> Millis {
    chance.u64(0..below_ms.max(1))
}

fn ours(seed: u64) -> Outcome {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (mut service, mut pace) = (Service::default(), Pace::default());
    let mut schedule = Schedule::default();
    let mut tickets: Vec<Option<Ticket>> = vec![None; RUNS];
    let mut result = Outcome { wasted: 0, probes: 0, done_at: 0 };
    let (mut done, mut waiting_for_probe) = (0, true);
    let mut queue = BinaryHeap::from([Reverse((0, Event::Probe))]);
    while done < RUNS {
        let Reverse((now, event)) = queue.pop().expect("runs that are not done have an event");
        match event {
            Event::Probe if service.is_up(now) => {
                waiting_for_probe = false;
                pace.recovered(now);
                for run in (0..RUNS).filter(|run| tickets[*run].is_none()) {
                    // Followers read the shared file about once a second.
                    queue.push(Reverse((now + spread(&mut chance, 1000), Event::Ask(run))));
                }
            }
            Event::Probe => {
                result.probes += 1;
                let next = schedule.next(true, chance.f64()).as_millis() as Millis;
                queue.push(Reverse((now + next, Event::Probe)));
            }
            Event::Ask(_) if waiting_for_probe => {}
            Event::Ask(run) => match pace.ask(now) {
                Ok(ticket) => {
                    tickets[run] = Some(ticket);
                    let works = service.start(now);
                    queue.push(Reverse((now + OUTCOME_AFTER_MS, Event::Outcome(run, works))));
                }
                Err(wait) => {
                    let wait = wait.as_millis() as Millis + spread(&mut chance, 250);
                    queue.push(Reverse((now + wait, Event::Ask(run))));
                }
            },
            Event::Outcome(run, works) => {
                let ticket = tickets[run].expect("an outcome follows a ticket");
                if works {
                    pace.succeeded(now, ticket);
                    (done, result.done_at) = (done + 1, now - OUTCOME_AFTER_MS);
                } else {
                    pace.failed(now, ticket);
                    result.wasted += 1;
                    tickets[run] = None;
                    queue.push(Reverse((now + 2000 + spread(&mut chance, 3000), Event::Ask(run))));
                }
            }
        }
    }
    result
}

/// Each run on its own: 3 s doubling to 60 s, jitter 2/3 to 5/3.
fn independent(seed: u64) -> Outcome {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut service = Service::default();
    let mut waits = vec![Duration::from_secs(3); RUNS];
    let mut result = Outcome { wasted: 0, probes: 0, done_at: 0 };
    let mut done = 0;
    let mut queue: BinaryHeap<_> =
        (0..RUNS).map(|run| Reverse((spread(&mut chance, 3000), Event::Ask(run)))).collect();
    // An hour is enough to see that it does not end well.
    while let Some(Reverse((now, event))) = queue.pop()
        && done < RUNS
        && now < 3_600_000
    {
        let Event::Ask(run) = event else { continue };
        if service.start(now) {
            (done, result.done_at) = (done + 1, now);
        } else {
            result.wasted += 1;
            let wait = waits[run].mul_f64(2.0 / 3.0 + chance.f64()).as_millis() as Millis;
            waits[run] = (waits[run] * 2).min(Duration::from_secs(60));
            queue.push(Reverse((now + OUTCOME_AFTER_MS + wait, Event::Ask(run))));
        }
    }
    result
}

#[test]
fn three_hundred_runs_come_back_near_the_capacity_bound_with_few_wasted_starts() {
    let mut worst = Outcome { wasted: 0, probes: 0, done_at: 0 };
    for seed in 0..50 {
        let outcome = ours(seed);
        worst.wasted = worst.wasted.max(outcome.wasted);
        worst.probes = worst.probes.max(outcome.probes);
        worst.done_at = worst.done_at.max(outcome.done_at);
    }
    let alone = independent(0);
    let over_the_bound = |outcome: &Outcome| outcome.done_at * 1000 / BOUND_MS;
    eprintln!(
        "shared, worst of 50 seeds: {} wasted starts, {} probes, all done at {} s ({} per mille of \
         the bound)\nindependent backoff: {} wasted starts, last done at {} s",
        worst.wasted,
        worst.probes,
        worst.done_at / 1000,
        over_the_bound(&worst),
        alone.wasted,
        alone.done_at / 1000,
    );
    assert!(worst.wasted <= 20, "{worst:?}");
    assert!(over_the_bound(&worst) <= 1050, "{worst:?}");
    assert!(alone.wasted > 1000, "{alone:?}");
}
