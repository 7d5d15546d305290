//! What is launched: program, arguments, environment. Pure. A plan is made from the user's
//! arguments and edited for the next attempt; what an edit does can be printed and compared.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::claude::args::ClaudeArgs;
use crate::claude::hooks::HookEvent;
use crate::fix::api_key::Key;

mod heard;
mod spent;

pub use heard::Heard;
pub use spent::Spent;

/// Makes a resumed terminal session send its interrupted turn again (measured: it does not
/// reach the tools of that Claude).
pub const RESUME_TURN: &str = "CLAUDE_CODE_RESUME_INTERRUPTED_TURN";
/// What that turn is continued with.
pub const RESUME_MESSAGE: &str = "CLAUDE_CODE_RESUME_PROMPT";
/// Shows a resumed turn that a tool call was cut off, where Claude would run it again.
pub const SHOWS_CUT_OFF: &str = "CLAUDE_CODE_RESUME_SHOWS_CUT_OFF_CALLS";
/// Outranks a subscription.
pub const API_KEY: &str = "ANTHROPIC_API_KEY";
/// Set inside a session: Claude then writes no transcript, so there is nothing to resume.
pub const CHILD_SESSION: &str = "CLAUDE_CODE_CHILD_SESSION";

/// Which conversation is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionPlan {
    /// As the user's arguments say.
    AsGiven,
    /// As they say, under an id of ours, so that it is known from the start.
    WithId(String),
    /// This session again.
    Resume(String),
}

/// How a resumed session goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// It opens, and nothing is sent.
    Silent,
    /// Its interrupted turn is sent again by Claude itself (terminal only).
    InterruptedTurn,
    /// This message is its next prompt.
    Message,
    /// The user's own prompt is its next again: nothing came of it.
    Prompt,
}

/// One launch of claude.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchPlan {
    /// The real claude.
    pub program: PathBuf,
    /// The user's arguments.
    pub user: ClaudeArgs,
    /// The user's arguments word for word, where those above name files of ours.
    pub written: Option<ClaudeArgs>,
    /// What `--settings` says instead of the user's: a file, or JSON.
    pub settings: Option<OsString>,
    /// Which conversation.
    pub session: SessionPlan,
    /// How a resumed one goes on.
    pub continuation: Continuation,
    /// The last message that a resumed session keeps: what an attempt added in vain is left out.
    pub cut: Option<String>,
    /// What the attempts so far took of the user's caps.
    pub spent: Spent,
    /// The words to continue with.
    pub message: String,
    /// A resumed turn is shown which of its tool calls were cut off.
    pub shows_cut_off: bool,
    /// Where Claude works, when that is not where we are: a worktree that it made at first.
    pub cwd: Option<PathBuf>,
    /// What the session's user chose since; without a terminal, nobody could.
    pub heard: Heard,
    /// Flags of ours for this launch (a spend cap).
    pub extra: Vec<OsString>,
    /// A key for this launch alone.
    pub key: Option<Key>,
}

impl LaunchPlan {
    /// The first launch: as the user asked.
    #[must_use]
    pub fn new(program: PathBuf, user: ClaudeArgs, message: String) -> Self {
        Self {
            program,
            user,
            written: None,
            settings: None,
            session: SessionPlan::AsGiven,
            continuation: Continuation::Silent,
            cut: None,
            spent: Spent::default(),
            message,
            shows_cut_off: false,
            cwd: None,
            heard: Heard::default(),
            extra: Vec::new(),
            key: None,
        }
    }

    /// The first launch without anything of ours.
    #[must_use]
    pub fn as_written(&self) -> Self {
        let session = match &self.session {
            SessionPlan::WithId(_) => SessionPlan::AsGiven,
            other => other.clone(),
        };
        let user = self.written.clone().unwrap_or_else(|| self.user.clone());
        Self { user, written: None, settings: None, session, ..self.clone() }
    }

    /// The words that [`Self::as_written`] leaves out.
    #[must_use]
    pub fn additions(&self) -> Vec<OsString> {
        let theirs = self.as_written().args();
        self.args().into_iter().filter(|word| !theirs.contains(word)).collect()
    }

    /// The same session again.
    #[must_use]
    pub fn resume(&self, session: &str, continuation: Continuation) -> Self {
        let session = SessionPlan::Resume(session.to_owned());
        Self { session, continuation, cut: None, ..self.clone() }
    }

