//! Where things live: our configuration, our state, and Claude's own directory.
//! In: the environment and the platform's conventions. Out: paths; directories of ours are
//! made 0700. Never touches anything below Claude's directory.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A non-empty environment variable as a path.
fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The user's home, `/` when there is none (a service without HOME still starts).
#[must_use]
pub fn home() -> PathBuf {
    dirs::home_dir().unwrap_or_else(|| PathBuf::from("/"))
}

/// `config.toml`: `CLAUDE_SAFE_CONFIG`, else the platform's configuration directory.
#[must_use]
pub fn config_file() -> PathBuf {
    env_path("CLAUDE_SAFE_CONFIG").unwrap_or_else(|| {
        dirs::config_dir().unwrap_or_else(|| home().join(".config")).join("claude-safe/config.toml")
    })
}

/// Journal, logs, backups, breaker: `CLAUDE_SAFE_STATE_DIR`, else the platform's state directory.
#[must_use]
pub fn state_dir() -> PathBuf {
    env_path("CLAUDE_SAFE_STATE_DIR").unwrap_or_else(|| {
        dirs::state_dir()
            .or_else(dirs::data_local_dir)
            .unwrap_or_else(|| home().join(".local/state"))
            .join("claude-safe")
    })
}

/// Claude's configuration directory: `CLAUDE_CONFIG_DIR`, else `~/.claude`.
#[must_use]
pub fn claude_config_dir() -> PathBuf {
    env_path("CLAUDE_CONFIG_DIR").unwrap_or_else(|| home().join(".claude"))
}

/// Claude's `.claude.json`: inside `CLAUDE_CONFIG_DIR` when that is set, else in the home.
#[must_use]
pub fn claude_json() -> PathBuf {
    env_path("CLAUDE_CONFIG_DIR").unwrap_or_else(home).join(".claude.json")
}

/// Makes a directory of ours, 0700, and its parents; tightens one that is looser.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let meta = std::fs::metadata(dir)?;
    if meta.uid() == nix::unistd::geteuid().as_raw() && meta.mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Writes a file of ours, 0600, whole or not at all (a temporary sibling, then a rename).
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    std::fs::rename(&temporary, path)
}

/// Sockets of ours, where the state directory's path is too long for one.
#[must_use]
pub fn runtime_dir() -> PathBuf {
    dirs::runtime_dir().map_or_else(
        || std::env::temp_dir().join(format!("claude-safe-{}", nix::unistd::geteuid())),
        |dir| dir.join("claude-safe"),
    )
}
