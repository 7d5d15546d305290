//! The two steps in which a message is typed: pasted if everything allows it, then sent once the
//! box holds exactly that. In: a failure whose wait is over. Out: keys to the child, or none.
//! Never presses Enter on anything else, and never mixes with what the user types.

use std::time::{Duration, Instant};

use super::{Attempt, Stage};
use crate::claude::credentials::SignIn;
use crate::claude::session_file::Status;
use crate::journal::Event as Entry;
use crate::machine::Rung;
use crate::notice::Notice;
use crate::service::{LockName, locks};
use crate::watch::{Failure, Input, Key, Readings, WhyNot};

/// The pasted message must be seen in the box within this.
const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// A turn must begin this soon after Enter.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// A screen that has not settled, or a lock that another run holds, is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

impl Attempt<'_, '_> {
    /// First step: paste the message, if everything allows it.
    pub(super) fn ask(&mut self, failure: Failure) {
        let now = Instant::now();
        let (look, read) = self.look();
        match self.watcher.may_type(now, &look, &read) {
            Ok(()) if !self.lock(&read) => return self.wait(failure, Rung::AskAgain, ASK_AGAIN),
            Ok(()) => {}
            Err(WhyNot::NotSettled) => return self.wait(failure, Rung::AskAgain, ASK_AGAIN),
            // Only now is the screen known to be at rest, and it is an older version's.
            Err(WhyNot::NoPlaceholder) if self.may_relaunch(&look, &failure) => {
                return self.end_child(failure, Rung::Relaunch);
            }
            Err(why) => return self.stand_aside(&why.to_string()),
        }
        self.relay.hold_input(true);
        let message = &self.run.plan.message;
        self.relay.inject(format!("\x1b[200~{message}\x1b[201~").as_bytes());
        self.stage = Stage::Pasted { at: now };
    }

    /// Second step: Enter, once the box holds exactly our text.
    pub(super) fn confirm(&mut self, now: Instant) {
        let Stage::Pasted { at } = self.stage else { return };
        let (look, read) = self.look();
        let message = self.run.plan.message.clone();
        match self.watcher.may_enter(&look, &read, &message) {
            Ok(()) => {
                self.relay.inject(b"\r");
                self.failed_at_line = None;
                self.stage = Stage::Entered { at: now };
            }
            Err(WhyNot::NotOurText) if now.duration_since(at) < SHOWN_WITHIN => {}
            Err(why) => self.stand_aside(&why.to_string()),
        }
    }

    /// One run at a time asks in a session, and with an expired token in a directory.
    fn lock(&mut self, read: &Readings) -> bool {
        let session = read.session.clone().unwrap_or_default();
        let mut names = vec![LockName::Session(&session)];
        let expired = read.sign_in == Some(SignIn::Expired);
        if expired {
            names.push(LockName::Launch(&self.run.claude_dir));
        }
        self.locks.clear();
        for name in names {
            match locks::try_lock(&self.run.state_dir, name) {
                Ok(Some(lock)) => self.locks.push(lock),
                Ok(None) => {
                    self.locks.clear();
                    return false;
                }
                // A state directory that cannot be written to must not stop a recovery.
                Err(error) => tracing::warn!(%error, "no lock"),
            }
        }
        true
    }

    /// After Enter: was it taken?
    pub(super) fn entered(&mut self, at: Instant, now: Instant) {
        if now.duration_since(at) > TAKEN_WITHIN {
            self.run.journal.record(Entry::Asked { taken: false });
            return self.stand_aside("the message was not taken");
        }
        // Without hooks, Claude's own note and the screen tell.
        let (look, read) = self.look();
        if look.is_busy() || read.status == Some(Status::Busy) {
            self.watcher.turn_seen();
            self.turn_began();
        }
    }

    pub(super) fn taken(&mut self) {
        self.run.journal.record(Entry::Asked { taken: true });
        self.release();
        Notice::clear(&self.run.dir);
    }

    /// Input that arrives while ours is on its way is held and follows it; Esc and Ctrl-C stop
    /// ours before Enter, and what was pasted is left in the box.
    pub(super) fn held(&mut self, now: Instant, input: Input) {
        self.last_key = now;
        if matches!(input, Input::Key(Key::Escape | Key::Interrupt)) {
            self.held = Some(input);
            self.stand_aside("the user cancels");
        } else if input.is_typing() {
            self.held = Some(input);
        }
    }

    /// Lets held input follow; from now on it counts as typed.
    pub(super) fn release(&mut self) {
        self.relay.hold_input(false);
        if let Some(input) = self.held.take() {
            self.watcher.input(Instant::now(), input);
        }
    }
}
