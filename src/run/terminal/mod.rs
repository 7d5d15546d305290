//! A run at a terminal: attempts one after another. Between them the terminal is the user's
//! own, with lines of ours on stderr; while a child runs, nothing here writes to it.

mod attempt;
mod background;
mod contained;
mod readings;

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::Run;
use super::waiting::WaitEnd;
use crate::claude::transcript;
use crate::claude::version::{self, RESUMES_INTERRUPTED_TURN};
use crate::error::exit;
use crate::launch::terminal::{Tty, TtyEvent};
use crate::machine::Rung;
use crate::machine::table::{Decision, Reason, Standing};
use crate::machine::words::what;
use crate::notice::{say, short};
use crate::notify::Occasion;
use crate::plan::Continuation;
use crate::watch::{ExitReason, Failure, TurnState, Verdict, is_typable};

use attempt::Ended;
pub(in crate::run) use attempt::{Future, contained, spawned, token_endpoint_answers, until};
pub(in crate::run) use contained::Contained;

/// Someone who does not answer within this says no.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Sees the run through.
pub(in crate::run) async fn run(run: &mut Run) -> io::Result<i32> {
    if let Err(wrong) = is_typable(&run.plan.message) {
        run.say(&format!("`retry.message` {wrong}, so nothing will be typed for you"));
    }
    let mut tty = Tty::open()?;
    loop {
        let ended = attempt::run(run, &mut tty).await?;
        let failure = match ended {
            Ended::Finished(exit) | Ended::Verdict(Verdict::Done(exit), _) => {
                return Ok(finish(run, exit));
            }
            // The wait was inside Claude's own screen, and nobody was at the keys to be asked.
            Ended::ForRelaunch(failure, rung) => {
                if run.apply(rung, &failure).await && rung == Rung::NewSession {
                    continue;
                }
                failure
            }
            Ended::Verdict(Verdict::Failed(failure), exit) => {
                match weigh(run, &mut tty, &failure, exit).await {
                    Err(code) => return Ok(run.end(code, Some(exit))),
                    // It has a session and a plan of its own.
                    Ok(Rung::NewSession) => continue,
                    Ok(_) => failure,
                }
            }
        };
        go_on(run, &failure);
    }
}

fn finish(run: &mut Run, exit: ExitReason) -> i32 {
    run.end(exit.shell_code(), Some(exit))
}

/// Decides about an attempt that ended, waits, and applies the rung. The exit code, if the run
/// ends instead.
async fn weigh(
    run: &mut Run,
    tty: &mut Tty,
    failure: &Failure,
    exit: ExitReason,
) -> Result<Rung, i32> {
    let (decision, health) = run.consider(failure, Standing::Attended).await;
    let (after, rung) = match decision {
        Decision::Act { rung, after } => (after, rung),
        Decision::WaitForPerson(Reason(why))
        | Decision::StandAside(Reason(why))
        | Decision::GiveUp(Reason(why)) => {
            run.say(&format!("{}: {why}", what(failure)));
            let kept = |id: &&String| transcript::find(&run.claude_dir, id).is_some();
            if let Some(session) = run.session.as_ref().filter(kept) {
                run.say(&format!("the conversation is kept: claude --resume {session}"));
            }
            return Err(exit.shell_code());
        }
    };
    let why = health.reasons.first().map(|why| format!(" · {why}")).unwrap_or_default();
    let next = format!("{} in {}", rung.name().replace('_', " "), short(after));
    run.say(&format!("{}{why} · {next} · Enter: now · Ctrl-C: stop", what(failure)));
    if let Some(code) = pause(run, tty, failure, after).await {
        return Err(code);
    }
    let answer = match rung.question() {
        Some(question) => answer(tty, question).await,
        None => Answer::Yes,
    };
    match answer {
        Answer::Yes => drop(run.apply(rung, failure).await),
        Answer::Refused(by) => {
            run.history.fix_failed(rung);
            run.declined(rung, by);
        }
        Answer::End(code) => return Err(code),
    }
    Ok(rung)
}

/// What came of a question.
enum Answer {
    Yes,
    Refused(&'static str),
    /// A signal, or the terminal is gone.
    End(i32),
}

/// Asks whoever is at the keys. Anything but a yes is a no, and so is silence.
async fn answer(tty: &mut Tty, question: &str) -> Answer {
    say(&format!("{question} [y/N]"));
    let until = Instant::now() + ANSWER_WITHIN;
    loop {
        match tokio::time::timeout_at(until, tty.next()).await {
            Err(_) => return Answer::Refused("silence"),
            Ok(TtyEvent::Input([b'y' | b'Y', ..])) => return Answer::Yes,
            Ok(TtyEvent::Input(_)) => return Answer::Refused("no"),
            Ok(TtyEvent::Signal(signal)) => return Answer::End(ended_by(signal)),
            Ok(TtyEvent::Closed) => return Answer::End(ended_by(Signal::SIGHUP)),
            Ok(TtyEvent::Resized(_) | TtyEvent::Resumed) => {}
        }
    }
}

/// The exit code of a run that this signal ends.
fn ended_by(signal: Signal) -> i32 {
    match signal {
        Signal::SIGINT => i32::from(exit::INTERRUPTED),
        signal => 128 + signal as i32,
    }
}

/// Waits between two attempts. The exit code, if the user or a signal ends the run.
pub(in crate::run) async fn pause(
    run: &mut Run,
    tty: &mut Tty,
    failure: &Failure,
    after: Duration,
) -> Option<i32> {
    let began = Instant::now();
    let wait = run.wait(failure.kind, after);
    tokio::pin!(wait);
    let by = loop {
        tokio::select! {
            end = &mut wait => break end.name(),
            event = tty.next() => match event {
                TtyEvent::Input(bytes) if bytes.contains(&b'\n') => break "enter",
                TtyEvent::Signal(signal) => return Some(ended_by(signal)),
                TtyEvent::Closed => return Some(ended_by(Signal::SIGHUP)),
                TtyEvent::Input(_) | TtyEvent::Resized(_) | TtyEvent::Resumed => {}
            },
        }
    };
    run.waited(by, began);
    if by == WaitEnd::Horizon.name() {
        run.say("it has not passed within `retry.horizon_terminal`");
        return Some(i32::from(exit::TRY_LATER));
    }
    let ticket = run.service.breaker.admit().await;
    run.service.breaker.succeeded(ticket).await;
    None
}

/// Makes the next attempt's plan: the same conversation where there is one. What may be
/// unfinished is continued by Claude itself where it can, and never when a tool may have run.
fn go_on(run: &mut Run, failure: &Failure) {
    let Some(session) = run.session.clone() else { return };
    if failure.turn == TurnState::NotPrompted {
        return;
    }
    let continuation = match failure.turn {
        TurnState::Untouched | TurnState::Partial => {
            let knows = version::of(&run.plan.program, &run.state_dir)
                .is_some_and(|version| version >= RESUMES_INTERRUPTED_TURN);
            if knows { Continuation::InterruptedTurn } else { Continuation::Message }
        }
        _ => Continuation::Silent,
    };
    if continuation == Continuation::Silent {
        run.say("a tool may have been running: look before you go on");
        let _ = run.notifier.notify(Occasion::PersonNeeded, "look before you go on");
    }
    if let Some(Ok(tail)) =
        transcript::find(&run.claude_dir, &session).map(|path| transcript::tail(&path))
    {
        run.plan.heard.learn_permission_mode(tail.permission_mode.as_deref());
    }
    run.plan = run.plan.resume(&session, continuation);
}
