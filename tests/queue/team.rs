//! Several hosts on one database: two state directories, two owners, a real `PostgreSQL`. What a
//! host begins stays there; what the service and a limit say to one, all hear; a database that
//! is away costs nothing that runs.

use std::process::Command;

use claude_safe_testkit::postgres::HOST;
use claude_safe_testkit::{PostgresServer, wait_until};
use serde_json::Value;

use crate::kills::{killed_at_random, size};
use crate::{Desk, Running, SOON};

/// A desk whose queue is in a database.
fn team(claude: &str) -> (PostgresServer, Desk) {
    let server = PostgresServer::start();
    let mut desk = Desk::around(claude);
    desk.sandbox.env("CLAUDE_SAFE_QUEUE_STORE", server.url());
    (server, desk)
}

/// A command of this host, which has a state directory of its own.
fn on(desk: &Desk, host: &str, args: &[&str]) -> Command {
    let mut command = desk.command(args);
    command.env("CLAUDE_SAFE_QUEUE_OWNER", host);
    command.env("CLAUDE_SAFE_STATE_DIR", desk.sandbox.tmp().join(host));
    command
}

fn runner(desk: &Desk, host: &str, labels: &str) -> Running {
    let mut command = on(desk, host, &["run"]);
    command.env("CLAUDE_SAFE_QUEUE_LABELS", labels);
    let said = desk.sandbox.tmp().join(format!("{host}.said"));
    let said = std::fs::File::options().append(true).create(true).open(said).unwrap();
    Running(command.stdout(std::process::Stdio::null()).stderr(said).spawn().unwrap())
}

fn said(desk: &Desk, host: &str) -> String {
    std::fs::read_to_string(desk.sandbox.tmp().join(format!("{host}.said"))).unwrap_or_default()
}

#[test]
fn hosts_share_a_queue_and_what_one_begins_stays_there() {
    let (_server, desk) = team(
        "trap 'exit 143' TERM; while [ ! -e \"$HOME/go $prompt\" ]; do sleep 0.05; done; pwd >>\"$HOME/where\"",
    );
    let go = |task: &str| std::fs::write(desk.file(&format!("go {task}")), "").unwrap();
    // A repository that no host has yet.
    let project = desk.repository();
    let clone = desk.sandbox.tmp().join("clones/app");
    desk.ok(&[
        "add",
        "clone",
        "--repo",
        project.to_str().unwrap(),
        "--dir",
        clone.to_str().unwrap(),
    ]);
    desk.ok(&["add", "graphics", "--label", "gpu"]);
    let first = desk.ok(&["list"]);
    assert!(first.contains("a host with gpu"), "{first}");
    let one = runner(&desk, "one", "");
    desk.becomes("q1", "running");
    assert_eq!(desk.task("q2")["waits_for"], "a host with gpu");
    let _two = runner(&desk, "two", "gpu, linux");
    desk.becomes("q2", "running");
    assert_eq!(
        (&desk.task("q1")["owner"], &desk.task("q2")["owner"]),
        (&"one".into(), &"two".into())
    );
    wait_until(SOON, || (desk.lines("started").len() == 2).then_some(())).expect("they start");
    // A host that is gone keeps its task until a person says otherwise.
    let mut ended = one;
    ended.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(ended.ends(), Some(143));
    assert_eq!(desk.task("q1")["state"], "queued");
    desk.ok(&["add", "third"]);
    go("third");
    // Stopped from a host where it does not run.
    desk.ok(&["stop", "q2"]);
    desk.becomes("q2", "needs_you");
    desk.becomes("q3", "done");
    let held = desk.task("q1");
    assert_eq!((&held["state"], &held["owner"]), (&"queued".into(), &"one".into()), "{held:#}");
    desk.ok(&["release", "q1"]);
    go("clone");
    assert_eq!(desk.becomes("q1", "done")["owner"], "two");
    let there = clone.canonicalize().unwrap().display().to_string();
    assert!(desk.lines("where").contains(&there), "{:?}", desk.lines("where"));
}

#[test]
fn a_database_that_is_away_is_waited_for_and_what_runs_goes_on() {
    let (mut server, desk) = team("while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done");
    desk.ok(&["add", "one"]);
    let _runner = runner(&desk, "one", "");
    wait_until(SOON, || (desk.lines("started").len() == 1).then_some(())).expect("it starts");
    server.crash();
    let refused = desk.says(&["add", "two"]);
    assert_eq!(refused.code, Some(125));
    assert!(refused.stderr.contains("does not answer"), "{refused:?}");
    std::fs::write(desk.file("go"), "").unwrap();
    let told = || {
        (desk.lines("ended").len() == 1 && said(&desk, "one").contains("does not answer"))
            .then_some(())
    };
    wait_until(SOON, told).unwrap_or_else(|| panic!("{}", said(&desk, "one")));
    server.start_again();
    desk.becomes("q1", "done");
    // A server that crashed leaves out numbers.
    let second = desk.ok(&["add", "two"]);
    desk.becomes(second.trim(), "done");
    assert_eq!(desk.lines("started"), ["one", "two"]);
    let said = said(&desk, "one");
    assert!(said.contains("can be used again"), "{said}");
    assert_eq!(said.matches("does not answer").count(), 1, "said once: {said}");
}

