//! The socket on which Claude's hooks reach this run: in a directory only its owner can enter.
//! In: connections that each bring one JSON payload. Out: hook events. What is not one is
//! passed over; a connection that stays silent is dropped.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};

use crate::claude::hooks::{HookEvent, PAYLOAD_CAP_BYTES};

/// The longest path a Unix socket may have on every platform (bytes, macOS has the least).
const LONGEST_PATH_BYTES: usize = 100;

/// A sender that takes longer is not ours.
const RECEIVE_DEADLINE: Duration = Duration::from_secs(1);

/// The listening end.
#[derive(Debug)]
pub struct HookSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl HookSocket {
    /// Listens in the run's directory, or in the runtime directory where that path is too long.
    pub fn bind(run_dir: &Path, run: &str) -> io::Result<Self> {
        let wanted = run_dir.join("hooks.sock");
        let path = if wanted.as_os_str().len() <= LONGEST_PATH_BYTES {
            wanted
        } else {
            let dir = crate::paths::runtime_dir();
            crate::paths::private_dir(&dir)?;
            dir.join(format!("{run}.sock"))
        };
        // Left behind by a run of the same id that was killed: nobody listens there.
        let _ = std::fs::remove_file(&path);
        Ok(Self { listener: UnixListener::bind(&path)?, path })
    }

    /// Where hooks must connect.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next event. Cancelling may lose one that is being received.
    pub async fn next(&self) -> HookEvent {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of descriptors, most likely: hooks are a bonus, the relay is not.
                tokio::time::sleep(RECEIVE_DEADLINE).await;
                continue;
            };
            if let Ok(Some(event)) = tokio::time::timeout(RECEIVE_DEADLINE, receive(stream)).await {
                tracing::debug!(?event, "hook");
                return event;
            }
        }
    }
}

impl Drop for HookSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn receive(stream: UnixStream) -> Option<HookEvent> {
    let mut payload = Vec::new();
    stream.take(PAYLOAD_CAP_BYTES).read_to_end(&mut payload).await.ok()?;
    HookEvent::parse(&payload)
}
