//! What Claude's hooks tell of the turn: where it is, and whether it began, ended or failed.

use std::time::Instant;

use super::{Attempt, Stage};
use crate::claude::hooks::{HookEvent, HookName};
use crate::notice::Notice;
use crate::notify::Occasion;
use crate::watch::Hook;

impl Attempt<'_, '_> {
    pub(super) fn hooked(&mut self, event: &HookEvent) {
        // A sub-agent's session and failure are not the turn's.
        if event.agent_id.is_some() {
            return;
        }
        let moved = self.run.session.as_deref().is_some_and(|known| known != event.session_id);
        self.witness.learn(event);
        self.run.learn_session(&event.session_id);
        self.run.plan.learn(event);
        let now = Instant::now();
        match event.name {
            HookName::SessionStart => self.watcher.hook(now, Hook::SessionStart),
            HookName::UserPromptSubmit => {
                self.watcher.hook(now, Hook::Prompt);
                // Ours is submitted past what is queued.
                if !matches!(self.stage, Stage::Entered { .. }) {
                    self.typed_since_prompt &= !self.watcher.typed_enter();
                }
                self.turn_began();
            }
            HookName::Stop => {
                self.watcher.hook(now, Hook::Stop);
                self.turn_succeeded();
            }
            HookName::StopFailure => {
                self.locks.clear();
                let error = event.error.clone().unwrap_or_default();
                let message = event.last_assistant_message.clone().unwrap_or_default();
                self.watcher.hook(now, Hook::Failure { error, message });
            }
            HookName::SessionEnd | HookName::StatusLine => {}
        }
        // `/clear` and `/resume` leave the failed conversation, and our plans for it.
        if moved && !matches!(self.stage, Stage::Watching | Stage::Ending(..)) {
            self.stand_aside("another session is on screen");
        }
    }

    pub(super) fn turn_began(&mut self) {
        self.ready = true;
        match std::mem::replace(&mut self.stage, Stage::Watching) {
            Stage::Entered { .. } => self.taken(),
            Stage::Ending(failure, rung) => self.stage = Stage::Ending(failure, rung),
            _ => self.stand_aside("a turn began"),
        }
    }

    pub(super) fn turn_succeeded(&mut self) {
        self.locks.clear();
        if self.run.recovered() {
            self.tell(Occasion::Recovered, "the turn went through");
        }
        Notice::clear(&self.run.dir);
    }
}
