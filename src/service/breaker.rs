//! What all runs of a user share about one service: the last probe, the pace of restarts, the
//! last try against a service that reads down. In: a file in the state directory, rewritten
//! under a kernel lock. Out: permissions to start, readings of others. A file that is broken
//! is set aside, one that cannot be reached is replaced by this process's own memory: the
//! breaker may make a run less polite, never stop it.

use std::cell::RefCell;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::leave::Leave;
use super::locks::{self, Lock, LockName, Locked};
use super::pace::{Millis, Pace, Ticket};
use super::probe::Sighting;
use super::schedule::{TRY_ANYWAY_AFTER, may_try};
use super::turns::Turns;
use super::{Endpoint, Reading};

/// The state is locked for microseconds; a holder that is stopped in that moment is not
/// waited for longer than this many tries of [`LOCK_RETRY`].
const LOCK_TRIES: u32 = 200;
const LOCK_RETRY: Duration = Duration::from_millis(3);

/// The state file is never larger (bytes); only its first line counts.
const STATE_CAP_BYTES: usize = 64 << 10;

/// A reading holds for the start that follows it within this.
const STILL_MS: Millis = 20_000;

/// Spread of waiting runs, so that they do not all ask in the same moment.
const SPREAD_MS: u64 = 250;

/// The clock that all runs share, injectable for tests under paused time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis>);

