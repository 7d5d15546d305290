//! What a runner does with tasks, around a scripted claude.

use std::time::Instant;

use claude_safe_testkit::wait_until;
use nix::sys::signal::Signal;

use crate::{Desk, SOON};

#[test]
fn tasks_run_in_order_and_the_exit_code_says_how_the_night_was() {
    let desk = Desk::around("case $prompt in bad*) exit 3;; esac");
    for args in [
        &["add", "two", "--priority", "1"][..],
        &["add", "three", "--after", "q1"],
        &["add", "one", "--next"],
    ] {
        desk.ok(args);
    }
    let said = desk.says(&["run", "--until-empty"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert_eq!(desk.lines("ended"), ["one", "two", "three"]);
    for task in desk.tasks() {
        assert_eq!(
            (&task["state"], &task["runs"].as_array().unwrap().len()),
            (&"done".into(), &1),
            "{task:#}"
        );
    }
    desk.ok(&["add", "bad"]);
    desk.ok(&["add", "after bad", "--after", "q4"]);
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(1));
    assert_eq!(desk.task("q4")["waits_for"], "exit 3");
    assert_eq!(desk.task("q5")["waits_for"], "q4, which failed");
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(75), "q5 still waits");
    desk.ok(&["rm", "q5"]);
    // Tried again by hand, and then as often as was asked for.
    desk.ok(&["retry", "q4"]);
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(1));
    assert_eq!(desk.lines("started").iter().filter(|line| *line == "bad").count(), 2);
    assert!(desk.ok(&["logs", "q4"]).is_empty(), "it printed nothing");
}

#[test]
fn a_task_that_is_added_starts_at_once_and_its_end_can_be_waited_for() {
    let desk = Desk::around("case $prompt in bad*) exit 3;; esac");
    let mut runner = desk.runner(&[]);
    desk.ok(&["add", "first"]);
    desk.becomes("q1", "done");
    let began = Instant::now();
    desk.ok(&["add", "second", "--wait"]);
    eprintln!("added, run and told after {:?}", began.elapsed());
    assert_eq!(desk.says(&["add", "bad", "--wait"]).code, Some(1));
    let said = desk.says(&["run"]);
    assert!(
        said.code == Some(75) && said.stderr.contains("is being run already (process"),
        "{said:?}"
    );
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.ends(), Some(143));
}

#[test]
fn a_check_decides_and_a_prompt_is_in_no_list_of_processes_and_no_journal() {
    let desk = Desk::around(
        "[ \"$prompt\" = 'good secret' ] && touch proof; tr '\\0' ' ' </proc/$PPID/cmdline >>\"$HOME/parents\"",
    );
    desk.ok(&["add", "bad secret", "--check", "test -e proof"]);
    desk.ok(&["add", "good secret", "--check", "test -e proof"]);
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(1));
    assert_eq!(desk.task("q1")["state"], "failed");
    assert!(desk.task("q1")["waits_for"].as_str().unwrap().contains("check failed"));
    assert_eq!(desk.task("q2")["state"], "done");
    let parents = std::fs::read_to_string(desk.file("parents")).unwrap();
    assert!(parents.contains("run --once --job q1-") && !parents.contains("secret"), "{parents}");
    for entry in walk(&desk.sandbox.state_dir()) {
        let bytes = std::fs::read(&entry).unwrap();
        let holds = bytes.windows(6).any(|window| window == b"secret");
        let is_store = entry.file_name().unwrap().to_string_lossy().starts_with("queue.db");
        assert!(!holds || is_store, "{}", entry.display());
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .flat_map(
            |entry| if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path()] },
        )
        .filter(|path| path.is_file())
        .collect()
}

