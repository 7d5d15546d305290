//! What these tests share: a sandbox with a stand-in, the screens it draws, and the journal.

use std::fs;
use std::process::Command;
use std::time::Duration;

use claude_safe_testkit::{FakeService, Sandbox, SignIn, StandIn, Terminal, wait_until};
use serde_json::{Value, json};

/// Ends only a test that hangs; the machine may be busy.
pub const SOON: Duration = Duration::from_secs(60);

/// One person's machine.
pub struct Desk {
    pub service: FakeService,
    pub sandbox: Sandbox,
    pub claude: StandIn,
}

impl Desk {
    /// Where each launch of claude runs the next of these scripts.
    pub fn new(attempts: &Value) -> Self {
        Self::with(SignIn::Valid, attempts)
    }

    /// Signed in like this.
    pub fn with(sign_in: SignIn, attempts: &Value) -> Self {
        let signalled = "Resume this session with:\r\nclaude --resume x\r\n";
        let script = json!({ "attempts": attempts, "on_signal": signalled, "update": 0 });
        Self::scripted(sign_in, &script)
    }

    /// With a whole script.
    pub fn scripted(sign_in: SignIn, script: &Value) -> Self {
        let service = FakeService::start();
        let mut sandbox = Sandbox::with(sign_in, &service);
        let claude = StandIn::install_script(&mut sandbox, script);
        sandbox.env("CLAUDE_SAFE_CLAUDE", claude.path());
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "100ms");
        sandbox.env("CLAUDE_SAFE_RETRY_MAX_WAIT", "300ms");
        sandbox.env("CLAUDE_SAFE_RUNGS_TRIES", "1");
        sandbox.env("CLAUDE_SAFE_SERVICE_STATUS_PAGE", "off");
        sandbox.env("CLAUDE_SAFE_LOG_LEVEL", "debug").env_remove("DISABLE_AUTOUPDATER");
        Self { service, sandbox, claude }
    }

    /// A rule of the user's for what Claude says at its start.
    pub fn rule(&self, pattern: &str, class: &str) {
        let dir = self.sandbox.home().join(".config/claude-safe");
        fs::create_dir_all(&dir).unwrap();
        let rule = format!(
            "[[rules]]\nid = \"ours\"\nwhere = [\"start_up\", \"said\"]\npattern = \"{pattern}\"\nclass = \"{class}\"\n"
        );
        fs::write(dir.join("config.toml"), rule).unwrap();
    }

    /// claude-safe with these arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
        command.args(args);
        command
    }

    /// A terminal in which claude-safe runs.
    pub fn sit_down(&self) -> Terminal {
        Terminal::spawn(self.command(&[]))
    }

    /// What a command of ours prints.
    pub fn printed(&self, args: &[&str]) -> String {
        let output = self.sandbox.run(self.command(args), SOON);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The journal's lines of one event.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.sandbox.state_dir().join("journal.jsonl"));
        let text = text.unwrap_or_default();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|entry| entry["event"] == name).collect()
    }

    /// Waits until the journal has `n` lines of this event.
    pub fn wait_for_events(&self, name: &str, n: usize) -> Vec<Value> {
        let found = wait_until(SOON, || Some(self.events(name)).filter(|all| all.len() >= n));
        found.unwrap_or_else(|| panic!("{name:?} is missing in the journal; {}", self.tells()))
    }

    /// Everything that explains a failing test.
    pub fn tells(&self) -> String {
        let journal = fs::read_to_string(self.sandbox.state_dir().join("journal.jsonl"));
        let log: String = fs::read_dir(self.sandbox.state_dir().join("log"))
            .into_iter()
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
            .collect();
        format!("journal:\n{}\nlog:\n{log}", journal.unwrap_or_default())
    }
}

const RULE: &str = "────────────────────────────────────────────────────────────";

/// Claude's idle screen: what it said, and the input box with these bytes in it.
pub fn screen(said: &str, input: &str) -> Value {
    let said = said.replace('\n', "\r\n");
    json!({ "print": format!(
        "\x1b[2J\x1b[H\x1b]0;✳ Claude Code\x07{said}\r\n\r\n{RULE}\r\n❯\u{a0}{input}\r\n{RULE}\r\n  ? for shortcuts"
    )})
}

/// An empty input box: the cursor's cell alone.
pub const EMPTY: &str = "\x1b[7m \x1b[27m";

/// The dim hint that a failed turn leaves in the box.
pub const ONCE_FIXED: &str = "\x1b[7mO\x1b[27m\x1b[2mnce fixed, resend your message\x1b[22m";
