//! Ending a child for good: SIGKILL for it and for everything it started.
//!
//! Claude's tools run in sessions of their own, so neither the terminal nor the process group
//! reaches them; they are found by descent and by session. A process that detached itself
//! (reparented, own session) is somebody's daemon and is left alone.

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Kills `child`, its session and its descendants. The caller has not reaped `child` yet, so its
/// number cannot belong to another process.
pub(super) fn kill_all(child: Pid) {
    // Collected before the first kill: a dead parent's children are reparented at once.
    let others = members(child);
    let _ = signal::kill(child, Signal::SIGKILL);
    let _ = signal::killpg(child, Signal::SIGKILL);
    for process in others {
        let _ = signal::kill(process, Signal::SIGKILL);
    }
}

#[cfg(target_os = "linux")]
fn members(child: Pid) -> Vec<Pid> {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A process that ended since the listing has no stat left.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name in parentheses may hold anything; the fields that count follow the last one.
        let Some((_, fields)) = stat.rsplit_once(')') else { continue };
        let mut fields = fields.split_ascii_whitespace().skip(1).map(str::parse::<i32>);
        if let (Some(Ok(parent)), _, Some(Ok(session))) =
            (fields.next(), fields.next(), fields.next())
        {
            processes.push((pid, parent, session));
        }
    }
    let mut found = vec![child.as_raw()];
    let mut next = 0;
    while next < found.len() {
        let ancestor = found[next];
        for (pid, parent, session) in &processes {
            if (*parent == ancestor || *session == ancestor) && !found.contains(pid) {
                found.push(*pid);
            }
        }
        next += 1;
    }
    found.into_iter().skip(1).map(Pid::from_raw).collect()
}

/// Elsewhere only the process group is known without a helper program.
#[cfg(not(target_os = "linux"))]
fn members(_child: Pid) -> Vec<Pid> {
    Vec::new()
}
