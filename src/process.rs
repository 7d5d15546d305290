//! The processes of this machine: who lives, who started whom, and the end of a whole tree.
//! In: a process number. Out: what the kernel tells, through `/proc` on Linux and `ps` elsewhere.

#[cfg(any(test, not(target_os = "linux")))]
mod by_ps;

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

#[cfg(not(target_os = "linux"))]
use by_ps as system;

/// The kernel's clock and the calendar's may be this far apart.
const SLACK: SignedDuration = SignedDuration::from_secs(10);

/// A process that is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its session's.
    pub session: i32,
    /// When it started: tells two processes of one number apart.
    pub started: Start,
    /// The CPU time that it used; on Linux its ended children's too.
    pub cpu: Duration,
    /// It has ended and waits for its parent to take note.
    pub ended: bool,
}

/// The start of a process, as the system counts it.
// each knows one of them
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Since the machine's own start (kernel ticks).
    Ticks(u64),
    /// Since 1970 (seconds).
    Second(i64),
}

impl Process {
    /// Whether both are one process, whatever it has done in between.
    fn is(&self, other: &Self) -> bool {
        (self.pid, self.started) == (other.pid, other.started)
    }
}

/// Whether the process that wrote something at `wrote` still lives under this number. One that
/// began later was given the number since.
#[must_use]
pub fn is_alive(pid: i32, wrote: Timestamp) -> bool {
    // Where the start time is not told, the number alone must do.
    exists(pid)
        && system::one(pid).is_none_or(|process| {
            let began = system::calendar(process.started);
            !process.ended && began.is_none_or(|began| began <= wrote + SLACK)
        })
}

/// Whether there is such a process.
#[must_use]
pub fn exists(pid: i32) -> bool {
    pid > 0 && matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM))
}

/// One process, where the kernel tells.
#[must_use]
pub fn one(pid: i32) -> Option<Process> {
    system::one(pid)
}

/// All processes. An error means that nothing is known.
pub fn all() -> io::Result<Vec<Process>> {
    system::all()
}

/// The CPU time of a process that has no child; `None` also where that cannot be seen. One that
/// has waits for it: for a hook, a server, a task in the background, which may take long.
#[must_use]
pub fn cpu_alone(pid: i32) -> Option<Duration> {
    let all = all().ok()?;
    if all.iter().any(|process| process.parent == pid) {
        return None;
    }
    all.iter().find(|process| process.pid == pid).map(|process| process.cpu)
}

/// A process with everything it started: by descent, and by session. Claude's tools run in
/// sessions of their own, so neither the terminal nor the process group reaches them. A process
/// that detached itself (reparented, own session) is somebody's daemon and is left alone.
#[derive(Debug, Clone, Default)]
pub struct Tree(Vec<Process>);

impl Tree {
    /// As it is now, the root first.
    #[must_use]
    pub fn of(root: i32) -> Self {
        Self::among(&all().unwrap_or_default(), root)
    }

    fn among(all: &[Process], root: i32) -> Self {
        let mut tree = Self(all.iter().filter(|process| process.pid == root).copied().collect());
        let mut next = 0;
        while let Some(above) = tree.0.get(next).copied() {
            tree.take(all, |process| process.parent == above.pid || process.session == above.pid);
            next += 1;
        }
        tree
    }

    /// Takes in what belongs to it and is not in it yet.
    fn take(&mut self, all: &[Process], belongs: impl Fn(&Process) -> bool) {
        for process in all.iter().filter(|process| belongs(process)) {
            if !self.0.iter().any(|member| member.is(process)) {
                self.0.push(*process);
            }
        }
    }

    /// Takes in what has joined since: what is below the root now, and whatever is in a session
    /// that one of the tree leads, its parent gone or not.
    pub fn grow(&mut self) {
        let all = all().unwrap_or_default();
        for member in living(&self.0, &all) {
            let below = Self::among(&all, member.pid);
            self.take(&below.0, |_| true);
        }
        let members = self.0.clone();
        self.take(&all, |process| {
            // A leader's number is not given away while its session has members.
            members.iter().any(|one| one.pid == process.session && one.session == one.pid)
        });
    }

    /// Kills what is left of it but the root. A number that another process has by now is spared.
    pub fn kill_below(&self) {
        let below = self.0.get(1..).unwrap_or_default();
        if below.is_empty() {
            return;
        }
        for process in living(below, &all().unwrap_or_default()) {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
    }
}

/// Those of them that are still there.
fn living(some: &[Process], all: &[Process]) -> Vec<Process> {
    let lives = |process: &Process| all.iter().any(|now| now.is(process) && !now.ended);
    some.iter().filter(|process| lives(process)).copied().collect()
}

/// Kills `child`, its group, its session and its descendants. The caller has not reaped `child`
/// yet, so its number cannot belong to another process.
pub fn kill_tree(child: i32) {
    // Collected before the first kill: a dead parent's children are reparented at once.
    let tree = Tree::of(child);
    let child = Pid::from_raw(child);
    let _ = kill(child, Signal::SIGKILL);
    let _ = killpg(child, Signal::SIGKILL);
    tree.kill_below();
}

/// Runs a program to its end, without input and in a group of its own. It is killed with its
/// group when it takes longer, or when nobody waits any more.
pub async fn output(mut command: Command, limit: Duration) -> io::Result<Output> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let mut group = Group(child.id().map(u32::cast_signed));
    let output = tokio::time::timeout(limit, child.wait_with_output()).await;
    match output {
        Ok(output) => {
            group.0 = None;
            output
        }
        Err(_) => {
            let why = format!("it took longer than {} s", limit.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        }
    }
}

/// Killed when it is dropped, unless its leader was reaped: its number may be another's by then.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended meanwhile.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use procfs::Current as _;
    use procfs::process::{Stat, all_processes};