#[test]
fn a_run_outlives_its_runner_and_the_next_one_goes_on_with_it() {
    let desk = Desk::around("while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done");
    desk.ok(&["add", "long"]);
    let runner = desk.runner(&[]);
    wait_until(SOON, || (desk.lines("started").len() == 1).then_some(())).expect("it starts");
    runner.signal(Signal::SIGKILL);
    drop(runner);
    let _second = desk.runner(&[]);
    desk.becomes("q1", "running");
    // It is looked at, and neither started again nor given up.
    desk.ok(&["add", "short"]);
    std::fs::write(desk.file("go"), "").unwrap();
    desk.becomes("q1", "done");
    desk.becomes("q2", "done");
    assert_eq!(desk.lines("started"), ["long", "short"]);
}

#[test]
fn what_ended_while_nobody_was_there_is_not_started_again() {
    let desk = Desk::around("while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done");
    desk.ok(&["add", "long"]);
    let runner = desk.runner(&[]);
    wait_until(SOON, || (desk.lines("started").len() == 1).then_some(())).expect("it starts");
    drop(runner);
    std::fs::write(desk.file("go"), "").unwrap();
    let ended = || desk.journal().iter().any(|line| line["event"] == "run_ended").then_some(());
    wait_until(SOON, ended).expect("the run ends");
    assert_eq!(desk.task("q1")["state"], "running", "nobody has booked it");
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(0));
    assert_eq!(desk.task("q1")["state"], "done");
    assert_eq!(desk.lines("started"), ["long"]);
}

#[test]
fn a_runner_that_is_told_to_leave_ends_its_runs_which_go_on_next_time() {
    let desk =
        Desk::around("trap 'exit 143' TERM; i=0; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done");
    desk.ok(&["add", "long"]);
    let mut runner = desk.runner(&[]);
    wait_until(SOON, || (desk.lines("started").len() == 1).then_some(())).expect("it starts");
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.ends(), Some(143));
    let task = desk.task("q1");
    assert_eq!((&task["state"], &task["failures"]), (&"queued".into(), &0.into()), "{task:#}");
    std::fs::write(desk.file("go"), "").unwrap();
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(0));
    assert_eq!(desk.lines("started").len(), 2);
}

#[test]
fn a_task_can_be_stopped_and_put_back_and_one_that_takes_too_long_asks() {
    let desk =
        Desk::around("trap 'exit 143' TERM; while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done");
    let _runner = desk.runner(&["--jobs", "2"]);
    desk.ok(&["add", "stopped"]);
    desk.ok(&["add", "slow", "--timeout", "1s"]);
    desk.becomes("q1", "running");
    let slow = desk.becomes("q2", "needs_you");
    assert!(slow["waits_for"].as_str().unwrap().contains("time limit"), "{slow:#}");
    assert_eq!(desk.says(&["rm", "q1"]).code, Some(2), "it runs");
    desk.ok(&["stop", "q1"]);
    let stopped = desk.becomes("q1", "needs_you");
    assert!(stopped["waits_for"].as_str().unwrap().contains("stopped by you"), "{stopped:#}");
    std::fs::write(desk.file("go"), "").unwrap();
    desk.ok(&["retry", "q1", "q2"]);
    desk.becomes("q1", "done");
    desk.becomes("q2", "done");
}

#[test]
fn two_tasks_that_fail_at_once_pause_the_queue_and_people_are_told() {
    let mut desk = Desk::around("exit 3");
    let told = desk.file("told");
    desk.sandbox.env("CLAUDE_SAFE_NOTIFY_COMMAND", format!("cat >>'{}'", told.display()));
    for name in ["a", "b", "c"] {
        desk.ok(&["add", name]);
    }
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(1));
    assert_eq!(desk.lines("started"), ["a", "b"]);
    let waits = desk.task("q3")["waits_for"].as_str().unwrap().to_owned();
    assert!(waits.contains("paused (q1 and q2 failed at once"), "{waits}");
    let told = std::fs::read_to_string(&told).unwrap();
    let events: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((of("task_failed"), of("queue_paused"), of("gave_up")), (2, 1, 0), "{told}");
    assert!(events.iter().any(|event| event["id"] == "q1" && event["state"] == "failed"), "{told}");
    desk.ok(&["resume"]);
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(1));
    assert_eq!(desk.lines("started").len(), 3);
}

