//! A terminal's descriptor in the event loop: reads and writes that never block the task.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::unistd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An open terminal or PTY master, registered with the event loop.
#[derive(Debug)]
pub(super) struct Descriptor {
    fd: AsyncFd<OwnedFd>,
    /// False for a descriptor we inherited and share: `O_NONBLOCK` there would change the shell's
    /// and every other sharer's too, so readiness is asked for before each call instead.
    nonblocking: bool,
}

impl Descriptor {
    /// Registers `fd`. Must be called inside a tokio runtime.
    pub(super) fn new(fd: OwnedFd, interest: Interest, nonblocking: bool) -> io::Result<Self> {
        // SAFETY: `fd` is open and owned; an `OwnedFd` names the same descriptor until it is
        // dropped, which the `AsyncFd` does after its registration ended.
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest) }?;
        Ok(Self { fd, nonblocking })
    }

    /// Reads what is there; `Ok(0)` means that the other side is gone.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            let attempt = guard.try_io(|fd| {
                self.check(PollFlags::POLLIN)?;
                match unistd::read(fd, buffer) {
                    // Linux reports the closed other side of a PTY so.
                    Err(Errno::EIO) => Ok(0),
                    result => result.map_err(io::Error::from),
                }
            });
            match attempt {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    /// Writes as much as fits now.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_write_ready(cx))?;
            let attempt = guard.try_io(|fd| {
                self.check(PollFlags::POLLOUT)?;
                unistd::write(fd, bytes).map_err(io::Error::from)
            });
            match attempt {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn check(&self, flags: PollFlags) -> io::Result<()> {
        if self.nonblocking {
            return Ok(());
        }
        let mut fds = [PollFd::new(self.fd.as_fd(), flags)];
        match nix::poll::poll(&mut fds, PollTimeout::ZERO)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.get_ref().as_raw_fd()
    }
}
