//! A pseudo-terminal of our own and the child in it.
//!
//! The pair is opened with portable-pty; the child is started with the standard library, since
//! portable-pty would move it to `$HOME`, close its descriptors and forget its ignored signals.
//! The child gets what a plain child gets: directory, umask, environment, descriptors, signals.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::task::{Context, Poll, ready};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::termios::{self, SetArg};
use nix::unistd::{self, Pid};
use portable_pty::{MasterPty, PtySize};
use tokio::io::Interest;
use tokio::process::Child;

use super::descriptor::Descriptor;
use super::job_control::LineMode;
use super::tty::Tty;
use crate::failure::ExitReason;
use crate::launch::is_ignored;
use crate::process;

/// A read that brought this much (bytes) is likely followed by more; a shorter one is the end of a
/// burst.
const FLOOD: usize = 2 * 1024;

/// What to start, and what differs from our own environment.
#[derive(Clone, Default)]
pub struct Launch {
    /// The file to execute; without a slash it is looked up in the child's `PATH`.
    pub program: PathBuf,
    /// The name the child sees itself called by; `program` if `None`.
    pub argv0: Option<OsString>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set, or with `None` to remove; all others are inherited.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Where it starts; our own directory if `None`.
    pub cwd: Option<PathBuf>,
}

/// Why nothing was started. The message names the program or the directory.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program: exit 127.
    #[error("cannot find {}", program.display())]
    NotFound {
        /// What was looked for.
        program: PathBuf,
    },
    /// The program is there but cannot be executed: exit 126.
    #[error("cannot run {}: {source}", program.display())]
    CannotRun {
        /// What was to be executed.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory to start in cannot be entered: exit 126.
    #[error("cannot start in {}: {source}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No pseudo-terminal could be had: exit 125.
    #[error("cannot open a pseudo-terminal: {0}")]
    Pty(io::Error),
}

/// A running child and the master side of its terminal.
pub struct PtyChild {
    master: Descriptor,
    /// Kept for its resize; it refers to the same terminal as `master`.
    control: Box<dyn MasterPty + Send>,
    process: Child,
    pid: Pid,
}

