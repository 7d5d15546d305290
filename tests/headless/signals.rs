//! Ctrl-C and SIGTERM end a run at once, while it waits and while Claude works.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use claude_safe_testkit::{Behaviour, RequestKind, SignIn, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{SOON, Stage};

fn start(stage: &Stage) -> Child {
    let mut command = stage.safe(&["-p", "hi"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn send(child: &Child, signal: Signal) -> Instant {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    Instant::now()
}

fn waiting() -> (Stage, Child) {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "60s");
    stage.service.set_api(Behaviour::error(500));
    let child = start(&stage);
    let decided = || stage.journalled("decided").pop();
    assert!(wait_until(SOON, decided).is_some(), "{}", stage.service.summary());
    (stage, child)
}

#[test]
fn ctrl_c_ends_a_wait_within_a_second() {
    let (stage, child) = waiting();
    let sent = send(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty(), "{output:?}");
    stage.sandbox.assert_no_leftovers(SOON);
}

#[test]
fn sigterm_ends_a_wait_within_a_second() {
    let (stage, child) = waiting();
    let sent = send(&child, Signal::SIGTERM);
    let status = child.wait_with_output().unwrap().status;
    assert!(sent.elapsed() < Duration::from_secs(1), "{:?}", sent.elapsed());
    assert_eq!(status.code(), Some(143));
    stage.sandbox.assert_no_leftovers(SOON);
}

#[test]
fn ctrl_c_ends_a_wait_for_a_sign_in_and_a_person_is_called_once() {
    let mut stage = Stage::new(SignIn::None);
    let told = stage.sandbox.home().join("told");
    stage.sandbox.env("CLAUDE_SAFE_NOTIFY_COMMAND", format!("cat >> '{}'", told.display()));
    stage.sandbox.env("CLAUDE_SAFE_NOTIFY_ON", "person_needed");
    let mut command = stage.safe(&["run", "--wait-for-login", "10m", "--", "-p", "hi"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let called = || std::fs::read_to_string(&told).ok().filter(|text| text.ends_with('\n'));
    assert!(wait_until(SOON, called).is_some(), "{}", stage.service.summary());
    send(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(called().unwrap_or_default().lines().count(), 1);
}

#[test]
fn both_end_claude_while_it_works() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let stage = Stage::new(SignIn::Valid);
        stage.service.set_api(Behaviour::Hang);
        let child = start(&stage);
        stage.service.wait_for_count(SOON, RequestKind::Turn, 1);
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        stage.sandbox.assert_no_leftovers(SOON);
    }
}

#[test]
fn a_reader_that_leaves_early_ends_the_run_quietly() {
    let stage = Stage::new(SignIn::Valid);
    let mut child = start(&stage);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// A claude that prints more than a pipe holds, and a reader that takes nothing.
#[test]
fn a_reader_that_stands_still_does_not_keep_a_signal_from_ending_the_run() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        for format in ["text", "stream-json"] {
            let mut stage = Stage::new(SignIn::Valid);
            let claude = stage.sandbox.home().join("claude");
            fs::write(&claude, "#!/bin/sh\nyes | head -c 300000\n").unwrap();
            fs::set_permissions(&claude, fs::Permissions::from_mode(0o755)).unwrap();
            stage.sandbox.env("CLAUDE_SAFE_CLAUDE", claude.to_str().unwrap());
            let mut command = stage.safe(&["-p", "hi", "--output-format", format]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let full = || {
                let mut waiting: nix::libc::c_int = 0;
                let stdout = child.stdout.as_ref().unwrap().as_raw_fd();
                // SAFETY: the descriptor is open, and the number is written to.
                unsafe { nix::libc::ioctl(stdout, nix::libc::FIONREAD, &raw mut waiting) };
                (waiting >= 65_536).then_some(())
            };
            assert!(wait_until(SOON, full).is_some(), "{format}: nothing was printed");
            let sent = send(&child, signal);
            let ended = wait_until(SOON, || child.try_wait().unwrap());
            let code_seen = ended.and_then(|status| status.code());
            assert_eq!(code_seen, Some(code), "{format}: {:?} after {signal}", sent.elapsed());
        }
    }
}

#[test]
fn a_slow_reader_gets_every_byte() {
    use std::io::Read as _;
    let mut stage = Stage::new(SignIn::Valid);
    let claude = stage.sandbox.home().join("claude");
    fs::write(&claude, "#!/bin/sh\nyes | head -c 300000\n").unwrap();
    fs::set_permissions(&claude, fs::Permissions::from_mode(0o755)).unwrap();
    stage.sandbox.env("CLAUDE_SAFE_CLAUDE", claude.to_str().unwrap());
    let mut child = start(&stage);
    let (mut read, mut piece) = (0, [0; 1000]);
    loop {
        match child.stdout.as_mut().unwrap().read(&mut piece).unwrap() {
            0 => break,
            more => read += more,
        }
    }
    assert_eq!((read, child.wait().unwrap().code()), (300_000, Some(0)));
}
