//! Launching claude without a terminal: pipes, or a pseudo-terminal as stdout alone when ours is
//! a terminal (claude prints differently to one). In: a command. Out: its bytes and its end.
//! The child stays in our process group, so the terminal's own signals reach it as plain claude's.

mod first_words;
#[cfg(any(test, not(target_os = "linux")))]
mod guard;
mod output;
mod stdin;
mod writer;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::time::Instant;

pub use first_words::FirstWords;
pub use output::{Attempt, Output};
pub use stdin::Stdin;
pub use writer::{stderr, stdout};

use crate::claude::args::OutputFormat;
use crate::failure::ExitReason;
use crate::plan::LaunchPlan;

/// After the child's end its pipe is read on for this long: a grandchild may hold it open.
const DRAIN: Duration = Duration::from_millis(250);
/// However much it prints, no longer than this.
const DRAIN_AT_MOST: Duration = Duration::from_secs(2);

const CHUNK_BYTES: usize = 64 << 10;

/// A running child.
#[derive(Debug)]
pub struct HeadlessChild {
    child: Child,
    /// `None` once it is closed.
    stdout: Option<AsyncFd<File>>,
    /// How it ended, and when its pipe is not read any longer.
    ended: Option<(ExitReason, Instant)>,
    #[cfg(not(target_os = "linux"))]
    _guard: Option<guard::Guard>,
}

/// What a child did next.
#[derive(Debug)]
pub enum Happening {
    /// It printed.
    Printed(Vec<u8>),
    /// It ended, and all it printed has been read.
    Ended(ExitReason),
}

/// A child that was started.
pub struct Launched {
    /// It.
    pub child: HeadlessChild,
    /// Its standard input, where that is a pipe of ours.
    pub stdin: Option<tokio::process::ChildStdin>,
    /// What it says first on standard error, where that is held back.
    pub first_words: Option<FirstWords>,
}

/// Starts the child; `may_refuse`: it may be started again without what we added.
pub fn launch(plan: &LaunchPlan, stdin: &Stdin, may_refuse: bool) -> io::Result<Launched> {
    let (ours, theirs) = pair(&io::stdout())?;
    let mut command = Command::new(&plan.program);
    let (stderr, first_words) = stderr_of(plan, &theirs, may_refuse)?;
    command.args(plan.args()).stderr(stderr).stdout(Stdio::from(theirs));
    command.stdin(match stdin {
        _ if !plan.takes_stdin() => Stdio::null(),
        Stdin::Inherited => Stdio::inherit(),
        Stdin::Taped(_) => Stdio::piped(),
    });
    for (name, value) in plan.environment() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(cwd) = existing(plan.cwd.as_ref()) {
        command.current_dir(cwd);
    }
    end_with_us(&mut command);
    let mut child = command.spawn()?;
    // The command still holds the child's end, which must close for the pipe to end.
    drop(command);
    let stdin = child.stdin.take();
    set_nonblocking(&ours)?;
    // SAFETY: the `File` owns its descriptor and is neither replaced nor closed while registered.
    let stdout = Some(unsafe { AsyncFd::register(File::from(ours)) }?);
    let child = HeadlessChild {
        #[cfg(not(target_os = "linux"))]
        _guard: child.id().and_then(|pid| guard::Guard::new(pid).ok()),
        child,
        stdout,
        ended: None,
    };
    Ok(Launched { child, stdin, first_words })
}

