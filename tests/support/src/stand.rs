//! The scripted stand-in for claude, put first in a sandbox's search path, and what its
//! launches recorded. The script's language is described in `bin/scripted-claude.rs`.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use serde_json::{Value, json};

use crate::{Sandbox, wait_until};

/// A stand-in installed in a sandbox as `claude`.
pub struct StandIn {
    dir: PathBuf,
}

impl StandIn {
    /// Installs a stand-in where each launch runs the next of `attempts` (the last stays); each
    /// is a list of steps. Commands made from now on find it as `claude`.
    pub fn install(sandbox: &mut Sandbox, attempts: &Value) -> Self {
        Self::install_script(sandbox, &json!({ "attempts": attempts }))
    }

    /// As [`StandIn::install`], with the script's other fields too.
    pub fn install_script(sandbox: &mut Sandbox, script: &Value) -> Self {
        let dir = sandbox.tmp().join("stand-in");
        let bin = dir.join("bin");
        fs::create_dir_all(&bin).expect("the sandbox is writable");
        fs::write(dir.join("script.json"), script.to_string()).expect("the sandbox is writable");
        symlink(executable("scripted-claude"), bin.join("claude")).expect("installed once");
        let path = sandbox.env_value("PATH").unwrap_or_default();
        let path = env::join_paths(std::iter::once(bin).chain(env::split_paths(&path)));
        sandbox.env("PATH", path.expect("the directories hold no colon"));
        sandbox.env("SCRIPTED_CLAUDE", dir.join("script.json"));
        Self { dir }
    }

    /// The stand-in's executable, named `claude`.
    pub fn path(&self) -> PathBuf {
        self.dir.join("bin/claude")
    }

    /// What each launch recorded, in order: `argv`, `env`, `cwd`, `fds`, `pid`, `session`.
    pub fn launches(&self) -> Vec<Value> {
        let read = |n: usize| fs::read(self.dir.join(format!("launch-{n}.json"))).ok();
        let all = (0..).map_while(read);
        all.map(|text| serde_json::from_slice(&text).unwrap_or_default()).collect()
    }

    /// Waits until `n` launches were recorded; all of them.
    pub fn wait_for_launches(&self, deadline: Duration, n: usize) -> Vec<Value> {
        let found = wait_until(deadline, || Some(self.launches()).filter(|all| all.len() >= n));
        let seen = self.launches().len();
        found.unwrap_or_else(|| panic!("{seen} launches instead of {n} within {deadline:?}"))
    }

    /// How often it was updated.
    pub fn updates(&self) -> usize {
        fs::read_to_string(self.dir.join("updates")).map_or(0, |text| text.lines().count())
    }

    /// Every byte launch `n` (from 0) read from its standard input.
    pub fn input(&self, n: usize) -> Vec<u8> {
        fs::read(self.dir.join(format!("launch-{n}.input"))).unwrap_or_default()
    }

    /// The hooks and status lines launch `n` ran: `event`, `command`, `code`, `stdout`.
    pub fn hooks(&self, n: usize) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.join(format!("launch-{n}.hooks")));
        let text = text.unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// A program of the testkit beside the running test's; built when it is missing or older than
/// its source, since Cargo builds no programs of a dev-dependency.
pub(crate) fn executable(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let deps = test.parent().expect("a file is in a directory");
    let profile = if deps.ends_with("deps") { deps.parent().unwrap_or(deps) } else { deps };
    let path = profile.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/bin/{name}.rs"));
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if time(&path).is_none_or(|built| time(&source).is_some_and(|written| written > built)) {
        build(name, profile);
    }
    path
}

fn build(name: &str, profile: &Path) {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "claude-safe-testkit", "--bin", name]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "failed to build {name}: {status}");
}
