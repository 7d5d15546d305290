//! The claudes tests run: pinned real versions, and the scripted stand-in.
//! Nothing is skipped when one is missing: the test fails and says what to run.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The newest version tests pin.
pub const NEWEST: &str = "2.1.331";
/// The version most facts were measured on.
pub const MEASURED: &str = "2.1.330";
/// Every pinned version, oldest first.
pub const VERSIONS: [&str; 5] = ["2.0.30", "2.1.100", "2.1.200", MEASURED, NEWEST];

/// The executable of a pinned real version, installed by `tests/claude-code/install`.
///
/// `CLAUDE_SAFE_TEST_NODE_MODULES` names another `node_modules` directory, so that several
/// work trees can share the 1.2 GB.
pub fn real_claude(version: &str) -> PathBuf {
    assert!(VERSIONS.contains(&version), "{version} is not pinned; pinned are {VERSIONS:?}");
    let modules = std::env::var_os("CLAUDE_SAFE_TEST_NODE_MODULES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("claude-code/node_modules"),
        PathBuf::from,
    );
    let package = modules.join(format!("claude-{}", version.replace('.', "-")));
    let native = format!("@anthropic-ai/claude-code-{}/claude", platform());
    let candidates =
        [package.join("cli.js"), package.join("node_modules").join(&native), modules.join(&native)];
    let found = candidates.into_iter().find(|path| is_version(path, version));
    found.unwrap_or_else(|| {
        panic!(
            "Claude Code {version} is not installed below {}: run tests/claude-code/install",
            modules.display()
        )
    })
}

/// Whether the package that holds `executable` is of this version.
fn is_version(executable: &Path, version: &str) -> bool {
    let package = executable.with_file_name("package.json");
    let text = std::fs::read(package).unwrap_or_default();
    let package: Value = serde_json::from_slice(&text).unwrap_or_default();
    executable.is_file() && package["version"] == version
}

/// The platform as the native packages name it.
fn platform() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let libc = if cfg!(target_env = "musl") { "-musl" } else { "" };
    format!("{system}-{machine}{libc}")
}

/// The stand-in's executable, built if it is not there.
pub fn scripted_claude() -> PathBuf {
    crate::stand::executable("scripted-claude")
}
