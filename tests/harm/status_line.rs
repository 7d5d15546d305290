//! The user's status line at a terminal: run as often as by plain claude, shown as by it.

use std::time::{Duration, Instant};

use claude_safe_testkit::{Terminal, wait_until};
use serde_json::json;

use super::kit::{Aspect, HELLO, Live, Pair, World, person};

/// Long enough for our own interval (3 s) to come round several times.
const LOOKS: Duration = Duration::from_secs(16);

/// A person who asks one question, and stays for a while.
fn stays(terminal: &mut Terminal, _: &Live<'_>) {
    let began = Instant::now();
    person::ready(terminal);
    person::submit(terminal, "good day");
    person::answered(terminal, HELLO);
    wait_until(LOOKS * 2, || (began.elapsed() > LOOKS).then_some(()));
    person::leave(terminal);
}

fn with_line(command: &str) -> Pair {
    World::new::<&str>(&[])
        .settings(&json!({ "statusLine": { "type": "command", "command": command } }))
        .at_terminal(stays)
        .both()
        .same_but(&[Aspect::Files])
}

fn runs(pair: &Pair) -> (usize, usize) {
    let count = |seen: &super::kit::Seen| seen.file("runs").unwrap_or_default().lines().count();
    (count(&pair.plain), count(&pair.safe))
}

#[test]
fn a_slow_line_is_run_no_more_often_and_is_shown() {
    let pair = with_line("cat >/dev/null; echo x >> {project}/runs; sleep 5; echo SLOW-LINE");
    let (plain, safe) = runs(&pair);
    assert!((1..=plain.max(2)).contains(&safe), "plain {plain}, safe {safe}");
}

#[test]
fn one_that_hangs_is_started_once_and_ends_with_the_run() {
    let pair = with_line("cat >/dev/null; echo x >> {project}/runs; exec sleep 600");
    let (plain, safe) = runs(&pair);
    assert!((1..=plain.max(1)).contains(&safe), "plain {plain}, safe {safe}");
    assert_eq!(pair.safe.left, Vec::<String>::new());
}

#[test]
fn a_quick_one_is_run_by_the_same_shell_and_sees_the_same() {
    let line = "cat >/dev/null; echo x >> {project}/runs; echo \"$0 $- $PWD\" > {project}/shell; \
                env | cut -d= -f1 | sort > {project}/names; echo QUICK-LINE";
    let pair = with_line(line);
    let (plain, safe) = runs(&pair);
    assert!((1..=plain).contains(&safe), "plain {plain}, safe {safe}");
    for file in ["shell", "names"] {
        assert_eq!(pair.safe.file(file), pair.plain.file(file), "{file}");
    }
}
