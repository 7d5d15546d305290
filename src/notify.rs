//! Telling a person who is looking elsewhere: the terminal bell, its notification sequences, a
//! command, the desktop. In: an occasion and a sentence. Out: bytes for whoever owns the
//! terminal, and programs started on the side. Never blocks, never writes to the terminal by
//! itself, never passes on a prompt, an argument's value or a secret; a notifier that fails is
//! logged and forgotten.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::config::Config;

/// A notifier that runs longer is killed, with everything it started in its process group.
const KILLED_AFTER: Duration = Duration::from_secs(10);

/// A notification is one line, no longer than this (characters).
const LONGEST_TEXT: usize = 200;

/// What can be told. Closed: the names are those of `notify.on` and `notify.bell`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A wait has lasted for more than a minute.
    Waiting,
    /// Only a person can go on.
    PersonNeeded,
    /// A turn worked again after a failure.
    Recovered,
    /// The run ended without success.
    GaveUp,
    /// A task of the queue ended well.
    TaskDone,
    /// A task of the queue failed.
    TaskFailed,
    /// A task of the queue needs a person.
    NeedsYou,
    /// The queue paused itself.
    QueuePaused,
    /// Nothing waits in the queue any more.
    QueueEmpty,
}

impl Occasion {
    /// The name in the configuration and in the command's JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::PersonNeeded => "person_needed",
            Self::Recovered => "recovered",
            Self::GaveUp => "gave_up",
            Self::TaskDone => "task_done",
            Self::TaskFailed => "task_failed",
            Self::NeedsYou => "needs_you",
            Self::QueuePaused => "queue_paused",
            Self::QueueEmpty => "queue_empty",
        }
    }
}

/// Tells occasions the way the configuration asks for.
#[derive(Debug)]
pub struct Notifier {
    run: String,
    bell: Vec<String>,
    on: Vec<String>,
    osc: Option<Osc>,
    command: Option<String>,
    desktop: bool,
    /// tmux passes sequences on only in an envelope.
    in_tmux: bool,
    running: JoinSet<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Osc {
    /// iTerm2, Windows Terminal, Ghostty.
    Nine,
    /// kitty.
    NinetyNine,
    /// urxvt, foot, VTE.
    SevenSevenSeven,
}

impl Notifier {
    /// Reads `notify.*`; `run` is the journal's id of the run, `in_tmux` whether `TMUX` is set.
    #[must_use]
    pub fn new(config: &Config, run: &str, in_tmux: bool) -> Self {
        Self {
            run: run.to_owned(),
            bell: config.values.notify.bell.clone(),
            on: config.values.notify.on.clone(),
            osc: match config.values.notify.osc.as_str() {
                "9" => Some(Osc::Nine),
                "99" => Some(Osc::NinetyNine),
                "777" => Some(Osc::SevenSevenSeven),
                _ => None,
            },
            command: config.values.notify.command.clone(),
            desktop: config.values.notify.desktop,
            in_tmux,
            running: JoinSet::new(),
        }
    }

    /// Tells an occasion. Returns the bytes to write to the terminal (often none) between two
    /// pieces of the child's output; drop them when there is no terminal. Must be called within
    /// a tokio runtime.
    #[must_use]
    pub fn notify(&mut self, occasion: Occasion, text: &str) -> Vec<u8> {
        self.notify_about(occasion, text, json!({}))
    }

    /// [`Notifier::notify`] with more for the command to read.
    #[must_use]
    pub fn notify_about(
        &mut self,
        occasion: Occasion,
        text: &str,
        more: serde_json::Value,
    ) -> Vec<u8> {
        while self.running.try_join_next().is_some() {}
        let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect();
        let named = |list: &[String]| list.iter().any(|name| name == occasion.name());
        let mut bytes = Vec::new();
        if named(&self.bell) {
            bytes.push(b'\x07');
        }
        if !named(&self.on) {
            return bytes;
        }
        if let Some(osc) = self.osc {
            bytes.extend(self.sequence(osc, &text));
        }
        if let Some(command) = &self.command {
            let mut input = json!({
                "event": occasion.name(),
                "text": text,
                "run": self.run,
                "at": jiff::Timestamp::now().to_string(),
            });
            if let (Some(input), serde_json::Value::Object(more)) = (input.as_object_mut(), more) {
                input.extend(more);
            }
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", command]);
            self.running.spawn(run(shell, Some(format!("{input}\n"))));
        }
        if self.desktop {
            let (program, args) = desktop(&text);
            let mut notifier = Command::new(program);
            notifier.args(args);
            self.running.spawn(run(notifier, None));
        }
        bytes
    }

    /// Gives what is still running so long to end, then kills it. For the end of a run.
    pub async fn finish(mut self, limit: Duration) {
        let all = async { while self.running.join_next().await.is_some() {} };
        // Dropping the set drops each task, and with it the guard that kills its group.
        let _ = tokio::time::timeout(limit, all).await;
    }

