//! One kernel lock per backup directory: makers and removers of snapshots exclude each other
//! and readers. A killed process frees it at once, so nothing stale is ever left.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::error::{During as _, Error, Result};

/// How long another backup is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held until dropped.
#[derive(Debug)]
pub struct Exclusive {
    _file: File,
}

/// Held until dropped. In a store that cannot be written nothing can be removed either:
/// there is no lock then.
#[derive(Debug)]
pub struct Shared {
    _file: Option<File>,
}

/// Excludes every other process from the store.
pub fn exclusive(store: &Path) -> Result<Exclusive> {
    let path = store.join(".lock");
    let file = open(&path).during("open", &path)?;
    Ok(Exclusive { _file: wait(file, store, File::try_lock, File::lock)? })
}

/// Keeps snapshots from being removed meanwhile.
pub fn shared(store: &Path) -> Result<Shared> {
    let path = store.join(".lock");
    let file = match open(&path) {
        Ok(file) => file,
        Err(error) if is_read_only(&error) => return Ok(Shared { _file: None }),
        Err(error) => return Err(error).during("open", &path),
    };
    Ok(Shared { _file: Some(wait(file, store, File::try_lock_shared, File::lock_shared)?) })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotFound
    )
}

fn wait(
    file: File,
    store: &Path,
    attempt: fn(&File) -> std::result::Result<(), std::fs::TryLockError>,
    block: fn(&File) -> io::Result<()>,
) -> Result<File> {
    if attempt(&file).is_ok() {
        return Ok(file);
    }
    // The kernel has no lock with a deadline: another thread waits, and lets go of a lock
    // that comes too late when its message cannot be delivered.
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let locked = block(&file).map(|()| file);
        let _ = sender.send(locked);
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(locked) => locked.during("lock", store),
        Err(_) => Err(Error::Busy { dir: store.to_owned() }),
    }
}
