//! Processes as `ps` tells of them, where there is no `/proc`. In: its lines. Out: [`Process`]es,
//! which begin at a second of the calendar and whose work is their own alone.

use std::io;

use jiff::Timestamp;
use nix::unistd::{Pid, getsid};

use super::{Process, Start};
use crate::ps::{self, LIFE, Life};

pub(super) fn all() -> io::Result<Vec<Process>> {
    Ok(ps::all(LIFE, false)?.lines().filter_map(of).collect())
}

pub(super) fn one(pid: i32) -> Option<Process> {
    ps::one(LIFE, pid).ok()?.lines().find_map(of)
}

fn of(line: &str) -> Option<Process> {
    let Life { pid, parent, ended, cpu, started } = Life::of(line)?;
    // `ps` shows a session by an address of the kernel's; one that has ended has none.
    let session = getsid(Some(Pid::from_raw(pid))).map_or(0, Pid::as_raw);
    Some(Process { pid, parent, session, started: Start::Second(started), cpu, ended })
}

pub(super) fn calendar(started: Start) -> Option<Timestamp> {
    match started {
        Start::Second(second) => Timestamp::from_second(second).ok(),
        Start::Ticks(_) => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use jiff::SignedDuration;

    use super::super::system;
    use super::*;

    /// This machine's `ps` tells what its `/proc` tells.
    #[test]
    fn ps_tells_the_same_as_the_kernel() {
        use std::os::unix::process::CommandExt as _;
        let mut reader = Command::new("sh");
        reader.args(["-c", "read -r line; exit 0"]).stdin(Stdio::piped()).process_group(0);
        let mut child = reader.spawn().expect("a shell");
        let pid = child.id().cast_signed();
        let told = all().expect("ps").into_iter().find(|process| process.pid == pid);
        let kernel = system::one(pid).expect("it lives");
        for told in [told, one(pid)] {
            let told = told.expect("ps shows it");
            let same = (kernel.parent, kernel.session, kernel.ended);
            assert_eq!((told.parent, told.session, told.ended), same);
            assert!(told.cpu.abs_diff(kernel.cpu) < Duration::from_secs(2), "{told:?} {kernel:?}");
            let (one, other) = (calendar(told.started), system::calendar(kernel.started));
            let apart = one.expect("a time").duration_since(other.expect("a time")).abs();
            assert!(apart < SignedDuration::from_secs(3), "{one:?} {other:?}");
        }
        // Its end is awaited by nobody yet.
        drop(child.stdin.take());
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !one(pid).expect("not reaped").ended {
            assert!(std::time::Instant::now() < deadline, "{pid} lives on");
        }
        child.wait().expect("ours");
        assert_eq!(one(pid), None);
    }
}
