//! The same inside tmux, where Claude writes no busy title.

use std::fs;

use claude_safe_testkit::{Behaviour, SignIn, Terminal};

use crate::kit::{Desk, HELLO, SOON, ready, submit};

/// A terminal in which tmux shows claude-safe and nothing else.
fn in_tmux(desk: &Desk) -> Terminal {
    let config = desk.sandbox.tmp().join("tmux.conf");
    fs::write(&config, "set -g status off\nset -s escape-time 0\n").unwrap();
    let mut command = desk.sandbox.command("tmux");
    command.env("TMUX_TMPDIR", desk.sandbox.tmp());
    command.args(["-L", "desk", "-f"]).arg(config);
    command.args(["new-session", env!("CARGO_BIN_EXE_claude-safe")]);
    let terminal = Terminal::spawn(command);
    ready(&terminal);
    terminal
}

fn recovers(desk: &Desk) {
    let terminal = in_tmux(desk);
    submit(&terminal, "hello");
    terminal.wait_for_text(SOON, "claude-safe:");
    desk.service_is_back();
    terminal.wait_for_text(SOON, HELLO);
    assert_eq!(desk.answered(), 1, "{}", desk.tells());
    desk.wait_for_events("recovered", 1);
    assert_eq!(desk.events("attempt_started").len(), 1);
}

#[test]
fn in_tmux_a_failing_refresh_that_comes_back_completes_the_turn() {
    let desk = Desk::new(SignIn::Expired);
    desk.service.set_oauth(Behaviour::error(500));
    recovers(&desk);
}

#[test]
fn in_tmux_a_failing_api_that_comes_back_completes_the_turn() {
    let desk = Desk::new(SignIn::Valid).gives_up_soon();
    desk.service.set_api(Behaviour::error(500));
    recovers(&desk);
}
