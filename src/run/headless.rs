//! A run without a terminal: attempts one after another, until one stands or nothing more may
//! be done. In: the run. Out: exactly one healthy run's output, and the exit code.

use std::io;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep, timeout};

use super::attempt::{Ended, LONG_WAIT, at, attempt};
use super::recognise::{self, Seen, recognise};
use super::rerun::{Turn, can_rerun, claim, go_on, take_turn};
use super::signals::Signals;
use super::waiting::WaitEnd;
use super::{Run, now_here};
use crate::claude::credentials::SignIn;
use crate::claude::transcript::{self, Tail};
use crate::error::exit;
use crate::journal::Outcome;
use crate::launch::headless::{Output, Stdin};
use crate::machine::Rung;
use crate::machine::table::{Decision, Reason, Standing, looks_local};
use crate::machine::words::{may_pass, what};
use crate::notice::short;
use crate::notify::Occasion;
use crate::plan::{CHILD_SESSION, SessionPlan};
use crate::service::pace::Ticket;
use crate::service::{Lock, Reading};
use crate::watch::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState, Verdict};

/// Credentials count as emptied only if they still are after this long.
const EMPTIED_FOR: Duration = Duration::from_secs(10);
/// Why a run that has waited long enough ends.
const PAST_HORIZON: &str = "it has not passed within `retry.horizon_headless`";
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where attempts come from: real children, or a script in tests.
pub(super) trait Attempts {
    /// Runs the next one to its end; its output is taken by `output`.
    async fn next(
        &mut self,
        run: &mut Run,
        signals: &mut Signals,
        output: &mut Output,
        turn: Turn,
    ) -> io::Result<Ended>;
}

/// Real children, with our stdin.
struct Children(Stdin);

impl Attempts for Children {
    async fn next(
        &mut self,
        run: &mut Run,
        signals: &mut Signals,
        output: &mut Output,
        turn: Turn,
    ) -> io::Result<Ended> {
        attempt(run, signals, &mut self.0, output, turn).await
    }
}

/// Sees the run through.
pub(super) async fn run(run: &mut Run) -> io::Result<i32> {
    let stdin = Stdin::open(&run.dir);
    drive(run, &mut Children(stdin)).await
}

/// The loop: attempts, until one stands or nothing more may be done.
pub(super) async fn drive(run: &mut Run, attempts: &mut impl Attempts) -> io::Result<i32> {
    let mut signals = Signals::subscribe()?;
    let mut output = Output::new(run.user.output_format());
    let mut ticket: Option<Ticket> = None;
    let mut session_lock: Option<Lock> = None;
    let mut touched = false;
    if let Some(code) = refuse_job(run) {
        return Ok(code);
    }
    loop {
        let turn = tokio::select! {
            turn = our_turn(run) => turn,
            signal = signals.next() => return Ok(run.end(128 + signal as i32, None)),
        };
        let ended = attempts.next(run, &mut signals, &mut output, turn).await?;
        if ended.signal == Some(Signal::SIGINT) {
            return Ok(run.end(i32::from(exit::INTERRUPTED), Some(ended.exit)));
        }
        let (verdict, tail) = conclude(run, &ended, &mut output).await;
        let service_failed = matches!(&verdict, Verdict::Failed(failure) if may_pass(failure));
        settle(run, ticket.take(), service_failed).await;
        let mut failure = match verdict {
            Verdict::Failed(failure) if ended.signal.is_none() => failure,
            Verdict::Failed(_) | Verdict::Done(_) => return stands(run, &mut output, &ended),
        };
        // What an earlier attempt did in this conversation is done.
        if touched && matches!(failure.turn, TurnState::Untouched | TurnState::NotPrompted) {
            failure.turn = TurnState::Partial;
        }
        touched |= failure.turn == TurnState::Partial;
        let (rung, after, health) = match run.consider(&failure, Standing::Unattended).await {
            (Decision::Act { rung, after }, health) => (rung, after, health),
            (Decision::WaitForPerson(Reason(why)), _) => {
                let may = failure.kind == FailureKind::SignInNeeded
                    && can_rerun(run, &failure, Rung::Relaunch);
                if may && await_login(run, &mut signals).await {
                    session_lock = match claim(run, session_lock.take(), tail.as_ref()) {
                        Ok(lock) => lock,
                        Err(why) => {
                            return gives_up(
                                run,
                                &mut output,
                                &failure,
                                ended.exit,
                                why,
                                Then::Person,
                            );
                        }
                    };
                    output.discard();
                    go_on(run, &failure);
                    continue;
                }
                return gives_up(run, &mut output, &failure, ended.exit, &why, Then::Person);
            }
            (Decision::StandAside(Reason(why)) | Decision::GiveUp(Reason(why)), _) => {
                let then = Then::after(&failure);
                return gives_up(run, &mut output, &failure, ended.exit, &why, then);
            }
        };
        if !can_rerun(run, &failure, rung) {
            let why = "nothing proves that no tool ran, so the prompt is not sent again";
            return gives_up(run, &mut output, &failure, ended.exit, why, Then::Person);
        }
        let why = health.reasons.first().map(|why| format!(" · {why}")).unwrap_or_default();
        let local = matches!(failure.kind, FailureKind::Network { .. })
            && looks_local(&run.history, run.elapsed());
        let local = if local { " · looks local: is this machine online?" } else { "" };
        // While a probe says down no try is made, so a time would be a promise not kept.
        let when = if reads_down(run, failure.kind).await {
            "as soon as it answers".to_owned()
        } else {
            format!("in {}", short(after))
        };
        let next = format!("try {} {when} · Ctrl-C stops", run.attempts + 1);
        run.say(&format!("{}{why}{local} · {next}", what(&failure)));
        tokio::select! {
            taken = pause(run, failure.kind, after) => match taken {
                Some(taken) => ticket = Some(taken),
                None => {
                    return gives_up(run, &mut output, &failure, ended.exit, PAST_HORIZON, Then::Later);
                }
            },
            signal = signals.next() => {
                let code = 128 + signal as i32;
                return Ok(run.end(code, Some(ended.exit)));
            }
        }
        session_lock = match claim(run, session_lock.take(), tail.as_ref()) {
            Ok(lock) => lock,
            Err(why) => {
                return gives_up(run, &mut output, &failure, ended.exit, why, Then::Person);
            }
        };
        output.discard();
        let applied = run.apply(rung, &failure).await;
        if !(applied && rung == Rung::NewSession) {
            go_on(run, &failure);
        }
    }
}

