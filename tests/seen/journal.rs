//! A made-up night: an OAuth outage survived without a terminal, an API outage in a terminal
//! that ends with a dead sign-in, a climb to the cache, a run that was killed. Names of
//! directories are hostile.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// The night's begin and end, as `report` takes them.
pub const SINCE: &str = "2026-11-24T20:00:00Z";
pub const UNTIL: &str = "2026-11-25T08:00:00Z";

/// A directory that would like to be markup, and one that would like to move the cursor.
pub const MARKUP: &str = "/srv/<script>document.title='owned'</script><img src=x onerror=alert(1)>";
pub const CURSOR: &str = "/srv/\u{202e}gnp.exe\u{1b}[2J";

/// Lines of one run.
pub struct Lines {
    run: &'static str,
    lines: Vec<String>,
}

impl Lines {
    pub fn of(run: &'static str) -> Self {
        Self { run, lines: Vec::new() }
    }

    /// Adds an event.
    pub fn at(mut self, at: &str, event: &str, mut fields: Value) -> Self {
        let mut line = json!({ "at": at, "run": self.run, "event": event });
        let line_fields = line.as_object_mut().expect("an object");
        line_fields.append(fields.as_object_mut().expect("an object"));
        self.lines.push(line.to_string());
        self
    }

    pub fn started(self, at: &str, pid: u32, cwd: &str, mode: &str) -> Self {
        let version = "2.1.330";
        let fields = json!({
            "pid": pid, "cwd": cwd, "mode": mode, "claude_version": version, "job": null,
        });
        self.at(at, "run_started", fields)
    }

    pub fn failed(self, at: &str, kind: &str, oauth: &str, api: &str) -> Self {
        let rule = format!("rule-of-{kind}");
        let evidence = json!([{ "rule": rule, "source": "result", "excerpt": "words" }]);
        let failure = json!({
            "kind": kind, "status": 401, "evidence": evidence, "session": null, "turn": "partial",
        });
        let health = json!({ "oauth": oauth, "api": api, "reasons": ["it answers 500"] });
        self.at(at, "failed", json!({ "failure": failure, "health": health }))
    }

    /// Decided to act, and waited.
    pub fn tried(self, at: &str, rung: &str, seconds: u64, until: &str) -> Self {
        let ms = seconds * 1000;
        let decided =
            json!({ "decision": "act", "rung": rung, "after_ms": ms, "why": "it answers 500" });
        self.at(at, "decided", decided).at(
            until,
            "wait_ended",
            json!({ "by": "timer", "waited_ms": ms }),
        )
    }

    pub fn attempt(self, at: &str, attempt: u32) -> Self {
        let fields = json!({ "attempt": attempt, "pid": 9, "resumed": attempt > 1 });
        self.at(at, "attempt_started", fields)
    }

    pub fn ended(self, at: &str, code: i32) -> Self {
        self.at(at, "run_ended", json!({ "code": code, "child": { "code": code } }))
    }
}

/// A process number that no system gives.
pub const NOBODY: u32 = 2_000_000_000;

/// The made-up night.
pub fn night() -> Vec<Lines> {
    let day = |time: &str| format!("2026-11-25T{time}Z");
    let (t1, t2) = ("2026-11-24T22:00:00Z", "2026-11-24T20:30:00Z");
    let oauth = Lines::of("0badcafe")
        .started(t1, NOBODY, "/srv/loom", "headless")
        .at(t1, "session", json!({ "id": "6f1c9a52-7c55-4c0e-a3a7-3d1f2f8d5e11" }))
        .attempt(t1, 1)
        .failed(&day("00:00:00"), "auth_refresh", "down", "up")
        .at(
            &day("00:00:00"),
            "probed",
            json!({ "health": { "oauth": "down", "api": "up", "reasons": [] }, "looks": 12 }),
        )
        .tried(&day("00:00:00"), "relaunch", 1200, &day("00:20:00"))
        .attempt(&day("00:20:00"), 2)
        .failed(&day("00:25:00"), "auth_refresh", "down", "up")
        .tried(&day("00:25:00"), "relaunch", 1500, &day("00:50:00"))
        .attempt(&day("00:50:00"), 3)
        .at(&day("02:00:00"), "recovered", json!({ "after_ms": 7_200_000 }))
        .ended(&day("02:00:00"), 0);
    let stand = json!({
        "decision": "wait_for_person", "rung": null, "after_ms": null, "why": "sign in again",
    });
    let terminal = Lines::of("1cafe001")
        .started(t2, NOBODY, MARKUP, "terminal")
        .attempt(t2, 1)
        .failed(&day("02:00:00"), "api", "up", "down")
        .tried(&day("02:00:00"), "ask_again", 3600, &day("03:00:00"))
        .at(&day("03:00:00"), "asked", json!({ "taken": true }))
        .at(&day("03:30:00"), "recovered", json!({ "after_ms": 5_400_000 }))
        .failed(&day("05:00:00"), "sign_in_needed", "up", "up")
        .at(&day("05:00:00"), "decided", stand)
        .ended(&day("07:00:00"), 1);
    let updated = json!({ "rung": "update", "outcome": { "Ok": "2.1.329 to 2.1.330" } });
    let climb = Lines::of("1cafe002")
        .started(&day("03:00:00"), NOBODY, CURSOR, "headless")
        .attempt(&day("03:00:00"), 1)
        .failed(&day("03:01:00"), "start_up", "up", "up")
        .tried(&day("03:01:00"), "update", 600, &day("03:11:00"))
        .at(&day("03:30:00"), "fixed", updated)
        .attempt(&day("03:30:00"), 2)
        .at(&day("04:00:00"), "recovered", json!({ "after_ms": 3_540_000 }))
        .ended(&day("04:00:00"), 0);
    let killed = Lines::of("3dead000")
        .started(&day("06:00:00"), NOBODY, "/srv/killed", "headless")
        .attempt(&day("06:00:00"), 1)
        .at(&day("06:30:00"), "session", json!({ "id": "2" }));
    vec![oauth, terminal, climb, killed]
}

/// How many bars the page's timeline has for [`night`].
pub const BARS: usize = 5 + 4 + 4 + 1;

/// Writes runs into a state directory, with a line that is torn and one of a future version.
pub fn write(state: &Path, runs: &[Lines]) {
    let mut lines: Vec<&str> =
        runs.iter().flat_map(|run| run.lines.iter().map(String::as_str)).collect();
    lines.extend(["{\"at\":\"2026-11-25T0", r#"{"at":"2026-11-25T01:00:00Z","event":"new"}"#]);
    std::fs::write(state.join("journal.jsonl"), lines.join("\n") + "\n").expect("written");
}

/// Our program with this state directory, in UTC, without anything of the user's.
pub fn program(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claude-safe"));
    command.env_clear().env("TZ", "UTC").env("HOME", state).env("LANG", "C.UTF-8");
    command.env("CLAUDE_SAFE_STATE_DIR", state);
    command.env("CLAUDE_SAFE_CONFIG", state.join("config.toml"));
    command
}

/// What it printed: exit code, standard output, standard error.
pub fn run(state: &Path, args: &[&str]) -> (i32, String, String) {
    let output = program(state).args(args).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}
