//! One attempt without a terminal: a child from its start to its end. In: the run's plan. Out:
//! how it ended, what was heard of it, and whether we ended it ourselves. Its output is taken
//! before anything else is looked at.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::rerun::Turn;
use super::signals::Signals;
use super::stillness::{Motion, Stillness, cpu_of_tree, of_file};
use super::{HookSocket, Run};
use crate::claude::credentials::SignIn;
use crate::claude::hooks::{HookEvent, HookName};
use crate::claude::transcript::{self, Tail};
use crate::journal::{Event, Mode};
use crate::launch::headless::{Happening, HeadlessChild, Output, Stdin, launch};
use crate::machine::words::what;
use crate::notice::short;
use crate::notify::Occasion;
use crate::watch::{ExitReason, Failure, FailureKind, TurnState};

/// A child that the terminal's Ctrl-C did not reach hears it from us after this long.
const INTERRUPT_GRACE: Duration = Duration::from_millis(300);
/// Claude leaves within 2 s of a SIGTERM; one that does not is hung for good.
const TERMINATE_GRACE: Duration = Duration::from_secs(10);
/// How often a living attempt is looked at, and the first time.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// A refresh that works takes a second, one that fails by then has let the others know.
const LONGEST_REFRESH: Duration = Duration::from_secs(30);
const TURN_LOOK_EVERY: Duration = Duration::from_millis(250);
/// A wait this long is worth a notification.
pub(super) const LONG_WAIT: Duration = Duration::from_secs(60);

/// How one attempt went.
pub(super) struct Ended {
    pub exit: ExitReason,
    pub hook: Option<HookEvent>,
    pub signal: Option<Signal>,
    /// Why we ended it ourselves.
    pub cut: Option<FailureKind>,
    /// We said that Claude itself was retrying.
    pub retried: bool,
}

/// What is watched while a child lives.
struct Watched {
    stillness: Stillness,
    printed: u64,
    began: Timestamp,
    retrying_since: Option<Instant>,
    notified: bool,
}

