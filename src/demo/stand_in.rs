//! The stand-in: as much of Claude Code's outside as a recovery needs. It draws a prompt box,
//! runs hooks and status line from `--settings`, writes a transcript, and fails its first turns
//! with the 401 that users see when tokens cannot be refreshed. It talks to nobody.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::claude::args::ClaudeArgs;

/// The hidden word that makes us the stand-in.
pub const WORD: &str = "__stand-in";

/// Turns that fail before one succeeds.
const FAILURES: u32 = 2;
const TURN: Duration = Duration::from_millis(1_500);
/// After its answer it stays on screen this long, then leaves.
const LINGER: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(100);

const FAULT: &str = "API Error: 401 OAuth token has expired. Please obtain a new token or refresh \
                     your existing token.";
const ANSWER: &str = "Your conversation does: this answer came in the turn that failed twice.";

/// Plays claude with these arguments; the exit code.
pub fn play(args: &[OsString]) -> io::Result<u8> {
    let mut actor = Actor::new(&ClaudeArgs::parse(args), args);
    if actor.headless { actor.print() } else { actor.show() }
}

struct Actor {
    headless: bool,
    settings: Value,
    home: PathBuf,
    session: String,
    prompt: Option<String>,
    /// Conversation rows above the box.
    rows: Vec<String>,
    draft: String,
    failed: bool,
    status_line: String,
}

impl Actor {
    fn new(args: &ClaudeArgs, words: &[OsString]) -> Self {
        let settings = args.value("--settings").and_then(|path| std::fs::read(path).ok());
        let session = args.value("--resume").or_else(|| args.value("--session-id"));
        Self {
            headless: args.print() || !io::stdout().is_terminal(),
            settings: settings
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default(),
            home: crate::paths::home(),
            session: session.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            prompt: args
                .has_prompt()
                .then(|| words.last().map(|word| word.to_string_lossy().into_owned()))
                .flatten(),
            rows: vec![
                "Claude Code stand-in — this is not Claude, and nothing is sent anywhere".into(),
                String::new(),
            ],
            draft: String::new(),
            failed: false,
            status_line: String::new(),
        }
    }

    /// Without a terminal: the fault and exit 1, or the answer.
    fn print(&mut self) -> io::Result<u8> {
        let prompt = self.prompt.clone().unwrap_or_default();
        let failed = self.turn(&prompt)?;
        let text =
            if failed { format!("Failed to authenticate. {FAULT}") } else { ANSWER.to_owned() };
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(u8::from(failed))
    }

