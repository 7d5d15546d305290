//! Standard error of a start that may be made again without what we added: held back until it is
//! known that Claude runs, and passed on as it comes from then on. In: the child's bytes. Out: the
//! same bytes on our standard error, or none of them.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::stat::{SFlag, fstat};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{pair, read, set_nonblocking, stderr};

/// Whoever waits longer to see what is said there would miss it.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
/// After the child's end its pipe is read on for this long: a grandchild may hold it open.
const DRAIN: Duration = Duration::from_millis(250);
/// No more is kept of them to judge by (bytes).
const KEPT_BYTES: usize = 64 << 10;

/// What becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    PassedOn,
    Dropped,
}

/// What a child said first. Dropped, it lets all follow.
#[derive(Debug)]
pub struct FirstWords {
    fate: watch::Sender<Fate>,
    /// What came so far, and whether it has come to its end.
    came: watch::Receiver<(Vec<u8>, bool)>,
}

impl FirstWords {
    /// Both ends: what is listened to, and the child's standard error. `None` where nobody reads.
    pub fn listen() -> io::Result<Option<(Self, Stdio)>> {
        let ours = io::stderr();
        let kind = SFlag::from_bits_truncate(fstat(ours.as_fd())?.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFCHR && !ours.is_terminal() {
            return Ok(None);
        }
        let (read, write) = pair(&ours)?;
        Ok(Some((Self::of(read)?, Stdio::from(write))))
    }

    fn of(end: OwnedFd) -> io::Result<Self> {
        set_nonblocking(&end)?;
        // SAFETY: the `File` owns its descriptor and is neither replaced nor closed while
        // registered.
        let end = unsafe { AsyncFd::register(File::from(end)) }?;
        let (fate, decided) = watch::channel(Fate::Held);
        let (tells, came) = watch::channel((Vec::new(), false));
        tokio::spawn(relay(end, decided, tells));
        Ok(Self { fate, came })
    }

    /// Claude runs: all is passed on.
    pub fn pass_on(&self) {
        self.fate.send_if_modified(|fate| {
            let held = *fate == Fate::Held;
            if held {
                *fate = Fate::PassedOn;
            }
            held
        });
    }

    /// Nobody is to see what is still held.
    pub fn drop_held(self) {
        self.fate.send_replace(Fate::Dropped);
    }

    /// All of them, once the child has ended.
    pub async fn whole(&mut self) -> String {
        self.until(|(_, ended)| *ended).await;
        String::from_utf8_lossy(&self.came.borrow().0).into_owned()
    }

    /// Passes on what is left once the child has ended.
    pub async fn finish(mut self) {
        self.pass_on();
        // It is gone once all is handed on.
        self.until(|_| false).await;
    }

    async fn until(&mut self, is_so: impl Fn(&(Vec<u8>, bool)) -> bool) {
        while !is_so(&self.came.borrow_and_update()) {
            if !matches!(timeout(DRAIN, self.came.changed()).await, Ok(Ok(()))) {
                break;
            }
        }
    }
}

impl Drop for FirstWords {
    fn drop(&mut self) {
        self.pass_on();
    }
}

async fn relay(
    end: AsyncFd<File>,
    mut decided: watch::Receiver<Fate>,
    tells: watch::Sender<(Vec<u8>, bool)>,
) {
    let late = sleep(LONGEST_HOLD);
    tokio::pin!(late);
    let (mut held, mut open) = (Vec::new(), true);
    loop {
        tokio::select! {
            biased;
            // Whoever let go of it has passed it on before.
            _ = decided.changed() => break,
            () = &mut late, if open => break,
            bytes = read(&end), if open => {
                open = bytes.is_some();
                held.extend(bytes.unwrap_or_default());
                let kept = &held[..held.len().min(KEPT_BYTES)];
                tells.send_replace((kept.to_vec(), !open));
            }
        }
    }
    if *decided.borrow() == Fate::Dropped {
        return;
    }
    let mut out = stderr();
    let _ = out.write_all(&held).and_then(|()| out.flush());
    while open {
        // What stands still here holds up the child, as without us.
        out.written().await;
        let bytes = read(&end).await;
        open = bytes.is_some();
        let bytes = bytes.unwrap_or_default();
        let _ = out.write_all(&bytes).and_then(|()| out.flush());
        tells.send_modify(|(kept, _)| {
            let room = KEPT_BYTES.saturating_sub(kept.len());
            kept.extend(bytes.iter().take(room));
        });
    }
    tells.send_modify(|(_, ended)| *ended = true);
}
