//! Whether and how a run without a terminal may start claude again. In: what failed, and what
//! the conversation has come to since. Out: the next plan, the locks a rerun holds, or why it
//! must not be made. No prompt is sent again that may have run a tool; no conversation is
//! carried on that someone else has.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Run;
use crate::claude::credentials::SignIn;
use crate::claude::session_file;
use crate::claude::transcript::{self, Tail};
use crate::machine::Rung;
use crate::plan::{CHILD_SESSION, Continuation, SessionPlan};
use crate::service::{Lock, LockName, locks};
use crate::watch::{Failure, TurnState};

/// A launch with an expired token waits no longer than this for those before it: one of them
/// may be stopped (Ctrl-Z).
const LONGEST_TURN: Duration = Duration::from_secs(120);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Whether another attempt cannot repeat a tool: the session can be resumed, or it is certain
/// that no prompt reached it.
pub(super) fn can_rerun(run: &Run, failure: &Failure, rung: Rung) -> bool {
    if run.user.prompt_is_uncertain() {
        return false;
    }
    match failure.turn {
        TurnState::NotPrompted => true,
        TurnState::Untouched | TurnState::Partial if in_a_session() => {
            failure.turn == TurnState::Untouched
        }
        TurnState::Untouched => run.session.is_some() || rung == Rung::NewSession,
        TurnState::Partial => run.session.is_some() && rung != Rung::NewSession,
        TurnState::ToolOpen | TurnState::Unknown => false,
    }
}

/// Whether we were started by a Claude, from one of its tools: such a run keeps no session that
/// could be counted on, and is never resumed.
fn in_a_session() -> bool {
    std::env::var_os(CHILD_SESSION).is_some_and(|value| !value.is_empty())
}

/// Makes the next attempt's plan: the same conversation where there is one.
pub(super) fn go_on(run: &mut Run, failure: &Failure) {
    if in_a_session() {
        // Nothing of it was run: the same prompt in a conversation of its own.
        return;
    }
    match (failure.turn, run.session.clone(), &run.plan.session) {
        (TurnState::Untouched | TurnState::Partial, Some(session), _) => {
            run.plan = run.plan.resume(&session, Continuation::Message);
        }
        // An id that has a file is refused as taken, even if nothing was said in it.
        (_, _, SessionPlan::WithId(id)) if transcript::find(&run.claude_dir, id).is_some() => {
            let id = uuid::Uuid::new_v4().to_string();
            run.plan.session = SessionPlan::WithId(id.clone());
            run.learn_session(&id);
        }
        _ => {}
    }
}

/// Takes the conversation for a rerun, as it was when it failed. The error says who has it.
pub(super) fn claim(
    run: &Run,
    held: Option<Lock>,
    failed: Option<&Tail>,
) -> Result<Option<Lock>, &'static str> {
    let Some(session) = run.session.as_deref() else { return Ok(held) };
    let lock = match held {
        Some(lock) => Some(lock),
        None => match locks::try_lock(&run.state_dir, LockName::Session(session)) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err("someone else's claude-safe is in this conversation"),
            Err(error) => {
                tracing::warn!(%error, "no lock on the session");
                None
            }
        },
    };
    if session_file::elsewhere(&run.claude_dir, session, 0) {
        return Err("someone else has this conversation open");
    }
    let now = transcript::find(&run.claude_dir, session);
    let now = now.and_then(|path| transcript::tail(&path).ok());
    let uuid = |tail: Option<&Tail>| tail.and_then(|tail| tail.last_uuid.clone());
    if uuid(now.as_ref()) != uuid(failed) {
        return Err("someone else carried this conversation on meanwhile");
    }
    Ok(lock)
}

/// A place among the launches with an expired token.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub lock: Option<Lock>,
    /// Others were before us.
    pub waited: bool,
}

/// Waits for our turn to launch while the token is expired: one that refreshes it spares all
/// others theirs, and two at once can cost the sign-in. Gives up waiting in the end; a token
/// that is good needs no turn.
pub(super) async fn take_turn(run: &Run) -> Turn {
    let mut waited = false;
    let name = LockName::Launch(&run.claude_dir);
    let asked = async {
        while run.sign_in() == SignIn::Expired {
            match locks::try_lock(&run.state_dir, name) {
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
    let lock = lock.filter(|_| run.sign_in() == SignIn::Expired);
    Turn { lock, waited }
}
