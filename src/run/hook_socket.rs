//! The socket on which Claude's hooks reach this run: in a directory only its owner can enter.
//! In: connections that each bring one JSON payload. Out: hook events. What is not one is
//! passed over; a connection that stays silent is dropped.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::claude::hooks::{HookEvent, PAYLOAD_CAP_BYTES};

/// The longest path a Unix socket may have on every platform (bytes, macOS has the least).
const LONGEST_PATH_BYTES: usize = 100;

/// A sender that takes longer is not ours.
const RECEIVE_DEADLINE: Duration = Duration::from_secs(1);

/// Events kept for a run that is busy; past them the senders wait, and give up by themselves.
const KEPT_EVENTS: usize = 64;

/// The listening end. Events are received by a task of their own: a run that is interrupted
/// while it waits for one, as by every byte of output, loses none.
#[derive(Debug)]
pub struct HookSocket {
    events: RefCell<mpsc::Receiver<HookEvent>>,
    receiver: JoinHandle<()>,
    path: PathBuf,
}

impl HookSocket {
    /// Listens in the run's directory, or in a safe one elsewhere where that path is too long.
    pub fn bind(run_dir: &Path, run: &str) -> io::Result<Self> {
        let fits = |path: &PathBuf| path.as_os_str().len() <= LONGEST_PATH_BYTES;
        let elsewhere = || {
            let mut dirs = crate::paths::boot_dirs().map(|dir| dir.join(format!("{run}.sock")));
            dirs.find(fits).ok_or(io::ErrorKind::NotFound)
        };
        let wanted = Some(run_dir.join("hooks.sock")).filter(fits);
        let path = wanted.map_or_else(elsewhere, Ok)?;
        // Left behind by a run of the same id that was killed: nobody listens there.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let (sender, events) = mpsc::channel(KEPT_EVENTS);
        let receiver = tokio::spawn(receive_all(listener, sender));
        Ok(Self { events: RefCell::new(events), receiver, path })
    }

    /// Where hooks must connect.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next event. Cancelling loses none.
    pub async fn next(&self) -> HookEvent {
        match poll_fn(|cx| self.events.borrow_mut().poll_recv(cx)).await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

async fn receive_all(listener: UnixListener, events: mpsc::Sender<HookEvent>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: hooks are a bonus, the relay is not.
            tokio::time::sleep(RECEIVE_DEADLINE).await;
            continue;
        };
        if let Ok(Some(event)) = tokio::time::timeout(RECEIVE_DEADLINE, receive(stream)).await {
            tracing::debug!(?event, "hook");
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for HookSocket {
    fn drop(&mut self) {
        self.receiver.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn receive(stream: UnixStream) -> Option<HookEvent> {
    let mut payload = Vec::new();
    stream.take(PAYLOAD_CAP_BYTES).read_to_end(&mut payload).await.ok()?;
    HookEvent::parse(&payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claude::hooks::{self, HookName};

    #[tokio::test]
    async fn an_event_is_not_lost_by_a_run_that_looks_away_while_it_arrives() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let hooks = HookSocket::bind(dir.path(), "run").expect("bound");
        let path = hooks.path().to_owned();
        let sent = std::thread::spawn(move || {
            let payload = br#"{"session_id":"s","hook_event_name":"Stop"}"#;
            hooks::send(&path, payload);
        });
        // as often as output comes while the payload is on its way
        let event = loop {
            let brief = Duration::from_micros(50);
            if let Ok(event) = tokio::time::timeout(brief, hooks.next()).await {
                break event;
            }
        };
        sent.join().expect("sent");
        assert_eq!(event.name, HookName::Stop);
    }
}
