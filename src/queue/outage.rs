//! Whether the service lets tasks start. In: what runs and probes saw of it. Out: "down" for
//! all, then one task ahead of the others. Looks by the same lease as every run, so that one
//! process probes for all.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::claude::args::ClaudeArgs;
use crate::claude::environment::Environment;

use crate::service::{
    Breaker, Endpoint, Endpoints, HttpLook, Leave, Network, Reading, endpoint, until_up,
};

use super::task::Id;

/// A reading is worth something for this long (milliseconds).
const FRESH_MS: u64 = 25_000;

/// A task that met an outage is tried again after this, if no probe ever read down; doubled
/// each time, up to the longest.
const FIRST_TRY: Duration = Duration::from_secs(30);
const LONGEST_TRY: Duration = Duration::from_secs(600);

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

/// How the service stands for the queue.
pub struct Outage {
    breaker: Rc<Breaker>,
    endpoints: Endpoints,
    environment: Arc<Environment>,
    /// Whether it may be looked at (`service.probe`).
    probes: bool,
    phase: Phase,
    tries: u32,
}

/// Forgets what is known of an account's usage limit.
pub fn lift_limit(state_dir: &Path, account: &str) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(
        Outage::new(state_dir, false).breaker().limited(account, jiff::Timestamp::UNIX_EPOCH),
    );
    Ok(())
}

enum Phase {
    /// As far as is known it works.
    None,
    /// It is down: this ends when it is back, or when a try is due.
    Down(Waiting, String),
    /// It may be back: one task goes ahead.
    Back,
    /// That one.
    Canary(Id, Leave),
}

impl Outage {
    /// Knows nothing yet.
    pub fn new(state_dir: &Path, probes: bool) -> Self {
        let cwd: PathBuf = std::env::current_dir().unwrap_or_default();
        let environment =
            Arc::new(Environment::of_claude(&ClaudeArgs::parse(&[]), None, &cwd, false));
        let endpoints = endpoint::in_use(&*environment);
        let breaker = Rc::new(Breaker::open(state_dir, endpoints.key()));
        Self { breaker, endpoints, environment, probes, phase: Phase::None, tries: 0 }
    }

    /// The breaker that all runs share.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Looks at what others have read.
    pub async fn look(&mut self) {
        if !matches!(self.phase, Phase::None) {
            return;
        }
        let endpoints: Vec<Endpoint> = self.endpoints.iter().cloned().collect();
        for endpoint in endpoints {
            let Some(shared) = self.breaker.shared(endpoint.host()).await else { continue };
            let age = self.breaker.clock().now().saturating_sub(shared.at);
            if shared.reading == Reading::Down && age < FRESH_MS {
                self.down(&shared.reason);
            }
        }
    }

    /// A task came back from an outage, or one is seen.
    pub fn down(&mut self, why: &str) {
        if matches!(self.phase, Phase::Down(..)) {
            return;
        }
        let after = FIRST_TRY.saturating_mul(1 << self.tries.min(10)).min(LONGEST_TRY);
        self.tries += 1;
        let (breaker, environment) = (Rc::clone(&self.breaker), Arc::clone(&self.environment));
        let endpoints: Vec<Endpoint> = self.endpoints.iter().cloned().collect();
        let probes = self.probes;
        let wait = async move {
            let look = HttpLook::on_demand(move || Network::from_env(&*environment));
            tokio::select! {
                _ = until_up(&look, &breaker, &endpoints, |_| {}), if probes => {}
                () = tokio::time::sleep(after) => {}
            }
        };
        self.phase = Phase::Down(Box::pin(wait), why.to_owned());
    }

    /// Ends when the service may be back; never while it is not known to be down.
    pub async fn passed(&mut self) {
        let Phase::Down(wait, _) = &mut self.phase else { return std::future::pending().await };
        wait.await;
        self.phase = Phase::Back;
    }

    /// Why nothing may start, if that is so.
    pub fn reason(&self) -> Option<&str> {
        match &self.phase {
            Phase::Down(_, why) => Some(why),
            _ => None,
        }
    }

    /// The task that went ahead.
    pub fn canary(&self) -> Option<Id> {
        match &self.phase {
            Phase::Canary(id, _) => Some(*id),
            _ => None,
        }
    }

    /// A task is about to start: it may be the one that goes ahead, paced among all runs.
    pub async fn starts(&mut self, id: Id) {
        if matches!(self.phase, Phase::Back) {
            let leave = self.breaker.admit().await;
            self.phase = Phase::Canary(id, leave);
        }
    }

    /// A task showed that the service works, or did not.
    pub async fn heard(&mut self, id: Id, works: bool) {
        if self.canary() != Some(id) {
            return;
        }
        let Phase::Canary(_, leave) = std::mem::replace(&mut self.phase, Phase::Back) else {
            return;
        };
        if works {
            self.breaker.succeeded(leave).await;
            self.tries = 0;
            self.phase = Phase::None;
        } else {
            self.breaker.failed(leave).await;
        }
    }
}
