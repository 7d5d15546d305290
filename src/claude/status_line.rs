//! Our status line: Claude runs `claude-safe __status RUN_DIR` every few seconds. It prints the
//! user's own line, as often as Claude would have run it, and ours under it while we wait.
//! It never fails and never speaks on stderr.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::settings::read_file;
use crate::notice::Notice;

/// The hidden word that makes us a status line; parsed before anything else.
pub const STATUS_WORD: &str = "__status";

/// The user's status line from their own `--settings`, kept in the run's directory.
pub const FLAG_FILE: &str = "status-line.json";
/// The path of the run's socket, kept in the run's directory.
pub const SOCKET_FILE: &str = "socket";
const CACHE_FILE: &str = "status-cache.json";

/// Fields that change with time or a prompt alone: Claude itself runs no status line for them.
const RESTLESS: &[&str] =
    &["cost", "prompt_cache", "prompt_id", "session_duration_ms", "timestamp"];

/// Output of the user's command beyond this is cut off (bytes).
const OUTPUT_CAP_BYTES: u64 = 64 << 10;

/// What the last call found, so that this one can be quick.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cache {
    /// Session, transcript and directory that the run was told of.
    witness: Value,
    /// The user's command and its input without the restless fields.
    key: Value,
    output: String,
    at_ms: u64,
}

/// A status line as settings name it.
#[derive(Debug, PartialEq, Eq)]
struct UserLine {
    command: String,
    refresh: Option<Duration>,
}

/// Prints the status line. Claude's JSON is on stdin.
pub fn print(run_dir: &Path) {
    let mut payload = Vec::new();
    let cap = super::hooks::PAYLOAD_CAP_BYTES;
    if std::io::stdin().lock().take(cap).read_to_end(&mut payload).is_err() {
        return;
    }
    let input: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let mut cache = read_cache(run_dir);
    let mut dirty = tell_run(run_dir, &input, &mut cache);
    let mut out = String::new();
    if let Some(line) = user_line(run_dir, &input) {
        dirty |= refresh(&line, &input, &payload, &mut cache);
        out.push_str(cache.output.trim_end_matches('\n'));
    }
    if let Some(notice) = Notice::shown(run_dir) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&notice.line(Timestamp::now()));
    }
    if !out.is_empty() {
        out.push('\n');
        let _ = std::io::stdout().lock().write_all(out.as_bytes());
    }
    if dirty && let Ok(bytes) = serde_json::to_vec(&cache) {
        let _ = crate::paths::write_private(&run_dir.join(CACHE_FILE), &bytes);
    }
}

fn read_cache(run_dir: &Path) -> Cache {
    std::fs::read(run_dir.join(CACHE_FILE))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// Tells the run which session is on screen, when that changed.
fn tell_run(run_dir: &Path, input: &Value, cache: &mut Cache) -> bool {
    let witness = serde_json::json!({
        "hook_event_name": "StatusLine",
        "session_id": input["session_id"],
        "transcript_path": input["transcript_path"],
        "cwd": input["cwd"],
        "vim_mode": input["vim"]["mode"],
        "model": input["model"]["id"],
    });
    if witness == cache.witness || !input["session_id"].is_string() {
        return false;
    }
    if let Ok(socket) = std::fs::read_to_string(run_dir.join(SOCKET_FILE)) {
        super::hooks::send(Path::new(socket.trim()), witness.to_string().as_bytes());
    }
    cache.witness = witness;
    true
}

/// Runs the user's command when Claude would have; otherwise its last output stands.
fn refresh(line: &UserLine, input: &Value, payload: &[u8], cache: &mut Cache) -> bool {
    let mut steady = input.clone();
    if let Some(fields) = steady.as_object_mut() {
        fields.retain(|name, _| !RESTLESS.contains(&name.as_str()));
        fields.insert("command".to_owned(), Value::String(line.command.clone()));
    }
    let now_ms = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let age = Duration::from_millis(now_ms.saturating_sub(cache.at_ms));
    let due = line.refresh.is_some_and(|interval| age >= interval);
    if steady == cache.key && !due {
        return false;
    }
    cache.output = run(&line.command, payload).unwrap_or_default();
    cache.key = steady;
    cache.at_ms = now_ms;
    true
}

fn run(command: &str, payload: &[u8]) -> Option<String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // A command that does not read its input is no reason to lose its output.
    let _ = child.stdin.take()?.write_all(payload);
    let mut output = Vec::new();
    child.stdout.take()?.take(OUTPUT_CAP_BYTES).read_to_end(&mut output).ok()?;
    child.wait().ok()?.success().then(|| String::from_utf8_lossy(&output).into_owned())
}