    fn sequence(&self, osc: Osc, text: &str) -> Vec<u8> {
        // `;` separates fields in 777 and 99.
        let text = text.replace(';', ",");
        let sequence = match osc {
            Osc::Nine => format!("\x1b]9;claude-safe: {text}\x07"),
            Osc::NinetyNine => format!("\x1b]99;;claude-safe: {text}\x1b\\"),
            Osc::SevenSevenSeven => format!("\x1b]777;notify;claude-safe;{text}\x07"),
        };
        if self.in_tmux {
            format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")).into_bytes()
        } else {
            sequence.into_bytes()
        }
    }
}

/// The system's own notifier. The text is an argument of its own, never part of a script.
fn desktop(text: &str) -> (&'static str, Vec<OsString>) {
    if cfg!(target_os = "macos") {
        let script = "on run argv\ndisplay notification (item 1 of argv) with title \
                      \"claude-safe\"\nend run";
        ("osascript", vec!["-e".into(), script.into(), "--".into(), text.into()])
    } else {
        let args = ["--app-name=claude-safe", "--", "claude-safe", text];
        ("notify-send", args.iter().map(Into::into).collect())
    }
}

/// Kills a process group, unless its leader was reaped (its id may be another's by then).
struct KillOnDrop(Option<Pid>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn run(mut command: Command, input: Option<String>) {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    // A group of its own: Ctrl-C in the terminal is not meant for it.
    let child =
        command.process_group(0).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tracing::info!(%error, "notifier not started");
            return;
        }
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut guard = KillOnDrop(group);
    let work = async {
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // It may not care to read.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(KILLED_AFTER, work).await {
        Ok(status) => {
            guard.0 = None;
            if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
                tracing::info!(?status, "notifier failed");
            }
        }
        Err(_) => {
            tracing::info!("notifier killed after {KILLED_AFTER:?}");
            drop(guard);
            let _ = child.wait().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn notifier(keys: &[(&str, &str)], in_tmux: bool) -> Notifier {
        let mut config = Config::default();
        for (key, value) in keys {
            config.set(key, value, Origin::Option).expect("a key");
        }
        Notifier::new(&config, "0badcafe", in_tmux)
    }

    #[tokio::test]
    async fn by_default_only_the_bell_rings_and_only_when_a_person_is_needed() {
        let mut notifier = notifier(&[], false);
        assert_eq!(notifier.notify(Occasion::PersonNeeded, "sign in"), b"\x07");
        for occasion in [Occasion::Waiting, Occasion::Recovered, Occasion::GaveUp] {
            assert_eq!(notifier.notify(occasion, "x"), b"", "{occasion:?}");
        }
        assert!(notifier.running.is_empty());
    }

    #[tokio::test]
    async fn a_text_cannot_break_out_of_the_sequence() {
        for (osc, expected) in [
            ("9", "\x1b]9;claude-safe: a,b]0,x\x07"),
            ("99", "\x1b]99;;claude-safe: a,b]0,x\x1b\\"),
            ("777", "\x1b]777;notify;claude-safe;a,b]0,x\x07"),
        ] {
            let mut notifier = notifier(&[("notify.osc", osc)], false);
            let bytes = notifier.notify(Occasion::Waiting, "a;b\x1b]0;\x07x\n");
            assert_eq!(String::from_utf8_lossy(&bytes), expected);
        }
        let mut notifier = notifier(&[("notify.osc", "9")], true);
        let bytes = notifier.notify(Occasion::Waiting, "x");
        assert_eq!(bytes, b"\x1bPtmux;\x1b\x1b]9;claude-safe: x\x07\x1b\\");
    }

    #[tokio::test]
    async fn the_command_gets_one_line_of_json_and_only_for_its_occasions() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("out");
        let command = format!("cat >> '{}'", file.display());
        let keys = [("notify.command", command.as_str()), ("notify.on", "gave_up")];
        let mut notifier = notifier(&keys, false);
        assert_eq!(notifier.notify(Occasion::Recovered, "back"), b"");
        assert_eq!(notifier.notify(Occasion::GaveUp, "no \"luck\""), b"");
        notifier.finish(Duration::from_secs(30)).await;
        let text = std::fs::read_to_string(file).expect("written");
        let value: serde_json::Value = serde_json::from_str(&text).expect("one line of JSON");
        assert_eq!(value["event"], "gave_up");
        assert_eq!(value["text"], "no \"luck\"");
        assert_eq!(value["run"], "0badcafe");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_all_it_started() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("pids");
        let command = format!("sleep 600 & echo $$ $! > '{}'; wait", file.display());
        let mut notifier = notifier(&[("notify.command", command.as_str())], false);
        assert_eq!(notifier.notify(Occasion::GaveUp, "x"), b"");
        let pids = async {
            loop {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                if text.ends_with('\n') {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let pids = tokio::time::timeout(Duration::from_secs(30), pids).await.expect("it starts");
        notifier.finish(Duration::ZERO).await;
        for pid in pids.split_whitespace() {
            let stat = format!("/proc/{pid}/stat");
            let gone = async {
                // A zombie that waits for its parent is as dead as one that is gone.
                while std::fs::read_to_string(&stat)
                    .is_ok_and(|stat| !stat.contains(") Z ") && cfg!(target_os = "linux"))
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it is killed");
        }
    }
}
