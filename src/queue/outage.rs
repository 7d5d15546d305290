//! Whether the service lets tasks start. In: what runs and probes saw of it. Out: "down" for
//! all, then one task ahead of the others. Looks by the same lease as every run, so that one
//! process probes for all.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::claude::args::ClaudeArgs;
use crate::claude::environment::Environment;
use crate::service::{
    Breaker, Endpoint, Endpoints, HttpLook, Leave, Network, Reading, endpoint, until_up,
};

use super::place::here;
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
    /// Another host leads, and this is its word.
    leader: Option<(String, Word)>,
}

/// How the service stands, as one host says it to the others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// It is down.
    pub down: Option<String>,
    /// The task that goes ahead.
    pub canary: Option<Id>,
}

/// Forgets what is known of an account's usage limit.
pub fn lift_limit(state_dir: &Path, account: &str) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let account = here(Path::new(account));
    let account = account.to_string_lossy();
    runtime.block_on(
        Outage::new(state_dir, false).breaker().limited(&account, jiff::Timestamp::UNIX_EPOCH),
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
        Self { breaker, endpoints, environment, probes, phase: Phase::None, tries: 0, leader: None }
    }

    /// The breaker that all runs share.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// What the service is called.
    pub fn service(&self) -> &str {
        self.endpoints.key()
    }

    /// What this host has to say of it, unless it works as far as is known.
    pub fn word(&self) -> Option<Word> {
        match &self.phase {
            Phase::None => None,
            Phase::Down(_, why) => Some(Word { down: Some(why.clone()), canary: None }),
            Phase::Back => Some(Word::default()),
            Phase::Canary(id, _) => Some(Word { down: None, canary: Some(*id) }),
        }
    }

    /// Another host leads: what is seen here says nothing more than it. Or none does.
    pub fn follow(&mut self, leader: Option<(String, Word)>) {
        if leader.is_some() {
            self.phase = Phase::None;
        }
        self.leader = leader;
    }

    /// Whether another host leads.
    pub fn follows(&self) -> bool {
        self.leader.is_some()
    }

    /// Nothing says that it is down any more: one task goes ahead.
    pub fn may_be_back(&mut self) {
        self.phase = Phase::Back;
    }

    /// Looks at what others have read.
    pub async fn look(&mut self) {
        if !matches!(self.phase, Phase::None) || self.leader.is_some() {
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
    pub fn reason(&self) -> Option<String> {
        match (&self.phase, &self.leader) {
            (_, Some((_, Word { canary: Some(_), .. }))) => None,
            (_, Some((host, word))) => {
                let why = word.down.as_deref().unwrap_or("it may be back");
                Some(format!("{why}; {host} looks"))
            }
            (Phase::Down(_, why), None) => Some(why.clone()),
            _ => None,
        }
    }

    /// The task that goes ahead, here or on another host.
    pub fn ahead(&self) -> Option<Id> {
        let led = self.leader.as_ref().and_then(|(_, word)| word.canary);
        led.or_else(|| self.canary())
    }

    /// The task that went ahead here.
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
