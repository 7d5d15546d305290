//! The next launch's plan. In: how the machine wants claude to be started. Out: the run's plan,
//! edited; which conversation it is, is learned.

use super::Run;
use crate::claude::transcript;
use crate::claude::version::{self, RESUMES_INTERRUPTED_TURN};
use crate::machine::Start;
use crate::plan::{CHILD_SESSION, Continuation, SessionPlan};
use crate::watch::TurnState;

impl Run {
    /// Makes the plan for this start.
    pub(super) async fn plan_for(&mut self, start: Start) {
        match start {
            // The fix before it has made the plan.
            Start::First | Start::Afresh => {}
            Start::Repeat(_) => self.repeat(),
            Start::Resume => self.resume(self.continuation().await),
            Start::Open => self.resume(Continuation::Silent),
        }
    }

    /// What the last launch sent is sent again.
    fn repeat(&mut self) {
        let SessionPlan::WithId(id) = &self.plan.session else { return };
        // An id that has a file is refused as taken, even if nothing was said in it.
        if transcript::find(&self.claude_dir, id).is_some() {
            let id = uuid::Uuid::new_v4().to_string();
            self.plan.session = SessionPlan::WithId(id.clone());
            self.learn_session(&id);
        }
    }

    /// What may be unfinished is continued by Claude itself where it can: that sends nothing.
    async fn continuation(&self) -> Continuation {
        let knows = |version| version >= RESUMES_INTERRUPTED_TURN;
        let mut version = self.version;
        if self.case.means().asks && version.is_none() {
            version = version::of(&self.plan.program, &self.state_dir).await;
        }
        if self.case.means().asks && version.is_some_and(knows) {
            Continuation::InterruptedTurn
        } else {
            Continuation::Message
        }
    }

    /// What a turn is worth as proof where the prompt is gone (longer than could be kept): it can
    /// be gone on with, and never be sent again.
    pub(super) fn without_prompt(&self, turn: TurnState) -> TurnState {
        match turn {
            TurnState::NotPrompted if self.prompt_lost => TurnState::Unknown,
            TurnState::Untouched if self.prompt_lost && in_a_session() => TurnState::Unknown,
            TurnState::Untouched if self.prompt_lost => TurnState::Partial,
            turn => turn,
        }
    }

    fn resume(&mut self, continuation: Continuation) {
        if let Some(session) = self.session.clone() {
            self.plan = self.plan.resume(&session, continuation);
        }
    }
}

/// Whether we were started by a Claude, from one of its tools: such a run keeps no session that
/// could be counted on, and is never resumed.
pub(super) fn in_a_session() -> bool {
    std::env::var_os(CHILD_SESSION).is_some_and(|value| !value.is_empty())
}
