//! Kernel locks that all runs of a user share: one updates, one clears, one launches with an
//! expired token, one holds a session. In: the state directory and a name. Out: a [`Lock`],
//! free again when it is dropped or its process dies (measured: within 2 ms of a SIGKILL).
//! Never blocks: a stopped process (Ctrl-Z) may keep a lock for hours.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::ops::Deref;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two tries to get a lock that another process holds.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What a lock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockName<'a> {
    /// Probing this host for everybody.
    Probe(&'a str),
    /// Fetching the status page for everybody.
    StatusPage,
    /// `claude update`.
    Update,
    /// Moving the cache of this configuration directory aside.
    Clear(&'a Path),
    /// Launching or asking with an expired token of this configuration directory.
    Launch(&'a Path),
    /// Asking in, or relaunching, this session of Claude.
    Session(&'a str),
    /// Running the job of this name.
    Job(&'a str),
    /// Moving the journal aside.
    Journal,
    /// Running the queue as this owner.
    Queue(&'a str),
}

impl LockName<'_> {
    fn file_name(self) -> String {
        let digest = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
        // By what it is: a name may be written in several ways, by its case too on macOS.
        let of_dir = |dir: &Path| match std::fs::metadata(dir) {
            Ok(meta) => digest(format!("{}:{}", meta.dev(), meta.ino()).as_bytes()),
            Err(_) => digest(dir.as_os_str().as_encoded_bytes()),
        };
        match self {
            Self::Probe(host) => format!("probe-{}", digest(host.as_bytes())),
            Self::StatusPage => "status-page".to_owned(),
            Self::Update => "update".to_owned(),
            Self::Clear(dir) => format!("clear-{}", of_dir(dir)),
            Self::Launch(dir) => format!("launch-{}", of_dir(dir)),
            Self::Journal => "journal".to_owned(),
            Self::Session(id) => format!("session-{}", digest(id.as_bytes())),
            Self::Job(name) => format!("job-{}", digest(name.as_bytes())),
            Self::Queue(owner) => format!("queue-{}", digest(owner.as_bytes())),
        }
    }
}

/// A file that this process has locked. Dropped it is free at once, even where a child that is
/// just being started has a copy of the descriptor.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Locks it if it is free; else it comes back.
    pub fn take(file: File) -> io::Result<Result<Self, File>> {
        match file.try_lock() {
            Ok(()) => Ok(Ok(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(Err(file)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing it frees it too, in the end.
        let _ = self.0.unlock();
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    // Declared for its drop, which frees the lock.
    _file: Locked,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still held: whoever opened this very file finds it unlinked after locking, and
        // opens the name again (see `try_lock`). Keeps one file per session from piling up.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn path_of(state_dir: &Path, name: LockName<'_>) -> PathBuf {
    state_dir.join("locks").join(name.file_name())
}

/// Takes the lock if it is free; `None` if another process (or another part of this one) has
/// it. Errors only when the state directory cannot be written.
pub fn try_lock(state_dir: &Path, name: LockName<'_>) -> io::Result<Option<Lock>> {
    let path = path_of(state_dir, name);
    crate::paths::private_dir(state_dir)?;
    crate::paths::private_dir(&state_dir.join("locks"))?;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        let Ok(file) = Locked::take(file)? else { return Ok(None) };
        let held = file.metadata()?;
        let named = std::fs::metadata(&path);
        if !named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
            continue; // The holder before us removed this file; the name means another now.
        }
        // For people only; nothing relies on it.
        file.set_len(0)?;
        let _ = writeln!(&*file, "{}", std::process::id());
        return Ok(Some(Lock { _file: file, path }));
    }
}

/// Waits for the lock. Drop the future to stop waiting; select it against timers and signals.
pub async fn lock(state_dir: &Path, name: LockName<'_>) -> io::Result<Lock> {
    loop {
        if let Some(lock) = try_lock(state_dir, name)? {
            return Ok(lock);
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// The process that took the lock last, for messages; it may be gone.
#[must_use]
pub fn holder(state_dir: &Path, name: LockName<'_>) -> Option<u32> {
    let mut text = String::new();
    File::open(path_of(state_dir, name)).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_when_dropped_and_leaves_no_file() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let name = LockName::Session("s1");
        let lock = try_lock(dir.path(), name).expect("writable").expect("free");
        assert!(try_lock(dir.path(), name).expect("writable").is_none());
        assert!(try_lock(dir.path(), LockName::Session("s2")).expect("writable").is_some());
        assert_eq!(holder(dir.path(), name), Some(std::process::id()));
        drop(lock);
        assert!(try_lock(dir.path(), name).expect("writable").is_some());
        let left = std::fs::read_dir(dir.path().join("locks")).expect("readable").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn two_names_of_one_directory_are_one_lock() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).expect("writable");
        std::os::unix::fs::symlink(&real, &link).expect("writable");
        let _lock = try_lock(dir.path(), LockName::Launch(&real)).expect("writable");
        assert!(try_lock(dir.path(), LockName::Launch(&link)).expect("writable").is_none());
        let renamed = dir.path().join("Real");
        std::fs::rename(&real, &renamed).expect("writable");
        assert!(try_lock(dir.path(), LockName::Launch(&renamed)).expect("writable").is_none());
    }

    #[test]
    fn many_threads_never_hold_one_lock_together() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (inside, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..3000 {
                        let lock = try_lock(dir.path(), LockName::Update).expect("writable");
                        if lock.is_some() {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            taken.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
    }
}