/// Starts `launch` in a new PTY with the size and settings of the user's terminal.
///
/// Must be called inside a tokio runtime with I/O enabled.
pub fn spawn(launch: &Launch, tty: &Tty) -> Result<PtyChild, SpawnError> {
    let (control, slave) = open(tty).map_err(SpawnError::Pty)?;
    let master = master_of(control.as_ref()).map_err(SpawnError::Pty)?;
    let mut command = command_for(launch, slave).map_err(SpawnError::Pty)?;
    // An ignored SIGCHLD would reap the child before its exit status was read.
    let no_zombies = is_ignored(Signal::SIGCHLD);
    if no_zombies {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default disposition runs no code of ours.
        unsafe { signal::sigaction(Signal::SIGCHLD, &default) }
            .map_err(|error| SpawnError::Pty(error.into()))?;
    }
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls:
    // setsid, ioctl, signal. It allocates nothing and touches no lock.
    unsafe {
        command.pre_exec(move || {
            unistd::setsid()?;
            if libc::ioctl(0, libc::TIOCSCTTY as _, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            if no_zombies {
                libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            }
            Ok(())
        });
    }
    let process =
        tokio::process::Command::from(command).spawn().map_err(|error| explain(launch, error))?;
    let pid = process.id().expect("a child that was just started has not been reaped");
    Ok(PtyChild { master, control, process, pid: Pid::from_raw(pid.cast_signed()) })
}

fn open(tty: &Tty) -> io::Result<(Box<dyn MasterPty + Send>, OwnedFd)> {
    let pair = portable_pty::native_pty_system().openpty(tty.size()).map_err(io::Error::other)?;
    let name = pair.master.tty_name().ok_or_else(|| io::Error::other("it has no name"))?;
    let slave = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(name)?;
    termios::tcsetattr(&slave, SetArg::TCSANOW, tty.settings())?;
    Ok((pair.master, slave.into()))
}

fn master_of(control: &dyn MasterPty) -> io::Result<Descriptor> {
    let raw = control.as_raw_fd().ok_or_else(|| io::Error::other("it has no descriptor"))?;
    // SAFETY: `control` owns the descriptor and outlives this borrow.
    let master = unsafe { BorrowedFd::borrow_raw(raw) }.try_clone_to_owned()?;
    let flags = OFlag::from_bits_retain(fcntl(&master, FcntlArg::F_GETFL)?);
    fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Descriptor::new(master, Interest::READABLE | Interest::WRITABLE, true)
}

fn command_for(launch: &Launch, slave: OwnedFd) -> io::Result<Command> {
    let mut command = Command::new(&launch.program);
    command.args(&launch.args);
    if let Some(name) = &launch.argv0 {
        command.arg0(name);
    }
    if let Some(directory) = &launch.cwd {
        command.current_dir(directory);
    }
    for (name, value) in &launch.env {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .stdin(Stdio::from(slave.try_clone()?))
        .stdout(Stdio::from(slave.try_clone()?))
        .stderr(Stdio::from(slave));
    Ok(command)
}

/// "No such file" may speak of the directory, of the program or of its interpreter.
fn explain(launch: &Launch, source: io::Error) -> SpawnError {
    if let Some(directory) = &launch.cwd
        && let Err(source) = std::fs::read_dir(directory)
        && source.kind() != io::ErrorKind::PermissionDenied
    {
        return SpawnError::Directory { directory: directory.clone(), source };
    }
    let program = launch.program.clone();
    if source.kind() != io::ErrorKind::NotFound {
        return SpawnError::CannotRun { program, source };
    }
    let start = launch.cwd.as_deref().unwrap_or(Path::new(""));
    if program.components().count() > 1 && start.join(&program).exists() {
        let source = io::Error::new(source.kind(), "its interpreter does not exist");
        return SpawnError::CannotRun { program, source };
    }
    SpawnError::NotFound { program }
}

impl PtyChild {
    /// Its process id, which is also its process group and its session.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Reads output. After a short read of less than [`FLOOD`] the queue counts as empty, which
    /// saves an echo a read in vain.
    ///
    /// On Linux that is safe for the master of a PTY, and only for it. Its line discipline is
    /// always raw (settings made through the master change the slave's), so a read returns less
    /// than was asked for only if it took all that had been committed to the queue; the kernel
    /// raises a new event with every later commit, whether the queue was empty or not, and the
    /// edge-triggered poll keeps it. The user's own terminal may be in line mode, where one read
    /// returns one line of several.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let asked = to.len();
        self.master.poll_read_until(cx, to, |count| {
            cfg!(target_os = "linux") && count < FLOOD && count < asked
        })
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.master.poll_write(cx, from)
    }

    /// How the child ended, once it has. Not to be polled again afterwards.
    pub(super) fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitReason>> {
        let status = ready!(pin!(self.process.wait()).poll(cx))?;
        Poll::Ready(Ok(reason(status)))
    }

    /// The kernel tells the child's foreground processes.
    pub(super) fn resize(&self, size: PtySize) {
        // Fails only if the terminal is gone, which the next read reports.
        self.control.resize(size).ok();
    }

    /// How the child reads its terminal; `None` if its foreground process group is not its own:
    /// then it runs jobs itself.
    pub(super) fn line_mode(&self) -> Option<LineMode> {
        let foreground = unistd::tcgetpgrp(&self.master).ok()?;
        if foreground != self.pid {
            return None;
        }
        Some(LineMode::of(&termios::tcgetattr(self.master.as_fd()).ok()?))
    }

    /// Sends `signal` to the child alone, if it has not ended.
    pub(super) fn signal(&self, signal: Signal) {
        if self.process.id().is_some() {
            signal::kill(self.pid, signal).ok();
        }
    }

    /// Sends `signal` to the child's process group and to its foreground group.
    pub(super) fn signal_group(&self, signal: Signal) {
        if self.process.id().is_none() {
            return;
        }
        signal::killpg(self.pid, signal).ok();
        if let Ok(foreground) = unistd::tcgetpgrp(&self.master)
            && foreground != self.pid
            && foreground.as_raw() > 0
        {
            signal::killpg(foreground, signal).ok();
        }
    }

    /// SIGKILL for the child and everything it started.
    pub(super) fn kill_all(&self) {
        if self.process.id().is_some() {
            process::kill_tree(self.pid.as_raw());
        }
    }
}

impl AsRawFd for PtyChild {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.master.as_raw_fd()
    }
}

fn reason(status: ExitStatus) -> ExitReason {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitReason::Code(code),
        (None, Some(signal)) => ExitReason::Signal(signal),
        (None, None) => unreachable!("wait reports ended processes only"),
    }
}
