//! Where the kernel does not end a child with its parent (everywhere but on Linux): a shell that
//! tells claude to leave once our end of its pipe closes without a word, as it does by SIGKILL.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// The word that the child has ended before us.
const OVER: &str = "over";

/// Watches over one child; dropped once that has ended.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    pub(super) fn new(pid: u32) -> io::Result<Self> {
        let script = format!("read -r word; [ \"$word\" = {OVER} ] || kill -TERM \"$1\"");
        Command::new("/bin/sh")
            .args(["-c", &script, "sh", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // the terminal's Ctrl-C is not meant for it
            .process_group(0)
            .spawn()
            .map(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(pipe) = self.0.stdin.as_mut() {
            let _ = writeln!(pipe, "{OVER}");
        }
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn child() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat")
    }

    #[test]
    fn a_child_whose_parent_is_gone_is_told_to_leave_and_no_other() {
        let mut orphan = child();
        // `wait` would close it, and end the child by that
        let _held = orphan.stdin.take();
        let mut guard = Guard::new(orphan.id()).expect("a shell");
        // what the kernel does to a process that is killed
        drop(guard.0.stdin.take());
        assert_eq!(orphan.wait().expect("ours").signal(), Some(15));
        let mut other = child();
        drop(Guard::new(other.id()).expect("a shell"));
        drop(other.stdin.take());
        assert_eq!(other.wait().expect("ours").code(), Some(0));
    }
}
