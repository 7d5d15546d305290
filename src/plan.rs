//! What is launched: program, arguments, environment. Pure. A plan is made from the user's
//! arguments and edited for the next attempt; what an edit does can be printed and compared.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::claude::args::ClaudeArgs;
use crate::claude::hooks::{HookEvent, HookName};
use crate::fix::api_key::Key;

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
}

/// What a session was and is, where its user may have changed it at the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Setting {
    first: Option<String>,
    last: Option<String>,
}

impl Setting {
    fn learn(&mut self, value: Option<&str>) {
        if let Some(value) = value {
            self.first.get_or_insert_with(|| value.to_owned());
            self.last = Some(value.to_owned());
        }
    }

    fn changed(&self) -> Option<&str> {
        self.last.as_deref().filter(|last| self.first.as_deref() != Some(last))
    }
}

/// The model and the permission mode of a session at a terminal, as they were heard of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    model: Setting,
    permission_mode: Setting,
}

impl Heard {
    /// Learns from a hook or the status line.
    pub fn learn(&mut self, event: &HookEvent) {
        // Others may name it in other words.
        if event.name == HookName::StatusLine {
            self.model.learn(event.model.as_deref());
        }
        self.learn_permission_mode(event.permission_mode.as_deref());
    }

    /// Learns the permission mode that the transcript has last.
    pub fn learn_permission_mode(&mut self, mode: Option<&str>) {
        self.permission_mode.learn(mode);
    }

    /// The user's arguments with what was changed since, as far as it was; the rest stays in
    /// their own words.
    fn apply(&self, mut user: ClaudeArgs) -> (Vec<OsString>, ClaudeArgs) {
        let mut now: Vec<OsString> = Vec::new();
        if let Some(model) = self.model.changed() {
            user = user.without("--model");
            now.extend(["--model".into(), model.into()]);
        }
        // One mode has two names.
        let name =
            |mode: &str| if mode == "manual" { "default".to_owned() } else { mode.to_owned() };
        let given = user.value("--permission-mode").map(|mode| name(&mode));
        let bypasses = user.has(BYPASS).then(|| "bypassPermissions".to_owned());
        let mode = match given.or(bypasses) {
            Some(given) => self.permission_mode.last.as_deref().filter(|last| name(last) != given),
            None => self.permission_mode.changed(),
        };
        if let Some(mode) = mode {
            now.extend(user.has(BYPASS).then(|| MAY_BYPASS.into()));
            user = user.without("--permission-mode").without(BYPASS);
            now.extend(["--permission-mode".into(), mode.into()]);
        }
        (now, user)
    }
}

/// Starts without asking for permissions, whatever `--permission-mode` says.
const BYPASS: &str = "--dangerously-skip-permissions";
/// Lets the user choose that later.
const MAY_BYPASS: &str = "--allow-dangerously-skip-permissions";

/// One launch of claude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchPlan {
    /// The real claude.
    pub program: PathBuf,
    /// The user's arguments.
    pub user: ClaudeArgs,
    /// What `--settings` says instead of the user's: a file, or JSON.
    pub settings: Option<OsString>,
    /// Which conversation.
    pub session: SessionPlan,
    /// How a resumed one goes on.
    pub continuation: Continuation,
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
            settings: None,
            session: SessionPlan::AsGiven,
            continuation: Continuation::Silent,
            message,
            shows_cut_off: false,
            cwd: None,
            heard: Heard::default(),
            extra: Vec::new(),
            key: None,
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
        if let Some(settings) = &self.settings {
            args.extend(["--settings".into(), settings.clone()]);
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
                let (now, user) = self.heard.apply(user.for_resume());
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
        assert_eq!(text(&again), "--resume id -p --model opus -- go on");
        assert!(first.sends_prompt() && !again.sends_prompt());
        let silent = first.resume("id", Continuation::Silent);
        assert_eq!(text(&silent), "--resume id -p --model opus");
        assert!(silent.environment().iter().all(|(_, value)| value.is_none()));
    }

    fn heard(fields: &str) -> HookEvent {
        let line = format!(r#"{{"session_id":"s",{fields}}}"#);
        HookEvent::parse(line.as_bytes()).expect("an event")
    }

    #[test]
    fn at_a_terminal_the_model_and_the_mode_are_those_the_session_had_last() {
        let prompt = |mode: &str| {
            let name = r#""hook_event_name":"UserPromptSubmit","cwd":"/elsewhere""#;
            heard(&format!(r#"{name},"permission_mode":"{mode}""#))
        };
        let model = |id: &str| heard(&format!(r#""hook_event_name":"StatusLine","model":"{id}""#));
        let plan_mode = ["--permission-mode=plan", "--model", "haiku"];
        let skip = "--dangerously-skip-permissions";
        for (given, events, wanted) in [
            // unchanged: the user's own words
            (
                &plan_mode[..],
                vec![prompt("plan"), model("h-1")],
                "--permission-mode=plan --model haiku",
            ),
            (&["--permission-mode", "manual"], vec![prompt("default")], "--permission-mode manual"),
            (&[], vec![prompt("plan"), prompt("plan"), model("o"), model("o")], ""),
            (&[skip], vec![prompt("bypassPermissions")], skip),
            // changed, before the first prompt or later
            (
                &plan_mode,
                vec![prompt("acceptEdits")],
                "--permission-mode acceptEdits --model haiku",
            ),
            (&[], vec![prompt("default"), prompt("plan")], "--permission-mode plan"),
            (&plan_mode, vec![model("h"), model("o-2")], "--model o-2 --permission-mode=plan"),
            (
                &[skip, "--verbose"],
                vec![prompt("plan")],
                "--allow-dangerously-skip-permissions --permission-mode plan --verbose",
            ),
        ] {
            let mut first = plan(given);
            for event in &events {
                first.learn(event);
            }
            let again = first.resume("id", Continuation::Silent);
            assert_eq!(text(&again), format!("--resume id {wanted}").trim_end(), "{given:?}");
            assert_eq!(again.cwd, None);
        }
    }

    #[test]
    fn a_relaunch_starts_where_the_first_launch_did_but_for_a_worktree() {
        let at = |cwd: &str| heard(&format!(r#""hook_event_name":"Stop","cwd":"{cwd}""#));
        let mut first = plan(&["-p", "-w", "feature", "do it"]);
        assert_eq!(text(&first.afresh("new")), "--session-id new -p -w feature do it");
        first.learn_place(&at("/project/tree"));
        first.learn_place(&at("/project/tree/src"));
        assert_eq!(first.cwd.as_deref(), Some(std::path::Path::new("/project/tree")));
        assert_eq!(text(&first.resume("id", Continuation::Message)), "--resume id -p -- go on");
        assert_eq!(text(&first.afresh("new")), "--session-id new -p do it");
        let mut first = plan(&["-p", "do it"]);
        first.learn_place(&at("/project/src"));
        assert_eq!(first.cwd, None);
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
