//! What is launched: program, arguments, environment. Pure. A plan is made from the user's
//! arguments and edited for the next attempt; what an edit does can be printed and compared.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::claude::args::ClaudeArgs;
use crate::fix::api_key::Key;

/// Makes a resumed terminal session send its interrupted turn again (measured: it does not
/// reach the tools of that Claude).
pub const RESUME_TURN: &str = "CLAUDE_CODE_RESUME_INTERRUPTED_TURN";
/// What that turn is continued with.
pub const RESUME_MESSAGE: &str = "CLAUDE_CODE_RESUME_PROMPT";
/// Outranks a subscription.
pub const API_KEY: &str = "ANTHROPIC_API_KEY";
/// Set inside a session: Claude then writes no transcript, so there is nothing to resume.
pub const CHILD_SESSION: &str = "CLAUDE_CODE_CHILD_SESSION";

/// Names the launch that a claude-safe below it came from, so that a `claude` which leads back
/// to us is seen.
pub const MARK: &str = "CLAUDE_SAFE_LAUNCH";

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
}

/// One launch of claude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchPlan {
    /// The real claude.
    pub program: PathBuf,
    /// The user's arguments.
    pub user: ClaudeArgs,
    /// The settings file that holds ours and theirs.
    pub settings: Option<PathBuf>,
    /// Which conversation.
    pub session: SessionPlan,
    /// How a resumed one goes on.
    pub continuation: Continuation,
    /// The words to continue with.
    pub message: String,
    /// Where Claude works, when that is not where we are.
    pub cwd: Option<PathBuf>,
    /// Flags of ours for this launch (a spend cap).
    pub extra: Vec<OsString>,
    /// A key for this launch alone.
    pub key: Option<Key>,
    /// The value of [`MARK`].
    pub mark: Option<OsString>,
}

impl LaunchPlan {
    /// The first launch: as the user asked.
    #[must_use]
    pub fn new(program: PathBuf, user: ClaudeArgs, message: String) -> Self {
        Self {
            program,
            user,
            settings: None,
            session: SessionPlan::AsGiven,
            continuation: Continuation::Silent,
            message,
            cwd: None,
            extra: Vec::new(),
            key: None,
            mark: None,
        }
    }

    /// The same session again.
    #[must_use]
    pub fn resume(&self, session: &str, continuation: Continuation) -> Self {
        let session = SessionPlan::Resume(session.to_owned());
        Self { session, continuation, ..self.clone() }
    }

    /// The user's prompt in a conversation of its own.
    #[must_use]
    pub fn afresh(&self, id: &str) -> Self {
        let mut user = self.user.clone();
        for flag in ["--resume", "--continue", "--session-id", "--fork-session", "--from-pr"] {
            user = user.without(flag);
        }
        let session = SessionPlan::WithId(id.to_owned());
        Self { user, session, continuation: Continuation::Silent, ..self.clone() }
    }

    /// Claude's arguments.
    #[must_use]
    pub fn args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = Vec::new();
        let mut user = self.user.clone();
        if let Some(settings) = &self.settings {
            args.extend(["--settings".into(), settings.clone().into_os_string()]);
            user = user.without("--settings");
        }
        args.extend(self.extra.iter().cloned());
        match &self.session {
            SessionPlan::AsGiven => args.extend(user.words()),
            SessionPlan::WithId(id) => {
                args.extend(["--session-id".into(), id.into()]);
                args.extend(user.words());
            }
            SessionPlan::Resume(id) => {
                args.extend(["--resume".into(), id.into()]);
                args.extend(user.for_resume().words());
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
        if let Some(mark) = &self.mark {
            changes.push((MARK, Some(mark.clone())));
        }
        if let Some(key) = &self.key {
            changes.push((API_KEY, Some(key.expose())));
        }
        changes
    }

    /// Whether the user's prompt is part of this launch, and with it what stands on stdin.
    #[must_use]
    pub fn sends_prompt(&self) -> bool {
        !matches!(self.session, SessionPlan::Resume(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str]) -> LaunchPlan {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        LaunchPlan::new("/bin/claude".into(), ClaudeArgs::parse(&words), "go on".into())
    }

    fn text(plan: &LaunchPlan) -> String {
        let args: Vec<String> =
            plan.args().iter().map(|word| word.to_string_lossy().into_owned()).collect();
        args.join(" ")
    }

    #[test]
    fn the_first_launch_is_the_users_with_our_settings_in_front() {
        let mut plan = plan(&["-p", "--settings", "mine.json", "--", "-hi"]);
        assert_eq!(text(&plan), "-p --settings mine.json -- -hi");
        plan.settings = Some("/run/s.json".into());
        assert_eq!(text(&plan), "--settings /run/s.json -p -- -hi");
        plan.session = SessionPlan::WithId("id".into());
        assert_eq!(text(&plan), "--settings /run/s.json --session-id id -p -- -hi");
    }

    #[test]
    fn a_resume_sends_the_message_or_nothing_and_never_the_prompt() {
        let first = plan(&["-p", "--model", "opus", "do it"]);
        let again = first.resume("id", Continuation::Message);
        assert_eq!(text(&again), "--resume id -p -- go on");
        assert!(first.sends_prompt() && !again.sends_prompt());
        let silent = first.resume("id", Continuation::Silent);
        assert_eq!(text(&silent), "--resume id -p");
        assert!(silent.environment().iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn an_interrupted_turn_is_sent_again_by_environment_and_never_by_inheritance() {
        let first = plan(&[]);
        assert_eq!(first.environment(), [(RESUME_TURN, None), (RESUME_MESSAGE, None)]);
        let again = first.resume("id", Continuation::InterruptedTurn);
        assert_eq!(again.environment()[0], (RESUME_TURN, Some("1".into())));
        assert_eq!(again.environment()[1], (RESUME_MESSAGE, Some("go on".into())));
    }

    #[test]
    fn a_fresh_session_leaves_the_choice_of_the_old_one_out() {
        let fresh = plan(&["-p", "--resume", "old", "--fork-session", "do it"]).afresh("new");
        assert_eq!(text(&fresh), "--session-id new -p do it");
    }
}
