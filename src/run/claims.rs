//! Leave to try, as far as other runs and processes are concerned. In: what the try is about. Out:
//! a place in the conversation, in the pace of all starts, among the launches with an expired
//! token; or what stands in the way. All of it is given back when the turn has shown how it went.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::doing::{Done, Future};
use super::{Run, Service};
use crate::claude::credentials::Store;
use crate::claude::environment::Environment;
use crate::claude::{session_file, transcript};
use crate::failure::FailureKind;
use crate::machine::{Claim, Event, Obstacle};
use crate::service::{Leave, Lock, LockName, Reading, locks};

/// A launch with an expired token waits no longer than this for those before it: one of them
/// may be stopped (Ctrl-Z).
const LONGEST_TURN: Duration = Duration::from_secs(120);
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// A reading this old says nothing any more (milliseconds).
const FRESH_MS: u64 = 20_000;

/// What was given.
#[derive(Debug, Default)]
pub(super) struct Claims {
    session: Option<(String, Lock)>,
    /// Others with an expired token wait for us.
    launch: Option<Lock>,
    leave: Option<Leave>,
}

impl Claims {
    /// Whether others with an expired token wait for us.
    pub(super) fn holds_launch(&self) -> bool {
        self.launch.is_some()
    }

    /// Lets the next one refresh.
    pub(super) fn let_others_launch(&mut self) {
        self.launch = None;
    }
}

/// What is needed to ask, borrowing nothing.
struct Asking {
    service: Rc<Service>,
    claims: Rc<RefCell<Claims>>,
    state_dir: PathBuf,
    claude_dir: PathBuf,
    environment: Arc<Environment>,
    store: Rc<Store>,
    session: Option<String>,
    claim: Claim,
    /// The living child that is asked, if it is.
    living: Option<i32>,
}

impl Run {
    /// Asks for leave. `living`: the child that is asked in its own terminal.
    pub(super) fn claim(&self, claim: Claim, living: Option<i32>) -> Future<Done> {
        let asking = Asking {
            service: Rc::clone(&self.service),
            claims: Rc::clone(&self.claims),
            state_dir: self.state_dir.clone(),
            claude_dir: self.claude_dir.clone(),
            environment: Arc::clone(&self.environment),
            store: Rc::clone(&self.store),
            session: self.session.clone(),
            claim,
            living,
        };
        // At a terminal the first start waits for nobody, and a sign-in is none of theirs.
        let at_once = asking.claim.kind.is_none() && self.case.means().attended;
        Box::pin(async move {
            let result = if at_once { Ok(()) } else { asking.ask().await };
            Done::Event(Event::Claimed(result))
        })
    }

    /// Gives back what was claimed; the conversation is kept by a run that does nothing else.
    pub(super) fn unclaim(&mut self, worked: Option<bool>) {
        let mut claims = self.claims.borrow_mut();
        claims.launch = None;
        if self.case.means().asks {
            claims.session = None;
        }
        if let (Some(leave), Some(worked)) = (claims.leave.take(), worked) {
            let service = Rc::clone(&self.service);
            self.doing.tell_others(Box::pin(async move {
                if worked {
                    service.breaker.succeeded(leave).await;
                } else {
                    service.breaker.failed(leave).await;
                }
            }));
        }
    }
}

impl Asking {
    async fn ask(self) -> Result<(), Obstacle> {
        let Some(kind) = self.claim.kind else { return self.open().await };
        let breaker = &self.service.breaker;
        if !breaker.may_try(self.claim.reading).await {
            return Err(Obstacle::Down(breaker.next_try_anyway().await));
        }
        self.take_session()?;
        if self.living.is_some() {
            self.try_launch()?;
        } else if kind != FailureKind::LoginService {
            self.claims.borrow_mut().launch = self.take_turn().await.lock;
        }
        // Back is back for all; before that they try one after another.
        let in_turn = shares_turns(kind) && self.claim.reading != Reading::Up;
        let leave = if in_turn { breaker.admit_in_turn().await } else { breaker.admit().await };
        self.claims.borrow_mut().leave = Some(leave);
        Ok(())
    }

