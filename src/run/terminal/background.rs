//! Whether Claude has work in the background, which would die with it. In: its process. Out: yes,
//! also where nothing can be seen.

use nix::unistd::{Pid, getsid};

use crate::backup::processes;

/// Claude gives each shell of its Bash tool a session of its own; servers that it started for
/// itself stay in its session, and come back with it.
pub(super) fn has_work(claude: i32) -> bool {
    let (Ok(all), Ok(own)) = (processes::all(), getsid(Some(Pid::from_raw(claude)))) else {
        return true;
    };
    let mut family = vec![claude];
    while let Some(parent) = family.pop() {
        for child in all.iter().filter(|process| process.parent == parent) {
            if getsid(Some(Pid::from_raw(child.pid))).is_ok_and(|session| session != own) {
                return true;
            }
            family.push(child.pid);
        }
    }
    false
}

// the command `setsid` is Linux's
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A child that lives until its input ends.
    fn child(command: &mut Command) -> Child {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts")
    }

    #[test]
    fn a_shell_in_a_session_of_its_own_is_work_and_a_server_is_not() {
        let mut server = child(Command::new("sh").args(["-c", "cat; exit"]));
        let id = |child: &Child| i32::try_from(child.id()).expect("a pid");
        assert!(!has_work(id(&server)));
        let mut shell = child(Command::new("sh").args(["-c", "setsid sh -c 'echo; cat'; exit"]));
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !has_work(id(&shell)) && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        let seen = has_work(id(&shell));
        for child in [&mut server, &mut shell] {
            drop(child.stdin.take());
            child.wait().expect("it ends");
        }
        assert!(seen);
        assert!(has_work(i32::MAX), "nothing is known of it");
    }
}
