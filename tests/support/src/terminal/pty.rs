//! Opening a pseudo-terminal and starting a program on it: the testkit's only unsafe code.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::libc;
use nix::pty::{Winsize, openpty};

use super::Size;

/// Starts `command` as leader of a new session with a new terminal as its controlling one; the
/// child and the terminal's master side.
pub(super) fn spawn(mut command: Command, size: Size) -> io::Result<(Child, File)> {
    let pair = openpty(Some(&winsize(size)), None)?;
    let slave = File::from(pair.slave);
    command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
    // the master must not leak into this or any other child
    let flags = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
    nix::fcntl::fcntl(&pair.master, flags)?;
    // SAFETY: between fork and exec only async-signal-safe calls are made, and nothing is
    // allocated: setsid and ioctl.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            if libc::ioctl(0, libc::TIOCSCTTY as _, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    // dropping `command` afterwards closes our copies of the slave side
    Ok((command.spawn()?, File::from(pair.master)))
}

/// Sets the size; the foreground process group gets SIGWINCH.
pub(super) fn set_size(master: &File, size: Size) -> io::Result<()> {
    let size = winsize(size);
    // SAFETY: the descriptor is open and `size` is what TIOCSWINSZ reads.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn winsize(size: Size) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 }
}
