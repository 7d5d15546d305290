//! Waiting for the service to come back. In: a seam to the network, the breaker, the endpoints
//! that failed. Out: what was seen, as it is seen, and the end of the wait when a host that
//! read down *in this wait* reads up. One run probes for all; the others read its results.
//! Never ends a wait on a first reading of "up": an edge that answers proves nothing after a
//! failure (decision 1 of the design), so the caller's own timer rules then; such an edge is looked
//! at once a minute.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::breaker::{Breaker, Lease, Shared};
use super::pace::Millis;
use super::probe::{Look, Sighting};
use super::schedule::{Schedule, WHILE_UP};
use super::{Endpoint, Reading};

/// How often a run that does not probe reads what the probing one has seen.
const FOLLOW_EVERY_MS: std::ops::Range<u64> = 400..900;

/// A run whose probing run has been silent for this long probes itself: the other may be
/// stopped (Ctrl-Z), which keeps its lease. Longer than the longest interval and a time-out, for
/// a host that reads down and for one that answers.
const SILENT_AFTER_MS: u64 = 25_000;
const SILENT_WHILE_UP_AFTER_MS: u64 = 100_000;

/// A reading of "down" this fresh counts for a wait that begins after it.
const STILL_FRESH_MS: u64 = 15_000;

/// Probes until each of `endpoints` that read down reads up again, and returns the last
/// sighting. It never returns if none ever reads down, or with no endpoints: select it against
/// the timer, input and signals. `tell` is called with every new reading.
///
/// Then take [`Breaker::admit`] before launching: that is what spreads many waiting runs.
pub async fn until_up(
    look: &dyn Look,
    breaker: &Breaker,
    endpoints: &[Endpoint],
    mut tell: impl FnMut(&Shared),
) -> Shared {
    let mut down = vec![false; endpoints.len()];
    let mut last_up = None;
    let mut leases: Vec<Option<Lease>> = endpoints.iter().map(|_| None).collect();
    let mut seen_at = vec![None; endpoints.len()];
    let mut schedule = Schedule::default();
    let began = breaker.clock().now();
    // What was read before this wait says nothing about it, but for a "down" that still holds.
    let counts = |shared: &Shared| {
        let fresh = Reading::Down == shared.reading && shared.at + STILL_FRESH_MS >= began;
        shared.at >= began || fresh
    };
    // Runs that failed together must not look together.
    sleep(Duration::from_millis(fastrand::u64(0..500))).await;
    let mut next_probe = Instant::now();
    for endpoint in endpoints {
        // The look that began this wait has just been.
        if let Some(shared) = breaker.shared(endpoint.host()).await
            && (counts(&shared) || answered_just_now(&shared, began))
        {
            let down = shared.reading == Reading::Down;
            next_probe = Instant::now() + schedule.next(down, fastrand::f64());
        }
    }
    loop {
        let looks_at = Instant::now();
        let due = looks_at >= next_probe;
        for (index, endpoint) in endpoints.iter().enumerate() {
            if !matches!(leases[index], Some(Lease::Ours(_) | Lease::Alone)) {
                leases[index] = Some(breaker.lease(endpoint));
            }
            let mut shared = breaker.shared(endpoint.host()).await;
            let ours = !matches!(leases[index], Some(Lease::Theirs)) || {
                let last = shared.as_ref().map_or(began, |shared| shared.at.max(began));
                let silent_after =
                    if down[index] { SILENT_AFTER_MS } else { SILENT_WHILE_UP_AFTER_MS };
                breaker.clock().now().saturating_sub(last) > silent_after
            };
            if due && ours {
                let seen = look.look(endpoint).await;
                breaker.publish(&seen).await;
                shared = breaker.shared(endpoint.host()).await;
            }
            let Some(shared) = shared else { continue };
            if !counts(&shared) || seen_at[index] == Some(shared.at) {
                continue;
            }
            seen_at[index] = Some(shared.at);
            tell(&shared);
            match shared.reading {
                Reading::Down => down[index] = true,
                Reading::Up if down[index] => {
                    down[index] = false;
                    last_up = Some(shared);
                }
                Reading::Up | Reading::Unknown => {}
            }
        }
        if due {
            next_probe = looks_at + schedule.next(down.contains(&true), fastrand::f64());
        }
        if let Some(up) = last_up.take_if(|_| !down.contains(&true)) {
            return up;
        }
        let follows = leases.iter().any(|lease| matches!(lease, Some(Lease::Theirs)));
        let mut wake = next_probe;
        if follows || endpoints.is_empty() {
            wake = wake.min(Instant::now() + Duration::from_millis(fastrand::u64(FOLLOW_EVERY_MS)));
        }
        sleep_until(wake).await;
    }
}

/// Whether a look so recent saw the host answer that another would be waste.
fn answered_just_now(shared: &Shared, now: Millis) -> bool {
    let fresh = now.saturating_sub(shared.at) < WHILE_UP.as_millis() as Millis;
    shared.reading == Reading::Up && fresh
}

