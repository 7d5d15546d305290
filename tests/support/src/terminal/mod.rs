//! A program in a real pseudo-terminal of its own, and what a person would see there.
//! In: a command, keys, sizes. Out: the screen, every byte written, the terminal's settings and
//! the exit status. Waiting always has a deadline and fails with the screen as it was.

mod pty;
mod screen;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

use self::screen::Watcher;
pub use self::screen::{Screen, Size};
use crate::wait_until;

/// How a terminal behaves.
#[derive(Clone, Copy, Debug)]
pub struct TerminalOptions {
    /// Its size at the start.
    pub size: Size,
    /// Whether it answers DA1 (`ESC[c`), as every real one does.
    pub answers_da1: bool,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self { size: Size { rows: 40, cols: 100 }, answers_da1: true }
    }
}

/// What the reading thread shares.
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

struct Seen {
    watcher: Watcher,
    raw: Vec<u8>,
    closed: bool,
}

/// A program in its terminal; both end when dropped.
pub struct Terminal {
    child: Child,
    master: Arc<std::fs::File>,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `command` as leader of a new session on a 40×100 terminal that answers DA1.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_with(command, TerminalOptions::default())
    }

    /// Starts `command` on a terminal with these options.
    pub fn spawn_with(command: Command, options: TerminalOptions) -> Self {
        let program = command.get_program().to_owned();
        let started = pty::spawn(command, options.size);
        let (child, master) =
            started.unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let master = Arc::new(master);
        let seen = Seen { watcher: Watcher::new(options.size), raw: Vec::new(), closed: false };
        let shared = Arc::new(Shared { seen: Mutex::new(seen), changed: Condvar::new() });
        let reader = {
            let (master, shared) = (Arc::clone(&master), Arc::clone(&shared));
            std::thread::spawn(move || read(&master, &shared, options.answers_da1))
        };
        Self { child, master, shared, reader: Some(reader) }
    }

    /// The child's process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Types `bytes`.
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        (&*self.master).write_all(bytes.as_ref()).expect("the terminal takes input");
    }

    /// The screen now.
    pub fn screen(&self) -> Screen {
        self.seen().watcher.screen()
    }

    /// Every byte written to the terminal so far.
    pub fn output(&self) -> Vec<u8> {
        self.seen().raw.clone()
    }

    /// Waits until `wanted` is true of the screen; that screen.
    pub fn wait_for_screen(
        &self,
        deadline: Duration,
        what: &str,
        wanted: impl Fn(&Screen) -> bool,
    ) -> Screen {
        let screen = |seen: &Seen| Some(seen.watcher.screen()).filter(|screen| wanted(screen));
        self.wait(deadline, what, screen)
    }

    /// Waits until `text` stands on the screen; that screen.
    pub fn wait_for_text(&self, deadline: Duration, text: &str) -> Screen {
        self.wait_for_screen(deadline, &format!("the text {text:?}"), |now| now.contains(text))
    }

    /// Waits until the program has written `bytes`, on screen or not.
    pub fn wait_for_output(&self, deadline: Duration, bytes: &[u8]) {
        let what = format!("the bytes {:?}", String::from_utf8_lossy(bytes));
        self.wait(deadline, &what, |seen| contains(&seen.raw, bytes).then_some(()));
    }

    /// Waits until nothing was written for `quiet`; the screen then.
    pub fn wait_until_quiet(&self, deadline: Duration, quiet: Duration) -> Screen {
        let mut last = (self.output().len(), Instant::now());
        let settled = wait_until(deadline, || {
            let length = self.seen().raw.len();
            if length != last.0 {
                last = (length, Instant::now());
            }
            (last.1.elapsed() >= quiet).then_some(())
        });
        assert!(settled.is_some(), "never quiet for {quiet:?}:\n{}", self.screen());
        self.screen()
    }

    /// Resizes the terminal; the program gets SIGWINCH.
    pub fn resize(&self, size: Size) {
        let mut seen = self.seen();
        pty::set_size(&self.master, size).expect("the terminal can be resized");
        seen.watcher.resize(size);
    }

    /// The terminal's settings, as `stty -a` would show them.
    pub fn stty(&self) -> Termios {
        tcgetattr(self.master.as_fd()).expect("the terminal is open")
    }

    /// Waits for the program's end and for what it wrote last.
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let status = wait_until(deadline, || self.child.try_wait().expect("the child is ours"));
        let Some(status) = status else {
            panic!("did not end within {deadline:?}; the screen:\n{}", self.screen())
        };
        // a grandchild may hold the terminal open: quiet is enough then
        let last = Duration::from_secs(1);
        wait_until(last, || self.seen().closed.then_some(()));
        status
    }

    /// The exit status, if the program has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, deadline: Duration, what: &str, look: impl Fn(&Seen) -> Option<T>) -> T {
        let end = Instant::now() + deadline;
        let mut seen = self.seen();
        loop {
            if let Some(found) = look(&seen) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            let state = if seen.closed { "the program closed its terminal" } else { "timed out" };
            if left.is_zero() || seen.closed {
                let screen = seen.watcher.screen();
                drop(seen);
                panic!("{state} waiting {deadline:?} for {what}; the screen:\n{screen}");
            }
            let woken = self.shared.changed.wait_timeout(seen, left);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // the thread ends with the terminal's last user; a grandchild may be one, and then the
        // sandbox ends it: not waited for here
        drop(self.reader.take());
    }
}

/// Feeds what the program writes to the screen and the byte log until the terminal is closed.
fn read(master: &std::fs::File, shared: &Shared, answers_da1: bool) {
    let mut buffer = [0; 16 * 1024];
    let mut tail = Vec::new();
    loop {
        let bytes = match (&*master).read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => &buffer[..n],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // EIO: nobody has the terminal open any more
            Err(_) => break,
        };
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.watcher.process(bytes);
        seen.raw.extend_from_slice(bytes);
        drop(seen);
        shared.changed.notify_all();
        if answers_da1 {
            tail.extend_from_slice(bytes);
            for _ in 0..occurrences(&tail, b"\x1b[c") + occurrences(&tail, b"\x1b[0c") {
                let _ = (&*master).write_all(b"\x1b[?62;22c");
            }
            // a query may be split between two reads, but must not be seen twice
            let keep = tail.iter().rposition(|byte| *byte == 0x1b).unwrap_or(tail.len());
            let unfinished = tail.len() - keep < 3;
            tail = if unfinished { tail.split_off(keep) } else { Vec::new() };
        }
    }
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    shared.changed.notify_all();
}

fn occurrences(all: &[u8], part: &[u8]) -> usize {
    all.windows(part.len()).filter(|window| *window == part).count()
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}