/// The user's own status line by Claude's precedence: their `--settings`, local, project, user.
/// (Managed settings outrank ours too, so then we are not asked.)
fn user_line(run_dir: &Path, input: &Value) -> Option<UserLine> {
    let project = input["workspace"]["project_dir"].as_str().or_else(|| input["cwd"].as_str());
    let claude_dir = crate::paths::claude_config_dir();
    let mut places = vec![run_dir.join(FLAG_FILE)];
    if let Some(project) = project.map(Path::new)
        && project != crate::paths::home()
        && read_file(&crate::paths::claude_json())
            .is_some_and(|config| is_trusted(&config, project))
    {
        places.push(project.join(".claude/settings.local.json"));
        places.push(project.join(".claude/settings.json"));
    }
    places.push(claude_dir.join("settings.json"));
    places.iter().find_map(|place| line_of(&read_file(place)?))
}

/// Whether the user trusted this directory or one above it: without that Claude runs no
/// command of a project's. `config` is what `.claude.json` holds.
pub(super) fn is_trusted(config: &Map<String, Value>, project: &Path) -> bool {
    let trusted = |dir: &Path| {
        config["projects"][dir.to_string_lossy().as_ref()]["hasTrustDialogAccepted"] == true
    };
    config.contains_key("projects") && project.ancestors().any(trusted)
}

fn line_of(settings: &Map<String, Value>) -> Option<UserLine> {
    let line = settings.get("statusLine")?;
    let command = line["command"].as_str().filter(|command| !command.is_empty())?;
    let refresh = line["refreshInterval"].as_f64().filter(|seconds| *seconds >= 1.0);
    Some(UserLine { command: command.to_owned(), refresh: refresh.map(Duration::from_secs_f64) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(command: &str, refresh: Option<u64>) -> UserLine {
        UserLine { command: command.into(), refresh: refresh.map(Duration::from_secs) }
    }

    #[test]
    fn the_users_command_runs_only_when_its_input_changed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let counter = dir.path().join("runs");
        let command = format!("echo run >> {}; cat", counter.display());
        let mut cache = Cache::default();
        let inputs = [
            json!({"model": "a", "cost": {"usd": 1}}),
            json!({"model": "a", "cost": {"usd": 2}}),
            json!({"model": "b", "cost": {"usd": 2}}),
        ];
        for input in &inputs {
            let payload = input.to_string();
            refresh(&line(&command, None), input, payload.as_bytes(), &mut cache);
        }
        assert_eq!(std::fs::read_to_string(&counter).expect("it ran").lines().count(), 2);
        assert_eq!(cache.output, inputs[2].to_string());
    }

    #[test]
    fn its_own_interval_is_kept() {
        let mut cache = Cache::default();
        let input = json!({"model": "a"});
        assert!(refresh(&line("echo x", Some(60)), &input, b"", &mut cache));
        assert!(!refresh(&line("echo x", Some(60)), &input, b"", &mut cache));
        cache.at_ms -= 61_000;
        assert!(refresh(&line("echo x", Some(60)), &input, b"", &mut cache));
    }

    #[test]
    fn a_line_without_a_command_is_none() {
        let settings = |text: &str| serde_json::from_str::<Map<_, _>>(text).expect("an object");
        assert_eq!(line_of(&settings(r#"{"statusLine":{"type":"command"}}"#)), None);
        let own = line_of(&settings(r#"{"statusLine":{"command":"x","refreshInterval":5}}"#));
        assert_eq!(own, Some(line("x", Some(5))));
    }
}