/// Runs one child to its end.
pub(super) async fn attempt(
    run: &mut Run,
    signals: &mut Signals,
    stdin: &mut Stdin,
    output: &mut Output,
    mut turn: Turn,
) -> io::Result<Ended> {
    let (mut child, pipe) = launch(&run.plan, stdin).map_err(|error| {
        let program = run.plan.program.display();
        io::Error::new(error.kind(), format!("failed to run {program}: {error}"))
    })?;
    run.attempts += 1;
    let resumed = !run.plan.sends_prompt();
    run.journal.record(Event::AttemptStarted { attempt: run.attempts, pid: child.pid(), resumed });
    let feed = async {
        if let (Stdin::Taped(tape), Some(pipe)) = (stdin, pipe) {
            // A child that does not read to the end is no fault.
            let _ = tape.feed(pipe).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::pin!(feed);
    let started = Instant::now();
    let hang_after = run.config.duration("watch.hang_after");
    let every = LOOK_EVERY.min(hang_after / 4).max(Duration::from_secs(1));
    let mut looks = interval_at(started + FIRST_LOOK.min(every), every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turns = interval_at(started + TURN_LOOK_EVERY, TURN_LOOK_EVERY);
    let mut watched = Watched {
        stillness: Stillness::new(hang_after, started),
        printed: 0,
        began: Timestamp::now(),
        retrying_since: None,
        notified: false,
    };
    let (mut hook, mut signal, mut cut) = (None, None, None);
    let (mut interrupt_at, mut kill_at) = (None, None);
    let mut stdout = io::stdout().lock();
    let exit = loop {
        tokio::select! {
            biased;
            happening = child.next() => match happening? {
                Happening::Printed(bytes) => {
                    watched.printed += bytes.len() as u64;
                    if output.take(&bytes, &mut stdout).is_err() {
                        // The reader has gone: plain claude would see its pipe closed.
                        child.close_stdout();
                    }
                    if let Some(status) = output.retrying() {
                        let status = status.and_then(|code| u16::try_from(code).ok());
                        watched.tell_retrying(run, FailureKind::Api, status);
                    }
                }
                Happening::Ended(exit) => break exit,
            },
            heard = signals.next() => {
                signal = Some(heard);
                match heard {
                    // The terminal's Ctrl-C reaches the child by itself.
                    Signal::SIGINT => interrupt_at = Some(Instant::now() + INTERRUPT_GRACE),
                    _ => child.signal(heard),
                }
            }
            () = at(interrupt_at) => {
                interrupt_at = None;
                child.signal(Signal::SIGINT);
            }
            () = at(kill_at) => {
                kill_at = None;
                child.signal(Signal::SIGKILL);
            }
            event = next_hook(run.hooks.as_ref()) => {
                note_hook(run, event, &mut hook);
            }
            _ = turns.tick(), if turn.lock.is_some() => {
                if run.sign_in() != SignIn::Expired || started.elapsed() > LONGEST_REFRESH {
                    turn.lock = None;
                }
            }
            _ = looks.tick(), if cut.is_none() && signal.is_none() => {
                cut = watched.look(run, &child);
                if cut.is_some() {
                    child.signal(Signal::SIGTERM);
                    kill_at = Some(Instant::now() + TERMINATE_GRACE);
                }
            }
            () = &mut feed => {}
        }
    };
    // The failure hook is sent as Claude leaves; what has arrived by now is all there will be.
    while let Ok(event) = timeout(Duration::from_millis(1), next_hook(run.hooks.as_ref())).await {
        note_hook(run, event, &mut hook);
    }
    Ok(Ended { exit, hook, signal, cut, retried: watched.retrying_since.is_some() })
}

impl Watched {
    /// Looks at a living attempt; why it must be ended, if it must.
    fn look(&mut self, run: &mut Run, child: &HeadlessChild) -> Option<FailureKind> {
        let path = run.session.as_deref().and_then(|id| transcript::find(&run.claude_dir, id));
        let tail = path.as_deref().and_then(|path| transcript::tail(path).ok());
        if let Some(tail) = &tail
            && let Some(cut) = self.look_at_retries(run, tail)
        {
            return Some(cut);
        }
        let motion = Motion {
            printed: self.printed,
            transcript: path.as_deref().and_then(of_file),
            cpu: cpu_of_tree(child.pid()),
            tool_open: tail.is_some_and(|tail| tail.turn == TurnState::ToolOpen),
        };
        self.stillness.look(Instant::now(), motion).then_some(FailureKind::Hang)
    }

    fn look_at_retries(&mut self, run: &mut Run, tail: &Tail) -> Option<FailureKind> {
        let retrying = tail.retrying.as_ref()?;
        if retrying.at.is_none_or(|at| at < self.began) {
            return None;
        }
        let limit = FailureKind::UsageLimit { resets: tail.resets };
        let kind = if tail.resets.is_some() { limit } else { FailureKind::Api };
        if let Some(resets) = tail.resets {
            // Claude waits for it for hours, and we know that it is in vain.
            let horizon = run.policy().horizon;
            let left = Duration::try_from(resets.duration_since(Timestamp::now()));
            if left.is_ok_and(|left| left > horizon) {
                return Some(limit);
            }
        }
        self.tell_retrying(run, kind, retrying.status);
        None
    }

    /// Says once that Claude itself is trying again, and tells those who look elsewhere when
    /// that has become a long wait.
    fn tell_retrying(&mut self, run: &mut Run, kind: FailureKind, status: Option<u16>) {
        let failure =
            Failure { kind, status, evidence: Vec::new(), session: None, turn: TurnState::Unknown };
        let what = what(&failure);
        let Some(since) = self.retrying_since else {
            let until = match kind {
                FailureKind::UsageLimit { resets: Some(resets) } => {
                    let left = Duration::try_from(resets.duration_since(Timestamp::now()));
                    format!(" when it resets in {}", short(left.unwrap_or_default()))
                }
                _ => String::new(),
            };
            run.say(&format!("{what} · Claude itself tries again{until} · Ctrl-C stops"));
            self.retrying_since = Some(Instant::now());
            return;
        };
        if !self.notified && since.elapsed() >= LONG_WAIT {
            self.notified = true;
            let _ = run.notifier.notify(Occasion::Waiting, &what);
        }
    }
}

/// Until then; for ever without a time.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn next_hook(hooks: Option<&HookSocket>) -> HookEvent {
    match hooks {
        Some(hooks) => hooks.next().await,
        None => std::future::pending().await,
    }
}

fn note_hook(run: &mut Run, event: HookEvent, failed: &mut Option<HookEvent>) {
    debug_assert!(run.mode == Mode::Headless, "attempts are headless");
    // A sub-agent's session and failure are not the run's.
    if event.agent_id.is_some() {
        return;
    }
    run.learn_session(&event.session_id);
    run.plan.learn_place(&event);
    if event.name == HookName::StopFailure {
        *failed = Some(event);
    }
}
