//! What the user of a session chose since it was launched. In: hooks, status line and transcript,
//! or what a program asked for, as they come. Out: their arguments with the choice they would make now.

use std::ffi::OsString;

use crate::claude::args::ClaudeArgs;
use crate::claude::hooks::{HookEvent, HookName};

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

    fn set(&mut self, value: Option<&str>) {
        if let Some(value) = value {
            *self = Self { first: None, last: Some(value.to_owned()) };
        }
    }

    fn changed(&self) -> Option<&str> {
        self.last.as_deref().filter(|last| self.first.as_deref() != Some(last))
    }
}

/// The model and the permission mode of a session, as they were heard of.
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
        self.permission_mode.learn(event.permission_mode.as_deref());
    }

    /// Learns the permission mode that the screen shows, or the transcript names, last: where no
    /// hook tells, and where it was changed since the last one.
    pub fn learn_last_mode(&mut self, mode: Option<String>) {
        let last = &mut self.permission_mode.last;
        if mode.as_deref().map(name) != last.as_deref().map(name) {
            *last = mode.or(last.take());
        }
    }

    /// Learns what a program has chosen.
    pub fn choose(&mut self, model: Option<&str>, mode: Option<&str>) {
        self.model.set(model);
        self.permission_mode.set(mode);
    }

    /// The user's arguments with what was changed since, as far as it was; the rest stays in
    /// their own words.
    pub(super) fn apply(&self, mut user: ClaudeArgs) -> (Vec<OsString>, ClaudeArgs) {
        let mut now: Vec<OsString> = Vec::new();
        if let Some(model) = self.model.changed() {
            user = user.without("--model");
            now.extend(["--model".into(), model.into()]);
        }
        let given = user.value("--permission-mode").map(|mode| name(&mode).to_owned());
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

/// One mode has two names.
fn name(mode: &str) -> &str {
    if mode == "manual" { "default" } else { mode }
}

/// Starts without asking for permissions, whatever `--permission-mode` says.
const BYPASS: &str = "--dangerously-skip-permissions";
/// Lets the user choose that later.
const MAY_BYPASS: &str = "--allow-dangerously-skip-permissions";
