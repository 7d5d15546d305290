//! Backups, restores and the fixes that move files, with the real binary on throw-away homes.

// Helpers beside the tests fail them by unwrapping, too.
#![allow(clippy::unwrap_used)]

mod kills;
mod real;
mod restores;
mod shapes;
#[cfg(target_os = "linux")]
mod storage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use claude_safe::parts::backup::Store;

/// A home with a `.claude`, and a backup directory beside it.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(home.claude()).unwrap();
        fs::write(home.path().join(".claude.json"), "{\"numStartups\": 1}").unwrap();
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn claude(&self) -> PathBuf {
        self.path().join(".claude")
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.path().join("state/backups"))
    }

    /// Writes a file below `.claude`.
    pub(crate) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.claude().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// `claude-safe backup ARGS` in this home and nothing else of the environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claude-safe"));
        command.arg("backup").args(args);
        self.dress(&mut command);
        command
    }

    pub(crate) fn dress(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .env("CLAUDE_SAFE_STATE_DIR", self.path().join("state"))
            .current_dir(self.path());
    }

    /// Runs it to its end; standard output.
    pub(crate) fn backup(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

pub(crate) fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// JSON lines of about this length (bytes).
pub(crate) fn transcript(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = Vec::new();
    while text.len() < bytes {
        let words: Vec<_> = (0..12).map(|_| format!("{:x}", random.u32(..))).collect();
        let line = serde_json::json!({ "type": "user", "message": words.join(" ") });
        text.extend(format!("{line}\n").bytes());
    }
    text
}
