//! How runs end: by their own end, however long that takes, by a signal, by SIGKILL.

use std::time::{Duration, Instant};

use claude_safe_testkit::{Answer, Behaviour, RequestKind, Terminal, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::kit::{Live, Outage, SOON, World, person};

const ALLOWED: [&str; 4] = ["-p", "--permission-mode", "bypassPermissions", "build it"];

/// Waits in the background of the test's world until `{project}/go` is there, for 40 s at most.
const WAITS: &str = "n=0; while [ ! -e {project}/go ] && [ $n -lt 400 ]; do sleep 0.1; \
                     n=$((n+1)); done";

fn end(live: &Live<'_>, signal: Signal) {
    kill(Pid::from_raw(live.pid), signal).unwrap();
}

/// Lets the wait of the world go on once it has lasted far longer than `watch.hang_after`.
fn patience(live: &Live<'_>) {
    const LONG: Duration = Duration::from_secs(9);
    let marks = live.sandbox.project().join("waits");
    let began = wait_until(SOON, || marks.exists().then(Instant::now));
    let began = began.unwrap_or_else(|| panic!("{}", live.service.summary()));
    wait_until(LONG * 2, || (began.elapsed() > LONG).then_some(()));
    std::fs::write(live.sandbox.project().join("go"), "").unwrap();
}

/// A world in which this event's hook waits.
fn waits_in(event: &str) -> World {
    let command = format!("cat >/dev/null; echo x >> {{project}}/waits; {WAITS}");
    let hook = json!([{ "hooks": [{ "type": "command", "command": command, "timeout": 60 }] }]);
    World::new(&ALLOWED)
        .settings(&json!({ "hooks": { event: hook } }))
        .answer(Answer::bash("echo built >> built.txt", "Built."))
        .env("CLAUDE_SAFE_WATCH_HANG_AFTER", "5s")
        .meanwhile(patience)
}

#[test]
fn a_hook_that_waits_for_a_build_is_not_hung() {
    for event in ["Stop", "PreToolUse", "PostToolUse", "UserPromptSubmit"] {
        let pair = waits_in(event).both().same();
        assert_eq!(pair.safe.stdout.trim_end(), "Built.", "{event}");
        assert_eq!(pair.safe.events("attempt_started").len(), 1, "{event}; {}", pair.tells());
    }
}

#[test]
fn nor_is_a_tool_that_sleeps() {
    let command = format!("echo x >> waits; {WAITS}; echo built >> built.txt");
    let world = World::new(&ALLOWED)
        .answer(Answer::bash(&command, "Built."))
        .env("CLAUDE_SAFE_WATCH_HANG_AFTER", "5s")
        .meanwhile(patience);
    let pair = world.both().same();
    assert_eq!(pair.safe.events("attempt_started").len(), 1, "{}", pair.tells());
}

#[test]
fn a_run_that_is_ended_in_its_second_attempt_has_not_recovered() {
    let notes = "printf '%s\\n' \"$CLAUDE_SAFE_EVENT $*\" >> {project}/told.txt";
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let safe = World::new(&["-p", "hi"])
            .env("CLAUDE_SAFE_NOTIFY_COMMAND", notes)
            // a look would hang with the service, and hold the second attempt back
            .env("CLAUDE_SAFE_SERVICE_PROBE", "off")
            .outage(Outage::requests(2))
            .meanwhile(move |live| {
                live.service.wait_for(SOON, "two failures", |all| {
                    all.iter().filter(|one| one.status == Some(500)).count() == 2
                });
                live.service.set_api(Behaviour::Hang);
                live.service.wait_for_count(SOON, RequestKind::Turn, 3);
                end(live, signal);
            })
            .safe();
        assert_eq!(safe.code, 128 + signal as i32, "{safe:#?}");
        assert!(!safe.stderr.contains("recovered"), "{}", safe.stderr);
        assert!(safe.events("recovered").is_empty(), "{:#?}", safe.journal);
        let told = safe.file("told.txt").unwrap_or_default();
        assert!(!told.contains("recovered"), "{told}");
    }
}

/// A tool that writes again after a while, and the model would call the next one.
fn works(world: World) -> World {
    let slow = format!("echo x >> waits; {WAITS}; echo late >> late.txt");
    world.tools(
        &[
            ("Bash", json!({ "command": slow, "description": "Work" })),
            ("Bash", json!({ "command": "echo next >> next.txt", "description": "Next" })),
        ],
        "Built.",
    )
}

fn starts_its_tool(live: &Live<'_>) {
    let marks = live.sandbox.project().join("waits");
    let begun = wait_until(SOON, || marks.exists().then_some(()));
    assert!(begun.is_some(), "{}", live.service.summary());
}

#[test]
fn after_sigkill_no_claude_and_no_tool_goes_on() {
    let safe = works(World::new(&ALLOWED))
        .meanwhile(|live| {
            starts_its_tool(live);
            end(live, Signal::SIGKILL);
            std::fs::write(live.sandbox.project().join("killed"), "").unwrap();
            let gone = || live.sandbox.processes().is_empty().then_some(());
            wait_until(Duration::from_secs(15), gone);
            std::fs::write(live.sandbox.project().join("go"), "").unwrap();
        })
        .safe();
    assert_eq!(safe.left, Vec::<String>::new());
    assert_eq!((safe.file("late.txt"), safe.file("next.txt")), (None, None), "{safe:#?}");
}

#[test]
fn at_a_terminal_too() {
    let safe = works(World::new(&ALLOWED[1..3]))
        .at_terminal(|terminal: &mut Terminal, live| {
            person::ready(terminal);
            person::submit(terminal, "build it");
            starts_its_tool(live);
            end(live, Signal::SIGKILL);
            let gone = || live.sandbox.processes().is_empty().then_some(());
            wait_until(Duration::from_secs(15), gone);
            std::fs::write(live.sandbox.project().join("go"), "").unwrap();
        })
        .settings(&json!({ "skipDangerousModePermissionPrompt": true }))
        .safe();
    assert_eq!(safe.left, Vec::<String>::new());
    assert_eq!((safe.file("late.txt"), safe.file("next.txt")), (None, None), "{safe:#?}");
}
