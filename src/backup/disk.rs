//! What differs between platforms when files are brought to the disk.

use std::fs::File;
use std::io;
use std::path::Path;

/// Asks the kernel to forget what it remembers of a file: what is not written yet it begins to
/// write, the rest is read from the disk the next time.
pub fn forget_cached(file: &File) {
    #[cfg(target_os = "linux")]
    {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

/// Brings a new directory and all in it to the disk.
#[cfg(target_os = "linux")]
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    nix::unistd::syncfs(File::open(dir)?).map_err(io::Error::from)
}

/// Brings a new directory to the disk; each file was synced as it was written; the directories
/// remain, and the disk's own cache.
#[cfg(not(target_os = "linux"))]
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    sync_below(dir)?;
    File::open(dir)?.sync_all()
}

#[cfg(not(target_os = "linux"))]
fn sync_below(dir: &Path) -> io::Result<()> {
    for child in std::fs::read_dir(dir)? {
        let child = child?;
        if child.file_type()?.is_dir() {
            sync_below(&child.path())?;
        }
    }
    nix::unistd::fsync(File::open(dir)?).map_err(io::Error::from)
}
