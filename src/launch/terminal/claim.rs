//! What this process owes the user's terminal, kept where a panic can reach it.
//!
//! The panic hook runs before unwinding drops anything, and prints; so the terminal must be usable
//! by then. Hence one static, and every change of settings or modes goes through it.

use std::cell::Cell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::termios::{self, SetArg, Termios};
use nix::unistd;

use crate::watch::Modes;

static CLAIM: Mutex<Option<Claim>> = Mutex::new(None);
static HOOK: Once = Once::new();
/// How long a terminal that takes no bytes may hold up our end (milliseconds).
const PATIENCE_MS: u16 = 250;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The terminal's own settings and what we changed since.
#[derive(Debug)]
pub(super) struct Claim {
    input: OwnedFd,
    output: OwnedFd,
    settings: Termios,
    raw: bool,
    modes: Modes,
    owner: ThreadId,
}

/// How the terminal was before we stepped back from it.
#[derive(Debug)]
pub(super) struct State {
    raw: bool,
    modes: Modes,
}

impl Claim {
    pub(super) fn new(
        input: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
        settings: Termios,
    ) -> io::Result<Self> {
        Ok(Self {
            input: input.try_clone_to_owned()?,
            output: output.try_clone_to_owned()?,
            settings,
            raw: false,
            modes: Modes::default(),
            owner: thread::current().id(),
        })
    }

    /// Switches to raw input. In the background this stops us, as it would any program.
    pub(super) fn raw(&mut self) -> io::Result<()> {
        let mut raw = self.settings.clone();
        termios::cfmakeraw(&mut raw);
        // Noted first: restoring a terminal that was not changed harms nothing.
        self.raw = true;
        self.set(&raw)
    }

    pub(super) fn raw_again(&mut self) -> io::Result<()> {
        if self.raw { self.raw() } else { Ok(()) }
    }

    pub(super) fn shown(&mut self, bytes: &[u8]) {
        self.modes.feed(bytes);
    }

    /// Undoes everything we owe: modes, then settings. In the background the terminal belongs to
    /// the shell, which has seen to it already, so then nothing is done.
    pub(super) fn restore(&mut self) {
        self.step_back();
    }

    /// As `restore`, and says how it was before.
    pub(super) fn step_back(&mut self) -> State {
        let modes = std::mem::take(&mut self.modes);
        let raw = std::mem::replace(&mut self.raw, false);
        let foreground =
            unistd::tcgetpgrp(&self.input).is_ok_and(|group| group == unistd::getpgrp());
        // On a terminal that does not control us no group is in the foreground: it is ours.
        if foreground || unistd::tcgetpgrp(&self.input) == Err(Errno::ENOTTY) {
            self.write_patiently(modes.reset().as_bytes());
            if raw {
                // A terminal that is gone needs no settings.
                self.set(&self.settings).ok();
            }
        }
        State { raw, modes }
    }

    /// The way back from `step_back`.
    pub(super) fn return_to(&mut self, state: State) -> io::Result<()> {
        if state.raw {
            self.raw()?;
        }
        self.write_patiently(state.modes.set_again().as_bytes());
        self.modes = state.modes;
        Ok(())
    }

    /// Settings take effect at once: draining could wait for ever on a stopped terminal, and
    /// flushing would lose keys typed ahead.
    fn set(&self, settings: &Termios) -> io::Result<()> {
        loop {
            match termios::tcsetattr(&self.input, SetArg::TCSANOW, settings) {
                Err(Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn write_patiently(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match unistd::write(&self.output, bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let mut fds =
                        [PollFd::new(std::os::fd::AsFd::as_fd(&self.output), PollFlags::POLLOUT)];
                    if !matches!(nix::poll::poll(&mut fds, PollTimeout::from(PATIENCE_MS)), Ok(1)) {
                        return;
                    }
                }
                Err(_gone) => return,
            }
        }
    }
}

fn lock() -> MutexGuard<'static, Option<Claim>> {
    // A panic while it was held leaves at worst a mode untracked; restoring still helps.
    CLAIM.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers the claim and installs the panic hook.
pub(super) fn take(claim: Claim) -> io::Result<()> {
    let mut current = lock();
    if current.is_some() {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the terminal is in use already"));
    }
    *current = Some(claim);
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() && restore_for_panic() {
                previous(info);
            } else {
                tracing::error!(%info, "a panic was contained");
            }
        }));
    });
    Ok(())
}

/// Whether the panic's message may be printed: not by another thread onto the child's screen.
fn restore_for_panic() -> bool {
    // Held by this very thread if the tracking itself panicked: then dropping restores.
    let Ok(mut current) = CLAIM.try_lock() else { return true };
    let Some(claim) = current.as_mut() else { return true };
    if claim.raw && claim.owner != thread::current().id() {
        return false;
    }
    claim.restore();
    true
}

/// Runs `change` on the claim; fails if the terminal was given back.
pub(super) fn with<T>(change: impl FnOnce(&mut Claim) -> io::Result<T>) -> io::Result<T> {
    lock().as_mut().map_or_else(|| Err(io::ErrorKind::NotConnected.into()), change)
}

/// Restores the terminal and ends the claim.
pub(super) fn give_back() {
    if let Some(mut claim) = lock().take() {
        claim.restore();
    }
}

/// Runs `analysis`, which may panic without harm: the terminal stays as it is, nothing is printed,
/// and `None` is returned. What `analysis` was changing must be thrown away then.
pub fn guarded<T>(analysis: impl FnOnce() -> T) -> Option<T> {
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(analysis));
    GUARDED.set(outer);
    result.ok()
}
