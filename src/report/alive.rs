//! Whether a run's process still lives. In: its number and when the run began. Out: yes or no.
//! A number that was given to another process since does not count.

use jiff::{SignedDuration, Timestamp};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// The kernel's clock and the calendar's may be this far apart.
const SLACK: SignedDuration = SignedDuration::from_secs(10);

/// Whether process `pid`, which wrote its first journal line at `began`, still lives.
#[must_use]
pub fn is_alive(pid: i32, began: Timestamp) -> bool {
    let exists = matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM));
    // Where the start time is not told, the number alone must do.
    pid > 0
        && exists
        && started(pid).is_none_or(|(start, zombie)| !zombie && start <= began + SLACK)
}

/// When a process started, and whether it has ended and only waits for its parent.
fn started(pid: i32) -> Option<(Timestamp, bool)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, brackets too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: i64 = fields.get(19)?.parse().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()??;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let age_ms = (up * 1000.0) as i64 - ticks * 1000 / per_second;
    Some((Timestamp::now() - SignedDuration::from_millis(age_ms), fields.first() == Some(&"Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_that_took_its_number_later_is_another() {
        let own = std::process::id().cast_signed();
        assert!(is_alive(own, Timestamp::now()));
        assert!(!is_alive(own, Timestamp::now() - SignedDuration::from_hours(24 * 365)));
        assert!(!is_alive(0, Timestamp::now()));
        assert!(!is_alive(i32::MAX, Timestamp::now()));
    }
}
