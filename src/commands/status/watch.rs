//! `status --watch`: the table on the alternate screen, redrawn each second in one write, so that
//! nothing flickers. The terminal is restored on every way out: q, Ctrl-C, SIGTERM, SIGHUP,
//! Ctrl-Z, a panic.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use jiff::Timestamp;
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::of_last_day;
use crate::commands::report::style;
use crate::error::{Usage, exit};
use crate::journal::{self, Entry, Journal};
use crate::{paths, report};

const REDRAW: Duration = Duration::from_secs(1);

/// Alternate screen, no cursor, no wrapping; and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J";
const LEAVE: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The terminal while it is ours.
struct Taken {
    before: Termios,
}

impl Taken {
    fn take() -> anyhow::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).context("failed to read the terminal's settings")?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON);
        tcsetattr(&stdin, SetArg::TCSADRAIN, &quiet).context("failed to set up the terminal")?;
        // From here on it is given back, whatever happens.
        let taken = Self { before };
        write_now(ENTER)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = write_now(LEAVE);
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}

fn write_now(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// The journal, read again only when it has changed.
#[derive(Default)]
struct Known {
    stamp: Option<(u64, SystemTime)>,
    entries: Vec<Entry>,
}

impl Known {
    fn refresh(&mut self) -> &[Entry] {
        let state_dir = paths::state_dir();
        let meta = std::fs::metadata(Journal::path(&state_dir)).ok();
        let stamp = meta.and_then(|meta| Some((meta.len(), meta.modified().ok()?)));
        if stamp != self.stamp || stamp.is_none() {
            self.entries = journal::read(&state_dir);
            self.stamp = stamp;
        }
        &self.entries
    }
}

/// Shows until it is left.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Usage("--watch needs a terminal; --json is for programs".to_owned()).into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the event loop")?;
    runtime.block_on(show())
}

async fn show() -> anyhow::Result<ExitCode> {
    let subscribe = |kind| signal(kind).context("failed to listen to signals");
    let mut interrupt = subscribe(SignalKind::interrupt())?;
    let mut terminate = subscribe(SignalKind::terminate())?;
    let mut hangup = subscribe(SignalKind::hangup())?;
    let mut resized = subscribe(SignalKind::window_change())?;
    let mut suspend = subscribe(SignalKind::from_raw(Signal::SIGTSTP as i32))?;
    let mut taken = Some(Taken::take()?);
    let mut keys = keys();
    let mut known = Known::default();
    let mut tick = tokio::time::interval(REDRAW);
    let died_of = |signal: Signal| ExitCode::from(128 + signal as u8);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = resized.recv() => {}
            _ = interrupt.recv() => return Ok(ExitCode::from(exit::INTERRUPTED)),
            _ = terminate.recv() => return Ok(died_of(Signal::SIGTERM)),
            _ = hangup.recv() => return Ok(died_of(Signal::SIGHUP)),
            _ = suspend.recv() => {
                drop(taken.take());
                raise(Signal::SIGSTOP).context("failed to stop")?;
                taken = Some(Taken::take()?);
            }
            key = keys.recv() => {
                if matches!(key, None | Some(b'q' | b'Q')) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        write_now(frame(known.refresh()).as_bytes()).context("failed to draw")?;
    }
}

/// The keys, read on a thread of their own that ends with the process.
fn keys() -> mpsc::UnboundedReceiver<u8> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for key in io::stdin().lock().bytes() {
            if !key.is_ok_and(|key| sender.send(key).is_ok()) {
                break;
            }
        }
    });
    receiver
}

/// One picture: each line overwrites the one that stood there, then the rest is cleared.
fn frame(entries: &[Entry]) -> String {
    let (now, style) = (Timestamp::now(), style());
    let rows = crate::launch::terminal_size(&io::stdout()).map_or(24, |size| size.ws_row);
    let text = report::status(&of_last_day(entries, now), now, &style);
    let clock = now.to_zoned_datetime(style.zone.clone()).strftime("%H:%M:%S").to_string();
    let head = format!("claude-safe status   {clock}   q leaves");
    let lines: Vec<&str> = [head.as_str(), ""].into_iter().chain(text.lines()).collect();
    let room = usize::from(rows).max(2);
    // Synchronized output: a terminal that knows it shows the whole picture at once.
    let mut frame = String::from("\x1b[?2026h\x1b[H");
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    for (index, line) in lines[..shown].iter().enumerate() {
        let _ = write!(frame, "{}{line}\x1b[K", if index > 0 { "\r\n" } else { "" });
    }
    if shown < lines.len() {
        let _ = write!(frame, "\r\n({} more lines)\x1b[K", lines.len() - shown);
    }
    frame.push_str("\x1b[J\x1b[?2026l");
    frame
}