    /// Before the first launch.
    async fn open(&self) -> Result<(), Obstacle> {
        let turn = self.take_turn().await;
        let others = turn.waited && turn.lock.is_some();
        if others && reads_down(&self.service, FailureKind::AuthRefresh).await {
            return Err(Obstacle::SignInDown);
        }
        self.claims.borrow_mut().launch = turn.lock;
        Ok(())
    }

    /// Takes the conversation, as it was when it failed.
    fn take_session(&self) -> Result<(), Obstacle> {
        let Some(session) = self.session.as_deref() else { return Ok(()) };
        let mut claims = self.claims.borrow_mut();
        if claims.session.as_ref().is_none_or(|(held, _)| held != session) {
            match locks::try_lock(&self.state_dir, LockName::Session(session)) {
                Ok(Some(lock)) => claims.session = Some((session.to_owned(), lock)),
                Ok(None) if self.living.is_some() => return Err(Obstacle::Busy),
                Ok(None) => {
                    let why = "someone else's claude-safe is in this conversation";
                    return Err(Obstacle::Foreign(why));
                }
                // A state directory that cannot be written to must not stop a recovery.
                Err(error) => tracing::warn!(%error, "no lock on the session"),
            }
        }
        if session_file::elsewhere(&self.claude_dir, session, self.living.unwrap_or(0)) {
            return Err(Obstacle::Foreign("someone else has this conversation open"));
        }
        // A living child's transcript is looked at with its screen.
        let line = || {
            let path = transcript::find(&self.claude_dir, session)?;
            transcript::tail(&path).ok()?.last_uuid
        };
        if self.living.is_none() && line() != self.claim.line {
            return Err(Obstacle::Foreign("someone else carried this conversation on meanwhile"));
        }
        Ok(())
    }

    fn awaits_refresh(&self) -> bool {
        super::look_at_sign_in(&self.store, &self.environment).awaits_refresh()
    }

    fn try_launch(&self) -> Result<(), Obstacle> {
        if !self.awaits_refresh() {
            return Ok(());
        }
        match locks::try_lock(&self.state_dir, LockName::Launch(&self.claude_dir)) {
            Ok(Some(lock)) => self.claims.borrow_mut().launch = Some(lock),
            Ok(None) => return Err(Obstacle::Busy),
            Err(error) => tracing::warn!(%error, "no lock"),
        }
        Ok(())
    }

    /// Waits for our turn to launch while the token is expired: one that refreshes it spares all
    /// others theirs, and two at once can cost the sign-in. Gives up waiting in the end; a token
    /// that is good needs no turn.
    async fn take_turn(&self) -> Turn {
        let mut waited = false;
        let name = LockName::Launch(&self.claude_dir);
        let asked = async {
            while self.awaits_refresh() {
                match locks::try_lock(&self.state_dir, name) {
                    Ok(Some(lock)) => return Some(lock),
                    Ok(None) => waited = true,
                    Err(_) => return None,
                }
                sleep(ASK_AGAIN).await;
            }
            None
        };
        let lock = timeout(LONGEST_TURN, asked).await.ok().flatten();
        // Whoever held it before may just have refreshed.
        let lock = lock.filter(|_| self.awaits_refresh());
        Turn { lock, waited }
    }
}

/// A place among the launches with an expired token.
struct Turn {
    lock: Option<Lock>,
    /// Others were before us.
    waited: bool,
}

/// Whether a turn that works in one run says that others would work as well: a refresh may go on
/// failing while another run's token is still good.
pub(super) fn shares_turns(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Api | FailureKind::Network { certificate: false })
}

/// Whether the host that such a failure concerns read down just now, in this run or another.
pub(super) async fn reads_down(service: &Service, kind: FailureKind) -> bool {
    let breaker = &service.breaker;
    for endpoint in service.facing(kind) {
        if let Some(shared) = breaker.shared(endpoint.host()).await {
            let fresh = breaker.clock().now().saturating_sub(shared.at) < FRESH_MS;
            return fresh && shared.verdict() == Reading::Down;
        }
    }
    false
}