    /// The same attempt again, of which nothing came: what it said after `follows` is said once.
    #[must_use]
    pub fn again(&self, session: &str, follows: &str) -> Self {
        // A later attempt follows the same message.
        let at = self.cut.clone().or_else(|| self.user.value("--resume-session-at"));
        let continuation = match self.session {
            SessionPlan::Resume(_) => self.continuation.clone(),
            _ => Continuation::Prompt,
        };
        let cut = Some(at.unwrap_or_else(|| follows.to_owned()));
        Self { cut, ..self.resume(session, continuation) }
    }

    /// The user's prompt in a conversation of its own.
    #[must_use]
    pub fn afresh(&self, id: &str) -> Self {
        let mut user = self.user.for_fresh_session();
        if self.cwd.is_some() {
            user = user.without("--worktree");
        }
        let session = SessionPlan::WithId(id.to_owned());
        Self { user, session, continuation: Continuation::Silent, ..self.clone() }
    }

    /// Learns of a worktree that Claude made: a relaunch makes none, and belongs there. Anywhere
    /// else a relaunch starts where we are: relative paths and the project's settings count from
    /// there, wherever a tool has gone since.
    pub fn learn_place(&mut self, event: &HookEvent) {
        if self.cwd.is_none() && self.user.has("--worktree") {
            self.cwd.clone_from(&event.cwd);
        }
    }

    /// Learns what a session at a terminal has become.
    pub fn learn(&mut self, event: &HookEvent) {
        self.learn_place(event);
        self.heard.learn(event);
    }

    /// Claude's arguments.
    #[must_use]
    pub fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut user = self.user.clone();
        for (flag, left) in self.spent.left(&user) {
            user = user.without(flag);
            args.extend([flag.into(), left.into()]);
        }
        if let Some(settings) = &self.settings {
            args.extend(["--settings".into(), settings.clone()]);
            user = user.without("--settings");
        }
        args.extend(self.extra.iter().cloned());
        match &self.session {
            SessionPlan::AsGiven => {
                let (now, user) = self.heard.apply(user);
                args.extend(now);
                args.extend(user.words());
            }
            SessionPlan::WithId(id) => {
                args.extend(["--session-id".into(), id.into()]);
                args.extend(user.words());
            }
            SessionPlan::Resume(id) => {
                args.extend(["--resume".into(), id.into()]);
                if let Some(cut) = &self.cut {
                    args.extend(["--resume-session-at".into(), cut.into()]);
                }
                let user = match self.continuation {
                    Continuation::Prompt => user.for_fresh_session().without("--worktree"),
                    _ => user.for_resume(),
                };
                let (now, user) = self.heard.apply(user);
                args.extend(now);
                args.extend(user.words());
                if self.continuation == Continuation::Message {
                    args.extend(["--".into(), (&self.message).into()]);
                }
            }
        }
        args
    }

    /// What changes in the environment: set, or removed.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        let resumes = self.continuation == Continuation::InterruptedTurn;
        let mut changes = vec![
            (RESUME_TURN, resumes.then(|| "1".into())),
            (RESUME_MESSAGE, resumes.then(|| (&self.message).into())),
        ];
        if self.shows_cut_off {
            changes.push((SHOWS_CUT_OFF, Some("1".into())));
        }
        if let Some(key) = &self.key {
            changes.push((API_KEY, Some(key.expose())));
        }
        changes
    }

    /// Whether our message is its prompt.
    #[must_use]
    pub fn asks(&self) -> bool {
        matches!(self.session, SessionPlan::Resume(_)) && self.continuation == Continuation::Message
    }

    /// Whether standard input is part of this launch: with the prompt, or as a file.
    #[must_use]
    pub fn takes_stdin(&self) -> bool {
        self.sends_prompt() || self.user.reads_stdin_as_file()
    }

    /// Whether the user's prompt is part of this launch, and with it what stands on stdin.
    #[must_use]
    pub fn sends_prompt(&self) -> bool {
        !matches!(self.session, SessionPlan::Resume(_)) || self.continuation == Continuation::Prompt
    }
}

#[cfg(test)]
mod generated;
#[cfg(test)]
mod tests;