/// Tells all runs how the start with this ticket went.
async fn settle(run: &Run, ticket: Option<Ticket>, failed: bool) {
    match (ticket, failed) {
        (Some(ticket), true) => run.service.breaker.failed(ticket).await,
        (Some(ticket), false) => run.service.breaker.succeeded(ticket).await,
        (None, _) => {}
    }
}

/// A job whose earlier run was cut off in a tool is for a person to look at: its exit code.
fn refuse_job(run: &mut Run) -> Option<i32> {
    let (session, tail) = run.job.as_ref()?.unfinished(&run.claude_dir)?;
    if tail.turn != TurnState::ToolOpen {
        return None;
    }
    let why = format!(
        "a tool was running when this job was cut off, and its result is unknown: look with \
         `claude --resume {session}`"
    );
    run.say(&why);
    let _ = run.notifier.notify(Occasion::PersonNeeded, &why);
    Some(run.end_as(Outcome::Person { why }, i32::from(exit::PERSON), None))
}

/// Waits until we may launch as far as the token goes; with an expired one, and others before
/// us that found the service down, until it is back.
async fn our_turn(run: &Run) -> Turn {
    loop {
        let turn = take_turn(run).await;
        let first = run.attempts == 0 && turn.waited && turn.lock.is_some();
        if !first || !reads_down(run, FailureKind::AuthRefresh).await {
            return turn;
        }
        drop(turn);
        run.say("sign-in service down · waiting for it · Ctrl-C stops");
        run.wait(FailureKind::AuthRefresh, run.curve().first).await;
        run.service.breaker.admit().await;
    }
}

/// Whether the host that such a failure concerns read down just now, in this run or another.
async fn reads_down(run: &Run, kind: FailureKind) -> bool {
    const FRESH_MS: u64 = 20_000;
    let breaker = &run.service.breaker;
    for endpoint in run.service.facing(kind) {
        if let Some(shared) = breaker.shared(endpoint.host()).await {
            let fresh = breaker.clock().now().saturating_sub(shared.at) < FRESH_MS;
            return fresh && shared.verdict() == Reading::Down;
        }
    }
    false
}

/// Waits, then takes a place among all runs that restart. `None`: the horizon has come first.
async fn pause(run: &mut Run, kind: FailureKind, after: Duration) -> Option<Ticket> {
    let began = Instant::now();
    // Told once for a streak: when the minute since its first failure is over.
    let since = run.elapsed().saturating_sub(run.history.failing_since().unwrap_or_default());
    let mut tell_at = LONG_WAIT.checked_sub(since).map(|left| began + left);
    let end = {
        let waiting = run.wait(kind, after);
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                end = &mut waiting => break end,
                () = at(tell_at) => {
                    tell_at = None;
                    let _ = run.notifier.notify(Occasion::Waiting, "waiting for the service");
                }
            }
        }
    };
    run.waited(end.name(), began);
    match end {
        WaitEnd::Timer | WaitEnd::Probe => Some(run.service.breaker.admit().await),
        WaitEnd::Horizon => None,
    }
}