/// However we end, SIGKILL too, claude is told to leave, and ends its tools. (At a terminal the
/// hang-up does that.) The kernel counts from the thread that starts it, which is our only one
/// that lives as long as we do.
#[cfg(target_os = "linux")]
pub(super) fn end_with_us(command: &mut Command) {
    use nix::sys::{prctl, signal::Signal};
    use nix::unistd::{getpid, getppid};
    let us = getpid();
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls:
    // prctl, getppid. It allocates nothing and touches no lock.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Some(Signal::SIGTERM))?;
            // We may have ended before that.
            if getppid() == us { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn end_with_us(_command: &mut Command) {}

/// Where both streams are one terminal and the output is held back, both take the same way, so
/// that their order stays (claude shows the cursor on stderr as it leaves).
fn stderr_of(
    plan: &LaunchPlan,
    stdout: &OwnedFd,
    may_refuse: bool,
) -> io::Result<(Stdio, Option<FirstWords>)> {
    let both = io::stdout().is_terminal() && io::stderr().is_terminal();
    let live = plan.user.output_format() == OutputFormat::StreamJson || plan.user.has("--debug");
    if both && !live {
        return Ok((Stdio::from(stdout.try_clone()?), None));
    }
    let held = if may_refuse { FirstWords::listen()? } else { None };
    Ok(held.map_or((Stdio::inherit(), None), |(words, end)| (end, Some(words))))
}

fn existing(cwd: Option<&PathBuf>) -> Option<&PathBuf> {
    cwd.filter(|dir| dir.is_dir())
}

/// Our end and the child's: a pipe, or a raw pseudo-terminal when our own stream is a terminal.
fn pair(stream: &(impl AsFd + IsTerminal)) -> io::Result<(OwnedFd, OwnedFd)> {
    if !stream.is_terminal() {
        // Both ends are closed on exec, on every platform.
        let (read, write) = io::pipe()?;
        return Ok((read.into(), write.into()));
    }
    let size = crate::launch::terminal_size(stream).ok();
    let pair = openpty(size.as_ref(), None)?;
    // The user's terminal adds the carriage returns; twice would be once too often.
    let mut modes = tcgetattr(&pair.slave)?;
    cfmakeraw(&mut modes);
    tcsetattr(&pair.slave, SetArg::TCSANOW, &modes)?;
    for end in [&pair.master, &pair.slave] {
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    Ok((pair.master, pair.slave))
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

impl HeadlessChild {
    /// The child's process id; 0 once it is reaped.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default()
    }

    /// Waits for what it does next. Cancelling this loses nothing.
    pub async fn next(&mut self) -> io::Result<Happening> {
        loop {
            let bytes = match (self.ended, &self.stdout) {
                (Some((reason, _)), None) => return Ok(Happening::Ended(reason)),
                (Some((reason, latest)), Some(_)) if Instant::now() >= latest => {
                    return Ok(Happening::Ended(reason));
                }
                (Some((reason, latest)), Some(stdout)) => {
                    let until = latest.min(Instant::now() + DRAIN);
                    let Ok(bytes) = tokio::time::timeout_at(until, read(stdout)).await else {
                        return Ok(Happening::Ended(reason));
                    };
                    bytes
                }
                (None, None) => {
                    let status = self.child.wait().await?;
                    self.ended = Some((reason(status), Instant::now() + DRAIN_AT_MOST));
                    continue;
                }
                // In turns: whoever prints without end does not hide the child's end.
                (None, Some(stdout)) => tokio::select! {
                    bytes = read(stdout) => bytes,
                    status = self.child.wait() => {
                        self.ended = Some((reason(status?), Instant::now() + DRAIN_AT_MOST));
                        continue;
                    }
                },
            };
            match bytes {
                Some(bytes) => return Ok(Happening::Printed(bytes)),
                None => self.stdout = None,
            }
        }
    }

    /// Closes our end of its stdout, as a reader that has gone would.
    pub fn close_stdout(&mut self) {
        self.stdout = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        if self.pid() > 0 {
            // It may have ended meanwhile.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal);
        }
    }
}

/// The next bytes; `None` at the end (a pseudo-terminal ends with an I/O error).
async fn read(stdout: &AsyncFd<File>) -> Option<Vec<u8>> {
    use std::io::Read as _;
    loop {
        let mut ready = stdout.readable().await.ok()?;
        let mut buffer = vec![0; CHUNK_BYTES];
        match ready.try_io(|file| file.get_ref().read(&mut buffer)) {
            Ok(Ok(0) | Err(_)) => return None,
            Ok(Ok(read)) => {
                buffer.truncate(read);
                return Some(buffer);
            }
            Err(_would_block) => {}
        }
    }
}

pub(super) fn reason(status: ExitStatus) -> ExitReason {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitReason::Code(code),
        (None, signal) => ExitReason::Signal(signal.unwrap_or_default()),
    }
}

// the other systems have a `yes` too, and other shells
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::claude::args::ClaudeArgs;

    #[tokio::test]
    async fn a_grandchild_that_prints_without_end_does_not_keep_the_run() {
        let words: Vec<_> = ["-c", "yes & exit 3"].into_iter().map(Into::into).collect();
        let plan = LaunchPlan::new("/bin/sh".into(), ClaudeArgs::parse(&words), String::new());
        let launched = launch(&plan, &Stdin::Inherited, false).expect("it starts");
        let mut child = launched.child;
        let ended = async {
            loop {
                if let Happening::Ended(reason) = child.next().await.expect("it can be read") {
                    return reason;
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
        assert_eq!(ended.expect("it ends"), ExitReason::Code(3));
    }
}
