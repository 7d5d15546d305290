//! `status`, `report`, `log`, `explain`, `rules` and `run --dry-run` as a shell sees them.

use std::path::Path;
use std::time::{Duration, Instant};

use claude_safe_testkit::{Sandbox, SignIn};
use serde_json::{Value, json};

use crate::journal::{CURSOR, Lines, NOBODY, SINCE, UNTIL, night, program, run, write};

fn state() -> tempfile::TempDir {
    let state = tempfile::tempdir().expect("a temporary directory");
    write(state.path(), &night());
    state
}

fn now(back: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(back)).to_string()
}

#[test]
fn the_report_of_a_night_says_what_failed_what_was_done_and_what_it_cost() {
    let state = state();
    let (code, out, err) = run(state.path(), &["report", "--since", SINCE, "--until", UNTIL]);
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!(out);
}

#[test]
fn the_report_as_json_holds_the_same_figures() {
    let state = state();
    let args = ["report", "--json", "--since", SINCE, "--until", UNTIL];
    let (code, out, _) = run(state.path(), &args);
    let night: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(code, 0);
    assert_eq!(night["totals"]["runs"], 4);
    let failures = json!({ "api": 1, "auth_refresh": 2, "sign_in_needed": 1, "start_up": 1 });
    assert_eq!(night["totals"]["failures"], failures);
    assert_eq!(night["totals"]["looks"], 12);
    let loom = night["runs"].as_array().expect("runs").iter().find(|run| run["run"] == "0badcafe");
    let loom = loom.expect("the run");
    assert_eq!((&loom["lost_ms"], &loom["saved_ms"]), (&json!(3_000_000), &json!(4_200_000)));
    assert_eq!(loom["rungs"], json!({ "relaunch": 2 }));
    assert!(night["reckoning"].as_str().is_some_and(|text| text.starts_with("Time lost:")));
}

#[test]
fn a_terminal_that_shows_ascii_only_is_sent_ascii_only_and_no_name_moves_its_cursor() {
    let state = state();
    for locale in ["C", "POSIX", ""] {
        let mut command = program(state.path());
        command.env("LANG", locale).args(["report", "--since", SINCE, "--until", UNTIL]);
        let out = command.output().expect("it starts").stdout;
        let own = out.iter().filter(|byte| !byte.is_ascii() || **byte == 0x1b).count();
        assert_eq!(own, 0, "{}", String::from_utf8_lossy(&out));
    }
    assert!(CURSOR.contains('\u{1b}'));
}

#[test]
fn status_shows_a_living_run_that_waits_and_one_that_was_killed() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let decided = json!({
        "decision": "act", "rung": "relaunch", "after_ms": 600_000, "why": "it answers 500",
    });
    let waiting = Lines::of("aaaa0001")
        .started(&now(1), std::process::id(), "/srv/loom", "headless")
        .at(&now(1), "session", json!({ "id": "the-session" }))
        .failed(&now(1), "auth_refresh", "down", "up")
        .at(&now(1), "decided", decided);
    let lost = Lines::of("aaaa0002").started(&now(90), NOBODY, "/srv/killed", "terminal");
    let old = Lines::of("aaaa0003").started(&now(3 * 86_400), NOBODY, "/srv/old", "headless");
    // This process's number, but it began long before this process did.
    let other =
        Lines::of("aaaa0004").started(&now(86_000), std::process::id(), "/srv/other", "headless");
    let ended = Lines::of("aaaa0005")
        .started(&now(80), NOBODY, "/srv/ended", "headless")
        .ended(&now(70), 75);
    write(state.path(), &[waiting, lost, old, other, ended]);
    let (code, out, _) = run(state.path(), &["status", "--json"]);
    assert_eq!(code, 0);
    let runs: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    let state_of = |id: &str| {
        let found = runs.iter().find(|run| run["run"] == id)?;
        Some((found["state"].as_str()?.to_owned(), found["exit_code"].clone()))
    };
    assert_eq!(state_of("aaaa0001"), Some(("waiting".to_owned(), Value::Null)));
    assert_eq!(state_of("aaaa0002"), Some(("lost".to_owned(), Value::Null)));
    assert_eq!(state_of("aaaa0003"), None);
    assert_eq!(state_of("aaaa0004"), Some(("lost".to_owned(), Value::Null)));
    assert_eq!(state_of("aaaa0005"), Some(("ended".to_owned(), json!(75))));
    let waiting = runs.iter().find(|run| run["run"] == "aaaa0001").expect("the run");
    assert_eq!(waiting["session"], "the-session");
    assert_eq!(waiting["failing"], "auth_refresh");
    assert!(waiting["next_try"].is_string());
    let (_, text, _) = run(state.path(), &["status"]);
    let line = text.lines().find(|line| line.starts_with("aaaa0001")).expect("its line");
    assert!(line.contains("waiting") && line.ends_with("min"), "{text}");
    assert!(text.contains("sign-in refresh failing · session the-session"), "{text}");
}

