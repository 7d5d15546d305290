//! Our standard streams, each written by a thread of its own: a reader that stands still must not keep
//! the run from hearing signals, and the descriptor, which the shell shares, must stay blocking.
//! In: bytes, in order. Out: the same bytes, and word of when they are all out.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{LazyLock, Mutex, PoisonError, mpsc};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use tokio::sync::watch;

/// Takes bytes and never blocks; they leave with the next flush.
#[derive(Debug)]
pub struct Writer<'a> {
    pending: Vec<u8>,
    pipeline: &'a Pipeline,
}

/// What leads to a descriptor.
#[derive(Debug)]
pub struct Pipeline {
    chunks: mpsc::Sender<Vec<u8>>,
    /// How many chunks were sent.
    sent: Mutex<u64>,
    /// How many are out, and what ended it: nothing is written behind an error.
    done: watch::Receiver<(u64, Option<io::ErrorKind>)>,
}

/// The process's standard output; the thread starts with the first call.
#[must_use]
pub fn stdout() -> Writer<'static> {
    static STDOUT: LazyLock<Pipeline> = LazyLock::new(|| Pipeline::to(io::stdout()));
    Writer { pending: Vec::new(), pipeline: &STDOUT }
}

/// The process's standard error, for what a child says there.
#[must_use]
pub fn stderr() -> Writer<'static> {
    static STDERR: LazyLock<Pipeline> = LazyLock::new(|| Pipeline::to(io::stderr()));
    Writer { pending: Vec::new(), pipeline: &STDERR }
}

impl Pipeline {
    fn to(end: impl AsFd + Send + 'static) -> Self {
        let (chunks, receiver) = mpsc::channel::<Vec<u8>>();
        let (done, out) = watch::channel((0, None));
        std::thread::spawn(move || {
            for chunk in receiver {
                let failed = match done.borrow().1 {
                    Some(kind) => Some(kind),
                    None => write_all(end.as_fd(), &chunk)
                        .err()
                        .map(|error| io::Error::from(error).kind()),
                };
                done.send_modify(|(count, end)| (*count, *end) = (*count + 1, failed));
            }
        });
        Self { chunks, sent: Mutex::new(0), done: out }
    }

    fn sent(&self) -> u64 {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all of it, however the descriptor was handed to us: blocking or not.
fn write_all(end: BorrowedFd<'_>, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(end, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut room = [PollFd::new(end, PollFlags::POLLOUT)];
                match nix::poll::poll(&mut room, PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Writer<'_> {
    /// Whether all that was flushed is out, or can never be.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pipeline.done.borrow().0 >= self.pipeline.sent()
    }

    /// Waits until then. Cancelling this loses nothing.
    pub async fn written(&self) {
        let sent = self.pipeline.sent();
        // The thread ends with the process only.
        let _ = self.pipeline.done.clone().wait_for(|(count, _)| *count >= sent).await;
    }

    /// Why nothing more can be written, if so.
    #[must_use]
    pub fn failed(&self) -> Option<io::ErrorKind> {
        self.pipeline.done.borrow().1
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Hands on what was written; an error is that of an earlier chunk.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(kind) = self.failed() {
            return Err(kind.into());
        }
        if !self.pending.is_empty() {
            let mut sent = self.pipeline.sent.lock().unwrap_or_else(PoisonError::into_inner);
            *sent += 1;
            // The thread ends with the process only.
            let _ = self.pipeline.chunks.send(std::mem::take(&mut self.pending));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;

    fn pipe() -> (File, Pipeline) {
        let (read, write) = std::io::pipe().expect("a pipe");
        let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
        // A parent may have left it so.
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("ours");
        (File::from(read), Pipeline::to(write))
    }

    #[tokio::test]
    async fn a_reader_that_stands_still_holds_up_nothing_and_gets_every_byte() {
        let (mut read, pipeline) = pipe();
        let mut writer = Writer { pending: Vec::new(), pipeline: &pipeline };
        let text: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        for chunk in text.chunks(70_000) {
            writer.write_all(chunk).and_then(|()| writer.flush()).expect("taken");
        }
        assert!(!writer.is_idle());
        let stalled = tokio::time::timeout(std::time::Duration::from_millis(20), writer.written());
        assert!(stalled.await.is_err(), "nobody has read it");
        let wanted = text.len();
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; wanted];
            read.read_exact(&mut got).map(|()| got)
        });
        writer.written().await;
        assert!(writer.is_idle() && writer.failed().is_none());
        assert_eq!(reader.join().expect("it ends").expect("read"), text);
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_is_told_and_waited_for_no_more() {
        let (read, pipeline) = pipe();
        drop(read);
        let mut writer = Writer { pending: Vec::new(), pipeline: &pipeline };
        for _ in 0..3 {
            writer.write_all(b"x").expect("taken");
            let _ = writer.flush();
            writer.written().await;
        }
        assert_eq!(writer.failed(), Some(io::ErrorKind::BrokenPipe));
        assert!(writer.is_idle());
    }
}
