//! One attempt without a terminal: a child from its start to its end. In: the run's plan. Out:
//! how it ended and what was heard of it. Its output is taken before anything else is looked at;
//! what follows from what is seen, the machine says.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::signals::Signals;
use super::stillness::{Motion, Stillness, of_file};
use super::{Run, next_hook};
use crate::claude::hooks::{HookEvent, HookName};
use crate::claude::transcript::{self, Before, Tail};
use crate::failure::{ExitReason, FailureKind, TurnState};
use crate::journal::Mode;
use crate::launch::headless::{
    FirstWords, Happening, HeadlessChild, Launched, Output, Stdin, launch, stdout,
};
use crate::machine::{Effect, Event};
use crate::notice::say;
use crate::process::{self, Tree};

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

/// How one attempt went.
pub(super) struct Ended {
    pub exit: ExitReason,
    pub hook: Option<HookEvent>,
    pub first_words: Option<FirstWords>,
    /// It may have been refused for what we added, and nothing was heard of it that speaks
    /// against that.
    pub may_refuse: bool,
}

/// What is watched while a child lives.
struct Watched {
    stillness: Stillness,
    transcript: transcript::Reader,
    printed: u64,
    began: Timestamp,
}

/// When a signal of ours is due.
#[derive(Default)]
struct Due {
    interrupt: Option<Instant>,
    kill: Option<Instant>,
    /// The child was told to end: it is read on, so that it can; a full pipe would hold it.
    ends: bool,
    /// It was told by us: with what it started, which would work on beside the next attempt.
    tree: Option<Tree>,
}