    /// In a terminal: a prompt box that takes a message and Enter.
    fn show(&mut self) -> io::Result<u8> {
        let before = raw()?;
        write!(io::stdout().lock(), "\x1b[?2004h\x1b[?25l")?;
        self.hook("SessionStart", json!({"source": "startup"}));
        if let Some(prompt) = self.prompt.take() {
            self.submit(&prompt)?;
        }
        let mut shown = Instant::now();
        let mut next_status = Instant::now();
        let mut answered = None;
        loop {
            if Instant::now() >= next_status {
                next_status = Instant::now() + Duration::from_secs(3);
                self.run_status_line();
                self.draw()?;
            }
            let keys = keys()?;
            if keys.contains(&3) {
                break;
            }
            if !keys.is_empty() {
                self.typed(&keys)?;
                shown = Instant::now();
                self.draw()?;
            }
            if !self.failed && answered.is_none() {
                answered = Some(shown);
            }
            if answered.is_some_and(|at| at.elapsed() > LINGER) {
                break;
            }
        }
        write!(io::stdout().lock(), "\x1b[?2004l\x1b[?25h\r\n")?;
        tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &before)?;
        Ok(0)
    }

    fn typed(&mut self, keys: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(keys).replace("\x1b[200~", "").replace("\x1b[201~", "");
        let entered = text.contains('\r');
        self.draft.extend(text.chars().filter(|c| !c.is_control()));
        if entered && !self.draft.is_empty() {
            let message = std::mem::take(&mut self.draft);
            self.submit(&message)?;
        }
        Ok(())
    }

    fn submit(&mut self, prompt: &str) -> io::Result<()> {
        self.rows.push(format!("❯ {prompt}"));
        self.rows.push("✻ API error · retrying in 1s · attempt 1/2".into());
        self.failed = false;
        self.draw()?;
        let failed = self.turn(prompt)?;
        self.rows.pop();
        let text = if failed {
            format!("● Please run /login · {FAULT}")
        } else {
            format!("● {ANSWER}")
        };
        self.rows.extend([String::new(), text, String::new()]);
        self.failed = failed;
        self.draw()
    }

    /// One turn: prompt, pause, failure or answer, each with its hook and transcript line.
    fn turn(&mut self, prompt: &str) -> io::Result<bool> {
        self.hook("UserPromptSubmit", json!({"prompt": prompt}));
        self.record(&json!({"type": "user", "message": {"role": "user", "content": prompt}}))?;
        pause(TURN);
        let counter = self.home.join("turns");
        let turns: u32 =
            std::fs::read_to_string(&counter).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        std::fs::write(&counter, (turns + 1).to_string())?;
        let failed = turns < FAILURES;
        let text = if failed { format!("Please run /login · {FAULT}") } else { ANSWER.to_owned() };
        let message = json!({"role": "assistant", "content": [{"type": "text", "text": text}]});
        if failed {
            self.record(&json!({"type": "assistant", "message": message, "error":
                "authentication_failed", "apiErrorStatus": 401, "isApiErrorMessage": true}))?;
            let told = json!({"error": "authentication_failed", "last_assistant_message": text});
            self.hook("StopFailure", told);
        } else {
            self.record(&json!({"type": "assistant", "message": message}))?;
            self.hook("Stop", json!({}));
        }
        Ok(failed)
    }

    fn transcript(&self) -> PathBuf {
        self.home.join(".claude/projects/demonstration").join(format!("{}.jsonl", self.session))
    }

    fn record(&self, line: &Value) -> io::Result<()> {
        let mut line = line.clone();
        line["uuid"] = json!(uuid::Uuid::new_v4().to_string());
        line["timestamp"] = json!(jiff::Timestamp::now().to_string());
        let path = self.transcript();
        std::fs::create_dir_all(path.parent().unwrap_or(&self.home))?;
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        writeln!(file, "{line}")
    }

    /// Runs the commands that the settings name for this event, as Claude does.
    fn hook(&self, event: &str, mut payload: Value) {
        payload["hook_event_name"] = json!(event);
        payload["session_id"] = json!(self.session);
        payload["transcript_path"] = json!(self.transcript());
        let groups = self.settings["hooks"][event].as_array().cloned().unwrap_or_default();
        for hook in groups.iter().filter_map(|group| group["hooks"].as_array()).flatten() {
            if let Some(command) = hook["command"].as_str() {
                shell(command, &payload);
            }
        }
    }

    fn run_status_line(&mut self) {
        let Some(command) = self.settings["statusLine"]["command"].as_str() else { return };
        let payload = json!({"session_id": self.session, "transcript_path": self.transcript()});
        let printed = shell(command, &payload).unwrap_or_default();
        printed.trim_end().clone_into(&mut self.status_line);
    }

    fn draw(&self) -> io::Result<()> {
        let size = crate::launch::terminal_size(&io::stdout()).ok();
        let width = size.map_or(80, |size| usize::from(size.ws_col)).max(20);
        let mut screen = String::from("\x1b[H\x1b[2J");
        for row in &self.rows {
            for line in wrapped(row, width - 2) {
                let _ = write!(screen, "{line}\r\n");
            }
        }
        let rule = "─".repeat(width);
        let _ = write!(screen, "{rule}\r\n❯\u{a0}");
        if !self.draft.is_empty() {
            for (index, line) in wrapped(&self.draft, width - 4).iter().enumerate() {
                let _ = write!(screen, "{}{line}", if index == 0 { "" } else { "\r\n  " });
            }
            screen.push_str("\x1b[7m \x1b[27m");
        } else if self.failed {
            screen.push_str("\x1b[7mO\x1b[27m\x1b[2mnce fixed, resend your message\x1b[22m");
        } else {
            screen.push_str("\x1b[7m \x1b[27m");
        }
        let _ = write!(screen, "\r\n{rule}\r\n");
        for line in self.status_line.lines() {
            let _ = write!(screen, "  {line}\r\n");
        }
        let mut out = io::stdout().lock();
        out.write_all(screen.as_bytes())?;
        out.flush()
    }
}

/// Breaks a row between words, as Claude wraps its texts and its box.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

fn shell(command: &str, payload: &Value) -> Option<String> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let _ = child.stdin.take()?.write_all(payload.to_string().as_bytes());
    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn raw() -> io::Result<Termios> {
    let before = tcgetattr(io::stdin().as_fd())?;
    let mut modes = before.clone();
    cfmakeraw(&mut modes);
    tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &modes)?;
    Ok(before)
}

/// Keys typed within a tick.
fn keys() -> io::Result<Vec<u8>> {
    let stdin = io::stdin();
    let mut ends = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let tick = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO);
    if poll(&mut ends, tick).unwrap_or(0) == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; 4096];
    let read = stdin.lock().read(&mut bytes)?;
    if read == 0 {
        // The terminal is gone.
        return Ok(vec![3]);
    }
    bytes.truncate(read);
    Ok(bytes)
}

fn pause(span: Duration) {
    let span = PollTimeout::try_from(span).unwrap_or(PollTimeout::ZERO);
    let _ = poll(&mut [], span);
}
