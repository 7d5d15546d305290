//! `status --watch` in a real pseudo-terminal: it draws without flicker, and gives the terminal
//! back on every way out.

use std::process::Command;
use std::time::Duration;

use claude_safe_testkit::{Terminal, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::Termios;
use nix::unistd::Pid;

use crate::journal::{Lines, program, write};

const SOON: Duration = Duration::from_secs(30);
const ENTER: &[u8] = b"\x1b[?1049h";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

fn run_of_now(id: &'static str) -> Lines {
    let now = jiff::Timestamp::now().to_string();
    Lines::of(id).started(&now, std::process::id(), "/srv/loom", "headless")
}

/// The settings of a terminal that no program has changed.
fn untouched() -> Termios {
    let mut terminal = Terminal::spawn(Command::new("true"));
    terminal.wait_exit(SOON);
    terminal.stty()
}

fn count(output: &[u8], bytes: &[u8]) -> usize {
    output.windows(bytes.len()).filter(|window| *window == bytes).count()
}

#[test]
fn it_follows_the_journal_without_flicker_and_restores_the_terminal_on_every_way_out() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let before = untouched();
    write(state.path(), &[run_of_now("aaaa0001")]);
    for (way, code) in [("q", 0), ("\u{3}", 130), ("TERM", 143), ("HUP", 129)] {
        let mut command = program(state.path());
        command.env("TERM", "xterm-256color").args(["status", "--watch"]);
        let mut terminal = Terminal::spawn(command);
        terminal.wait_for_text(SOON, "aaaa0001");
        write(state.path(), &[run_of_now("aaaa0001"), run_of_now("aaaa0002")]);
        terminal.wait_for_text(SOON, "aaaa0002");
        assert_ne!(terminal.stty().local_flags, before.local_flags, "keys are not echoed");
        let signal = |signal| kill(Pid::from_raw(terminal.pid()), signal).expect("ours");
        match way {
            "TERM" => signal(Signal::SIGTERM),
            "HUP" => signal(Signal::SIGHUP),
            key => terminal.send(key),
        }
        assert_eq!(terminal.wait_exit(SOON).code(), Some(code), "{way:?}");
        let output = terminal.output();
        assert!(output.ends_with(LEAVE), "{way:?}");
        assert_eq!(count(&output, b"\x1b[2J"), 1, "cleared once, then only overwritten");
        assert_eq!(terminal.stty(), before, "{way:?}");
        write(state.path(), &[run_of_now("aaaa0001")]);
    }
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_fg_takes_it_again() {
    let state = tempfile::tempdir().expect("a temporary directory");
    let before = untouched();
    write(state.path(), &[run_of_now("aaaa0001")]);
    let mut command = program(state.path());
    command.env("TERM", "xterm-256color").args(["status", "--watch"]);
    let mut terminal = Terminal::spawn(command);
    terminal.wait_for_text(SOON, "aaaa0001");
    terminal.send("\u{1a}");
    let stat = format!("/proc/{}/stat", terminal.pid());
    let stopped = wait_until(SOON, || {
        std::fs::read_to_string(&stat).ok().filter(|stat| stat.contains(") T "))
    });
    assert!(stopped.is_some(), "it stops");
    terminal.wait_for_output(SOON, LEAVE);
    assert_eq!(terminal.stty(), before);
    kill(Pid::from_raw(terminal.pid()), Signal::SIGCONT).expect("ours");
    let again = wait_until(SOON, || (count(&terminal.output(), ENTER) == 2).then_some(()));
    assert!(again.is_some(), "it draws again");
    terminal.wait_for_text(SOON, "aaaa0001");
    terminal.send("q");
    assert_eq!(terminal.wait_exit(SOON).code(), Some(0));
    assert_eq!(terminal.stty(), before);
}
