//! claude-safe without a terminal: the real program in front of the real Claude Code, against
//! a service on loopback that fails as scripted.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

mod agents;
mod api;
mod healthy;
mod jobs;
mod json;
mod keychain;
mod limits;
mod refused;
mod sessions;
mod sign_in;
mod signals;
mod surroundings;
mod tools;
mod versions;

use std::process::Command;
use std::time::{Duration, Instant};

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, FakeService, Sandbox, SignIn, real_claude, wait_until};
use serde_json::Value;

/// Enough for any run here on a loaded machine; nothing waits for it.
const SOON: Duration = Duration::from_secs(120);

/// What the fake service says unless told otherwise.
const ANSWER: &str = "Hello from the fake service.";

/// What continues a failed turn in these tests.
const MESSAGE: &str = "Carry on where the service failed.";

/// A service, and a home that talks to it.
struct Stage {
    service: FakeService,
    sandbox: Sandbox,
    version: &'static str,
}

impl Stage {
    /// With the version that the facts were measured on, and short waits.
    fn new(sign_in: SignIn) -> Self {
        Self::of_version(MEASURED, sign_in)
    }

    fn of_version(version: &'static str, sign_in: SignIn) -> Self {
        let mut stage = Self::with_defaults(version, sign_in);
        stage.sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
        stage.sandbox.env("CLAUDE_SAFE_RETRY_MAX_WAIT", "2s");
        stage
    }

    /// With claude-safe's own waits.
    fn with_defaults(version: &'static str, sign_in: SignIn) -> Self {
        let service = FakeService::start();
        let mut sandbox = Sandbox::with(sign_in, &service);
        sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(version));
        sandbox.env("CLAUDE_SAFE_RETRY_MESSAGE", MESSAGE);
        Self { service, sandbox, version }
    }

    /// Claude gives up after its first retry, so that what follows is ours.
    fn claude_gives_up_soon(&mut self) -> &mut Self {
        self.sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1");
        self
    }

    /// Plain claude.
    fn plain(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(real_claude(self.version));
        command.args(args);
        command
    }

    /// claude-safe with claude's arguments.
    fn safe(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
        command.args(args);
        command
    }

    /// `claude-safe OPTIONS -p hi` to its end.
    fn asks(&self, options: &[&str]) -> Ended {
        let mut args = options.to_vec();
        args.extend(["-p", "hi"]);
        self.ends(self.safe(&args))
    }

    /// `claude-safe -p hi` while this endpoint fails, until the first failure was seen.
    fn asks_through(&self, endpoint: Endpoint, fault: Behaviour) -> Ended {
        self.service.set(endpoint, fault);
        std::thread::scope(|scope| {
            let run = scope.spawn(|| self.asks(&[]));
            wait_until(SOON, || self.journalled("decided").pop());
            self.service.set(endpoint, Behaviour::Ok);
            run.join().unwrap()
        })
    }

    fn ends(&self, command: Command) -> Ended {
        self.ends_with_stdin(command, b"")
    }

    /// Runs a command to its end with this on its stdin.
    fn ends_with_stdin(&self, command: Command, stdin: &[u8]) -> Ended {
        let began = Instant::now();
        let mut command = assert_cmd::Command::from_std(command);
        let output = command.timeout(SOON).write_stdin(stdin).output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: began.elapsed(),
            log: self.service.summary(),
        }
    }

    /// The events of this home's journal.
    fn journal(&self) -> Vec<Value> {
        let path = self.sandbox.state_dir().join("journal.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Of these events' kind, as many as there are.
    fn journalled(&self, event: &str) -> Vec<Value> {
        self.journal().into_iter().filter(|entry| entry["event"] == event).collect()
    }

    /// What people and models said in the one transcript, without Claude's own reminders.
    fn prompts(&self) -> Vec<String> {
        let lines = self.sandbox.transcript_lines();
        let prompts = lines.iter().filter(|line| {
            line["type"] == "user" && line["isMeta"] != true && line["isSidechain"] != true
        });
        prompts.filter_map(|line| Some(line["message"]["content"].as_str()?.to_owned())).collect()
    }
}

/// A process that ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    took: Duration,
    /// What the service saw, for messages.
    log: String,
}

impl Ended {
    /// The answer alone, and success.
    fn is_the_answer(&self) {
        assert_eq!(self.stdout.trim_end(), ANSWER, "{self:#?}");
        assert_eq!(self.code, Some(0), "{self:#?}");
    }
}

/// The JSON lines of a text.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or(line.into())).collect()
}