/// What the end of an attempt means.
async fn conclude(run: &mut Run, ended: &Ended, output: &mut Output) -> (Verdict, Option<Tail>) {
    let told = output.ended();
    if let Some(session) = &told.session {
        run.learn_session(session);
    }
    learn_continued(run);
    let tail = tail(run);
    let text = output.text();
    let seen = |sign_in| Seen {
        exit: ended.exit,
        told: &told,
        text: &text,
        tail: tail.as_ref(),
        hook: ended.hook.as_ref(),
        sign_in,
        version: run.version,
        session: run.session.clone(),
        since: run.began,
        writes_transcripts: writes_transcripts(run),
        shows_all: output.shows_all(),
    };
    let sign_in = run.sign_in();
    if let Some(kind) = ended.cut {
        let evidence = Evidence {
            rule: kind.name().to_owned(),
            source: Source::Transcript,
            excerpt: "seen while Claude was running".to_owned(),
        };
        let failure = recognise::failure(&seen(sign_in), kind, None, evidence);
        return (Verdict::Failed(failure), tail);
    }
    let verdict = recognise(&seen(sign_in), &run.rules, &now_here());
    crate::unknown::keep_if_unknown(&run.state_dir, &verdict, told.result.as_ref(), &text);
    let dead = matches!(&verdict, Verdict::Failed(f) if f.kind == FailureKind::SignInNeeded);
    if !dead || sign_in != SignIn::Emptied {
        return (verdict, tail);
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
            return (verdict, tail);
        }
    }
    (verdict, tail)
}

/// Which conversation `--continue` went on with, where neither a hook nor a result told (old
/// versions, printing text): the only one written to since, if its last turn is this run's.
fn learn_continued(run: &mut Run) {
    if run.session.is_some() || !run.user.has("--continue") || !keeps_transcripts(run) {
        return;
    }
    let Ok(cwd) = std::env::current_dir() else { return };
    let Ok(since) = SystemTime::try_from(run.began) else { return };
    let Some(path) = transcript::only(&run.claude_dir, &cwd, since) else { return };
    let prompted = transcript::tail(&path).ok().and_then(|tail| tail.prompted_at);
    if prompted.is_some_and(|at| at >= run.began)
        && let Some(id) = transcript::session_of(&path)
    {
        run.learn_session(id);
    }
}

fn tail(run: &Run) -> Option<Tail> {
    let path = transcript::find(&run.claude_dir, run.session.as_deref()?)?;
    transcript::tail(&path).ok()
}

/// The attempt's own end is the run's.
fn stands(run: &mut Run, output: &mut Output, ended: &Ended) -> io::Result<i32> {
    let code = ended.exit.shell_code();
    if run.recovered() || (ended.retried && code == 0) {
        run.say("recovered");
        let _ = run.notifier.notify(Occasion::Recovered, "recovered");
    }
    release(output)?;
    if let Some(job) = run.job.as_mut().filter(|_| code == 0) {
        job.forget();
    }
    Ok(run.end(code, Some(ended.exit)))
}

/// What may follow when nothing more may be done now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Later,
    Person,
    /// A tool has no result: whoever tries again might run it twice.
    PersonLooks,
}

impl Then {
    fn after(failure: &Failure) -> Self {
        match failure.turn {
            TurnState::ToolOpen => Self::PersonLooks,
            _ if may_pass(failure) => Self::Later,
            _ => Self::Person,
        }
    }
}

/// Nothing more may be done: Claude's own words and code, and one line of ours.
fn gives_up(
    run: &mut Run,
    output: &mut Output,
    failure: &Failure,
    exit: ExitReason,
    why: &str,
    then: Then,
) -> io::Result<i32> {
    release(output)?;
    let told = format!("{}: {why}", what(failure));
    run.say(&told);
    let occasion = if then == Then::Later { Occasion::GaveUp } else { Occasion::PersonNeeded };
    let _ = run.notifier.notify(occasion, &what(failure));
    let (code, outcome) = match (then, failure.kind) {
        (Then::Later, FailureKind::UsageLimit { resets }) => {
            (i32::from(exit::TRY_LATER), Outcome::Later { not_before: resets })
        }
        (Then::Later, _) => (i32::from(exit::TRY_LATER), Outcome::Later { not_before: None }),
        (Then::Person, _) => (exit.shell_code(), Outcome::Person { why: told }),
        (Then::PersonLooks, _) => (i32::from(exit::PERSON), Outcome::Person { why: told }),
    };
    Ok(run.end_as(outcome, code, Some(exit)))
}

fn release(output: &mut Output) -> io::Result<()> {
    match output.release(&mut io::stdout().lock()) {
        // Nobody reads it any more, as with plain claude.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
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
    let named = matches!(run.plan.session, SessionPlan::WithId(_) | SessionPlan::Resume(_));
    named && keeps_transcripts(run)
}

fn keeps_transcripts(run: &Run) -> bool {
    let marked = std::env::var_os(CHILD_SESSION).is_some_and(|value| !value.is_empty());
    let writable = nix::unistd::access(&run.claude_dir, nix::unistd::AccessFlags::W_OK).is_ok();
    !marked && writable && !run.user.has("--no-session-persistence")
}