#[test]
fn an_empty_state_is_no_error_anywhere() {
    let state = tempfile::tempdir().expect("a temporary directory");
    for args in [&["status"][..], &["status", "--json"], &["report"], &["rules", "learn"]] {
        let (code, out, err) = run(state.path(), args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        assert!(!out.is_empty());
    }
}

#[test]
fn what_is_mistyped_is_named_and_ends_with_2() {
    let state = state();
    for (args, word) in [
        (&["log", "ff"][..], "no run in the journal is `ff`"),
        (&["log", "1cafe"], "may mean 2 runs: 1cafe002, 1cafe001"),
        (&["explain", "1c"], "may mean 2 runs"),
        (&["explain", "nowhere.ansi"], "neither a run nor a file"),
        (&["explain", "./nowhere.ansi"], "no such file"),
        (&["rules", "test", "nowhere"], "no such file"),
        (&["report", "--since", "yesterday"], "`12h`"),
        (&["report", "--since", UNTIL, "--until", SINCE], "is not before"),
        (&["status", "--watch"], "needs a terminal"),
    ] {
        let (code, out, err) = run(state.path(), args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(word), "{args:?}: {err}");
    }
}

#[test]
fn log_and_explain_tell_a_climb_with_its_rules_and_reasons() {
    let state = state();
    let (code, out, _) = run(state.path(), &["log", "0b"]);
    assert_eq!(code, 0);
    assert!(out.contains("25 Nov 00:00:00  failed: sign-in refresh failing (401)"), "{out}");
    assert!(out.ends_with("run ended, exit 0\n"), "{out}");
    let (code, out, _) = run(state.path(), &["explain", "1cafe002"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(out);
}

#[test]
fn log_follow_goes_on_until_the_run_ends() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let begun = || Lines::of("aaaa0001").started(&now(1), std::process::id(), "/srv", "headless");
    write(state.path(), &[begun()]);
    let mut command = program(state.path());
    command.args(["log", "last", "--follow"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut out = std::io::BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    assert!(line.contains("run began"), "{line}");
    write(state.path(), &[begun().ended(&now(0), 0)]);
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = claude_safe_testkit::wait_until(deadline - Instant::now(), || {
        child.try_wait().expect("ours")
    });
    if status.is_none() {
        child.kill().expect("ours");
    }
    assert!(status.is_some_and(|status| status.success()), "it did not end");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).expect("text");
    assert!(rest.ends_with("run ended, exit 0\n"), "{rest}");
}

#[test]
fn explain_says_what_a_recording_a_result_and_an_output_would_be_taken_for() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let explain = |file: &Path, more: &[&str]| {
        let args = [&["explain", file.to_str().expect("UTF-8")], more].concat();
        let (code, out, err) = run(state.path(), &args);
        assert_eq!((code, err.as_str()), (0, ""));
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let failed = explain(&recordings.join("api500-final-80x24.ansi"), &[]);
    assert!(failed.contains("class api, because of the screen, by rule screen-resend"), "{failed}");
    let unsure = explain(&recordings.join("auth-exp-refresh500-80x24.ansi"), &[]);
    assert!(unsure.contains("Needs another witness"), "{unsure}");
    let file = state.path().join("made-up");
    let taken_for = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).expect("written");
        explain(&file, more)
    };
    let overloaded = r#"{"type":"result","is_error":true,"api_error_status":529,
        "result":"API Error: 529 Overloaded"}"#;
    assert!(taken_for(overloaded, &[]).contains("class api, because of the failing result"));
    let quoting = r#"{"type":"result","is_error":false,"result":"API Error: 529 is quoted"}"#;
    assert!(taken_for(quoting, &[]).contains("no failure"));
    assert!(taken_for("Login timed out", &[]).contains("class login_service"));
    assert!(taken_for("Flux capacitor overheated", &[]).contains("No rule knows it"));
    let refused = "API Error: 401 authentication_error";
    let (kept, dead) = (taken_for(refused, &[]), taken_for(refused, &["--sign-in", "emptied"]));
    assert!(kept.contains("class auth_refresh"), "{kept}");
    assert!(dead.contains("class sign_in_needed"), "{dead}");
}

