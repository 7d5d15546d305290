//! The terminal itself: job control, size, pastes.

use claude_safe_testkit::{SignIn, Size, Terminal};

use crate::kit::{Desk, HELLO, SOON, answered, ready, submit};

#[test]
fn ctrl_z_and_fg_work_in_an_interactive_shell() {
    let desk = Desk::new(SignIn::Valid);
    let mut shell = desk.sandbox.command("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env("PS1", "shell> ");
    let mut terminal = Terminal::spawn(shell);
    terminal.wait_for_text(SOON, "shell>");
    terminal.send(format!("{}\r", env!("CARGO_BIN_EXE_claude-safe")));
    ready(&terminal);
    submit(&terminal, "good day");
    answered(&terminal);
    terminal.send("\x1a");
    terminal.wait_for_text(SOON, "Stopped");
    assert!(!terminal.screen().vt().bracketed_paste() || terminal.screen().contains("shell>"));
    terminal.send("echo in-$((20 + 3))\r");
    terminal.wait_for_text(SOON, "in-23");
    terminal.send("fg\r");
    terminal.wait_for_screen(SOON, "claude's box again", |now| {
        now.input().is_some() && now.contains(HELLO)
    });
    ready(&terminal);
    submit(&terminal, "and again");
    desk.service.wait_for(SOON, "a second turn", |all| {
        all.iter().any(|one| one.asks("and again") && one.status == Some(200))
    });
    ready(&terminal);
    terminal.send("\x03\x03");
    terminal.wait_for_screen(SOON, "the shell's prompt", |now| {
        now.contains("claude --resume") && now.rows().iter().any(|row| row == "shell>")
    });
    terminal.send("echo code=$?\r");
    terminal.wait_for_text(SOON, "code=0");
    terminal.send("exit\r");
    assert!(terminal.wait_exit(SOON).success());
    desk.assert_nothing_happened();
}

#[test]
fn a_resize_reaches_claude_in_both_directions() {
    let desk = Desk::new(SignIn::Valid);
    let terminal = desk.sit_down::<&str>(&[]);
    for (rows, cols) in [(30, 132), (24, 80)] {
        terminal.resize(Size { rows, cols });
        let rule = "─".repeat(usize::from(cols));
        terminal.wait_for_screen(SOON, "a box of the new width", |now| now.rows().contains(&rule));
    }
    submit(&terminal, "good day");
    answered(&terminal);
    desk.assert_nothing_happened();
}

#[test]
fn a_paste_of_several_lines_arrives_as_it_was() {
    let desk = Desk::new(SignIn::Valid);
    let terminal = desk.sit_down::<&str>(&[]);
    terminal.send("\x1b[200~first line\nsecond ünï line\x1b[201~");
    terminal.wait_for_text(SOON, "second ünï line");
    terminal.send("\r");
    answered(&terminal);
    assert!(desk.service.turns()[0].asks("first line\nsecond ünï line"), "{}", desk.tells());
}
