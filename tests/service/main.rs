//! The service as seen over real sockets and by real processes: endpoints that misbehave in
//! every way we know, a proxy, a network without DNS, and runs that are killed while they hold
//! what all runs share.

mod check;
mod fake;
mod probes;
mod processes;

use std::process::{Command, Output};

/// Runs one test of this binary again in a process of its own, which then plays `part`.
fn again(test: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test's binary"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(PART, part);
    command
}

/// The variable that names the part this process plays; the tests themselves play none.
const PART: &str = "CLAUDE_SAFE_TEST_PART";

fn part() -> Option<String> {
    std::env::var(PART).ok()
}

fn assert_success(output: &Output) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
