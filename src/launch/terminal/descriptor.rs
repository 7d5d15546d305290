//! A terminal's descriptor in the event loop: reads and writes that never block the task.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::unistd;
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

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
        self.poll_read_until(cx, buffer, |_| false)
    }

    /// As `poll_read`, but after a read that `empties` the queue the next one waits for an event
    /// instead of asking once more. `empties` is told the count and must be right: what is in the
    /// queue already raises no further event.
    pub(super) fn poll_read_until(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        empties: impl Fn(usize) -> bool,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_read_ready(cx))?;
            let closed = guard.ready().is_read_closed();
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
                Ok(result) => {
                    // An event that came since is not lost: the event loop counts them, and keeps
                    // a readiness that is newer than the one this guard saw; a hang-up stays.
                    if matches!(result, Ok(count) if count > 0 && empties(count)) {
                        guard.clear_ready_matching(Ready::READABLE);
                    }
                    return Poll::Ready(result);
                }
                // A hang-up stays ready for ever: without this the loop would never end.
                Err(_would_block) if closed => return Poll::Ready(Ok(0)),
                Err(_would_block) => {}
            }
        }
    }

    /// Writes as much as fits now.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.fd.poll_write_ready(cx))?;
            let closed = guard.ready().is_write_closed();
            let attempt = guard.try_io(|fd| {
                self.check(PollFlags::POLLOUT)?;
                unistd::write(fd, bytes).map_err(io::Error::from)
            });
            match attempt {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(result) => return Poll::Ready(result),
                // A hang-up stays ready for ever: without this the loop would never end.
                // (A PTY whose other side closed with its queue full answers "would block".)
                Err(_would_block) if closed => {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                Err(_would_block) => {}
            }
        }
    }

    fn check(&self, flags: PollFlags) -> io::Result<()> {
        if self.nonblocking {
            return Ok(());
        }
        would_not_block(self.fd.as_fd(), flags)
    }
}

/// Fails with [`io::ErrorKind::WouldBlock`] where a call would wait.
fn would_not_block(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    let mut fds = [PollFd::new(fd, flags)];
    match nix::poll::poll(&mut fds, PollTimeout::ZERO)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        // Counted as an event, but nothing that a read could end with: it would block.
        _ if fds[0].revents().is_none_or(|seen| seen.contains(PollFlags::POLLNVAL)) => {
            Err(Errno::EBADF.into())
        }
        _ => Ok(()),
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::sys::termios::{self, SetArg};

    use super::*;

    #[test]
    fn only_what_a_call_could_end_with_counts_as_ready() {
        let (read, write) = io::pipe().unwrap();
        let ready = |fd| would_not_block(fd, PollFlags::POLLIN).map_err(|error| error.kind());
        assert_eq!(ready(read.as_fd()), Err(io::ErrorKind::WouldBlock));
        drop(write);
        assert_eq!(ready(read.as_fd()), Ok(()), "its end can be read");
        // SAFETY: no descriptor has this number; the kernel says so, and nothing is done with it.
        let nothing = unsafe { BorrowedFd::borrow_raw(RawFd::MAX) };
        assert!(would_not_block(nothing, PollFlags::POLLIN).is_err(), "poll counts it as an event");
        assert_ne!(ready(nothing), Err(io::ErrorKind::WouldBlock));
    }

    #[tokio::test]
    async fn a_full_queue_whose_reader_is_gone_ends_the_write() {
        let pair = nix::pty::openpty(None, None).unwrap();
        let mut raw = termios::tcgetattr(&pair.slave).unwrap();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&pair.slave, SetArg::TCSANOW, &raw).unwrap();
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let master = Descriptor::new(pair.master, both, true).unwrap();
        let bytes = [b'a'; 4096];
        let fill = async {
            loop {
                if let Err(error) = poll_fn(|cx| master.poll_write(cx, &bytes)).await {
                    break error;
                }
            }
        };
        tokio::pin!(fill);
        // The queue is full once a write stays pending.
        let waited = tokio::time::timeout(Duration::from_millis(200), &mut fill).await;
        assert!(waited.is_err(), "the queue took everything");
        drop(pair.slave);
        let ended = tokio::time::timeout(Duration::from_secs(20), fill).await;
        assert!(ended.is_ok(), "the write was never given up");
    }
}
