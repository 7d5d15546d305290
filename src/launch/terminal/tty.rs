//! The user's terminal: one reader and one writer for the whole life of the process, its size,
//! its settings, and the promise that it is left as it was found.
//!
//! In: keys, signals. Out: bytes, unchanged. It never sets `O_NONBLOCK` on an inherited
//! descriptor (the shell shares it), and every way out restores: drop, panic, the child's end.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};

use nix::libc;
use nix::sys::signal::Signal;
use nix::sys::termios::Termios;
use nix::unistd;
use portable_pty::PtySize;
use tokio::io::Interest;

use super::claim::{self, Claim};
use super::descriptor::Descriptor;
use super::job_control::{self, Scope};
use super::signals::Signals;

/// The terminal on standard input and output. There is at most one per process at a time.
#[derive(Debug)]
pub struct Tty {
    input: Descriptor,
    output: Descriptor,
    signals: Signals,
    settings: Termios,
    size: PtySize,
    unread: Vec<u8>,
    buffer: Box<[u8]>,
}

/// What happens at the terminal while no child has it.
#[derive(Debug, PartialEq, Eq)]
pub enum TtyEvent<'t> {
    /// The user typed. Give back with [`Tty::unread`] what is meant for the next child.
    Input(&'t [u8]),
    /// The terminal is gone; nothing more can be read.
    Closed,
    /// Asked to end: SIGTERM, SIGHUP, SIGINT or SIGQUIT.
    Signal(Signal),
    /// The terminal has another size now.
    Resized(PtySize),
    /// The user stopped us and brought us back.
    Resumed,
}

/// More is never read at once: a terminal's own queue holds 4 KiB.
const INPUT_CHUNK: usize = 4096;

impl Tty {
    /// Takes the terminal on standard input and output, unchanged, and subscribes to signals.
    ///
    /// Must be called inside a tokio runtime with I/O enabled. Fails if either stream is not a
    /// terminal, or if another `Tty` is alive.
    pub fn open() -> io::Result<Self> {
        let input = reopen(&io::stdin(), Direction::Input)?;
        let output = reopen(&io::stdout(), Direction::Output)?;
        let settings = nix::sys::termios::tcgetattr(&input)?;
        claim::take(Claim::new(input.as_fd(), output.as_fd(), settings.clone())?)?;
        let signals = Signals::subscribe()?;
        let size = size_of(&output).or_else(|_| size_of(&input)).unwrap_or_default();
        Ok(Self {
            input,
            output,
            signals,
            settings,
            size,
            unread: Vec::new(),
            buffer: vec![0; INPUT_CHUNK].into_boxed_slice(),
        })
    }

    /// The settings the user's terminal had when it was opened.
    #[must_use]
    pub fn settings(&self) -> &Termios {
        &self.settings
    }

    /// The size when it was last looked at: at the start and at every resize event.
    #[must_use]
    pub fn size(&self) -> PtySize {
        self.size
    }

    /// Passes every key on as it is typed. Waits (stopped) until we are in the foreground.
    pub fn raw(&self) -> io::Result<()> {
        claim::with(Claim::raw)
    }

    /// Gives the terminal its own settings and modes back.
    pub fn cooked(&self) {
        claim::with(|claim| {
            claim.restore();
            Ok(())
        })
        .ok();
    }

    /// Keeps `bytes` for the next read, before anything typed later.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.unread.splice(0..0, bytes.iter().copied());
    }

    /// The next thing that happens while no child has the terminal. Cancel-safe.
    ///
    /// SIGTSTP is obeyed here: the terminal is restored, the process stops, and after SIGCONT
    /// [`TtyEvent::Resumed`] is returned with the terminal as it was.
    pub async fn next(&mut self) -> TtyEvent<'_> {
        enum Step {
            Input(usize),
            Signal(Signal),
        }
        loop {
            let step = std::future::poll_fn(|cx| {
                if let Poll::Ready(signal) = self.signals.poll(cx) {
                    return Poll::Ready(Ok(Step::Signal(signal)));
                }
                let Self { unread, input, buffer, .. } = self;
                let length = ready!(read(unread, input, cx, buffer))?;
                Poll::Ready(Ok::<_, io::Error>(Step::Input(length)))
            })
            .await;
            match step {
                Ok(Step::Input(0)) | Err(_) => return TtyEvent::Closed,
                Ok(Step::Input(length)) => return TtyEvent::Input(&self.buffer[..length]),
                Ok(Step::Signal(Signal::SIGTSTP)) => {
                    stop(Scope::Process);
                    self.refresh_size();
                    return TtyEvent::Resumed;
                }
                Ok(Step::Signal(Signal::SIGCONT)) => {
                    // A terminal that went away shows itself at the next read.
                    claim::with(Claim::raw_again).ok();
                    return TtyEvent::Resumed;
                }
                Ok(Step::Signal(Signal::SIGWINCH)) => {
                    if let Some(size) = self.refresh_size() {
                        return TtyEvent::Resized(size);
                    }
                }
                Ok(Step::Signal(signal)) => return TtyEvent::Signal(signal),
            }
        }
    }

    pub(super) fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        self.signals.poll(cx)
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        read(&mut self.unread, &self.input, cx, buffer)
    }

    /// Writes what fits, and takes note of the modes it switches.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = ready!(self.output.poll_write(cx, bytes))?;
        claim::with(|claim| {
            claim.shown(&bytes[..length]);
            Ok(())
        })?;
        Poll::Ready(Ok(length))
    }

    /// Looks at the size again; `Some` if it changed.
    pub(super) fn refresh_size(&mut self) -> Option<PtySize> {
        let size = size_of(&self.output).or_else(|_| size_of(&self.input)).ok()?;
        (size != self.size).then(|| {
            self.size = size;
            size
        })
    }
}

