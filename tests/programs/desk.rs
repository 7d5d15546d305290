//! A machine with a program on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::service::log::Request;
use claude_safe_testkit::{Answer, FakeService, Sandbox, SignIn, real_claude, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

pub const SAFE: &str = env!("CARGO_BIN_EXE_claude-safe");
pub const SOON: Duration = Duration::from_secs(120);
pub const VERSION: &str = MEASURED;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sdk {
    Python,
    TypeScript,
}

pub use Sdk::{Python, TypeScript};

pub struct Desk {
    pub service: FakeService,
    pub sandbox: Sandbox,
}

impl Desk {
    pub fn new(sign_in: SignIn) -> Self {
        let service = FakeService::start();
        let mut sandbox = Sandbox::with(sign_in, &service);
        let note = sandbox.project().join("note");
        service.answer_with(move |request| answer(request, &note));
        sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(VERSION));
        sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1");
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
        sandbox.env("CLAUDE_SAFE_RETRY_MAX_WAIT", "2s");
        Self { service, sandbox }
    }

    pub fn command(&self, sdk: Sdk, plan: &Value, claude: &Path) -> Command {
        let sdks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sdks");
        let (program, script) = match sdk {
            Python => (sdks.join("venv/bin/python"), "client.py"),
            TypeScript => (PathBuf::from("node"), "client.mjs"),
        };
        let mut command = self.sandbox.command(program);
        command.arg(sdks.join(script)).arg(plan.to_string());
        command.env("NODE_NO_WARNINGS", "1");
        command.env("CLIENT_CLAUDE", claude).env("CLIENT_MARKS", self.sandbox.tmp());
        command
    }

    pub fn run(&self, sdk: Sdk, plan: &Value, claude: &Path) -> String {
        text(self.sandbox.run(self.command(sdk, plan, claude), SOON))
    }

    /// Runs it through claude-safe, and `meanwhile` beside it.
    pub fn run_while(&self, sdk: Sdk, plan: &Value, meanwhile: impl FnOnce()) -> String {
        self.while_running(self.command(sdk, plan, Path::new(SAFE)), meanwhile)
    }

    pub fn while_running(&self, command: Command, meanwhile: impl FnOnce()) -> String {
        std::thread::scope(|scope| {
            let run = scope.spawn(|| text(self.sandbox.run(command, SOON)));
            meanwhile();
            run.join().expect("it ends")
        })
    }

    /// Waits until the program says where it is.
    pub fn marked(&self, name: &str) {
        let there = || self.sandbox.tmp().join(name).exists().then_some(());
        wait_until(SOON, there).unwrap_or_else(|| panic!("no mark {name}"));
    }

    /// Tells the program something.
    pub fn mark(&self, name: &str) {
        std::fs::write(self.sandbox.tmp().join(name), "").expect("the sandbox is writable");
    }

    pub fn wait_for_turns(&self, n: usize) {
        let came = || (self.service.turns().len() >= n).then_some(());
        wait_until(SOON, came).expect("requests");
    }

    /// Claude itself, below the program.
    pub fn claude(&self) -> i32 {
        let real = real_claude(VERSION).canonicalize().expect("it is installed");
        let is_claude = |pid: &i32| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == real)
        };
        let found = || {
            let processes = self.sandbox.processes();
            processes.into_iter().map(|(pid, _)| pid).find(is_claude)
        };
        wait_until(SOON, found).expect("claude runs")
    }

    pub fn kill_claude(&self) {
        kill(Pid::from_raw(self.claude()), Signal::SIGKILL).expect("it lives");
    }
}

pub fn text(output: Output) -> String {
    String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr)
}

/// What the model says to each prompt.
fn answer(request: &Request, note: &Path) -> Answer {
    let tool = |name: &str, input, then: &str| Answer::Tool {
        name: name.into(),
        input,
        then: Box::new(Answer::text(then)),
    };
    if request.asks("touch the file") {
        Answer::bash("echo once >> touched", "It is there.")
    } else if request.asks("what time is it") {
        tool("mcp__own__clock", json!({}), "It is noon.")
    } else if request.asks("write a note") {
        tool("Write", json!({"file_path": note, "content": "a note"}), "It is written.")
    } else {
        Answer::text("Hello to you.")
    }
}

/// What plain claude makes of it on a good day.
pub fn good_day(sdk: Sdk, plan: &Value) -> String {
    Desk::new(SignIn::Valid).run(sdk, plan, &real_claude(VERSION))
}
