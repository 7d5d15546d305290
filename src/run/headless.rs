//! A run without a terminal: attempts one after another, until one stands or nothing more may
//! be done. In: the run. Out: exactly one healthy run's output, and the exit code.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, timeout};

use super::advice::{may_pass, what};
use super::recognise::{Seen, recognise};
use super::signals::Signals;
use super::waiting::WaitEnd;
use super::{Run, next_hook, now_here};
use crate::claude::credentials::SignIn;
use crate::claude::hooks::{HookEvent, HookName};
use crate::claude::transcript::{self, Tail};
use crate::error::exit;
use crate::journal::Event;
use crate::ladder::{Decision, Reason, Rung, Standing};
use crate::launch::headless::{Happening, Output, Stdin, launch};
use crate::notice::short;
use crate::notify::Occasion;
use crate::plan::{CHILD_SESSION, Continuation, SessionPlan};
use crate::service::pace::Ticket;
use crate::watch::{ExitReason, Failure, FailureKind, TurnState, Verdict};

/// A child that the terminal's Ctrl-C did not reach hears it from us after this long.
const INTERRUPT_GRACE: Duration = Duration::from_millis(300);
/// Credentials count as emptied only if they still are after this long.
const EMPTIED_FOR: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How one attempt went.
struct Ended {
    exit: ExitReason,
    hook: Option<HookEvent>,
    signal: Option<Signal>,
}

/// Sees the run through.
pub(super) async fn run(run: &mut Run) -> io::Result<i32> {
    let mut signals = Signals::subscribe()?;
    let mut stdin = Stdin::open(&run.dir);
    let mut output = Output::new(run.user.output_format());
    let mut ticket: Option<Ticket> = None;
    loop {
        let ended = attempt(run, &mut signals, &mut stdin, &mut output).await?;
        if ended.signal == Some(Signal::SIGINT) {
            return Ok(run.end(i32::from(exit::INTERRUPTED), Some(ended.exit)));
        }
        let verdict = conclude(run, &ended, &mut output).await;
        let service_failed = matches!(&verdict, Verdict::Failed(failure) if may_pass(failure));
        match (ticket.take(), service_failed) {
            (Some(ticket), true) => run.service.breaker.failed(ticket).await,
            (Some(ticket), false) => run.service.breaker.succeeded(ticket).await,
            (None, _) => {}
        }
        let failure = match verdict {
            Verdict::Failed(failure) if ended.signal.is_none() => failure,
            Verdict::Failed(_) | Verdict::Done(_) => {
                return stands(run, &mut output, ended.exit);
            }
        };
        let (rung, after, health) = match run.consider(&failure, Standing::Headless).await {
            (Decision::Act { rung, after }, health) => (rung, after, health),
            (Decision::WaitForPerson(Reason(why)), _) => {
                if failure.kind == FailureKind::SignInNeeded && await_login(run, &mut signals).await
                {
                    output.discard();
                    go_on(run, &failure);
                    continue;
                }
                return gives_up(run, &mut output, &failure, ended.exit, &why, false);
            }
            (Decision::StandAside(Reason(why)) | Decision::GiveUp(Reason(why)), _) => {
                let later = may_pass(&failure) || failure.turn == TurnState::ToolOpen;
                return gives_up(run, &mut output, &failure, ended.exit, &why, later);
            }
        };
        if !can_rerun(run, &failure, rung) {
            let why = "nothing proves that no tool ran, so the prompt is not sent again";
            return gives_up(run, &mut output, &failure, ended.exit, why, false);
        }
        output.discard();
        let why = health.reasons.first().map(|why| format!(" · {why}")).unwrap_or_default();
        let next = format!("try {} in {} · Ctrl-C stops", run.attempts + 1, short(after));
        run.say(&format!("{}{why} · {next}", what(&failure)));
        tokio::select! {
            taken = pause(run, failure.kind, after) => ticket = Some(taken),
            signal = signals.next() => {
                let code = 128 + signal as i32;
                return Ok(run.end(code, Some(ended.exit)));
            }
        }
        go_on(run, &failure);
    }
}

/// Waits, then takes a place among all runs that restart.
async fn pause(run: &mut Run, kind: FailureKind, after: Duration) -> Ticket {
    let began = Instant::now();
    let by = match run.wait(kind, after).await {
        WaitEnd::Timer => "timer",
        WaitEnd::Probe => "probe",
    };
    run.waited(by, began);
    run.service.breaker.admit().await
}

