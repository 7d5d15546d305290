//! Keeps the machine awake while a task runs, by the system's own tool: a process that holds the
//! sleep off until it is ended. In: whether something runs. Out: that process. A tool that is
//! not there is said once.

use std::process::{Child, Command, Stdio};

use crate::notice::say;

/// Who holds the sleep off.
pub(super) struct Awake {
    wanted: bool,
    holder: Option<Child>,
}

impl Awake {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, holder: None }
    }

    /// Holds the sleep off, or lets it be.
    pub(super) fn keep(&mut self, on: bool) {
        if !on {
            return self.let_go();
        }
        if !self.wanted || self.holder.is_some() {
            return;
        }
        match hold() {
            Ok(holder) => self.holder = Some(holder),
            Err(error) => {
                self.wanted = false;
                say(&format!("the machine may fall asleep: {}: {error}", TOOL[0]));
            }
        }
    }

    fn let_go(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Each waits for the end of its standard input, so that it ends with us however we end.
#[cfg(target_os = "macos")]
const TOOL: &[&str] = &["caffeinate", "-i", "cat"];
#[cfg(not(target_os = "macos"))]
const TOOL: &[&str] = &[
    "systemd-inhibit",
    "--what=sleep",
    "--who=claude-safe",
    "--why=a task of the queue runs",
    "--mode=block",
    "cat",
];

fn hold() -> std::io::Result<Child> {
    let mut tool = Command::new(TOOL[0]);
    tool.args(&TOOL[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    tool.spawn()
}