#[test]
fn rules_are_listed_the_user_s_first_and_tested_on_a_file() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let own = "[[rules]]\nid = \"my-proxy\"\npattern = 'proxy says no'\nclass = \"network\"\n";
    std::fs::write(state.path().join("config.toml"), own).expect("written");
    let (_, out, _) = run(state.path(), &["rules", "list", "--json"]);
    let rules: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&rules[0]["id"], &rules[0]["own"]), (&json!("user:my-proxy"), &json!(true)));
    assert!(rules.len() > 30);
    let (_, text, _) = run(state.path(), &["rules", "list"]);
    assert!(text.starts_with("user:my-proxy  network\n"), "{text}");
    let file = state.path().join("words");
    std::fs::write(&file, "The proxy says no: status code 500").expect("written");
    let args = ["rules", "test", file.to_str().expect("UTF-8")];
    let (code, out, _) = run(state.path(), &args);
    assert_eq!(code, 0);
    assert!(out.contains("decides       user:my-proxy"), "{out}");
    std::fs::write(&file, "Flux capacitor overheated").expect("written");
    let (code, out, _) = run(state.path(), &args);
    assert_eq!((code, out.matches("no rule matches").count()), (1, 3), "{out}");
}

/// A claude that fails in words nobody knows, run through us.
#[test]
fn a_failure_that_no_rule_knew_is_kept_without_its_secrets_and_shown_by_learn() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new(SignIn::Valid);
    let state = tempfile::tempdir().expect("a temporary directory");
    let claude = state.path().join("claude");
    let script = "#!/bin/sh\necho 'Flux capacitor overheated sk-ant-api03-abcdefgh'\nexit 9\n";
    std::fs::write(&claude, script).expect("written");
    std::fs::set_permissions(&claude, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
    command.env("CLAUDE_SAFE_CLAUDE", &claude).env("CLAUDE_SAFE_STATE_DIR", state.path());
    command.args(["-p", "hi"]);
    let output = sandbox.run(command, Duration::from_secs(60));
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let (_, out, _) = run(state.path(), &["rules", "learn"]);
    assert!(out.contains("Flux capacitor overheated [redacted]"), "{out}");
    assert!(!out.contains("sk-ant"), "{out}");
}

#[test]
fn a_dry_run_starts_nothing_and_follows_the_configuration() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = tempfile::tempdir().expect("a temporary directory");
    let claude = state.path().join("claude");
    let touched = state.path().join("started");
    std::fs::write(&claude, format!("#!/bin/sh\n: >'{}'\n", touched.display())).expect("written");
    std::fs::set_permissions(&claude, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let dry = |args: &[&str]| {
        let mut command = program(state.path());
        command.env("CLAUDE_SAFE_CLAUDE", &claude).args(["run", "--dry-run"]).args(args);
        let output = command.output().expect("it starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let page = dry(&["--set", "retry.first_wait=7s", "--", "-p", "hi"]);
    assert!(page.contains("relaunch after 7 s, 14 s, 28 s, 40 s ×"), "{page}");
    assert!(dry(&["--", "mcp", "list"]).contains("started in our place"));
    assert!(!touched.exists());
    assert!(!state.path().join("journal.jsonl").exists());
}
