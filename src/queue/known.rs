//! What the gates have to know, gathered: from the store, the breaker, the credentials. The
//! runner asks for itself, `queue list` for a person.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::claude::credentials::{self, Look, SignIn};
use crate::claude::environment::process_env;
use crate::config::Config;
use crate::service::{LockName, locks};

use super::gates::Known;
use super::place;
use super::store::{Store, StoreError};
use super::task::{Id, State, Task, now_ms};

/// The note of a pause.
pub const PAUSED: &str = "paused";

/// A pause, as it is noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Until when; for good without.
    pub until: Option<i64>,
    /// Why.
    pub why: String,
}

/// What a runner tells those who list: by owner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its slots.
    pub jobs: usize,
    /// The service reads down.
    pub down: Option<String>,
    /// The task that goes ahead.
    pub canary: Option<Id>,
}

/// An account that can start nothing, as it is noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Why.
    pub why: String,
    /// The credentials as they were then: another sign-in opens it.
    pub stamp: Option<String>,
}

/// The note of what a runner tells.
#[must_use]
pub fn told_by(owner: &str) -> String {
    format!("runner {owner}")
}

/// The note of a usage limit of an account.
#[must_use]
pub fn limit_of(account: &str) -> String {
    format!("limit {account}")
}

/// The note of an account that is closed on a host: each has a sign-in of its own.
#[must_use]
pub fn closed(owner: &str, account: &str) -> String {
    format!("closed {owner} {account}")
}

/// The note of what a day has cost.
#[must_use]
pub fn day() -> String {
    format!("spent {}", jiff::ZonedDateTime::now().date())
}

/// How an account is signed in: the file of its directory tells.
fn look(account: &str) -> Look {
    credentials::Store::new(&place::here(Path::new(account)), None)
        .look(&process_env, jiff::Timestamp::now())
}

/// How the credentials of an account look, to see another sign-in.
#[must_use]
pub fn stamp(account: &str) -> Option<String> {
    let look = look(account);
    (look.sign_in != SignIn::Missing).then(|| format!("{:?}", look.stamp))
}

fn noted<T: for<'a> Deserialize<'a>>(
    store: &dyn Store,
    name: &str,
) -> Result<Option<T>, StoreError> {
    Ok(store.note(name)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// What is in the way of these tasks, beyond the service and the slots.
pub fn of(store: &dyn Store, config: &Config, tasks: &[Task]) -> Result<Known, StoreError> {
    let now = now_ms();
    let pause: Option<Pause> = noted(store, PAUSED)?;
    let cap = config.values.queue.max_usd_per_day;
    let spent = store.note(&day())?.and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    // Amounts are far below 2^52.
    #[allow(clippy::cast_precision_loss)]
    let day_is_spent = cap > 0 && super::verdict::over(spent, cap as f64);
    let mut known = Known {
        now,
        paused: pause.map(|pause| (pause.until, pause.why)),
        day_is_spent,
        labels: config.values.queue.labels.clone(),
        ..Known::default()
    };
    if store.is_shared() {
        let missing =
            |task: &&Task| task.spec.repo.is_none() && !place::here(&task.spec.dir).is_dir();
        known.elsewhere = tasks.iter().filter(missing).map(|task| task.id).collect();
    }
    let owner = super::owner(config);
    let accounts: BTreeSet<&str> = tasks.iter().map(|task| task.account.as_str()).collect();
    for account in accounts {
        if let Some(until) = store.note(&limit_of(account))?.and_then(|text| text.parse().ok()) {
            known.limits.insert(account.to_owned(), until);
        }
        if let Some(shut) = noted::<Closed>(store, &closed(&owner, account))?
            && shut.stamp == stamp(account)
        {
            known.accounts.insert(account.to_owned(), shut.why);
        }
    }
    let others: BTreeSet<Id> = tasks.iter().flat_map(|task| task.spec.after.clone()).collect();
    for id in others {
        if let Some(other) = store.get(id)? {
            known.others.insert(id, (other.label(), other.state));
        }
    }
    Ok(known)
}

/// [`of`], with what the runner of this host tells, for a person who asks why a task waits.
pub fn for_people(
    store: &dyn Store,
    config: &Config,
    state_dir: &Path,
    tasks: &[Task],
) -> Result<Known, StoreError> {
    let mut known = of(store, config, tasks)?;
    let owner = super::owner(config);
    let runs = !matches!(locks::try_lock(state_dir, LockName::Queue(&owner)), Ok(Some(_)));
    let told: Option<Told> = noted(store, &told_by(&owner))?;
    if let Some(told) = told.filter(|_| runs) {
        let running = tasks.iter().filter(|task| {
            task.state == State::Running && task.owner.as_deref() == Some(owner.as_str())
        });
        known.slots = Some(told.jobs.saturating_sub(running.count()));
        known.down = told.down;
        known.canary = told.canary;
    }
    Ok(known)
}

/// The account of a task that is handed in here.
#[must_use]
pub fn account() -> String {
    place::kept(&crate::paths::claude_config_dir()).to_string_lossy().into_owned()
}

/// Accounts that are closed and whose sign-in is another by now, of these.
pub fn reopened(
    store: &dyn Store,
    owner: &str,
    tasks: &[Task],
) -> Result<BTreeMap<String, Closed>, StoreError> {
    let mut open = BTreeMap::new();
    let accounts: BTreeSet<&str> = tasks.iter().map(|task| task.account.as_str()).collect();
    for account in accounts {
        if let Some(shut) = noted::<Closed>(store, &closed(owner, account))?
            && shut.stamp != stamp(account)
            && look(account).sign_in.can_refresh()
        {
            open.insert(account.to_owned(), shut);
        }
    }
    Ok(open)
}
