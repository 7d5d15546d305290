//! A terminal window in which tmux shows one interactive shell, and a person who types there.
//! In: commands and keys. Out: exit statuses and the screen. The tmux server is the window's own
//! and ends with it.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use claude_safe_testkit::terminal::Screen;
use claude_safe_testkit::{Sandbox, Size, Terminal, TerminalOptions, wait_until};

use crate::stranger::Shell;

/// Enough for anything but a build, on a loaded machine.
pub const SOON: Duration = Duration::from_secs(90);
/// Enough for a build of the program alone, and its wait for other builds.
const BUILD: Duration = Duration::from_secs(900);
/// A screen that is drawn rests this long.
pub const SETTLED: Duration = Duration::from_millis(800);
const SIZE: Size = Size { rows: 50, cols: 130 };

static WINDOWS: AtomicUsize = AtomicUsize::new(0);

pub struct Window<'s> {
    sandbox: &'s Sandbox,
    shell: Shell,
    socket: PathBuf,
    terminal: Terminal,
    commands: Cell<usize>,
}

impl<'s> Window<'s> {
    /// Opens a window; the shell in it has read its start files and shows its prompt.
    pub fn open(sandbox: &'s Sandbox, shell: Shell) -> Self {
        let config = sandbox.tmp().join("tmux.conf");
        fs::write(&config, "set -g status off\nset -s escape-time 0\n").unwrap();
        // of its own: the server of an earlier window may still be on its way out
        let number = WINDOWS.fetch_add(1, Ordering::Relaxed);
        let socket = sandbox.tmp().join(format!("tmux-{number}"));
        let mut command = sandbox.command("tmux");
        command.arg("-f").arg(config).arg("-S").arg(&socket);
        command.args(["new-session", shell.program()]);
        let options = TerminalOptions { size: SIZE, ..TerminalOptions::default() };
        let terminal = Terminal::spawn_with(command, options);
        let window = Self { sandbox, shell, socket, terminal, commands: Cell::new(0) };
        window.see("a prompt", |screen| {
            let rows = screen.rows();
            let last = rows.iter().rev().find(|row| !row.is_empty());
            last.is_some_and(|row| row.ends_with(['$', '#', '%', '>']))
        });
        window.rest();
        window
    }

    /// Types a command, and waits for its end; its exit status, and the screen then.
    pub fn run(&self, command: &str) -> (i32, Screen) {
        let mark = self.begin(command);
        self.end(&mark, SOON)
    }

    /// [`Window::run`] for a command that compiles.
    pub fn build(&self, command: &str) -> (i32, Screen) {
        let mark = self.begin(command);
        self.end(&mark, BUILD)
    }

    /// Runs a command that must succeed; what it printed.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        let (code, screen) = self.run(command);
        assert_eq!(code, 0, "{command}\n{screen}");
        screen.to_string()
    }

    /// Types a command on an empty screen; the mark by which its end is known.
    pub fn begin(&self, command: &str) -> String {
        self.commands.set(self.commands.get() + 1);
        let mark = format!("end-{}-is-", self.commands.get());
        let status = self.shell.status();
        self.terminal.send(format!("clear; {command}; echo {mark}{status}\r"));
        mark
    }

    /// Waits for the end of the command with this mark; its exit status, and the screen then.
    pub fn end(&self, mark: &str, deadline: Duration) -> (i32, Screen) {
        let code = |screen: &Screen| {
            let rows = screen.rows();
            rows.iter().find_map(|row| row.split_once(mark)?.1.parse::<i32>().ok())
        };
        let screen = self
            .terminal
            .wait_for_screen(deadline, "the command's end", |screen| code(screen).is_some());
        (code(&screen).unwrap(), screen)
    }

    /// Waits until `wanted` is true of the screen.
    pub fn see(&self, what: &str, wanted: impl Fn(&Screen) -> bool) -> Screen {
        self.terminal.wait_for_screen(SOON, what, wanted)
    }

    /// Waits until `text` stands on the screen.
    pub fn see_text(&self, text: &str) -> Screen {
        self.terminal.wait_for_text(SOON, text)
    }

    /// Waits until the screen rests.
    pub fn rest(&self) {
        self.terminal.wait_until_quiet(SOON, SETTLED);
    }

    /// Types without Enter.
    pub fn keys(&self, keys: &str) {
        self.terminal.send(keys);
    }

    /// Waits for Claude's input box.
    pub fn claude_is_ready(&self) {
        self.see("Claude's input box", |screen| screen.input().is_some());
        self.rest();
    }

    /// Types a line into Claude's input box, and Enter.
    pub fn submit(&self, text: &str) {
        submit(&self.terminal, text);
    }

    /// Leaves Claude.
    pub fn exit(&self) {
        exit(&self.terminal);
    }
}

/// Types a line into Claude's input box, and Enter.
pub fn submit(terminal: &Terminal, text: &str) {
    enter(terminal, text, |screen| screen.input().as_deref() != Some(text));
}

/// Leaves Claude, whose last screen stays.
pub fn exit(terminal: &Terminal) {
    enter(terminal, "/exit", |screen| screen.contains("Resume this session with"));
}

/// Types a line, and Enter: once more if the first was not `taken`, since an Enter that comes
/// while Claude draws may be lost, with us or without.
fn enter(terminal: &Terminal, text: &str, taken: impl Fn(&Screen) -> bool) {
    const TAKEN: Duration = Duration::from_secs(5);
    terminal.send(text);
    terminal.wait_for_screen(SOON, &format!("the draft {text:?}"), |screen| {
        screen.input().is_some_and(|input| input.ends_with(text))
    });
    terminal.send("\r");
    if wait_until(TAKEN, || taken(&terminal.screen()).then_some(())).is_none() {
        terminal.send("\r");
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let mut command: Command = self.sandbox.command("tmux");
        command.arg("-S").arg(&self.socket).arg("kill-server");
        // it may be gone with its last shell
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