/// As [`look_once`], but a host that some run saw answer within the last minute is not looked at
/// again: what our own attempt met says more.
pub async fn look_again(
    look: &dyn Look,
    breaker: &Breaker,
    endpoints: &[Endpoint],
) -> Vec<Sighting> {
    let mut seen = Vec::new();
    for endpoint in endpoints {
        let shared = breaker.shared(endpoint.host()).await;
        match shared.filter(|shared| answered_just_now(shared, breaker.clock().now())) {
            Some(shared) => seen.push(Sighting::of(endpoint, Reading::Up, shared.reason)),
            None => seen.extend(look_once(look, breaker, std::slice::from_ref(endpoint)).await),
        }
    }
    seen
}

/// Looks once at each endpoint, all at the same time, and shares what is seen.
pub async fn look_once(
    look: &dyn Look,
    breaker: &Breaker,
    endpoints: &[Endpoint],
) -> Vec<Sighting> {
    let mut seen = Vec::new();
    let mut looks: Vec<_> = endpoints.iter().map(|endpoint| look.look(endpoint)).collect();
    // Few enough that polling each in turn is simplest: a look runs on its own thread.
    std::future::poll_fn(|context| {
        looks.retain_mut(|look| match look.as_mut().poll(context) {
            std::task::Poll::Ready(sighting) => {
                seen.push(sighting);
                false
            }
            std::task::Poll::Pending => true,
        });
        if looks.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    for sighting in &seen {
        breaker.publish(sighting).await;
    }
    seen.sort_by_key(|sighting| {
        endpoints.iter().position(|endpoint| endpoint.host() == sighting.host)
    });
    seen
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::{Clock, Role, ScriptedLook, endpoint::Ask};
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint { role: Role::Oauth, ask: Ask::Get, url: "https://sign.in/x".to_owned() }
    }

    /// A clock that follows the paused one.
    fn clock() -> Clock {
        let zero = Instant::now();
        Clock::new(move || 1_000_000 + zero.elapsed().as_millis() as u64)
    }

    fn breaker(dir: &std::path::Path) -> Breaker {
        Breaker::with_clock(dir, "test", clock())
    }

    /// A service that is down until `up_at`.
    fn down_until(up_at: Instant) -> ScriptedLook {
        ScriptedLook::new(move |_| if Instant::now() < up_at { Reading::Down } else { Reading::Up })
    }

    #[tokio::test(start_paused = true)]
    async fn a_recovery_is_seen_within_five_seconds_in_the_median_however_long_the_outage() {
        for (range, name) in [(20.0..90.0, "20-90 s"), (600.0..7200.0, "10-120 min")] {
            let (mut after, mut looks) = (Vec::new(), 0);
            for _ in 0..101 {
                let span: f64 = range.start + fastrand::f64() * (range.end - range.start);
                let up_at = Instant::now() + Duration::from_secs_f64(span);
                // Each outage is the first of its kind.
                let dir = tempfile::tempdir().expect("a temporary directory");
                let look = down_until(up_at);
                until_up(&look, &breaker(dir.path()), &[endpoint()], |_| {}).await;
                after.push(up_at.elapsed());
                looks += look.looks();
            }
            after.sort();
            eprintln!(
                "outages of {name}: seen after {:?} (median), {:?} (longest), {} looks each",
                after[50],
                after[100],
                looks / 101
            );
            assert!(after[50] <= Duration::from_secs(5), "{name}: {:?}", after[50]);
            assert!(after[100] <= Duration::from_secs(15), "{name}: {:?}", after[100]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_never_read_down_ends_no_wait() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for reading in [Reading::Up, Reading::Unknown] {
            let look = ScriptedLook::new(move |_| reading);
            let (breaker, endpoints) = (breaker(dir.path()), [endpoint()]);
            let wait = until_up(&look, &breaker, &endpoints, |_| {});
            let hour = Duration::from_secs(3600);
            assert!(tokio::time::timeout(hour, wait).await.is_err(), "{reading:?}");
            assert!((40..=61).contains(&look.looks()), "{} looks in an hour", look.looks());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_delays_the_next_one_no_longer_than_it_takes() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let up_at = Instant::now() + Duration::from_secs(300);
        let look = down_until(up_at).with_latency(Duration::from_secs(10));
        until_up(&look, &breaker(dir.path()), &[endpoint()], |_| {}).await;
        assert!(up_at.elapsed() <= Duration::from_secs(21), "{:?}", up_at.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_run_probes_for_all_and_all_wake() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let up_at = Instant::now() + Duration::from_secs(60);
        let look = Rc::new(down_until(up_at));
        let local = tokio::task::LocalSet::new();
        let runs: Vec<_> = (0..20)
            .map(|_| {
                let (look, breaker) = (Rc::clone(&look), breaker(dir.path()));
                local.spawn_local(async move {
                    until_up(&*look, &breaker, &[endpoint()], |_| {}).await;
                    Instant::now()
                })
            })
            .collect();
        local
            .run_until(async {
                for run in runs {
                    let woke = run.await.expect("the run ends");
                    assert!(woke - up_at <= Duration::from_secs(15), "{:?}", woke - up_at);
                }
            })
            .await;
        assert!(look.looks() < 40, "{} looks", look.looks());
    }
}
