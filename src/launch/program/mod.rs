//! Launching claude for a program that talks to it by lines, and the program's own side. In: a
//! plan. Out: both streams, whole chunks as they come; whoever reads slowly holds up nobody but
//! the one who writes to them. The child stays in our process group, as plain claude's would.

mod lines;
mod pump;

use std::io;
use std::os::fd::AsFd as _;
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub use lines::{Lines, Part};
pub use pump::{Program, Writer};

use crate::failure::ExitReason;
use crate::launch::headless::{end_with_us, reason};
use crate::plan::LaunchPlan;

/// Read at once, at most (bytes).
const CHUNK_BYTES: usize = 64 << 10;

/// A claude that is talked to.
#[derive(Debug)]
pub struct Talker {
    child: Child,
    pid: i32,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    /// What is still to be written.
    unsent: Vec<u8>,
    closing: bool,
}

/// What it did.
#[derive(Debug)]
pub enum Said {
    /// It wrote this.
    Bytes(Vec<u8>),
    /// Something that was sent is on its way.
    Sent,
    /// It ended, and all it wrote has been read.
    Ended(ExitReason),
}

impl Talker {
    /// Starts it.
    pub fn launch(plan: &LaunchPlan) -> io::Result<Self> {
        let mut command = Command::new(&plan.program);
        command.args(plan.args()).stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, value) in plan.environment() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(cwd) = plan.cwd.as_ref().filter(|dir| dir.is_dir()) {
            command.current_dir(cwd);
        }
        end_with_us(&mut command);
        let mut child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Self { child, pid, stdin, stdout, unsent: Vec::new(), closing: false })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends bytes; they are written while [`Self::next`] is awaited.
    pub fn send(&mut self, bytes: &[u8]) {
        if self.stdin.is_some() {
            self.unsent.extend_from_slice(bytes);
        }
    }

    /// How much is not yet written (bytes).
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Whether its input is closed, or is going to be.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Closes its input once all is written.
    pub fn close(&mut self) {
        self.closing = true;
        if self.unsent.is_empty() {
            self.stdin = None;
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        if self.child.id().is_some() {
            // It may have ended meanwhile.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal);
        }
    }

    /// Waits for what it does next; reads only while `listening`. Cancelling this loses nothing.
    pub async fn next(&mut self, listening: bool) -> io::Result<Said> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            tokio::select! {
                biased;
                written = write(&mut self.stdin, &self.unsent), if !self.unsent.is_empty() => {
                    match written {
                        Ok(count) => drop(self.unsent.drain(..count)),
                        // It reads no more, as plain claude's program would learn from its end.
                        Err(_) => {
                            self.unsent.clear();
                            self.stdin = None;
                        }
                    }
                    if self.closing && self.unsent.is_empty() {
                        self.stdin = None;
                    }
                    return Ok(Said::Sent);
                }
                read = read(&mut self.stdout, &mut buffer), if listening => match read {
                    Some(count) => {
                        buffer.truncate(count);
                        return Ok(Said::Bytes(buffer));
                    }
                    None => self.stdout = None,
                },
                status = self.child.wait(), if self.stdout.is_none() => {
                    return Ok(Said::Ended(reason(status?)));
                }
                // Nothing else may happen until the program has read what is there for it.
                () = std::future::pending(), if !listening => {}
            }
        }
    }
}

async fn write(stdin: &mut Option<ChildStdin>, bytes: &[u8]) -> io::Result<usize> {
    use tokio::io::AsyncWriteExt as _;
    match stdin {
        Some(stdin) => stdin.write(bytes).await,
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// The next bytes; `None` at the end.
async fn read(stdout: &mut Option<ChildStdout>, buffer: &mut [u8]) -> Option<usize> {
    match stdout {
        Some(stdout) => stdout.read(buffer).await.ok().filter(|count| *count > 0),
        None => std::future::pending().await,
    }
}

/// Whether nobody can read our standard output any more.
pub async fn nobody_listens() {
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    const LOST: Interest = Interest::WRITABLE.add(Interest::ERROR);
    let stdout = io::stdout();
    let Ok(copy) = stdout.as_fd().try_clone_to_owned() else { return std::future::pending().await };
    // SAFETY: the descriptor is owned, and is neither replaced nor closed while registered.
    let watch = unsafe { AsyncFd::register_with_interest(copy, LOST) };
    // A file is always ready, and has no reader to lose.
    let Ok(watch) = watch else { return std::future::pending().await };
    loop {
        let Ok(mut ready) = watch.ready(LOST).await else {
            return std::future::pending().await;
        };
        if ready.ready().is_write_closed() || ready.ready().is_error() {
            return;
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use nix::sys::signal::Signal;

    use super::*;
    use crate::claude::args::ClaudeArgs;

    #[tokio::test]
    async fn a_claude_that_is_not_listened_to_is_waited_for() {
        let plan = LaunchPlan::new("/bin/cat".into(), ClaudeArgs::parse(&[]), String::new());
        let mut cat = Talker::launch(&plan).expect("it is there");
        {
            let mut next = std::pin::pin!(cat.next(false));
            let waits = std::future::poll_fn(|context| {
                Poll::Ready(next.as_mut().poll(context).is_pending())
            });
            assert!(waits.await);
        }
        cat.signal(Signal::SIGKILL);
    }
}