/// Stops as a plain child would; afterwards the terminal has the mode it had before.
pub(super) fn stop(scope: Scope) {
    let state = claim::with(|claim| Ok(claim.step_back())).ok();
    job_control::stop(scope, || {
        if let Some(state) = state {
            // A terminal that went away meanwhile shows itself at the next read.
            claim::with(|claim| claim.return_to(state)).ok();
        }
    });
}

/// Reads what was given back first, then what is typed.
fn read(
    unread: &mut Vec<u8>,
    input: &Descriptor,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    if unread.is_empty() {
        return input.poll_read(cx, buffer);
    }
    let length = unread.len().min(buffer.len());
    buffer[..length].copy_from_slice(&unread[..length]);
    unread.drain(..length);
    Poll::Ready(Ok(length))
}

impl Drop for Tty {
    fn drop(&mut self) {
        claim::give_back();
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Input,
    Output,
}

/// A description of our own on the terminal behind `stream`, so that `O_NONBLOCK` is ours alone.
fn reopen(stream: &impl AsFd, direction: Direction) -> io::Result<Descriptor> {
    let name = name_of(stream);
    if matches!(name, Err(nix::errno::Errno::ENOTTY)) {
        return Err(io::Error::from(nix::errno::Errno::ENOTTY));
    }
    let (interest, reads) = match direction {
        Direction::Input => (Interest::READABLE, true),
        Direction::Output => (Interest::WRITABLE, false),
    };
    let open = |path: &Path| -> io::Result<Descriptor> {
        let file = OpenOptions::new()
            .read(reads)
            .write(!reads)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        Descriptor::new(OwnedFd::from(file), interest, true)
    };
    // Another user's terminal (`su`) cannot be opened by name, but as the controlling terminal.
    let is_ours = nix::sys::termios::tcgetsid(stream).ok() == unistd::getsid(None).ok();
    name.map_err(io::Error::from)
        .and_then(|name| open(&name))
        .or_else(|error| if is_ours { open(Path::new("/dev/tty")) } else { Err(error) })
        .or_else(|_| {
            let shared = stream.as_fd().try_clone_to_owned()?;
            Descriptor::new(shared, interest, false)
        })
}

/// The terminal's own name, also where it was opened as `/dev/tty` (`claude </dev/tty`): the event
/// loop of macOS refuses that device. Another stream of this session tells it.
fn name_of(stream: &impl AsFd) -> nix::Result<PathBuf> {
    const CONTROLLING: &str = "/dev/tty";
    let name = unistd::ttyname(stream);
    if name.as_deref() != Ok(Path::new(CONTROLLING)) {
        return name;
    }
    let session = unistd::getsid(None).ok();
    let named = |other: BorrowedFd<'_>| {
        let same = nix::sys::termios::tcgetsid(other).ok() == session && session.is_some();
        unistd::ttyname(other).ok().filter(|name| same && name != Path::new(CONTROLLING))
    };
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut others = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter();
    others.find_map(named).map_or(name, Ok)
}

fn size_of(terminal: &Descriptor) -> io::Result<PtySize> {
    let size = crate::launch::terminal_size(terminal)?;
    Ok(PtySize {
        rows: size.ws_row,
        cols: size.ws_col,
        pixel_width: size.ws_xpixel,
        pixel_height: size.ws_ypixel,
    })
}