/// Runs one child to its end.
pub(super) async fn attempt(
    run: &mut Run,
    signals: &mut Signals,
    stdin: &mut Stdin,
    output: &mut Output,
) -> io::Result<Ended> {
    run.before = Some(Before::look(&run.claude_dir, run.session.as_deref()));
    let mut may_refuse = run.may_refuse_ours();
    let Launched { mut child, stdin: pipe, first_words } = started(run, stdin, may_refuse)?;
    run.child_started(child.pid(), !run.plan.sends_prompt());
    let (quiet, lost) = (run.quiet, Cell::new(false));
    let feed = async {
        if let (Stdin::Taped(tape), Some(pipe)) = (stdin, pipe) {
            // A child that does not read to the end is no fault.
            let _ = tape.feed(pipe, |error| tell_lost(&lost, quiet, error)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::pin!(feed);
    let started = Instant::now();
    let hang_after = run.config.values.watch.hang_after;
    let every = look_every(hang_after);
    let mut looks = interval_at(started + FIRST_LOOK.min(every), every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turns = interval_at(started + TURN_LOOK_EVERY, TURN_LOOK_EVERY);
    let stillness = Stillness::new(hang_after, started);
    let transcript = transcript::Reader::default();
    let mut watched = Watched { stillness, transcript, printed: 0, began: Timestamp::now() };
    let mut hook = None;
    let mut due = Due::default();
    let mut stdout = stdout();
    let exit = loop {
        let seen = tokio::select! {
            biased;
            happening = child.next(), if stdout.is_idle() || due.ends => match happening? {
                Happening::Printed(bytes) => {
                    watched.printed += bytes.len() as u64;
                    // An error is heard of when all is written.
                    let _ = output.take(&bytes, &mut stdout);
                    may_refuse &= !output.shows_all();
                    output.retrying().map(|(status, asked)| {
                        let status = status.and_then(|code| u16::try_from(code).ok());
                        Event::Retrying { kind: FailureKind::Api, status, asked }
                    })
                }
                Happening::Ended(exit) => break exit,
            },
            () = stdout.written(), if !stdout.is_idle() => {
                watched.stillness.moved(Instant::now());
                if stdout.failed().is_some() {
                    // The reader has gone: plain claude would see its pipe closed.
                    child.close_stdout();
                }
                None
            }
            signal = signals.next() => {
                due.ends = true;
                Some(Event::Signal(signal))
            }
            () = at(due.interrupt) => {
                due.interrupt = None;
                child.signal(Signal::SIGINT);
                None
            }
            () = at(due.kill) => {
                due.kill = None;
                due.tree.iter_mut().for_each(Tree::grow);
                child.signal(Signal::SIGKILL);
                None
            }
            event = next_hook(run.hooks.as_ref()) => {
                may_refuse = false;
                note_hook(run, event, &mut hook);
                None
            }
            _ = turns.tick(), if run.claims.borrow().holds_launch() => {
                if !run.look_at_sign_in().awaits_refresh() || started.elapsed() > LONGEST_REFRESH {
                    run.claims.borrow_mut().let_others_launch();
                }
                None
            }
            // While nobody reads, Claude may stand still.
            _ = looks.tick(), if run.case.cut().is_none() && stdout.is_idle() => {
                watched.look(run, &child)
            }
            done = run.doing.next() => Some(run.done(done)),
            () = &mut feed => None,
        };
        if let Some(words) = first_words.as_ref().filter(|_| !may_refuse) {
            words.pass_on();
        }
        if let Some(event) = seen {
            for effect in run.on(event) {
                carry_out(run, effect, &child, &mut due);
            }
        }
    };
    // The failure hook is sent as Claude leaves; what has arrived by now is all there will be.
    while let Ok(event) = timeout(Duration::from_millis(1), next_hook(run.hooks.as_ref())).await {
        may_refuse = false;
        note_hook(run, event, &mut hook);
    }
    run.prompt_lost |= lost.get();
    if let Some(mut tree) = due.tree {
        tree.grow();
        tree.kill_below();
    }
    Ok(Ended { exit, hook, first_words, may_refuse })
}

fn started(run: &Run, stdin: &Stdin, may_refuse: bool) -> io::Result<Launched> {
    launch(&run.plan, stdin, may_refuse).map_err(|error| {
        let program = run.plan.program.display();
        io::Error::new(error.kind(), format!("failed to run {program}: {error}"))
    })
}

fn tell_lost(lost: &Cell<bool>, quiet: bool, error: &io::Error) {
    lost.set(true);
    if !quiet {
        say(&format!("the prompt cannot be sent again if this fails: {error}"));
    }
}

fn look_every(hang_after: Duration) -> Duration {
    match hang_after / 4 {
        Duration::ZERO => LOOK_EVERY,
        quarter => LOOK_EVERY.min(quarter).max(Duration::from_secs(1)),
    }
}

/// What the machine says while a child lives.
fn carry_out(run: &mut Run, effect: Effect, child: &HeadlessChild, due: &mut Due) {
    match run.carry_out(effect, None) {
        None => {}
        // The terminal's Ctrl-C reaches the child by itself.
        Some(Effect::Pass(Signal::SIGINT)) => {
            due.interrupt = Some(Instant::now() + INTERRUPT_GRACE);
        }
        Some(Effect::Pass(signal)) => child.signal(signal),
        Some(Effect::EndChild(_)) => {
            (due.ends, due.tree) = (true, Some(Tree::of(child.pid())));
            child.signal(Signal::SIGTERM);
            due.kill = Some(Instant::now() + TERMINATE_GRACE);
        }
        Some(Effect::Tell(occasion, text)) => {
            let _ = run.notifier.notify(occasion, &text);
        }
        Some(other) => tracing::error!(?other, "not done while a child lives"),
    }
}

impl Watched {
    /// Looks at a living attempt: what is to be told of it.
    fn look(&mut self, run: &Run, child: &HeadlessChild) -> Option<Event> {
        let path = run.session.as_deref().and_then(|id| transcript::find(&run.claude_dir, id));
        let tail = path.as_deref().and_then(|path| self.transcript.tail(path).ok());
        let retrying = tail.as_ref().and_then(|tail| self.retrying(tail));
        let motion = Motion {
            printed: self.printed,
            transcript: path.as_deref().and_then(of_file),
            cpu: process::cpu_alone(child.pid()),
            excused: tail.is_some_and(|tail| tail.finished || tail.turn == TurnState::ToolOpen),
        };
        let hung = self.stillness.look(Instant::now(), motion);
        retrying.or(hung.then_some(Event::Hung))
    }

    /// Whether Claude itself is trying again in this attempt.
    fn retrying(&self, tail: &Tail) -> Option<Event> {
        let retrying = tail.retrying.as_ref()?;
        retrying.at.filter(|at| *at >= self.began)?;
        let limit = FailureKind::UsageLimit { resets: tail.resets };
        let kind = if tail.resets.is_some() { limit } else { FailureKind::Api };
        Some(Event::Retrying { kind, status: retrying.status, asked: retrying.asked })
    }
}

/// Until then; for ever without a time.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
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
