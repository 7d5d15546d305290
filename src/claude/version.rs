//! Which Claude Code this is. `--version` is run once per installed file (25 ms and more), and
//! remembered by path, size and time of modification.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

/// Major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32, pub u32);

/// From here on a resumed session sends its interrupted turn again when asked to by the
/// environment (measured on 2.1.200 and 2.1.330; 2.1.100 knows it without a terminal only).
pub const RESUMES_INTERRUPTED_TURN: Version = Version(2, 1, 200);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl std::str::FromStr for Version {
    type Err = ();

    /// Reads the first word of `2.1.330 (Claude Code)`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split_whitespace().next().ok_or(())?.split('.').map(str::parse);
        let mut next = || numbers.next().and_then(Result::ok).ok_or(());
        Ok(Self(next()?, next()?, next()?))
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known(BTreeMap<String, (u64, i64, Version)>);

/// The version of this executable, if it tells.
#[must_use]
pub fn of(claude: &Path, state_dir: &Path) -> Option<Version> {
    let real = std::fs::canonicalize(claude).ok()?;
    let meta = std::fs::metadata(&real).ok()?;
    let file = state_dir.join("versions.json");
    let remembered = std::fs::read(&file).ok();
    let mut known: Known =
        remembered.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let name = real.to_string_lossy().into_owned();
    if let Some((size, modified, version)) = known.0.get(&name)
        && (*size, *modified) == (meta.len(), meta.mtime())
    {
        return Some(*version);
    }
    let output =
        Command::new(claude).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let version = String::from_utf8_lossy(&output.ok()?.stdout).parse().ok()?;
    known.0.insert(name, (meta.len(), meta.mtime(), version));
    if let Ok(bytes) = serde_json::to_vec(&known) {
        let _ = crate::paths::private_dir(state_dir);
        let _ = crate::paths::write_private(&file, &bytes);
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!("2.1.330 (Claude Code)\n".parse(), Ok(Version(2, 1, 330)));
        assert!(Version(2, 1, 100) < RESUMES_INTERRUPTED_TURN);
        assert_eq!("claude".parse::<Version>(), Err(()));
    }
}
