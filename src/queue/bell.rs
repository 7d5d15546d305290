//! How a runner hears that the queue changed: a datagram socket in the state directory. In: a
//! change made by any process. Out: the runner wakes. A bell that cannot be rung or hung costs
//! a wait of at most a minute, nothing else.

use std::io;
use std::os::unix::net::UnixDatagram as Sender;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

/// The longest path a Unix socket may have on every platform (bytes).
const LONGEST_PATH_BYTES: usize = 100;

/// The bells of this state directory: there, or in the runtime directory where that path is too
/// long.
fn directory(state_dir: &Path) -> PathBuf {
    let wanted = state_dir.join("queue");
    if wanted.as_os_str().len() + "/bell-0123456789abcdef".len() <= LONGEST_PATH_BYTES {
        return wanted;
    }
    let digest = blake3::hash(state_dir.as_os_str().as_encoded_bytes()).to_hex();
    let dir = crate::paths::boot_dirs().next().unwrap_or(wanted);
    dir.join(format!("queue-{}", &digest[..16]))
}

/// What one runner listens to.
#[derive(Debug)]
pub struct Bell(Option<UnixDatagram>);

impl Bell {
    /// Hangs the bell of this runner, which holds its lock: an old one is nobody's.
    #[must_use]
    pub fn hang(state_dir: &Path, owner: &str) -> Self {
        let hang = || -> io::Result<UnixDatagram> {
            let dir = directory(state_dir);
            crate::paths::private_dir(&dir)?;
            let digest = blake3::hash(owner.as_bytes()).to_hex();
            let path = dir.join(format!("bell-{}", &digest[..16]));
            // Not there is as good.
            let _ = std::fs::remove_file(&path);
            UnixDatagram::bind(&path)
        };
        Self(hang().inspect_err(|error| tracing::warn!(%error, "no bell")).ok())
    }

    /// Waits until it is rung.
    pub async fn rung(&self) {
        let Some(socket) = &self.0 else { return std::future::pending().await };
        let mut byte = [0; 8];
        if socket.recv(&mut byte).await.is_err() {
            return std::future::pending().await;
        }
        while socket.try_recv(&mut byte).is_ok() {}
    }
}

/// Rings every bell of this state directory.
pub fn ring(state_dir: &Path) {
    let Ok(sender) = Sender::unbound() else { return };
    if sender.set_nonblocking(true).is_err() {
        return;
    }
    let Ok(entries) = std::fs::read_dir(directory(state_dir)) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("bell-") {
            // Nobody listens, or it is being rung enough already.
            let _ = sender.send_to(b"!", entry.path());
        }
    }
}
