//! A repository that a host does not have yet. In: its URL and where it belongs. Out: the
//! directory, whole or not at all.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// A clone that takes longer has failed.
const LONGEST: Duration = Duration::from_secs(1800);

/// Clones `repo` to `dir`, which is not there.
pub(super) async fn clone(repo: &str, dir: &Path) -> Result<(), String> {
    let failed = |why: String| format!("{} cannot be cloned: {why}", dir.display());
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(failed("it is no place for a repository".to_owned()));
    };
    std::fs::create_dir_all(parent).map_err(|error| failed(error.to_string()))?;
    let half = parent.join(format!(".{}-{:08x}", name.to_string_lossy(), fastrand::u32(..)));
    let output = Command::new("git")
        .args(["clone", "--quiet", "--", repo])
        .arg(&half)
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let why = match tokio::time::timeout(LONGEST, output).await {
        Ok(Ok(output)) if output.status.success() => match std::fs::rename(&half, dir) {
            Ok(()) => return Ok(()),
            // Another task that needs it was faster.
            Err(_) if dir.join(".git").exists() => None,
            Err(error) => Some(error.to_string()),
        },
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(said.trim().lines().last().unwrap_or("git failed").to_owned())
        }
        Ok(Err(error)) => Some(format!("git cannot be run: {error}")),
        Err(_) => Some(format!("it took longer than {} minutes", LONGEST.as_secs() / 60)),
    };
    // What is half there is nobody's.
    let _ = std::fs::remove_dir_all(&half);
    why.map_or(Ok(()), |why| Err(failed(why)))
}
