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

/// `config.toml`: `CLAUDE_SAFE_CONFIG`, else below the platform's configuration directory. On
/// macOS, where most command-line tools look there, `~/.config` goes first if it has one.
#[must_use]
pub fn config_file() -> PathBuf {
    env_path("CLAUDE_SAFE_CONFIG").unwrap_or_else(|| {
        let common = home().join(".config");
        let platform = dirs::config_dir().unwrap_or_else(|| common.clone());
        let first = if cfg!(target_os = "macos") { &common } else { &platform };
        config_in(first, &platform)
    })
}

/// The file in the first directory if it is there, else the one of the platform.
fn config_in(first: &Path, platform: &Path) -> PathBuf {
    let in_dir = |dir: &Path| dir.join("claude-safe/config.toml");
    Some(in_dir(first)).filter(|file| file.is_file()).unwrap_or_else(|| in_dir(platform))
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

/// A directory that cannot be: a run with no safe place to keep anything keeps nothing.
const NOWHERE: &str = "/dev/null/claude-safe";

/// The state directory; where it is not ours to write, one for this boot that is safe.
#[must_use]
pub fn usable_state_dir() -> PathBuf {
    use nix::unistd::{AccessFlags, access};
    let usable = |dir: &PathBuf| {
        let runs = dir.join("runs");
        private_dir(&runs).is_ok()
            && access(&runs, AccessFlags::W_OK).is_ok()
            && [dir, &runs]
                .iter()
                .all(|dir| std::fs::metadata(dir).is_ok_and(|meta| is_ours(&meta)))
    };
    let own = Some(state_dir()).filter(usable);
    own.or_else(|| boot_dirs().find(usable)).unwrap_or_else(|| PathBuf::from(NOWHERE))
}

/// Safe directories outside the state directory, gone with the next boot: for sockets whose path
/// would be too long elsewhere, and for runs without a writable home.
pub fn boot_dirs() -> impl Iterator<Item = PathBuf> {
    let name = format!("claude-safe-{}", nix::unistd::geteuid());
    let temporary = [std::env::temp_dir(), PathBuf::from("/tmp")];
    let run = dirs::runtime_dir().map(|dir| dir.join("claude-safe"));
    let known = run.into_iter().chain(temporary.clone().map(|dir| dir.join(&name)));
    let known = known.filter(|dir| claim_dir(dir).is_ok());
    // Somebody else may have taken the name: one that nobody could foresee.
    let fresh = temporary
        .into_iter()
        .filter(|dir| is_safe_parent(dir))
        .filter_map(move |dir| nix::unistd::mkdtemp(&dir.join(format!("{name}-XXXXXX"))).ok());
    known.chain(fresh)
}

/// Makes a directory where others may make some too, or takes the one that is there if it is
/// beyond doubt ours alone: no link, nobody else's, never writable for others.
fn claim_dir(dir: &Path) -> io::Result<()> {
    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    if !dir.parent().is_some_and(is_safe_parent) {
        return Err(refused());
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = std::fs::symlink_metadata(dir)?;
    let ours = meta.is_dir() && is_ours(&meta) && meta.mode() & 0o022 == 0;
    if ours { private_dir(dir) } else { Err(refused()) }
}

/// Whether nobody but root could put something else in the place of a directory of ours in it.
fn is_safe_parent(dir: &Path) -> bool {
    const STICKY: u32 = 0o1000;
    // Root's own, as a user namespace shows it.
    const NOBODY: u32 = 65_534;
    std::fs::metadata(dir).is_ok_and(|meta| {
        let trusted = is_ours(&meta) || [0, NOBODY].contains(&meta.uid());
        trusted && (meta.mode() & 0o022 == 0 || meta.mode() & STICKY != 0)
    })
}

fn is_ours(meta: &std::fs::Metadata) -> bool {
    meta.uid() == nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_may_have_had_their_hands_in_is_never_taken() {
        let base = tempfile::tempdir().expect("a temporary directory");
        let mode = |dir: &Path, mode| {
            std::fs::set_permissions(dir, Permissions::from_mode(mode)).expect("ours");
        };
        let dir = base.path().join("claude-safe-0");
        claim_dir(&dir).expect("made");
        assert_eq!(std::fs::metadata(&dir).expect("there").mode() & 0o777, 0o700);
        mode(&dir, 0o755);
        claim_dir(&dir).expect("it was never writable for others");
        assert_eq!(std::fs::metadata(&dir).expect("there").mode() & 0o777, 0o700);
        for loose in [0o777, 0o770, 0o720, 0o702, 0o1777] {
            mode(&dir, loose);
            assert!(claim_dir(&dir).is_err(), "{loose:o}");
        }
        mode(&dir, 0o700);
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&dir, &link).expect("made");
        assert!(claim_dir(&link).is_err(), "a link");
        let file = base.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(claim_dir(&file).is_err(), "a file");
        if nix::unistd::geteuid().is_root() {
            let other = Some(nix::unistd::Uid::from_raw(1234));
            nix::unistd::chown(&dir, other, None).expect("root may");
            assert!(claim_dir(&dir).is_err(), "somebody else's");
            nix::unistd::chown(&dir, Some(nix::unistd::geteuid()), None).expect("root may");
        }
        // Anybody could move it away and put theirs there.
        for (parent, taken) in [(0o777, false), (0o770, false), (0o1777, true), (0o755, true)] {
            mode(base.path(), parent);
            assert_eq!(claim_dir(&dir).is_ok(), taken, "in a directory of mode {parent:o}");
        }
    }

    #[test]
    fn a_configuration_in_the_common_place_goes_before_the_platform_s() {
        let home = tempfile::tempdir().expect("a directory");
        let (common, platform) = (home.path().join(".config"), home.path().join("Library"));
        let of = |dir: &Path| dir.join("claude-safe/config.toml");
        assert_eq!(config_in(&common, &platform), of(&platform));
        std::fs::create_dir_all(common.join("claude-safe")).expect("made");
        assert_eq!(config_in(&common, &platform), of(&platform), "there is no file");
        std::fs::write(of(&common), "").expect("written");
        assert_eq!(config_in(&common, &platform), of(&common));
    }
}