impl Clock {
    /// The wall clock, the only one that processes have in common.
    #[must_use]
    pub fn wall() -> Self {
        Self::new(|| {
            SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_millis() as Millis)
        })
    }

    /// A clock of one's own.
    pub fn new(read: impl Fn() -> Millis + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Now (milliseconds).
    #[must_use]
    pub fn now(&self) -> Millis {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// A probe's result as other runs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// The host.
    pub host: String,
    /// Its reading.
    pub reading: Reading,
    /// When it was read (milliseconds of the shared clock).
    pub at: Millis,
    /// Since when it reads so (milliseconds).
    pub since: Millis,
    /// Why, for people.
    pub reason: String,
    /// A look has read *up* here: one without credentials can tell.
    #[serde(default)]
    pub tells: bool,
}

impl Shared {
    /// What this says about a try: *down* only where a look has been seen to tell, since a
    /// gateway may drop every request without credentials.
    #[must_use]
    pub fn verdict(&self) -> Reading {
        match self.reading {
            Reading::Down if !self.tells => Reading::Unknown,
            reading => reading,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    pace: Pace,
    probes: Vec<Shared>,
    last_try: Option<Millis>,
    /// Until when a usage limit holds an account (named by Claude's configuration directory).
    limits: std::collections::BTreeMap<String, Millis>,
}

/// The breaker of one service.
#[derive(Debug)]
pub struct Breaker {
    state_dir: PathBuf,
    file: PathBuf,
    clock: Clock,
    pub(super) turns: Turns,
    /// What this run knows by itself, used while the file cannot be reached.
    own: RefCell<State>,
}

impl Breaker {
    /// The breaker for the service called `key` (see
    /// [`Endpoints::key`](super::Endpoints::key)).
    #[must_use]
    pub fn open(state_dir: &Path, key: &str) -> Self {
        Self::with_clock(state_dir, key, Clock::wall())
    }

    /// [`Breaker::open`] with a clock of one's own.
    #[must_use]
    pub fn with_clock(state_dir: &Path, key: &str, clock: Clock) -> Self {
        let name: String = key
            .chars()
            .map(|c| match c {
                ':' => '+',
                c if c.is_ascii_alphanumeric() || c == '.' => c,
                _ => '-',
            })
            .collect();
        Self {
            state_dir: state_dir.to_owned(),
            file: state_dir.join("breaker").join(format!("{name}.json")),
            clock,
            turns: Turns::new(state_dir, key, "", &std::process::id().to_string()),
            own: RefCell::default(),
        }
    }

    /// Shares its turns with runs of this model only: others may fail while it works.
    #[must_use]
    pub fn with_model(mut self, model: &str, run: &str) -> Self {
        self.turns = self.turns.of_model(model, run);
        self
    }

    /// The shared clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The state directory, for [`locks`].
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Waits for a permission to restart, paced over all runs. Select it against signals and
    /// input; nothing is spent when it is dropped. Hand the leave back with
    /// [`Breaker::succeeded`] or [`Breaker::failed`].
    pub async fn admit(&self) -> Leave {
        loop {
            match self.update(Pace::ask).await {
                Ok(ticket) => return Leave::paced(ticket),
                Err(wait) => {
                    let spread = Duration::from_millis(fastrand::u64(0..SPREAD_MS));
                    tokio::time::sleep(wait + spread).await;
                }
            }
        }
    }

    /// The start with this ticket brought a working turn. A look that reads *down* all the same
    /// does not tell.
    pub(super) async fn worked_with(&self, ticket: Ticket) {
        self.with_state(|state, now| {
            state.pace.succeeded(now, ticket);
            for seen in &mut state.probes {
                let lies = seen.reading == Reading::Down && seen.at + STILL_MS >= ticket.at();
                seen.tells &= !lies;
            }
        })
        .await;
    }

    /// Whether this run may launch or ask now, given the probe's reading: the one try in ten
    /// minutes is given to one run of all, and counts as taken when this says `true`.
    pub async fn may_try(&self, probe: Reading) -> bool {
        self.with_state(|state, now| {
            // An outage that nobody tried yet starts its ten minutes with the first question.
            let last = state.last_try.get_or_insert(now);
            // A clock that was set back must not hold all tries until it has caught up.
            *last = (*last).min(now);
            let passed = now - *last;
            let may = may_try(Some(Duration::from_millis(passed)), probe);
            if may {
                state.last_try = Some(now);
            }
            may
        })
        .await
    }

    /// How long until the one try in ten minutes is free, as far as is known.
    pub async fn next_try_anyway(&self) -> Duration {
        self.with_state(|state, now| {
            let passed = now.saturating_sub(state.last_try.unwrap_or(now));
            TRY_ANYWAY_AFTER.saturating_sub(Duration::from_millis(passed))
        })
        .await
    }

    /// What some run last read of this host.
    pub async fn shared(&self, host: &str) -> Option<Shared> {
        self.with_state(|state, _| state.probes.iter().find(|seen| seen.host == host).cloned())
            .await
    }

    /// Tells all runs what was read. A host that comes up after it was down resets the pace.
    pub async fn publish(&self, seen: &Sighting) {
        self.with_state(|state, now| {
            let before = state.probes.iter().position(|shared| shared.host == seen.host);
            let before = before.map(|index| state.probes.swap_remove(index));
            let was = before.as_ref().map(|shared| shared.reading);
            if was == Some(Reading::Down) && seen.reading == Reading::Up {
                state.pace.recovered(now);
            }
            // The last try of an outage says nothing about the next one.
            let old = TRY_ANYWAY_AFTER.as_millis() as Millis;
            let another = before.as_ref().is_none_or(|last| now.saturating_sub(last.at) > old);
            if another || was == Some(Reading::Down) && seen.reading == Reading::Up {
                state.last_try = None;
            }
            let tells = before.as_ref().is_some_and(|shared| shared.tells);
            let since = before.filter(|shared| shared.reading == seen.reading);
            state.probes.push(Shared {
                host: seen.host.clone(),
                reading: seen.reading,
                at: now,
                since: since.map_or(now, |shared| shared.since.min(now)),
                reason: seen.reason.clone(),
                tells: tells || seen.reading == Reading::Up,
            });
            // Hosts change with the environment of each run; old ones are of no use.
            state.probes.sort_by_key(|shared| std::cmp::Reverse(shared.at));
            state.probes.truncate(8);
        })
        .await;
    }

    /// Tells all runs that a usage limit holds this account.
    pub async fn limited(&self, account: &str, until: jiff::Timestamp) {
        let until = Millis::try_from(until.as_millisecond()).unwrap_or_default();
        self.with_state(|state, now| {
            state.limits.retain(|_, until| *until > now);
            state.limits.insert(account.to_owned(), until);
        })
        .await;
    }

    /// Until when a usage limit holds this account, as far as some run was told.
    pub async fn limit_of(&self, account: &str) -> Option<Millis> {
        self.with_state(|state, now| state.limits.get(account).copied().filter(|at| *at > now))
            .await
    }

    /// Takes the lease to probe this endpoint for everybody, if nobody has it. A state
    /// directory that cannot be written leaves each run to probe for itself: `Lease::Alone`.
    #[must_use]
    pub fn lease(&self, endpoint: &Endpoint) -> Lease {
        match locks::try_lock(&self.state_dir, LockName::Probe(endpoint.host())) {
            Ok(Some(lock)) => Lease::Ours(lock),
            Ok(None) => Lease::Theirs,
            Err(error) => {
                tracing::debug!(%error, "probing alone");
                Lease::Alone
            }
        }
    }

    pub(super) async fn update<R>(&self, change: impl FnOnce(&mut Pace, Millis) -> R) -> R {
        self.with_state(|state, now| change(&mut state.pace, now)).await
    }

    /// Runs `change` on the shared state, or on our own when the file cannot be had.
    async fn with_state<R>(&self, change: impl FnOnce(&mut State, Millis) -> R) -> R {
        let file = match self.locked().await {
            Ok(file) => Some(file),
            Err(error) => {
                tracing::debug!(%error, file = %self.file.display(), "breaker not shared");
                None
            }
        };
        let mut state = match &file {
            Some(file) => self.read(file),
            None => self.own.borrow().clone(),
        };
        let before = state.clone();
        let result = change(&mut state, self.clock.now());
        if let Some(file) = file.filter(|_| state != before)
            && let Err(error) = write(&file, &state)
        {
            tracing::debug!(%error, file = %self.file.display(), "breaker not written");
        }
        *self.own.borrow_mut() = state;
        result
    }

    async fn locked(&self) -> io::Result<Locked> {
        crate::paths::private_dir(&self.state_dir)?;
        crate::paths::private_dir(&self.state_dir.join("breaker"))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.file)?;
        for _ in 0..LOCK_TRIES {
            file = match Locked::take(file)? {
                Ok(locked) => return Ok(locked),
                Err(file) => file,
            };
            tokio::time::sleep(LOCK_RETRY).await;
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the lock is held too long"))
    }

    fn read(&self, file: &File) -> State {
        let mut bytes = vec![0; STATE_CAP_BYTES];
        let length = file.read_at(&mut bytes, 0).unwrap_or(0);
        let line = bytes[..length].split(|byte| *byte == b'\n').next().unwrap_or_default();
        if line.is_empty() && length == 0 {
            return State::default();
        }
        serde_json::from_slice(line).unwrap_or_else(|error| {
            // A copy, not a rename: others may be waiting for the lock on this very file.
            let aside = self.file.with_extension("broken");
            tracing::warn!(%error, aside = %aside.display(), "breaker file set aside");
            let _ = crate::paths::write_private(&aside, &bytes[..length]);
            State::default()
        })
    }
}

/// One write of one line: a process killed in between leaves the old line or the new one.
fn write(file: &File, state: &State) -> io::Result<()> {
    let mut line = serde_json::to_vec(state)?;
    line.push(b'\n');
    let written = file.write_at(&line, 0)?;
    if written < line.len() {
        // Disk full: an empty file is a known state, a torn line is not.
        file.set_len(0)?;
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.set_len(line.len() as u64)
}

/// Who probes.
#[derive(Debug)]
pub enum Lease {
    /// This run, as long as it holds the lock.
    Ours(Lock),
    /// Another run; its results are in [`Breaker::shared`].
    Theirs,
    /// Nothing can be shared.
    Alone,
}

#[cfg(test)]
mod tests;
