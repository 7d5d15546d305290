//! The demonstration: a whole recovery by the built binary, in a terminal and without one.

use std::time::Duration;

use claude_safe_testkit::{Sandbox, SignIn, Terminal};

const DEADLINE: Duration = Duration::from_secs(90);
const ANSWER: &str = "this answer came in the turn that failed twice";

#[test]
fn without_a_terminal_the_answer_alone_is_printed_and_the_recovery_told() {
    let sandbox = Sandbox::new(SignIn::None);
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
    // No claude there, so `try` shows the demonstration.
    command.arg("try").env("PATH", "/usr/bin:/bin");
    let output = sandbox.run(command, DEADLINE);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert_eq!(stdout.matches(ANSWER).count(), 1, "{stdout}");
    assert!(!stdout.contains("API Error"), "{stdout}");
    assert!(stdout.contains("ran it again"), "{stdout}");
    sandbox.assert_no_leftovers(Duration::from_secs(10));
}

#[test]
fn in_a_terminal_it_recovers_with_no_key_pressed() {
    let sandbox = Sandbox::new(SignIn::None);
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
    command.arg("demo");
    let mut terminal = Terminal::spawn(command);
    terminal.wait_for_text(DEADLINE, "esc cancels");
    terminal.wait_for_text(DEADLINE, "in the turn that failed twice");
    terminal.wait_for_text(DEADLINE, "no key pressed");
    let exit = terminal.wait_exit(DEADLINE);
    assert!(exit.success(), "{exit:?}");
    sandbox.assert_no_leftovers(Duration::from_secs(10));
}
