//! A wait between two tries: until its time is up, or until a probe that read *down* in this
//! wait reads *up*. While the probe says down no try is made, but one in ten minutes (it may be
//! wrong). In: how to look, the failure, the time. Out: what ended it, unless the caller drops
//! it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Run, Service, clock, millis};
use crate::config::Config;
use crate::journal::Event;
use crate::service::{Reading, until_up};
use crate::watch::FailureKind;

/// After a sleep of the machine its network gets this long, or half as long again.
const NETWORK_RETURNS: Duration = Duration::from_secs(10);

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitEnd {
    /// Its time.
    Timer,
    /// The service is back.
    Probe,
}

/// Waits. Dropping the future ends the wait without a trace.
pub(super) async fn wait(
    service: &Service,
    config: &Config,
    kind: FailureKind,
    after: Duration,
) -> WaitEnd {
    let began = clock::now();
    let endpoints = service.facing(kind);
    let reading = std::cell::Cell::new(Reading::Unknown);
    let back = until_up(&service.look, &service.breaker, &endpoints, |seen| {
        reading.set(seen.reading);
    });
    tokio::pin!(back);
    let mut due = began + after;
    loop {
        tokio::select! {
            _ = &mut back, if !endpoints.is_empty() => {
                // Even then not sooner than a first wait could be.
                let least = config.duration("retry.first_wait").mul_f64(2.0 / 3.0);
                sleep(due.min(began + least).saturating_sub(clock::now())).await;
                return WaitEnd::Probe;
            }
            slept = clock::until(due) => {
                if slept {
                    due = due.max(clock::now() + NETWORK_RETURNS.mul_f64(1.0 + fastrand::f64() / 2.0));
                } else if service.breaker.may_try(reading.get()).await {
                    return WaitEnd::Timer;
                } else {
                    due = clock::now() + service.breaker.next_try_anyway().await;
                }
            }
        }
    }
}

impl Run {
    /// [`wait`] as this run is set up.
    pub(super) async fn wait(&self, kind: FailureKind, after: Duration) -> WaitEnd {
        wait(&self.service, &self.config, kind, after).await
    }

    /// Writes down what ended a wait that began then.
    pub(super) fn waited(&mut self, by: &str, began: Instant) {
        let waited_ms = millis(began.elapsed());
        self.journal.record(Event::WaitEnded { by: by.to_owned(), waited_ms });
    }
}
