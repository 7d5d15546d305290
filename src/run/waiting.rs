//! A wait between two tries: until its time is up, or until a probe that read *down* in this
//! wait reads *up*. While the probe says down no try is made, but one in ten minutes (it may be
//! wrong). In: how to look, the failure, the time. Out: what ended it, unless the caller drops
//! it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Run, Service, clock, millis};
use crate::journal::Event;
use crate::service::{Reading, until_up};
use crate::watch::FailureKind;

/// After a sleep of the machine its network gets this long, or half as long again.
const NETWORK_RETURNS: Duration = Duration::from_secs(10);

impl WaitEnd {
    /// Its name in the journal.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Probe => "probe",
            Self::Horizon => "horizon",
        }
    }
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitEnd {
    /// Its time.
    Timer,
    /// The service is back.
    Probe,
    /// The run has waited for as long as it may, and the service is still down.
    Horizon,
}

impl Run {
    /// Waits. The future borrows nothing; dropping it ends the wait without a trace.
    pub(super) fn wait(
        &self,
        kind: FailureKind,
        after: Duration,
    ) -> impl Future<Output = WaitEnd> + use<> {
        let least = self.config.duration("retry.first_wait").mul_f64(2.0 / 3.0);
        wait(Rc::clone(&self.service), kind, after, least, self.horizon_ends())
    }

    /// When this streak of failures has lasted for as long as the run waits in all.
    fn horizon_ends(&self) -> Duration {
        let since = self.history.failing_since().unwrap_or_else(|| self.elapsed());
        self.started + since + self.horizon()
    }

    /// Writes down what ended a wait that began then.
    pub(super) fn waited(&mut self, by: &str, began: Instant) {
        let waited_ms = millis(began.elapsed());
        self.journal.record(Event::WaitEnded { by: by.to_owned(), waited_ms });
        // After the user's own key nothing of ours follows.
        if by == "user" {
            self.history.left_to_the_user(self.elapsed());
        } else {
            self.history.acted();
        }
    }
}

/// `least`: no sooner than this even if the service is back; `horizon`: by the run's clock.
async fn wait(
    service: Rc<Service>,
    kind: FailureKind,
    after: Duration,
    least: Duration,
    horizon: Duration,
) -> WaitEnd {
    let began = clock::now();
    let endpoints = service.facing(kind);
    let reading = Cell::new(Reading::Unknown);
    let back = until_up(&*service.look, &service.breaker, &endpoints, |seen| {
        reading.set(seen.verdict());
    });
    tokio::pin!(back);
    let mut due = began + after;
    let horizon = horizon.max(due);
    loop {
        tokio::select! {
            _ = &mut back, if !endpoints.is_empty() => {
                sleep(due.min(began + least).saturating_sub(clock::now())).await;
                return WaitEnd::Probe;
            }
            slept = clock::until(due.min(horizon)) => {
                let now = clock::now();
                // A sleep of the machine is not the horizon, unless it lasted beyond it.
                if now >= horizon && due > horizon {
                    return WaitEnd::Horizon;
                } else if slept {
                    let jitter = 1.0 + fastrand::f64() / 2.0;
                    due = due.max(now + NETWORK_RETURNS.mul_f64(jitter));
                } else if service.breaker.may_try(reading.get()).await {
                    return WaitEnd::Timer;
                } else {
                    due = clock::now() + service.breaker.next_try_anyway().await;
                }
            }
        }
    }
}
