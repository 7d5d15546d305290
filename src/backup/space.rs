//! Whether there is room for a snapshot, before anything is written.

use std::path::Path;

use super::error::{During as _, Error, Result};

/// Left free on the disk whatever a backup needs: Claude itself must go on writing (bytes).
pub const RESERVE_BYTES: u64 = 16 << 20;

/// What JSON lines shrink to at the least; a disk that fills up in spite of this estimate
/// still ends the backup cleanly.
const SHRINKS_TO: u64 = 2;

/// What a user may still write to the disk that this lies on (bytes).
pub fn free(path: &Path) -> std::io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    // The widths of these fields differ between platforms.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    let free = (stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64);
    Ok(free)
}

/// Fails when files of this size in all (bytes, without holes) may not fit in `dir`.
pub fn check(dir: &Path, allocated: u64) -> Result<()> {
    let free = free(dir).during("look at the free space of", dir)?;
    let needed = (allocated / SHRINKS_TO).saturating_add(RESERVE_BYTES);
    if free < needed {
        return Err(Error::NoSpace { dir: dir.to_owned(), needed, free });
    }
    Ok(())
}

/// A size for people: `3.2 MiB`.
#[must_use]
pub fn in_words(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