    use super::{Process, Start};

    pub(super) fn all() -> io::Result<Vec<Process>> {
        let all = all_processes().map_err(io::Error::other)?;
        // One that ends while it is looked at is gone: no process.
        Ok(all.filter_map(|one| Some(of(&one.ok()?.stat().ok()?))).collect())
    }

    pub(super) fn one(pid: i32) -> Option<Process> {
        Some(of(&procfs::process::Process::new(pid).ok()?.stat().ok()?))
    }

    fn of(stat: &Stat) -> Process {
        let ended = i64::max(0, stat.cutime) + i64::max(0, stat.cstime);
        let ticks = stat.utime + stat.stime + ended.cast_unsigned();
        Process {
            pid: stat.pid,
            parent: stat.ppid,
            session: stat.session,
            started: Start::Ticks(stat.starttime),
            cpu: Duration::from_millis(millis(ticks)),
            ended: matches!(stat.state, 'Z' | 'X'),
        }
    }

    /// When that was by the calendar.
    pub(super) fn calendar(started: Start) -> Option<Timestamp> {
        let Start::Ticks(started) = started else { return None };
        let up = procfs::Uptime::current().ok()?.uptime_duration();
        let age = up.saturating_sub(Duration::from_millis(millis(started)));
        Some(Timestamp::now() - SignedDuration::try_from(age).ok()?)
    }

    fn millis(ticks: u64) -> u64 {
        ticks.saturating_mul(1000) / procfs::ticks_per_second().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_that_took_its_number_later_is_another() {
        let own = std::process::id().cast_signed();
        assert!(is_alive(own, Timestamp::now()));
        assert!(!is_alive(0, Timestamp::now()));
        assert!(!is_alive(i32::MAX, Timestamp::now()));
        assert!(!is_alive(own, Timestamp::now() - SignedDuration::from_hours(24 * 365)));
        assert_eq!(cpu_alone(i32::MAX), None);
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("pid");
        let mut command = Command::new("sh");
        command.env("FILE", &file).args(["-c", "sleep 600 & echo $! > \"$FILE\"; wait"]);
        let error = output(command, Duration::from_millis(500)).await.expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let pid = std::fs::read_to_string(&file).expect("it began");
        let pid: i32 = pid.trim().parse().expect("a pid");
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while one(pid).is_some_and(|process| !process.ended) {
            assert!(std::time::Instant::now() < deadline, "{pid} lives on");
            tokio::task::yield_now().await;
        }
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let output = output(command, Duration::from_secs(30)).await.expect("it ends");
        assert_eq!((&*output.stdout, output.status.code()), (&b"out\n"[..], Some(3)));
    }

    #[test]
    fn a_process_with_a_child_is_never_still() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read -r line"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        assert!(cpu_alone(child.id().cast_signed()).is_some());
        assert_eq!(cpu_alone(std::process::id().cast_signed()), None);
        drop(child.stdin.take());
        child.wait().expect("it ended");
    }

    /// A shell whose tool, and that tool's child, live in sessions of their own.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_tree_holds_what_left_the_session_and_what_lost_its_parent() {
        use std::collections::BTreeSet;
        use std::io::{BufRead as _, BufReader};
        use std::process::{Command, Stdio};
        let script = "setsid sh -c 'sh -c \"echo \\$\\$; exec sleep 600\" & echo $$; \
                      exec sleep 600' & exec sleep 600";
        let mut root = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let said = BufReader::new(root.stdout.take().expect("piped"));
        let below: Vec<i32> =
            said.lines().take(2).map(|pid| pid.expect("read").parse().expect("a pid")).collect();
        let mut tree = Tree::of(root.id().cast_signed());
        let by_ps = Tree::among(&by_ps::all().expect("ps"), root.id().cast_signed());
        let members = |tree: &Tree| tree.0.iter().map(|one| one.pid).collect::<BTreeSet<_>>();
        assert_eq!(members(&by_ps), members(&tree));
        root.kill().expect("ours");
        root.wait().expect("ours");
        tree.grow();
        tree.kill_below();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        for pid in below {
            while one(pid).is_some_and(|process| !process.ended) {
                assert!(std::time::Instant::now() < deadline, "{pid} lives on");
                std::thread::yield_now();
            }
        }
    }
}
