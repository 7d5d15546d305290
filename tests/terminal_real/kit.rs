//! What these tests share: claude-safe around a real Claude Code at a terminal, in a sandbox,
//! against the fake service. In: a sign-in and a version. Out: terminals, and the journal.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{
    Behaviour, FakeService, Sandbox, SignIn, Terminal, real_claude, wait_until,
};
use serde_json::Value;

/// Enough for a start, a turn or a recovery on a loaded machine.
pub const SOON: Duration = Duration::from_secs(60);
/// A screen that is drawn rests this long.
const SETTLED: Duration = Duration::from_millis(800);
/// What the fake service answers.
pub const HELLO: &str = "Hello from the fake service.";
/// The message that is typed, by its beginning.
pub const OURS: &str = "The service failed during my last message";

/// One person's machine.
pub struct Desk {
    pub service: FakeService,
    pub sandbox: Sandbox,
    claude: PathBuf,
}

impl Desk {
    /// With the version that most was measured on.
    pub fn new(sign_in: SignIn) -> Self {
        Self::with(sign_in, MEASURED)
    }

    /// With this pinned version; waits are as short as the configuration allows.
    pub fn with(sign_in: SignIn, version: &str) -> Self {
        let service = FakeService::start();
        let mut sandbox = Sandbox::with(sign_in, &service);
        let claude = real_claude(version);
        sandbox.env("CLAUDE_SAFE_CLAUDE", &claude);
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "2s");
        sandbox.env("CLAUDE_SAFE_LOG_LEVEL", "debug");
        Self { service, sandbox, claude }
    }

    /// Claude itself gives an API fault up after one retry.
    pub fn gives_up_soon(mut self) -> Self {
        self.sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1");
        self
    }

    /// Plain claude.
    pub fn plain<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = self.sandbox.command(&self.claude);
        command.args(args);
        command
    }

    /// claude-safe with claude's arguments.
    pub fn safe<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
        command.args(args);
        command
    }

    /// A terminal in which claude-safe runs and Claude waits at its prompt.
    pub fn sit_down<A: AsRef<OsStr>>(&self, args: &[A]) -> Terminal {
        let terminal = Terminal::spawn(self.safe(args));
        ready(&terminal);
        terminal
    }

    /// The lines of the journal so far.
    pub fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.sandbox.state_dir().join("journal.jsonl"));
        let text = text.unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The journal's lines of one event.
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.journal().into_iter().filter(|entry| entry["event"] == name).collect()
    }

    /// Waits until the journal has `n` lines of this event.
    pub fn wait_for_events(&self, name: &str, n: usize) -> Vec<Value> {
        self.wait_for_some(name, |all| all.len() >= n)
    }

    /// Waits until `enough` says so of the journal's lines of this event.
    pub fn wait_for_some(&self, name: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let found = wait_until(SOON, || Some(self.events(name)).filter(|all| enough(all)));
        found.unwrap_or_else(|| panic!("{name:?} is missing in the journal; {}", self.tells()))
    }

    /// Everything that explains a failing test.
    pub fn tells(&self) -> String {
        let journal: Vec<String> = self.journal().iter().map(Value::to_string).collect();
        let journal = journal.join("\n");
        let log: String = fs::read_dir(self.sandbox.state_dir().join("log"))
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
            .collect();
        format!("requests:\n{}journal:\n{journal}\nlog:\n{log}", self.service.summary())
    }

    /// The outage is over.
    pub fn service_is_back(&self) {
        self.service.set_api(Behaviour::Ok);
        self.service.set_oauth(Behaviour::Ok);
    }

    /// Waits until we have decided to act on a failure.
    pub fn wait_for_plan(&self) {
        self.wait_for_some("decided", |all| all.iter().any(|one| one["decision"] == "act"));
    }

    /// The requests of turns that were answered with 200.
    pub fn answered(&self) -> usize {
        self.service.turns().iter().filter(|turn| turn.status == Some(200)).count()
    }

    /// Panics if anything was recognised as a failure or typed.
    pub fn assert_nothing_happened(&self) {
        for event in ["failed", "decided", "asked", "wait_ended"] {
            assert!(self.events(event).is_empty(), "{event}; {}", self.tells());
        }
        let typed = self.service.turns().iter().any(|turn| turn.asks(OURS));
        assert!(!typed, "{}", self.tells());
    }

    /// The process id of the claude of this attempt (from 1).
    pub fn claude_pid(&self, attempt: usize) -> i32 {
        let started = self.wait_for_events("attempt_started", attempt);
        i32::try_from(started[attempt - 1]["pid"].as_i64().expect("a pid")).expect("a pid")
    }
}

/// Waits until Claude's empty input box stands still.
pub fn ready(terminal: &Terminal) {
    terminal.wait_for_screen(SOON, "an input box", |now| now.input().is_some());
    terminal.wait_until_quiet(SOON, SETTLED);
}

/// Types a line and waits until it stands in the box.
pub fn draft(terminal: &Terminal, text: &str) {
    terminal.send(text);
    terminal.wait_for_screen(SOON, &format!("the draft {text:?}"), |now| {
        now.input().is_some_and(|input| input.ends_with(text))
    });
}

/// Types a line and Enter.
pub fn submit(terminal: &Terminal, text: &str) {
    /// An Enter during start-up may be lost, on any version, with us or without.
    const TAKEN: Duration = Duration::from_secs(5);
    draft(terminal, text);
    terminal.send("\r");
    let left = || terminal.screen().input().as_deref() != Some(text);
    if wait_until(TAKEN, || left().then_some(())).is_none() {
        terminal.send("\r");
    }
}

/// Waits until the screen rests and the box is empty.
pub fn at_rest(terminal: &Terminal) {
    terminal.wait_for_screen(SOON, "the idle title", |now| now.title().starts_with('✳'));
    terminal.wait_until_quiet(SOON, SETTLED);
}

/// Waits for the answer, then for the prompt.
pub fn answered(terminal: &Terminal) {
    terminal.wait_for_text(SOON, HELLO);
    at_rest(terminal);
}

/// How a program ended, as a shell reports it.
pub fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("it ended")
}
