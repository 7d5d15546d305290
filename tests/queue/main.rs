//! The queue, end to end: the built program around a scripted claude, and around the real one
//! against a service on loopback that fails as scripted.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

mod commands;
mod faults;
mod kills;
mod night;
mod recipes;
mod runner;
#[cfg(feature = "postgres")]
mod team;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use claude_safe_testkit::{Sandbox, SignIn, wait_until};
use serde_json::Value;

/// Enough for anything here on a loaded machine; nothing waits for it.
const SOON: Duration = Duration::from_secs(90);

/// A home with a claude that is a script, and a queue.
struct Desk {
    sandbox: Sandbox,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    /// Around a claude of these lines of shell; `$prompt` holds what it was asked.
    fn around(claude: &str) -> Self {
        let mut sandbox = Sandbox::new(SignIn::Valid);
        let path = sandbox.tmp().join("claude");
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo '2.1.332 (Claude Code)'; exit; }}\n\
             prompt=$(cat)\nprintf '%s\\n' \"$prompt\" >>\"$HOME/started\"\n{claude}\n\
             printf '%s\\n' \"$prompt\" >>\"$HOME/ended\"\n"
        );
        std::fs::write(&path, script).unwrap();
        make_executable(&path);
        sandbox.env("CLAUDE_SAFE_CLAUDE", &path);
        sandbox.env("CLAUDE_SAFE_SERVICE_PROBE", "off");
        sandbox.env("CLAUDE_SAFE_SERVICE_STATUS_PAGE", "off");
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
        sandbox.env("CLAUDE_SAFE_RETRY_HORIZON_HEADLESS", "1s");
        sandbox.env("CLAUDE_SAFE_CONFIG", sandbox.home().join("config.toml"));
        Self { sandbox }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
        command.arg("queue").args(args).stdin(Stdio::null());
        command
    }

    /// Runs `claude-safe queue ARGS` to its end.
    fn says(&self, args: &[&str]) -> Said {
        let output = self.sandbox.run(self.command(args), SOON);
        Said {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, which must end well; what it printed.
    fn ok(&self, args: &[&str]) -> String {
        let said = self.says(args);
        assert_eq!(said.code, Some(0), "{args:?}: {said:#?}");
        said.stdout
    }

    /// Starts a runner in the background.
    fn runner(&self, args: &[&str]) -> Running {
        let mut all = vec!["run"];
        all.extend(args);
        let mut command = self.command(&all);
        command
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.sandbox.tmp().join("runner")).unwrap());
        Running(command.spawn().unwrap())
    }

    /// All tasks, as JSON.
    fn tasks(&self) -> Vec<Value> {
        let text = self.ok(&["list", "--all", "--json"]);
        serde_json::from_str(&text).unwrap()
    }

    /// One task.
    fn task(&self, id: &str) -> Value {
        self.tasks().into_iter().find(|task| task["id"] == id).unwrap_or_else(|| panic!("no {id}"))
    }

    /// Waits until a task is in this state.
    fn becomes(&self, id: &str, state: &str) -> Value {
        let is = || Some(self.task(id)).filter(|task| task["state"] == state);
        wait_until(SOON, is).unwrap_or_else(|| {
            let runner = std::fs::read_to_string(self.sandbox.tmp().join("runner"));
            panic!(
                "{id} does not become {state}: {:#?}\n{}",
                self.task(id),
                runner.unwrap_or_default()
            )
        })
    }

    /// What claude was asked, in order.
    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.sandbox.home().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The journal's lines.
    fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.sandbox.state_dir().join("journal.jsonl"));
        text.unwrap_or_default()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Makes a git repository of the directory that tasks are handed in from.
    fn repository(&self) -> PathBuf {
        let me = ["-c", "user.name=x", "-c", "user.email=x@x.invalid"];
        let first = ["commit", "--quiet", "--allow-empty", "-m", "x"];
        let commit: Vec<&str> = me.into_iter().chain(first).collect();
        for args in [&["init", "--quiet", "-b", "main"][..], &commit] {
            assert!(self.sandbox.command("git").args(args).status().unwrap().success());
        }
        self.sandbox.project()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.sandbox.home().join(name)
    }
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A runner, ended when it is dropped.
struct Running(Child);

impl Running {
    fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Its exit code.
    fn ends(&mut self) -> Option<i32> {
        wait_until(SOON, || self.0.try_wait().unwrap()).expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
