//! The demonstration: the real loop of claude-safe, in a real terminal, around a stand-in that
//! fails as Claude Code does when its sign-in service is down. Nothing of the user's is read or
//! written, nothing is sent: home, state and stand-in live in a directory of its own.

pub mod stand_in;

use std::fs::Permissions;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;

use crate::journal::{self, Event};
use crate::notice::{say, short};

const PROMPT: &str = "What survives an outage?";

/// The directory of one demonstration, removed when it ends.
struct Stage(PathBuf);

impl Stage {
    fn set() -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("claude-safe-demo-{}", std::process::id()));
        crate::paths::private_dir(&dir)?;
        let stage = Self(dir);
        for part in ["bin", "project", ".claude/projects", "state"] {
            crate::paths::private_dir(&stage.0.join(part))?;
        }
        // An expired token that could be refreshed, were there a service: the article's case.
        let credentials = serde_json::json!({"claudeAiOauth": {
            "accessToken": "demonstration", "refreshToken": "demonstration", "expiresAt": 1
        }});
        let file = stage.0.join(".claude/.credentials.json");
        crate::paths::write_private(&file, credentials.to_string().as_bytes())?;
        let program = std::env::current_exe()?;
        let script = format!(
            "#!/bin/sh\nexec '{}' {} \"$@\"\n",
            program.to_string_lossy().replace('\'', r"'\''"),
            stand_in::WORD
        );
        std::fs::write(stage.claude(), script)?;
        std::fs::set_permissions(stage.claude(), Permissions::from_mode(0o700))?;
        // Laid down as Claude Code's installers do: nothing is added to a wrapper's arguments.
        let package = r#"{"name": "@anthropic-ai/claude-code", "version": "2.1.330"}"#;
        std::fs::write(stage.claude().with_file_name("package.json"), package)?;
        Ok(stage)
    }

    fn claude(&self) -> PathBuf {
        self.0.join("bin/claude")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the demonstration in this terminal, or without one where there is none.
pub fn run() -> anyhow::Result<ExitCode> {
    let stage = Stage::set().context("failed to set up the demonstration")?;
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    say("demonstration: the claude you are about to see is a stand-in, the recovery is real");
    say("its sign-in service answers 500 twice; press nothing, and watch the line under its box");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--"]);
    if !terminal {
        command.arg("-p");
    }
    command
        .arg(PROMPT)
        .current_dir(stage.0.join("project"))
        .env_clear()
        .env("HOME", &stage.0)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TERM", std::env::var_os("TERM").unwrap_or_else(|| "xterm-256color".into()))
        .env("CLAUDE_SAFE_CLAUDE", stage.claude())
        .env("CLAUDE_SAFE_STATE_DIR", stage.0.join("state"))
        .env("CLAUDE_SAFE_CONFIG", stage.0.join("config.toml"))
        // On a Mac the user's own sign-in would be looked at.
        .env("CLAUDE_SAFE_CLAUDE_KEYCHAIN", "off")
        // There is no service to ask.
        .env("CLAUDE_SAFE_SERVICE_PROBE", "off")
        .env("CLAUDE_SAFE_SERVICE_STATUS_PAGE", "off");
    let status = command.status().context("failed to start claude-safe again")?;
    let mut out = io::stdout().lock();
    writeln!(out, "\nWhat claude-safe did:")?;
    for line in told(&stage.0.join("state")) {
        writeln!(out, "  {line}")?;
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(crate::error::exit::OURS)))
}

/// The journal of the demonstration, in plain words.
fn told(state_dir: &Path) -> Vec<String> {
    let lines = journal::read(state_dir).into_iter().filter_map(|entry| {
        Some(match entry.event {
            Event::Failed { failure, .. } => {
                let rule = failure.evidence.first().map(|evidence| evidence.rule.clone());
                format!("recognised {} (rule {})", failure.kind.name(), rule.unwrap_or_default())
            }
            Event::WaitEnded { waited_ms, .. } => {
                format!("waited {}", short(Duration::from_millis(waited_ms)))
            }
            Event::Asked { taken: true } => {
                "asked again in the same conversation, no key pressed".to_owned()
            }
            Event::AttemptStarted { attempt, resumed: true, .. } if attempt > 1 => {
                "ran it again in the same conversation".to_owned()
            }
            Event::AttemptStarted { attempt, .. } if attempt > 1 => {
                "ran it again: nothing had come of it yet".to_owned()
            }
            Event::Recovered { after_ms } => {
                format!("recovered after {}", short(Duration::from_millis(after_ms)))
            }
            _ => return None,
        })
    });
    lines.collect()
}