/// Runs one child to its end.
async fn attempt(
    run: &mut Run,
    signals: &mut Signals,
    stdin: &mut Stdin,
    output: &mut Output,
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
    let mut hook = None;
    let mut signal = None;
    let mut interrupt_at = None;
    let mut stdout = io::stdout().lock();
    let exit = loop {
        tokio::select! {
            biased;
            happening = child.next() => match happening? {
                Happening::Printed(bytes) => {
                    if output.take(&bytes, &mut stdout).is_err() {
                        // The reader has gone: plain claude would see its pipe closed.
                        child.close_stdout();
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
            event = next_hook(run.hooks.as_ref()) => {
                note_hook(run, event, &mut hook);
            }
            () = &mut feed => {}
        }
    };
    // The failure hook is sent as Claude leaves; what has arrived by now is all there will be.
    while let Ok(event) = timeout(Duration::from_millis(1), next_hook(run.hooks.as_ref())).await {
        note_hook(run, event, &mut hook);
    }
    Ok(Ended { exit, hook, signal })
}

/// Until then; for ever without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn note_hook(run: &mut Run, event: HookEvent, failed: &mut Option<HookEvent>) {
    // A sub-agent's session and failure are not the run's.
    if event.agent_id.is_some() {
        return;
    }
    run.learn_session(&event.session_id);
    run.plan.cwd.clone_from(&event.cwd);
    if event.name == HookName::StopFailure {
        *failed = Some(event);
    }
}

/// What the end of an attempt means.
async fn conclude(run: &mut Run, ended: &Ended, output: &mut Output) -> Verdict {
    let told = output.ended();
    if let Some(session) = &told.session {
        run.learn_session(session);
    }
    let tail = tail(run);
    let text = output.text();
    let seen = |sign_in| Seen {
        exit: ended.exit,
        told: &told,
        text: &text,
        tail: tail.as_ref(),
        hook: ended.hook.as_ref(),
        sign_in,
        session: run.session.clone(),
        never_began: writes_transcripts(run),
    };
    let sign_in = run.sign_in();
    let verdict = recognise(&seen(sign_in), &run.rules, &now_here());
    crate::unknown::keep_if_unknown(&run.state_dir, &verdict, told.result.as_ref(), &text);
    let dead = matches!(&verdict, Verdict::Failed(f) if f.kind == FailureKind::SignInNeeded);
    if !dead || sign_in != SignIn::Emptied {
        return verdict;
    }
    // Two processes that refresh at once can leave the file empty for a moment.
    let began = Instant::now();
    while began.elapsed() < EMPTIED_FOR {
        sleep(LOOK_AGAIN).await;
        if run.sign_in().can_refresh() {
            let mut verdict = verdict;
            if let Verdict::Failed(failure) = &mut verdict {
                failure.kind = FailureKind::AuthRefresh;
            }
            return verdict;
        }
    }
    verdict
}

fn tail(run: &Run) -> Option<Tail> {
    let path = transcript::find(&run.claude_dir, run.session.as_deref()?)?;
    transcript::tail(&path).ok()
}

/// The attempt's own end is the run's.
fn stands(run: &mut Run, output: &mut Output, exit: ExitReason) -> io::Result<i32> {
    if run.recovered() {
        run.say("recovered");
        let _ = run.notifier.notify(Occasion::Recovered, "recovered");
    }
    release(output)?;
    Ok(run.end(exit.shell_code(), Some(exit)))
}

/// Nothing more may be done: Claude's own words and code, and one line of ours.
fn gives_up(
    run: &mut Run,
    output: &mut Output,
    failure: &Failure,
    exit: ExitReason,
    why: &str,
    later: bool,
) -> io::Result<i32> {
    release(output)?;
    run.say(&format!("{}: {why}", what(failure)));
    let occasion = if later { Occasion::GaveUp } else { Occasion::PersonNeeded };
    let _ = run.notifier.notify(occasion, &what(failure));
    let code = if later { i32::from(exit::TRY_LATER) } else { exit.shell_code() };
    Ok(run.end(code, Some(exit)))
}

fn release(output: &mut Output) -> io::Result<()> {
    match output.release(&mut io::stdout().lock()) {
        // Nobody reads it any more, as with plain claude.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Whether another attempt cannot repeat a tool: the session can be resumed, or it is certain
/// that no prompt reached it.
fn can_rerun(run: &Run, failure: &Failure, rung: Rung) -> bool {
    if run.user.prompt_is_uncertain() {
        return false;
    }
    match failure.turn {
        TurnState::NotPrompted => true,
        TurnState::Untouched => run.session.is_some() || rung == Rung::NewSession,
        TurnState::Partial => run.session.is_some() && rung != Rung::NewSession,
        TurnState::ToolOpen | TurnState::Unknown => false,
    }
}

/// Makes the next attempt's plan: the same conversation where there is one.
fn go_on(run: &mut Run, failure: &Failure) {
    let resumable = matches!(failure.turn, TurnState::Untouched | TurnState::Partial);
    if let (true, Some(session)) = (resumable, run.session.clone()) {
        run.plan = run.plan.resume(&session, Continuation::Message);
    }
}

/// Waits for someone to sign in, as long as the user allowed. Whether they did.
async fn await_login(run: &mut Run, signals: &mut Signals) -> bool {
    let limit = run.wait_for_login;
    if limit.is_zero() {
        return false;
    }
    run.say(&format!(
        "waiting up to {} for a sign-in: run `claude` elsewhere and use /login · Ctrl-C stops",
        short(limit)
    ));
    let _ = run.notifier.notify(Occasion::PersonNeeded, "sign-in needed");
    let began = Instant::now();
    let signed_in = async {
        while !matches!(run.sign_in(), SignIn::Kept { .. } | SignIn::Token | SignIn::ApiKey) {
            sleep(LOOK_AGAIN).await;
        }
    };
    let done = tokio::select! {
        done = timeout(limit, signed_in) => done.is_ok(),
        _ = signals.next() => false,
    };
    run.waited(if done { "credentials" } else { "timer" }, began);
    done
}

/// Whether Claude can be trusted to have written a transcript if it had begun.
fn writes_transcripts(run: &Run) -> bool {
    let marked = std::env::var_os(CHILD_SESSION).is_some_and(|value| !value.is_empty());
    let writable = nix::unistd::access(&run.claude_dir, nix::unistd::AccessFlags::W_OK).is_ok();
    let named = matches!(run.plan.session, SessionPlan::WithId(_) | SessionPlan::Resume(_));
    named && !marked && writable && !run.user.has("--no-session-persistence")
}
