//! Which Claude Code this is. `--version` is run once per installed file (25 ms and more), and
//! remembered by path, size and time of modification; [`at_hand`] never runs it.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::process;

/// No package's description is longer (bytes).
const PACKAGE_CAP_BYTES: u64 = 64 << 10;

/// A claude that says nothing for so long does not tell.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32, pub u32);

/// From here on a resumed session sends its interrupted turn again when asked to by the
/// environment (measured on 2.1.200 and 2.1.330; 2.1.100 knows it without a terminal only).
pub const RESUMES_INTERRUPTED_TURN: Version = Version(2, 1, 200);

/// From here on Claude empties a sign-in that the service calls dead: its refresh token at least
/// (measured on 2.1.175; 2.1.150 keeps it, and its file then looks as in an outage).
pub const EMPTIES_DEAD_SIGN_IN: Version = Version(2, 1, 175);

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

/// What is remembered, below the state directory.
const FILE: &str = "versions.json";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known(BTreeMap<String, (u64, i64, Version)>);

impl Known {
    fn read(file: &Path) -> Self {
        let bytes = std::fs::read(file).ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn version(&self, real: &Path, meta: &Metadata) -> Option<Version> {
        let (size, modified, version) = self.0.get(real.to_string_lossy().as_ref())?;
        ((*size, *modified) == (meta.len(), meta.mtime())).then_some(*version)
    }
}

/// The version of this executable as far as files tell: what is remembered, its own name (as its
/// installer names it), or the package it lies in.
#[must_use]
pub fn at_hand(claude: &Path, state_dir: &Path) -> Option<Version> {
    let real = std::fs::canonicalize(claude).ok()?;
    let meta = std::fs::metadata(&real).ok()?;
    Known::read(&state_dir.join(FILE)).version(&real, &meta).or_else(|| installed(&real))
}

/// Whether files show that this executable is Claude Code itself, as its installers lay it down,
/// and not something that starts it.
#[must_use]
pub fn is_claude_itself(program: &Path) -> bool {
    std::fs::canonicalize(program).is_ok_and(|real| installed(&real).is_some())
}

/// The version by the file's own name, or by the package it lies in.
fn installed(real: &Path) -> Option<Version> {
    let named = || {
        let name = real.file_name()?.to_str()?;
        name.parse::<Version>().ok().filter(|version| version.to_string() == name)
    };
    let dirs = || real.ancestors().skip(1).take(2);
    named().or_else(|| dirs().find_map(|dir| of_package(&dir.join("package.json"))))
}

/// The version in a package's description, if the package is Claude Code's.
fn of_package(file: &Path) -> Option<Version> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let mut text = Vec::new();
    File::open(file).ok()?.take(PACKAGE_CAP_BYTES).read_to_end(&mut text).ok()?;
    let package: Package = serde_json::from_slice(&text).ok()?;
    package.name.starts_with("@anthropic-ai/claude-code").then(|| package.version.parse().ok())?
}

/// The version of this executable, if it tells.
pub async fn of(claude: &Path, state_dir: &Path) -> Option<Version> {
    let real = std::fs::canonicalize(claude).ok()?;
    let meta = std::fs::metadata(&real).ok()?;
    let file = state_dir.join(FILE);
    let mut known = Known::read(&file);
    if let Some(version) = known.version(&real, &meta) {
        return Some(version);
    }
    let name = real.to_string_lossy().into_owned();
    let mut command = Command::new(claude);
    command.arg("--version").env("DISABLE_AUTOUPDATER", "1");
    let output = process::output(command, PATIENCE).await.ok()?;
    let version = String::from_utf8_lossy(&output.stdout).parse().ok()?;
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

    #[tokio::test]
    async fn files_tell_the_version_by_memory_name_or_package_and_nothing_is_run() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (state, root) = (dir.path().join("state"), dir.path());
        // It would tell another version, if it were run.
        let put = |name: &str| {
            let file = root.join(name);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            std::fs::write(&file, "#!/bin/sh\necho 9.9.9\n").expect("written");
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("ours");
            file
        };
        let package = |dir: &str, name: &str| {
            let text = serde_json::json!({ "name": name, "version": "2.1.331" }).to_string();
            std::fs::write(root.join(dir).join("package.json"), text).expect("written");
        };
        let link = root.join("claude");
        std::os::unix::fs::symlink(put("versions/2.1.330"), &link).expect("linked");
        assert_eq!(at_hand(&link, &state), Some(Version(2, 1, 330)));
        let native = put("modules/bin/claude");
        package("modules", "@anthropic-ai/claude-code-linux-x64");
        assert_eq!(at_hand(&native, &state), Some(Version(2, 1, 331)));
        let strange = put("other/claude");
        package("other", "somebody-elses");
        assert_eq!(at_hand(&strange, &state), None);
        assert!(is_claude_itself(&link) && is_claude_itself(&native));
        assert_eq!(of(&strange, &state).await, Some(Version(9, 9, 9)));
        assert_eq!(at_hand(&strange, &state), Some(Version(9, 9, 9)), "it was asked once");
        assert!(!is_claude_itself(&strange), "that it tells a version makes it no Claude Code");
        assert_eq!(at_hand(&put("versions/2.1.330.old"), &state), None);
    }
}
