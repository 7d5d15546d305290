//! The user's own status line. In: their settings, what Claude tells. Out: what their command
//! printed last. The command is run by a keeper of its own (`claude-safe __line RUN_DIR`) which
//! outlives the call that started it: Claude ends a call that still runs when the next is due, so
//! a command slower than our interval would be started for ever and never come to its end. One
//! runs at a time, and none once the run has ended.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, setsid};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::FLAG_FILE;
use crate::claude::settings::read_file;

/// The hidden word that makes us the keeper of the user's command.
pub const KEEPER_WORD: &str = "__line";

const CACHE_FILE: &str = "status-cache.json";
/// What Claude told when the command was to be run.
const INPUT_FILE: &str = "status-input.json";
/// Locked by the keeper while the command runs; holds its process id.
const LOCK_FILE: &str = "status.lock";

/// Fields that change with time or a prompt alone: Claude itself runs no status line for them.
const RESTLESS: &[&str] =
    &["cost", "prompt_cache", "prompt_id", "session_duration_ms", "timestamp"];

/// Output of the user's command beyond this is cut off (bytes).
const OUTPUT_CAP_BYTES: u64 = 64 << 10;

/// A quick command's output is shown by the call that asked for it; Claude's next is due in 3 s.
const PATIENCE: Duration = Duration::from_secs(1);
/// Claude itself ends a status line after this long.
const LIMIT: Duration = Duration::from_secs(600);
/// How often the keeper asks whether the run still lives.
const RUN_LOOK_EVERY: Duration = Duration::from_secs(1);

/// How the last call of the user's command went.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cache {
    /// The command and its input without the restless fields.
    key: Value,
    /// When it was started.
    at_ms: u64,
    output: String,
}

