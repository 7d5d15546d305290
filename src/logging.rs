//! Diagnostics, to a rotating file in the state directory and nowhere else: while a child
//! runs, no line of its terminal is ours. A log that cannot be written never stops a run.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::LevelFilter;

/// Starts logging at this level (`info`, `debug` …) for the rest of the process.
pub fn start(state_dir: &Path, level: &str) {
    let dir = state_dir.join("log");
    if crate::paths::private_dir(&dir).is_err() {
        return;
    }
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("claude-safe")
        .filename_suffix("log")
        .max_log_files(7)
        .build(&dir);
    let Ok(appender) = appender else { return };
    for file in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
        // The appender knows no modes; the directory keeps others out of the next day's file.
        let _ = std::fs::set_permissions(file.path(), Permissions::from_mode(0o600));
    }
    let level = level.parse().unwrap_or(LevelFilter::INFO);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(appender))
        .finish();
    // A second call in one process (tests) keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
