//! Whole climbs of the built binary: a client-side fault that only a cleared cache cures, around
//! a stand-in for claude, with the service up and with the service down.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use claude_safe_testkit::{Behaviour, FakeService, Sandbox, Script, SignIn};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(90);

/// Fails at its start as long as its cache is there, as no current Claude does.
const STAND_IN: &str = r#"#!/bin/sh
case "$1" in
--version) echo "2.1.330 (Claude Code)"; exit 0 ;;
update) echo update >>"$HOME/updates"; exit 0 ;;
esac
echo start >>"$HOME/starts"
if [ -e "$HOME/.claude/cache/poison" ]; then
    echo "Error: the cache is corrupt"
    exit 1
fi
echo "the answer"
"#;

/// The user's rule that says what this text means.
const CONFIG: &str = r#"
[[rules]]
id = "corrupt-cache"
where = ["output"]
pattern = "the cache is corrupt"
class = "start_up"
"#;

struct Setting {
    service: FakeService,
    sandbox: Sandbox,
    claude: PathBuf,
}

fn setting() -> Setting {
    let service = FakeService::start();
    let sandbox = Sandbox::with(SignIn::Valid, &service);
    let claude = sandbox.home().join("bin/claude");
    fs::create_dir_all(sandbox.home().join("bin")).expect("made");
    fs::write(&claude, STAND_IN).expect("written");
    fs::set_permissions(&claude, Permissions::from_mode(0o755)).expect("executable");
    fs::create_dir_all(sandbox.config_dir().join("cache")).expect("made");
    fs::write(sandbox.config_dir().join("cache/poison"), "x").expect("written");
    let projects = sandbox.config_dir().join("projects/p");
    fs::create_dir_all(&projects).expect("made");
    fs::write(projects.join("old.jsonl"), "{\"type\":\"user\"}\n").expect("written");
    fs::write(sandbox.home().join("config.toml"), CONFIG).expect("written");
    Setting { service, sandbox, claude }
}

impl Setting {
    fn command(&self) -> Command {
        let mut command = self.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
        command
            .env_remove("DISABLE_AUTOUPDATER")
            .env("CLAUDE_SAFE_CLAUDE", &self.claude)
            .env("CLAUDE_SAFE_CONFIG", self.sandbox.home().join("config.toml"))
            .env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "100ms")
            .env("CLAUDE_SAFE_RETRY_MAX_WAIT", "300ms")
            .env("CLAUDE_SAFE_SERVICE_STATUS_PAGE", "off");
        command
    }

    fn lines(&self, name: &str) -> usize {
        fs::read_to_string(self.sandbox.home().join(name)).map_or(0, |text| text.lines().count())
    }

    /// The rungs in the order in which they were decided, and whether each fix worked.
    fn climb(&self) -> Vec<String> {
        let journal = fs::read_to_string(self.sandbox.state_dir().join("journal.jsonl"));
        let journal = journal.expect("there is a journal");
        let entries =
            journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut steps: Vec<String> = entries
            .filter_map(|entry| match entry["event"].as_str()? {
                "decided" => entry["rung"].as_str().map(str::to_owned),
                "recovered" => Some("recovered".to_owned()),
                _ => None,
            })
            .collect();
        steps.dedup();
        steps
    }
}

#[test]
fn a_fault_of_this_machine_climbs_to_the_cache_behind_a_backup_and_ends_well() {
    let setting = setting();
    let mut command = setting.command();
    command.args(["-p", "hi"]);
    let output = setting.sandbox.run(command, DEADLINE);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the answer\n", "{stderr}");
    assert!(output.status.success(), "{stderr}");
    assert_eq!(setting.climb(), ["relaunch", "update", "clear_cache", "recovered"]);
    assert_eq!(setting.lines("updates"), 1);
    assert!(!setting.sandbox.config_dir().join("cache").exists());
    let backups = setting.sandbox.state_dir().join("backups");
    let moved = fs::read_dir(&backups)
        .expect("there are backups")
        .flatten()
        .any(|snapshot| snapshot.path().join("moved/cache/poison").is_file());
    assert!(moved, "what was cleared lies beside its snapshot");
    let explained = setting.sandbox.config_dir().join("projects/p/old.jsonl");
    assert!(explained.is_file(), "history stays where it is");
    setting.sandbox.assert_no_leftovers(Duration::from_secs(10));
}

#[test]
fn while_the_service_is_down_the_same_fault_never_climbs() {
    let setting = setting();
    setting.service.set_everything(Script::Always(Behaviour::error(500)));
    let mut command = setting.command();
    command.env("CLAUDE_SAFE_RETRY_HORIZON_HEADLESS", "3s").args(["-p", "hi"]);
    let output = setting.sandbox.run(command, DEADLINE);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(setting.climb(), ["relaunch"], "{stderr}");
    assert_eq!(setting.lines("updates"), 0);
    assert!(setting.sandbox.config_dir().join("cache/poison").is_file());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Error: the cache is corrupt\n");
    setting.sandbox.assert_no_leftovers(Duration::from_secs(10));
}
