//! Whether a headless run has come to a stop: nothing printed, nothing written, no work done.
//! In: what moves, looked at again and again. Out: yes, only if all of it was still for as
//! long as asked. What cannot be seen counts as moving: unknown never ends a run.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A process that only waits may still wake for a timer: so much of one CPU is no work.
const IDLE_SHARE: f64 = 0.02;

/// What moves in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Motion {
    /// Bytes printed so far.
    pub printed: u64,
    /// The transcript's size and time of modification.
    pub transcript: Option<(u64, SystemTime)>,
    /// The CPU time of Claude alone; `None` where it cannot be seen.
    pub cpu: Option<Duration>,
    /// A tool is running, which may wait for anything, or the turn has come to its own end: what
    /// Claude still waits for then is the user's.
    pub excused: bool,
}

/// Remembers since when nothing moved.
#[derive(Debug)]
pub(super) struct Stillness {
    after: Duration,
    since: Instant,
    last: Option<(Instant, Motion)>,
}

impl Stillness {
    pub(super) fn new(after: Duration, now: Instant) -> Self {
        Self { after, since: now, last: None }
    }

    /// Takes a look in: whether it has been still for long enough.
    pub(super) fn look(&mut self, now: Instant, motion: Motion) -> bool {
        let moved = self.last.is_none_or(|(at, last)| {
            let idle = now.duration_since(at).mul_f64(IDLE_SHARE);
            let worked = match (last.cpu, motion.cpu) {
                (Some(before), Some(after)) => before.abs_diff(after) > idle,
                _ => true,
            };
            let seen = |motion: Motion| (motion.printed, motion.transcript);
            worked || motion.excused || seen(last) != seen(motion)
        });
        if moved {
            self.since = now;
        }
        self.last = Some((now, motion));
        now.duration_since(self.since) >= self.after
    }
}

/// Size and time of modification of a file.
pub(super) fn of_file(path: &Path) -> Option<(u64, SystemTime)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

/// The CPU time of a process that has no child. One that has waits for it: for a hook, a server,
/// a task in the background, which may take as long as they like.
#[cfg(target_os = "linux")]
pub(super) fn cpu_alone(process: i32) -> Option<Duration> {
    let is_child = |pid| parent_and_ticks(pid).is_some_and(|(parent, _)| parent == process);
    let mut all = std::fs::read_dir("/proc").ok()?.flatten();
    let has_children =
        all.any(|entry| entry.file_name().to_str().is_some_and(|n| n.parse().is_ok_and(is_child)));
    let (_, ticks) = parent_and_ticks(process).filter(|_| !has_children)?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    Some(Duration::from_millis(ticks * 1000 / u64::try_from(per_second).ok()?))
}

/// Other systems do not tell without a program of their own: there nothing counts as hung.
#[cfg(not(target_os = "linux"))]
pub(super) fn cpu_alone(_process: i32) -> Option<Duration> {
    None
}

/// A process's parent, and the ticks it and its ended children used.
#[cfg(target_os = "linux")]
fn parent_and_ticks(pid: i32) -> Option<(i32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; the fields begin behind its last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn motion(printed: u64, cpu_ms: u64) -> Motion {
        let cpu = Some(Duration::from_millis(cpu_ms));
        Motion { printed, transcript: None, cpu, excused: false }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_still_in_every_way_for_all_the_time_is_still() {
        let zero = Instant::now();
        let minute = |n: u64| zero + Duration::from_secs(60 * n);
        let mut still = Stillness::new(Duration::from_secs(180), zero);
        assert!(!still.look(minute(1), motion(5, 1000)));
        // Timers alone are no work.
        assert!(!still.look(minute(2), motion(5, 1500)));
        assert!(!still.look(minute(3), motion(5, 2000)));
        assert!(still.look(minute(4), motion(5, 2500)));
        for moving in [
            motion(6, 2500),
            motion(5, 9000),
            Motion { excused: true, ..motion(5, 2500) },
            Motion { cpu: None, ..motion(5, 2500) },
            Motion { transcript: Some((1, SystemTime::UNIX_EPOCH)), ..motion(5, 2500) },
        ] {
            let mut still = Stillness::new(Duration::from_secs(120), zero);
            assert!(!still.look(minute(1), motion(5, 2500)));
            assert!(!still.look(minute(2), moving), "{moving:?}");
            assert!(!still.look(minute(3), moving), "{moving:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_a_child_is_never_still() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read -r line"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let own = i32::try_from(std::process::id()).expect("a pid");
        let other = i32::try_from(child.id()).expect("a pid");
        assert!(cpu_alone(other).is_some());
        assert_eq!(cpu_alone(own), None);
        assert_eq!(cpu_alone(i32::MAX), None);
        drop(child.stdin.take());
        child.wait().expect("it ended");
    }
}