#[test]
fn runners_and_the_server_are_killed_at_random_and_no_task_is_lost_or_started_twice() {
    let (mut server, desk) = team("");
    let size = (size("CLAUDE_SAFE_TEST_TASKS", 30), size("CLAUDE_SAFE_TEST_KILLS", 4));
    let host = |number: usize, args: &[&str]| on(&desk, &format!("host{number}"), args);
    killed_at_random(&desk, size, &host, |kill| {
        if kill % 2 == 0 {
            server.crash();
            server.start_again();
        }
    });
}

#[test]
fn in_an_outage_one_task_of_all_hosts_goes_ahead_and_the_others_follow_at_a_pace() {
    let failed = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":529,"num_turns":1,"result":"API Error: 529 Overloaded","session_id":"s","total_cost_usd":0}"#;
    let (server, desk) = team(&format!(
        "if [ -e \"$HOME/down\" ]; then echo '{failed}'; exit 1; fi; echo \"start $prompt\" >>\"$HOME/order\"; sleep 1; echo \"end $prompt\" >>\"$HOME/order\""
    ));
    std::fs::write(desk.file("down"), "").unwrap();
    for task in ["a", "b", "c", "d", "e"] {
        desk.ok(&["add", task]);
    }
    let _runners = [runner(&desk, "one", ""), runner(&desk, "two", "")];
    // Both met it; one of them leads.
    let follows = || {
        ["one", "two"].into_iter().find(|host| {
            let list = desk.sandbox.run(on(&desk, host, &["list"]), SOON);
            String::from_utf8_lossy(&list.stdout).contains("looks)")
        })
    };
    let follower = wait_until(SOON, follows).unwrap_or_else(|| {
        let notes = server.sql("SELECT name, value FROM claude_safe.note");
        panic!("{notes}\n{}\n{}", said(&desk, "one"), said(&desk, "two"))
    });
    let leader = if follower == "one" { "two" } else { "one" };
    let note = server.sql("SELECT value FROM claude_safe.note WHERE name LIKE 'service %'");
    let note: Value = serde_json::from_str(&note).unwrap();
    assert_eq!(note["by"], leader, "{note}");
    std::fs::remove_file(desk.file("down")).unwrap();
    let done = || desk.tasks().iter().all(|task| task["state"] == "done").then_some(());
    wait_until(SOON, done).unwrap_or_else(|| panic!("{:#?}", desk.tasks()));
    let order = desk.lines("order");
    let first = order[0].strip_prefix("start ").unwrap();
    assert_eq!(order[1], format!("end {first}"), "one goes ahead: {order:?}");
    let mut starts: Vec<jiff::Timestamp> = desk
        .tasks()
        .iter()
        .map(|task| task["started"].as_str().unwrap().parse().unwrap())
        .collect();
    starts.sort();
    for pair in starts.windows(2) {
        let apart = pair[1].duration_since(pair[0]);
        assert!(apart.as_millis() >= 400, "{starts:?}");
    }
    let over = server.sql("SELECT count(*) FROM claude_safe.note WHERE name LIKE 'service %'");
    assert_eq!(over, "0");
}

#[test]
fn over_a_network_the_server_shows_a_certificate_and_the_password_stands_in_its_file() {
    let server = PostgresServer::start();
    server.sql("CREATE ROLE worker LOGIN PASSWORD 'hunter2'");
    server.sql("GRANT CREATE ON DATABASE postgres TO worker");
    let mut desk = Desk::around("");
    let port = server.port();
    let url = |host: &str| format!("postgres://worker@{host}:{port}/postgres?hostaddr=127.0.0.1");
    let passwords = desk.file("passwords");
    std::fs::write(&passwords, format!("{HOST}:{port}:postgres:worker:hunter2\n")).unwrap();
    desk.sandbox.env("PGPASSFILE", &passwords).env("CLAUDE_SAFE_QUEUE_STORE", url(HOST));
    let refused = |desk: &Desk, why: &str| {
        let said = desk.says(&["add", "x"]);
        assert_eq!(said.code, Some(125), "{said:?}");
        assert!(said.stderr.contains(why) && !said.stderr.contains("hunter2"), "{why}: {said:?}");
    };
    let mode = |mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&passwords, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o644);
    refused(&desk, "chmod 600");
    mode(0o600);
    refused(&desk, "certificate");
    desk.sandbox.env("NODE_EXTRA_CA_CERTS", server.certificate());
    assert_eq!(desk.ok(&["add", "x"]), "q1\n");
    desk.sandbox.env("CLAUDE_SAFE_QUEUE_STORE", url("other.example"));
    refused(&desk, "certificate");
}
