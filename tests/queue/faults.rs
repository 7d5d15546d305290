//! Clocks that are set and disks that are full: nothing is lost, nothing starts twice.

use std::path::Path;
use std::process::Stdio;

use claude_safe_testkit::wait_until;

use crate::{Desk, Running, SOON};

/// The library that gives a program a clock which a file sets.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[test]
fn a_clock_that_is_set_back_and_forward_loses_nothing_and_ends_nothing() {
    let desk = Desk::around("while [ ! -e \"$HOME/go $prompt\" ]; do sleep 0.05; done");
    assert!(Path::new(FAKETIME).exists(), "faketime is installed (tests/install)");
    let clock = desk.sandbox.tmp().join("clock");
    let set = |offset: &str| {
        // Whole at each moment: every look at the clock reads it.
        let next = clock.with_extension("next");
        std::fs::write(&next, offset).unwrap();
        std::fs::rename(next, &clock).unwrap();
    };
    let go = |task: &str| std::fs::write(desk.file(&format!("go {task}")), "").unwrap();
    let runner = || {
        let mut command = desk.command(&["run"]);
        command.env("LD_PRELOAD", FAKETIME).env("FAKETIME_TIMESTAMP_FILE", &clock);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("DONT_FAKE_MONOTONIC", "1");
        let said = std::fs::File::create(desk.sandbox.tmp().join("runner")).unwrap();
        Running(command.stdout(Stdio::null()).stderr(said).spawn().unwrap())
    };
    set("+0");
    desk.ok(&["add", "now"]);
    desk.ok(&["add", "later", "--at", "1h"]);
    desk.ok(&["add", "next"]);
    go("later");
    let first = runner();
    desk.becomes("q1", "running");
    set("-5h");
    go("now");
    desk.becomes("q1", "done");
    desk.becomes("q3", "running");
    wait_until(SOON, || (desk.lines("started").len() == 2).then_some(())).expect("it starts");
    drop(first);
    // Longer than a task may run, by the calendar; and past the time that one waits for.
    set("+10h");
    let _second = runner();
    desk.becomes("q2", "queued");
    go("next");
    desk.becomes("q3", "done");
    desk.becomes("q2", "done");
    assert_eq!(desk.lines("started"), ["now", "next", "later"]);
    assert_eq!(desk.lines("ended"), ["now", "next", "later"]);
}

/// Runs a shell script in a namespace where the state directory is a small disk. `$QUEUE` is
/// our command, `fill` fills the disk, `until_true` waits for a condition.
fn on_a_small_disk(desk: &Desk, script: &str) -> String {
    let state = desk.sandbox.state_dir();
    std::fs::create_dir_all(&state).unwrap();
    let script = format!(
        "fill() {{ dd if=/dev/zero of=\"$STATE/fill\" bs=1k 2>/dev/null || true; }}
         until_true() {{ n=0; until eval \"$1\"; do n=$((n + 1)); [ $n -lt 900 ] || exit 9; sleep 0.1; done; }}
         mount -t tmpfs -o size=4m,mode=700 none \"$STATE\"\n{script}"
    );
    let mut command = desk.sandbox.command("unshare");
    command.args(["-rm", "sh", "-euc", &script]).stdin(Stdio::null());
    command.env("QUEUE", format!("{} queue", env!("CARGO_BIN_EXE_claude-safe")));
    command.env("STATE", &state);
    let output = desk.sandbox.run(command, SOON);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{:?}: {said}", output.status);
    said
}

#[test]
fn a_full_disk_refuses_a_task_and_says_so_and_keeps_the_others() {
    let desk = Desk::around("");
    let said = on_a_small_disk(
        &desk,
        "$QUEUE add one
         fill
         $QUEUE add two && exit 8; echo code $?
         rm \"$STATE/fill\"
         $QUEUE list
         $QUEUE add three
         $QUEUE run --until-empty",
    );
    assert!(said.contains("no space is left for the queue") && said.contains("code 125"), "{said}");
    assert_eq!(desk.lines("ended"), ["one", "three"], "{said}");
}

#[test]
fn a_disk_that_fills_up_while_a_task_runs_costs_it_nothing() {
    let desk = Desk::around("while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done");
    let said = on_a_small_disk(
        &desk,
        "$QUEUE add one; $QUEUE add two
         $QUEUE run --until-empty 2>said &
         until_true 'grep -q one \"$HOME/started\"'
         fill
         touch \"$HOME/go\"
         until_true 'grep -q one \"$HOME/ended\" && grep -q \"no space\" said'
         rm \"$STATE/fill\"
         wait $! && echo all done
         $QUEUE list --all; cat said",
    );
    assert!(said.contains("all done") && said.contains("can be used again"), "{said}");
    assert_eq!(desk.lines("started"), ["one", "two"], "{said}");
    assert_eq!(desk.lines("ended"), ["one", "two"], "{said}");
}
