//! A night with the real Claude Code: tasks that depend on each other, worktrees, an outage of
//! the API and a usage limit. Each is done, each once.

use std::process::Stdio;
use std::time::{Duration, SystemTime};

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{
    Answer, Behaviour, FakeService, Sandbox, SignIn, real_claude, wait_until,
};

use crate::{Desk, SOON};

/// What a task of the night is asked; the tool leaves a line in a file that all share.
fn prompt(number: usize) -> String {
    format!("task number {number}.")
}

fn seconds_from_now(seconds: u64) -> u64 {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_night_with_an_outage_and_a_limit_ends_with_every_task_done_once() {
    let tasks = 5;
    let service = FakeService::start();
    let mut sandbox = Sandbox::with(SignIn::Valid, &service);
    sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(MEASURED));
    sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s").env("CLAUDE_SAFE_RETRY_MAX_WAIT", "2s");
    sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1").env("IS_SANDBOX", "1");
    let proof = sandbox.home().join("proof");
    let line = proof.display().to_string();
    service.answer_with(move |request| {
        let asked = (1..=tasks).find(|number| request.asks(&prompt(*number)));
        match asked {
            Some(number) => Answer::bash(&format!("echo {number} >>{line}"), "Done."),
            None => Answer::text("Carried on."),
        }
    });
    let desk = Desk { sandbox };
    desk.repository();
    // The first one asks, and is sent away by a limit; then the API is down.
    service.set_api(Behaviour::usage_limit("five_hour", seconds_from_now(30)));
    for number in 1..=tasks {
        let prompt = prompt(number);
        let mut args = vec!["add", prompt.as_str()];
        match number {
            3 => args.push("--worktree"),
            4 => args.extend(["--after", "q1"]),
            _ => {}
        }
        args.extend(["--", "--permission-mode", "bypassPermissions"]);
        desk.ok(&args);
    }
    let mut runner = desk.runner(&["--jobs", "2", "--until-empty"]);
    let limited = || {
        let waits = desk.task("q1")["waits_for"].as_str().unwrap_or_default().to_owned();
        waits.starts_with("usage limit, resets").then_some(())
    };
    wait_until(SOON, limited).unwrap_or_else(|| panic!("{:#?}", desk.tasks()));
    let turns = service.turns().len();
    service.set_api(Behaviour::error(529));
    wait_until(SOON, || (service.turns().len() > turns).then_some(()))
        .expect("they are tried again");
    service.set_api(Behaviour::Ok);
    assert_eq!(
        runner.ends(),
        Some(0),
        "{:#?}\n{}",
        desk.tasks(),
        std::fs::read_to_string(desk.sandbox.tmp().join("runner")).unwrap()
    );
    let mut lines: Vec<String> =
        std::fs::read_to_string(proof).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["1", "2", "3", "4", "5"], "each once: {}", service.summary());
    let fourth = desk.task("q4");
    let first = desk.task("q1");
    assert!(fourth["started"].as_str() >= first["ended"].as_str(), "{first:#} {fourth:#}");
    let shown = desk.ok(&["logs", "q1"]);
    assert!(shown.contains("→ Bash echo 1"), "{shown}");
    assert!(desk.task("q2")["spent_usd"].as_f64().unwrap() > 0.0);
    let mut report = desk.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
    report.arg("report").stdin(Stdio::null());
    let report = desk.sandbox.run(report, SOON);
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(report.contains("TASKS") && report.contains("q5"), "{report}");
}

#[test]
fn a_dead_sign_in_closes_its_account_and_a_new_one_opens_it() {
    let service = FakeService::start();
    let mut sandbox = Sandbox::with(SignIn::Expired, &service);
    sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(MEASURED));
    service.set_oauth(Behaviour::invalid_grant());
    let mut desk = Desk { sandbox };
    desk.ok(&["add", "first"]);
    desk.ok(&["add", "second"]);
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(65));
    assert_eq!(desk.task("q1")["state"], "needs_you");
    assert_eq!(desk.task("q2")["state"], "queued");
    let waits = desk.task("q2")["waits_for"].as_str().unwrap().to_owned();
    assert!(waits.contains("sign in"), "{waits}");
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(65), "it stays closed");
    service.set_oauth(Behaviour::Ok);
    desk.sandbox.sign_in(SignIn::Valid).unwrap();
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(0), "{:#?}", desk.tasks());
    assert_eq!(desk.task("q1")["state"], "done");
}
