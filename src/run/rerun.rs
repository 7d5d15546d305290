//! The next launch's plan. In: how the machine wants claude to be started. Out: the run's plan,
//! edited; which conversation it is, is learned.

use std::path::PathBuf;
use std::time::SystemTime;

use super::Run;
use crate::claude::transcript::{self, Own};
use crate::claude::version::{self, RESUMES_INTERRUPTED_TURN};
use crate::failure::TurnState;
use crate::machine::Start;
use crate::plan::{CHILD_SESSION, Continuation, SessionPlan};

impl Run {
    /// Makes the plan for this start.
    pub(super) async fn plan_for(&mut self, start: Start) {
        match start {
            // The fix before it has made the plan.
            Start::First | Start::Afresh => {}
            Start::AsWritten => self.leave_ours_out(),
            Start::Repeat(_) => self.repeat(),
            Start::Resume if self.case.means().asks => {
                self.resume(self.continuation().await);
            }
            Start::Resume => self.go_on(),
            Start::Open => self.resume(Continuation::Silent),
        }
    }

    /// Whether the start to come can fail for what is ours in it alone.
    pub(super) fn may_refuse_ours(&self) -> bool {
        !self.had_child && !self.plan.additions().is_empty()
    }

    /// Whether a transcript was begun or added to since.
    pub(super) fn was_written_since(&self, start: SystemTime) -> bool {
        let cwd = std::env::current_dir().unwrap_or_default();
        self.own().is_some() || transcript::newest(&self.claude_dir, &cwd, start).is_some()
    }

    /// Claude is started as the user wrote it: what we had added was refused.
    pub(super) fn leave_ours_out(&mut self) {
        tracing::warn!("the start failed for what was added to it, and is repeated without");
        self.plan = self.plan.as_written();
        self.session = match &self.plan.session {
            SessionPlan::Resume(id) => Some(id.clone()),
            _ => self.user.named_session(),
        };
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

    /// Without a terminal: an attempt of which nothing came is made again, in a conversation that
    /// does not hold it; another one is continued.
    fn go_on(&mut self) {
        let Some(session) = self.session.clone() else { return };
        let own = self.own();
        if let Some(own) = &own {
            self.plan.spent = self.plan.spent.plus(own);
        }
        let resumed = matches!(self.plan.session, SessionPlan::Resume(_));
        match own {
            Some(own) if own.tail.turn == TurnState::Untouched && !self.prompt_lost => {
                // Older versions cut a conversation at answers alone, and refuse to start elsewhere.
                let cuts = self.version.is_some_and(|known| known >= RESUMES_INTERRUPTED_TURN);
                match own.follows {
                    Some(follows) if cuts => self.plan = self.plan.again(&session, &follows),
                    None if own.new && self.set_aside(&session) => {}
                    _ => self.resume(Continuation::Message),
                }
            }
            Some(own) if own.tail.turn == TurnState::NotPrompted && resumed => {}
            _ => self.resume(Continuation::Message),
        }
    }

    /// What the last attempt wrote into its transcript.
    pub(super) fn own(&self) -> Option<Own> {
        let path = transcript::find(&self.claude_dir, self.session.as_deref()?)?;
        self.before.as_ref()?.own(&path)
    }

    /// Moves the transcript of an attempt that began it and added nothing but the prompt, which is
    /// said again under the same id, to this run's directory: an outage of hours would leave
    /// hundreds. It leaves its place only once the copy was read back, and comes back at the end of
    /// the run if no later attempt has written it anew.
    fn set_aside(&mut self, session: &str) -> bool {
        let Some(path) = transcript::find(&self.claude_dir, session) else { return false };
        let aside = self.dir.join(format!("{session}.jsonl"));
        let copied = || -> std::io::Result<bool> {
            let bytes = std::fs::read(&path)?;
            crate::paths::write_private(&aside, &bytes)?;
            Ok(std::fs::read(&aside)? == bytes)
        };
        if !copied().is_ok_and(|same| same) || std::fs::remove_file(&path).is_err() {
            return false;
        }
        if self.aside.iter().all(|known| known.live != path) {
            self.aside.push(Aside { live: path, copy: aside });
        }
        true
    }

    /// Why a turn that was begun cannot be carried on by another attempt as if it were the same.
    pub(super) fn cannot_continue(&self, own: Option<&Own>) -> Option<&'static str> {
        let own = own?;
        if own.tail.command {
            return Some("what a command or a skill allowed holds for its own turn only");
        }
        let left = self.plan.spent.plus(own).leaves_some(&self.user);
        (!left).then_some("the caps of this run leave nothing for another attempt")
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

/// A transcript that was moved away, and comes back when this goes: unless a later attempt has
/// written it anew, whose copy holds nothing of its own.
pub(super) struct Aside {
    live: PathBuf,
    copy: PathBuf,
}

impl Drop for Aside {
    fn drop(&mut self) {
        if self.live.exists() || std::fs::copy(&self.copy, &self.live).is_ok() {
            let _ = std::fs::remove_file(&self.copy);
        }
    }
}
