//! What is under way for a case while everything else is heard: a wait, and one task beside it. In:
//! effects that take time. Out: the events that end them. Dropping a future ends it without a trace.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::claims::shares_turns;
use super::fixes::Fixed;
use super::{Run, Service};
use crate::clock::{Clock, Woke};
use crate::failure::FailureKind;
use crate::launch::terminal::guarded;
use crate::machine::{Event, Waiting, Wake};
use crate::rung::Rung;
use crate::service::{Endpoint, Reading, look_once, until_up};

/// A future that borrows nothing.
pub(super) type Future<T> = Pin<Box<dyn std::future::Future<Output = T>>>;

/// Between two looks whether a host answers, at first and at most.
const LOOKS: (std::time::Duration, std::time::Duration) =
    (std::time::Duration::from_secs(3), std::time::Duration::from_secs(15));

/// How a task ended.
pub(super) enum Done {
    Event(Event),
    Fixed(Rung, Result<Fixed, String>),
}

/// What is under way.
#[derive(Default)]
pub(super) struct Doing {
    wait: Option<Wait>,
    task: Option<Future<Done>>,
    /// What is told to others, whatever comes next.
    aside: Option<Future<()>>,
}

impl Doing {
    pub(super) fn begin(&mut self, task: Future<Done>) {
        self.task = Some(task);
    }

    pub(super) fn tell_others(&mut self, telling: Future<()>) {
        let before = self.aside.take();
        self.aside = Some(Box::pin(async move {
            if let Some(before) = before {
                before.await;
            }
            telling.await;
        }));
    }

    pub(super) fn cease(&mut self) {
        self.wait = None;
        self.task = None;
    }

    /// Ends when something that was begun has.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            tokio::select! {
                biased;
                () = of(&mut self.aside) => self.aside = None,
                done = of(&mut self.task) => {
                    self.task = None;
                    return done;
                }
                event = Wait::of(&mut self.wait), if self.task.is_none() => {
                    return Done::Event(event);
                }
            }
        }
    }

    /// [`Self::next`], whose panic is no end of the relay: then nothing is under way any more.
    pub(super) async fn next_contained(&mut self) -> Done {
        let mut next = Box::pin(self.next());
        let done = poll_fn(|cx| match guarded(|| next.as_mut().poll(cx)) {
            Some(Poll::Ready(done)) => Poll::Ready(Some(done)),
            Some(Poll::Pending) => Poll::Pending,
            None => Poll::Ready(None),
        })
        .await;
        drop(next);
        done.unwrap_or_else(|| {
            *self = Self::default();
            Done::Event(Event::Blind)
        })
    }

    /// Lets what is told to others be told.
    pub(super) async fn finish(&mut self) {
        if let Some(aside) = self.aside.take() {
            aside.await;
        }
    }
}

async fn of<T>(future: &mut Option<Future<T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

/// One wait, against its time, the service and the machine's sleep.
struct Wait {
    clock: Clock,
    waiting: Waiting,
    over: bool,
    /// Ends when the service is back.
    back: Option<Future<()>>,
    reading: Rc<Cell<Reading>>,
}

impl Wait {
    /// The next event of it; a wait that is over says nothing more.
    async fn of(wait: &mut Option<Self>) -> Event {
        let Some(wait) = wait.as_mut().filter(|wait| !wait.over) else { return pending().await };
        tokio::select! {
            biased;
            () = of(&mut wait.back) => {
                wait.back = None;
                Event::Up
            }
            woke = wait.clock.until(wait.waiting.until) => {
                wait.over = true;
                match woke {
                    Woke::Due => Event::WaitOver(wait.reading.get()),
                    Woke::Slept => Event::Slept,
                }
            }
        }
    }
}

impl Run {
    /// Begins a wait, or gives the present one another end.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        if let Some(wait) = &mut self.doing.wait
            && wait.waiting.since == waiting.since
            && wait.waiting.wake == waiting.wake
        {
            wait.waiting = waiting;
            wait.over = false;
            return;
        }
        let reading = Rc::new(Cell::new(Reading::Unknown));
        let back = match waiting.wake {
            Wake::Never => None,
            Wake::Back(kind) => back(&self.service, kind, &reading),
            Wake::Answers(kind) => answers(&self.service, kind),
        };
        let clock = self.clock.clone();
        self.doing.wait = Some(Wait { clock, waiting, over: false, back, reading });
    }
}

/// Ends when a host that such a failure met, and that read down in this wait, answers; or when a
/// turn works in another run.
fn back(
    service: &Rc<Service>,
    kind: FailureKind,
    reading: &Rc<Cell<Reading>>,
) -> Option<Future<()>> {
    let (endpoints, shares) = (service.facing(kind), shares_turns(kind));
    if endpoints.is_empty() && !shares {
        return None;
    }
    let (service, reading) = (Rc::clone(service), Rc::clone(reading));
    Some(Box::pin(async move {
        let _waits = shares.then(|| service.breaker.wait_for_turn());
        let tell = |seen: &crate::service::Shared| reading.set(seen.verdict());
        tokio::select! {
            _ = until_up(&*service.look, &service.breaker, &endpoints, tell),
                if !endpoints.is_empty() => {}
            () = service.breaker.until_worked(), if shares => {}
        }
        reading.set(Reading::Up);
    }))
}

/// Ends when the host that such a failure met answers.
fn answers(service: &Rc<Service>, kind: FailureKind) -> Option<Future<()>> {
    let (service, endpoints) = asked(service, kind)?;
    Some(Box::pin(async move {
        let mut pause = LOOKS.0;
        loop {
            tokio::time::sleep(pause).await;
            let seen = look_once(&*service.look, &service.breaker, &endpoints).await;
            if !seen.is_empty() && seen.iter().all(|one| one.reading == Reading::Up) {
                return;
            }
            pause = (pause * 2).min(LOOKS.1);
        }
    }))
}

fn asked(service: &Rc<Service>, kind: FailureKind) -> Option<(Rc<Service>, Vec<Endpoint>)> {
    let endpoints = service.facing(kind);
    (!endpoints.is_empty()).then(|| (Rc::clone(service), endpoints))
}