#[test]
fn a_worktree_of_its_own_is_made_told_of_and_cleaned_only_when_empty() {
    let desk = Desk::around("case $prompt in write*) echo new >file;; esac");
    let project = desk.repository();
    desk.ok(&["add", "write", "--worktree"]);
    desk.ok(&["add", "read", "--worktree=main"]);
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(0));
    let (wrote, read) = (desk.task("q1"), desk.task("q2"));
    assert!(wrote["changes"].as_str().unwrap().contains("1 new"), "{wrote:#}");
    assert!(wrote["branch"].as_str().unwrap().starts_with("claude-safe/q1-"));
    assert!(!project.join("file").exists());
    let cleaned = desk.ok(&["clean", "--older", "0s"]);
    assert!(cleaned.contains("it holds changes"), "{cleaned}");
    assert!(std::path::Path::new(wrote["directory"].as_str().unwrap()).join("file").exists());
    assert!(!std::path::Path::new(read["directory"].as_str().unwrap()).exists());
    assert_eq!(desk.tasks().len(), 1, "what has a worktree stays in the history");
}

#[test]
fn an_inbox_makes_a_task_of_each_file_once() {
    let mut desk = Desk::around("");
    let inbox = desk.file("inbox");
    std::fs::create_dir(&inbox).unwrap();
    std::fs::write(inbox.join("good.md"), "From the phone").unwrap();
    std::fs::write(inbox.join("bad.md"), "+++\nnmae = \"x\"\n+++\nx").unwrap();
    std::fs::write(inbox.join("notes.txt"), "no task").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    for name in ["good.md", "bad.md"] {
        std::fs::File::options()
            .write(true)
            .open(inbox.join(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    desk.sandbox.env("CLAUDE_SAFE_QUEUE_INBOX", &inbox);
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(0));
    assert_eq!(desk.lines("ended"), ["From the phone"]);
    assert!(inbox.join("taken/good.md").exists() && inbox.join("notes.txt").exists());
    let why = std::fs::read_to_string(inbox.join("refused/bad.why")).unwrap();
    assert!(why.contains("did you mean `name`?"), "{why}");
}

#[test]
fn a_cap_of_the_day_and_of_a_task_stop_starts_and_ask() {
    let mut desk = Desk::around(
        r#"echo '{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.60,"session_id":"s","result":"x"}'; case $prompt in over) exit 1;; esac"#,
    );
    desk.ok(&["add", "over", "--budget", "0.5"]);
    desk.ok(&["add", "dear"]);
    desk.ok(&["add", "too much"]);
    desk.sandbox.env("CLAUDE_SAFE_QUEUE_MAX_USD_PER_DAY", "1");
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(65));
    assert_eq!(desk.task("q1")["state"], "needs_you");
    assert!(desk.task("q1")["waits_for"].as_str().unwrap().contains("budget is spent"));
    assert_eq!(desk.task("q2")["spent_usd"], 0.6);
    assert_eq!(desk.task("q3")["waits_for"], "tomorrow: queue.max_usd_per_day is spent");
    assert_eq!(desk.lines("started"), ["over", "dear"]);
}

#[test]
fn the_machine_is_kept_awake_while_a_task_runs_and_no_longer() {
    let mut desk = Desk::around("");
    let bin = desk.sandbox.tmp().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let tool = bin.join(if cfg!(target_os = "macos") { "caffeinate" } else { "systemd-inhibit" });
    let script = "#!/bin/sh\necho held >\"$HOME/awake\"; cat; echo let go >>\"$HOME/awake\"\n";
    std::fs::write(&tool, script).unwrap();
    crate::make_executable(&tool);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    desk.sandbox.env("PATH", path).env("CLAUDE_SAFE_QUEUE_INHIBIT_SLEEP", "on");
    desk.ok(&["add", "one"]);
    let mut runner = desk.runner(&[]);
    desk.becomes("q1", "done");
    wait_until(SOON, || (desk.lines("awake").len() == 2).then_some(())).expect("it is let go");
    assert_eq!(desk.lines("awake"), ["held", "let go"]);
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.ends(), Some(143));
}