impl Cache {
    fn read(run_dir: &Path) -> Self {
        std::fs::read(run_dir.join(CACHE_FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn write(&self, run_dir: &Path) {
        if let Ok(bytes) = serde_json::to_vec(self) {
            let _ = crate::paths::write_private(&run_dir.join(CACHE_FILE), &bytes);
        }
    }

    /// Whether Claude would have run the command: something changed, or its interval is over.
    fn is_due(&self, line: &UserLine, key: &Value, now_ms: u64) -> bool {
        let age = Duration::from_millis(now_ms.saturating_sub(self.at_ms));
        *key != self.key || line.refresh.is_some_and(|interval| age >= interval)
    }
}

/// A status line as settings name it.
#[derive(Debug, PartialEq, Eq)]
struct UserLine {
    command: String,
    refresh: Option<Duration>,
}

impl UserLine {
    fn key(&self, input: &Value) -> Value {
        let mut steady = input.clone();
        if let Some(fields) = steady.as_object_mut() {
            fields.retain(|name, _| !RESTLESS.contains(&name.as_str()));
            fields.insert("command".to_owned(), Value::String(self.command.clone()));
        }
        steady
    }
}

/// What the user's line shows now. Runs their command when Claude would have, unless its last
/// call still runs.
pub(super) fn output(run_dir: &Path, input: &Value, payload: &[u8]) -> String {
    let Some(line) = UserLine::of(run_dir, input) else { return String::new() };
    let is_due = Cache::read(run_dir).is_due(&line, &line.key(input), now_ms());
    if is_due && lock(run_dir).is_some() {
        start_keeper(run_dir, payload);
    }
    Cache::read(run_dir).output
}

/// Starts a child of nobody's, so that it ends with neither this call nor its process group, and
/// waits a little for its end. Without a keeper there is no line, and nothing else is lost.
fn start_keeper(run_dir: &Path, payload: &[u8]) {
    let Ok(program) = std::env::current_exe() else { return };
    if crate::paths::write_private(&run_dir.join(INPUT_FILE), payload).is_err() {
        return;
    }
    // It prints nothing: its standard output is closed by its end.
    let script = format!("\"$0\" {KEEPER_WORD} \"$1\" </dev/null 2>/dev/null &");
    let shell = Command::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .args([&program, run_dir])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut shell) = shell else { return };
    let _ = shell.wait();
    if let Some(mut until_its_end) = shell.stdout.take() {
        let (told, ended) = mpsc::channel();
        std::thread::spawn(move || told.send(until_its_end.read_to_end(&mut Vec::new()).is_ok()));
        let _ = ended.recv_timeout(PATIENCE);
    }
}

/// The keeper: runs the command once, to its end or that of the run.
pub fn keep(run_dir: &Path) {
    let _ = setsid();
    let Some(mut lock) = lock(run_dir) else { return };
    let _ = lock.set_len(0).and_then(|()| write!(*lock, "{}", std::process::id()));
    let Ok(payload) = std::fs::read(run_dir.join(INPUT_FILE)) else { return };
    let input: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let Some(line) = UserLine::of(run_dir, &input) else { return };
    // Before it starts: one that never ends is not started again for the same.
    let mut cache = Cache { key: line.key(&input), at_ms: now_ms(), ..Cache::read(run_dir) };
    cache.write(run_dir);
    cache.output = run(&line.command, &payload, run_dir).unwrap_or_default();
    cache.write(run_dir);
}

/// Ends what still runs of the user's command, when the run ends.
pub fn end(run_dir: &Path) {
    if lock(run_dir).is_some() {
        return;
    }
    let keeper = std::fs::read_to_string(run_dir.join(LOCK_FILE)).ok();
    if let Some(keeper) = keeper.and_then(|text| text.parse::<i32>().ok()).filter(|pid| *pid > 1) {
        let _ = killpg(Pid::from_raw(keeper), Signal::SIGKILL);
    }
}

/// The right to run the command; `None` while someone has it, or where nothing can be written.
fn lock(run_dir: &Path) -> Option<Flock<File>> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(run_dir.join(LOCK_FILE))
        .ok()?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// What the command prints, if it succeeds. Ends it, and us, once the run is over.
fn run(command: &str, payload: &[u8], run_dir: &Path) -> Option<String> {
    // As Claude runs it.
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let (mut to, from) = (child.stdin.take()?, child.stdout.take()?);
    let payload = payload.to_owned();
    // A command that does not read its input is no reason to lose its output.
    std::thread::spawn(move || drop(to.write_all(&payload)));
    let (told, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = Vec::new();
        let read = from.take(OUTPUT_CAP_BYTES).read_to_end(&mut output).is_ok();
        let worked = child.wait().is_ok_and(|status| status.success());
        let output = String::from_utf8_lossy(&output).into_owned();
        told.send((read && worked).then_some(output))
    });
    let began = Instant::now();
    loop {
        match ended.recv_timeout(RUN_LOOK_EVERY) {
            Ok(output) => return output,
            Err(_) if began.elapsed() < LIMIT && run_lives(run_dir) => {}
            // The keeper leads the group that the command is in.
            Err(_) => drop(killpg(nix::unistd::getpgrp(), Signal::SIGKILL)),
        }
    }
}

/// Whether the run whose directory this is still lives; unknown means yes.
fn run_lives(run_dir: &Path) -> bool {
    let pid = std::fs::read_to_string(run_dir.join(super::PID_FILE)).ok();
    let pid = pid.and_then(|text| text.trim().parse().ok());
    pid.is_none_or(|pid| kill(Pid::from_raw(pid), None).is_ok())
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl UserLine {
    /// By Claude's precedence: their `--settings`, local, project, user. (Managed settings outrank
    /// ours too, so then we are not asked.)
    fn of(run_dir: &Path, input: &Value) -> Option<Self> {
        let project = input["workspace"]["project_dir"].as_str().or_else(|| input["cwd"].as_str());
        let mut places: Vec<PathBuf> = vec![run_dir.join(FLAG_FILE)];
        if let Some(project) = project.map(Path::new)
            && project != crate::paths::home()
            && read_file(&crate::paths::claude_json())
                .is_some_and(|config| is_trusted(&config, project))
        {
            places.push(project.join(".claude/settings.local.json"));
            places.push(project.join(".claude/settings.json"));
        }
        places.push(crate::paths::claude_config_dir().join("settings.json"));
        places.iter().find_map(|place| Self::in_settings(&read_file(place)?))
    }

    fn in_settings(settings: &Map<String, Value>) -> Option<Self> {
        let line = settings.get("statusLine")?;
        let command = line["command"].as_str().filter(|command| !command.is_empty())?;
        let refresh = line["refreshInterval"].as_f64().filter(|seconds| *seconds >= 1.0);
        let refresh = refresh.map(Duration::from_secs_f64);
        Some(Self { command: command.to_owned(), refresh })
    }
}

/// Whether the user trusted this directory or one above it: without that Claude runs no
/// command of a project's. `config` is what `.claude.json` holds.
pub(in crate::claude) fn is_trusted(config: &Map<String, Value>, project: &Path) -> bool {
    let trusted = |dir: &Path| {
        config["projects"][dir.to_string_lossy().as_ref()]["hasTrustDialogAccepted"] == true
    };
    config.contains_key("projects") && project.ancestors().any(trusted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(command: &str, refresh: Option<u64>) -> UserLine {
        UserLine { command: command.into(), refresh: refresh.map(Duration::from_secs) }
    }

    #[test]
    fn the_users_command_is_due_only_when_its_input_changed_or_its_interval_is_over() {
        let own = line("x", None);
        let ran = |line: &UserLine, input: &Value| Cache {
            key: line.key(input),
            at_ms: 1_000,
            ..Cache::default()
        };
        let input = json!({"model": "a", "cost": {"usd": 1}});
        let cache = ran(&own, &input);
        assert!(Cache::default().is_due(&own, &own.key(&input), 1_000), "never run");
        let dearer = json!({"model": "a", "cost": {"usd": 2}});
        assert!(!cache.is_due(&own, &own.key(&dearer), 99_000_000));
        let other = json!({"model": "b", "cost": {"usd": 2}});
        assert!(cache.is_due(&own, &own.key(&other), 1_001));
        let often = line("x", Some(60));
        let cache = ran(&often, &input);
        assert!(!cache.is_due(&often, &often.key(&input), 60_999));
        assert!(cache.is_due(&often, &often.key(&input), 61_000));
    }

    #[test]
    fn a_command_is_run_once_to_its_end_and_its_output_kept() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ran = run("cat; echo \" and more\"", b"what it was told", dir.path());
        assert_eq!(ran.as_deref(), Some("what it was told and more\n"));
        assert_eq!(run("echo no; exit 3", b"", dir.path()), None);
        let held = lock(dir.path());
        assert!(held.is_some() && lock(dir.path()).is_none(), "one at a time");
    }

    #[test]
    fn a_line_without_a_command_is_none() {
        let settings = |text: &str| serde_json::from_str::<Map<_, _>>(text).expect("an object");
        let of = |text: &str| UserLine::in_settings(&settings(text));
        assert_eq!(of(r#"{"statusLine":{"type":"command"}}"#), None);
        let own = of(r#"{"statusLine":{"command":"x","refreshInterval":5}}"#);
        assert_eq!(own, Some(line("x", Some(5))));
    }
}
