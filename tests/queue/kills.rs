//! Runners are killed, frozen and let go on: nothing is lost, and nothing starts again that has
//! ended.

use std::collections::BTreeMap;
use std::process::Stdio;

use claude_safe_testkit::wait_until;
use nix::sys::signal::Signal;

use crate::{Desk, Running, SOON};

/// How many tasks and kills; docs/queue.md has the figures of a long run.
pub fn size(name: &str, few: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Three runners, of `host`s, of which one at random is killed so many times; `meanwhile` is
/// called at each kill.
pub fn killed_at_random(
    desk: &Desk,
    (tasks, kills): (usize, usize),
    host: &dyn Fn(usize, &[&str]) -> std::process::Command,
    mut meanwhile: impl FnMut(usize),
) {
    let files: Vec<String> = (0..tasks)
        .map(|number| {
            let path = desk.sandbox.tmp().join(format!("{number}.md"));
            std::fs::write(&path, format!("task {number}")).unwrap();
            path.to_string_lossy().into_owned()
        })
        .collect();
    for some in files.chunks(500) {
        let mut args = vec!["add", "-f"];
        args.extend(some.iter().map(String::as_str));
        desk.ok(&args);
    }
    let said = desk.sandbox.tmp().join("runner");
    let start = |number: usize| {
        let log = std::fs::File::options().append(true).create(true).open(&said).unwrap();
        let mut command = host(number, &["run", "--jobs", "2"]);
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    };
    let mut runners: Vec<Running> = (0..3).map(start).collect();
    for kill in 1..=kills {
        let due = tasks * kill / (kills + 1);
        let reached = || (desk.lines("ended").len() >= due).then_some(());
        wait_until(SOON * 2, reached)
            .unwrap_or_else(|| panic!("{} of {tasks} ended", desk.lines("ended").len()));
        let one = fastrand::usize(0..3);
        runners[one].signal(Signal::SIGKILL);
        // Its lock is free when it is gone, not when it is told to go.
        runners[one].ends();
        meanwhile(kill);
        runners[one] = start(one);
    }
    let done = || desk.tasks().iter().all(|task| task["state"] == "done").then_some(());
    wait_until(SOON * 2, done).unwrap_or_else(|| {
        let left: Vec<_> =
            desk.tasks().into_iter().filter(|task| task["state"] != "done").take(5).collect();
        panic!("{left:#?}\n{}", std::fs::read_to_string(&said).unwrap())
    });
    let count = |file: &str| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for line in desk.lines(file) {
            *counts.entry(line).or_default() += 1;
        }
        counts
    };
    let (started, ended) = (count("started"), count("ended"));
    eprintln!("{tasks} tasks, {kills} kills: {} started, {} ended", started.len(), ended.len());
    assert_eq!(ended.len(), tasks, "none is lost");
    assert!(ended.values().all(|times| *times == 1), "none ended twice: {ended:?}");
    assert!(started.values().all(|times| *times == 1), "none started twice: {started:?}");
}

#[test]
fn runners_are_killed_at_random_and_no_task_is_lost_or_started_after_its_end() {
    let size = (size("CLAUDE_SAFE_TEST_TASKS", 90), size("CLAUDE_SAFE_TEST_KILLS", 6));
    let desk = Desk::around("");
    // One runner a host: three hosts, one disk.
    let host = |number: usize, args: &[&str]| {
        let mut command = desk.command(args);
        command.env("CLAUDE_SAFE_QUEUE_OWNER", format!("host{number}"));
        command
    };
    killed_at_random(&desk, size, &host, |_| {});
}

#[test]
fn a_frozen_runner_keeps_its_task_and_delays_no_other_host() {
    let desk = Desk::around("while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done");
    desk.ok(&["add", "held"]);
    let frozen = desk.runner(&[]);
    wait_until(SOON, || (desk.lines("started").len() == 1).then_some(())).expect("it starts");
    frozen.signal(Signal::SIGSTOP);
    let mut other = desk.command(&["run", "--until-empty"]);
    other.env("CLAUDE_SAFE_QUEUE_OWNER", "other");
    desk.ok(&["add", "free"]);
    std::fs::write(desk.file("go"), "").unwrap();
    let output = desk.sandbox.run(other, SOON);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(desk.lines("started"), ["held", "free"]);
    frozen.signal(Signal::SIGCONT);
    desk.becomes("q1", "done");
    assert_eq!(desk.lines("started"), ["held", "free"]);
}
