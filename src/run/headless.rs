//! A run without a terminal: attempts one after another, until one stands or nothing more may
//! be done. In: the run, what the machine says. Out: exactly one healthy run's output, and the exit
//! code. Nothing is decided here.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::attempt::{Ended, attempt};
use super::recognise::{self, Seen, recognise};
use super::signals::Signals;
use super::{Run, now_here, refusal};
use crate::claude::transcript::{self, Tail};
use crate::failure::{Evidence, ExitReason, Source, TurnState, Verdict};
use crate::launch::headless::{Output, Stdin, stderr, stdout};
use crate::machine::{ChildEnd, Effect, End, Event, Left, SignInSeen};

/// Where attempts come from: real children, or a script in tests.
pub(super) trait Attempts {
    /// Runs the next one to its end; its output is taken by `output`.
    async fn next(
        &mut self,
        run: &mut Run,
        signals: &mut Signals,
        output: &mut Output,
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
    ) -> io::Result<Ended> {
        attempt(run, signals, &mut self.0, output).await
    }
}

/// Sees the run through.
pub(super) async fn run(run: &mut Run) -> io::Result<i32> {
    let stdin = Stdin::open(&run.dir);
    let code = drive(run, &mut Children(stdin)).await?;
    written(code).await
}

/// Waits until all is written; a signal ends that too. One that ended the run has waited enough.
async fn written(code: i32) -> io::Result<i32> {
    const GRACE: Duration = Duration::from_secs(1);
    let (out, mut signals) = (stdout(), Signals::subscribe()?);
    let ended_by = |signal: Signal| 128 + signal as i32;
    let ending = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].map(ended_by);
    if ending.contains(&code) {
        let _ = timeout(GRACE, out.written()).await;
        return Ok(code);
    }
    tokio::select! {
        () = async {
            out.written().await;
            stderr().written().await;
        } => match out.failed() {
            // Nobody reads it any more, as with plain claude.
            None | Some(io::ErrorKind::BrokenPipe) => Ok(code),
            Some(kind) => Err(kind.into()),
        },
        signal = signals.next() => Ok(ended_by(signal)),
    }
}

/// The loop: events to the machine, its effects to the world.
pub(super) async fn drive(run: &mut Run, attempts: &mut impl Attempts) -> io::Result<i32> {
    let mut signals = Signals::subscribe()?;
    let mut output = Output::new(run.user.output_format());
    let mut events = VecDeque::from([Event::Begin(left(run))]);
    let mut child = None;
    loop {
        while let Some(event) = events.pop_front() {
            for effect in run.on(event) {
                match run.carry_out(effect, None) {
                    None => {}
                    Some(Effect::Observe) => events.push_back(Event::Observed(run.bare_scene())),
                    Some(Effect::Tell(occasion, text)) => {
                        let _ = run.notifier.notify(occasion, &text);
                    }
                    Some(Effect::Launch(start)) => {
                        output.discard();
                        run.plan_for(start).await;
                        let began = SystemTime::now();
                        let mut ended = attempts.next(run, &mut signals, &mut output).await?;
                        let refuses_ours = refuses_ours(run, &mut ended, began, &mut output).await;
                        let mut end = conclude(run, &ended, &mut output);
                        end.refuses_ours = refuses_ours;
                        if recognise::is_refusal(&end.verdict) {
                            // The words and the code of the attempt that it was to continue.
                            output.take_back();
                            run.say("a hook did not let the message pass that continues the turn");
                            end.exit = child.unwrap_or(end.exit);
                        }
                        child = Some(end.exit);
                        events.push_back(Event::ChildEnded(end));
                    }
                    Some(Effect::Exit(end)) => return leave(run, &end, child, &mut output).await,
                    Some(other) => tracing::error!(?other, "not done without a terminal"),
                }
            }
        }
        let event = tokio::select! {
            biased;
            signal = signals.next() => Event::Signal(signal),
            done = run.doing.next() => run.done(done),
        };
        events.push_back(event);
    }
}

/// What an earlier run of the same job left.
fn left(run: &Run) -> Option<Left> {
    let (session, tail) = run.job.as_ref()?.unfinished(&run.claude_dir)?;
    Some(Left { session, turn: tail.turn })
}

/// Ends the run: its output is let out, but for one that was interrupted.
async fn leave(
    run: &mut Run,
    end: &End,
    child: Option<ExitReason>,
    output: &mut Output,
) -> io::Result<i32> {
    if !matches!(end, End::Signal { signal: Signal::SIGINT, .. }) {
        release(output)?;
    }
    if let (End::Done(ExitReason::Code(0)), Some(job)) = (end, run.job.as_mut()) {
        job.forget();
    }
    Ok(run.leave(end, child).await)
}

fn release(output: &mut Output) -> io::Result<()> {
    match output.release(&mut stdout()) {
        // Nobody reads it any more, as with plain claude.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// What the end of an attempt means.
fn conclude(run: &mut Run, ended: &Ended, output: &mut Output) -> ChildEnd {
    let told = output.ended();
    if let Some(session) = &told.session {
        run.learn_session(session);
    }
    learn_continued(run);
    let tail = tail(run);
    let own = run.own();
    let text = output.text();
    let look = run.look_at_sign_in();
    let failed_at = tail.as_ref().and_then(|tail| tail.failure.as_ref()?.at);
    let sign_in = SignInSeen { sign_in: look.since(failed_at), stamp: Some(look.stamp) };
    let seen = Seen {
        exit: ended.exit,
        told: &told,
        text: &text,
        own: own.as_ref(),
        hook: ended.hook.as_ref(),
        sign_in: sign_in.sign_in,
        version: run.version,
        session: run.session.clone(),
        since: run.began,
        shows_all: output.shows_all(),
        was_asked: run.plan.asks(),
    };
    let verdict = if let Some(kind) = run.case.cut() {
        let evidence = Evidence {
            rule: kind.name().to_owned(),
            source: Source::Transcript,
            excerpt: "seen while Claude was running".to_owned(),
        };
        Verdict::Failed(recognise::failure(&seen, kind, None, evidence))
    } else {
        let verdict = recognise(&seen, &run.rules, &now_here());
        crate::unknown::keep_if_unknown(&run.state_dir, &verdict, told.result.as_ref(), &text);
        verdict
    };
    let mut verdict = verdict;
    if let Verdict::Failed(failure) = &mut verdict {
        failure.turn = run.without_prompt(failure.turn);
        // Where the prompt is gone, nothing was done all the same.
        let begun = own.as_ref().filter(|_| failure.turn == TurnState::Partial);
        if let Some(why) = run.cannot_continue(begun) {
            run.say(why);
            failure.turn = TurnState::Unknown;
        }
    }
    let line = tail.and_then(|tail| tail.last_uuid);
    ChildEnd { exit: ended.exit, verdict, refuses_ours: false, line, sign_in }
}

/// Whether an attempt was refused for what we added to it, before anything began; what it said
/// then is not the user's to read.
async fn refuses_ours(
    run: &Run,
    ended: &mut Ended,
    began: SystemTime,
    output: &mut Output,
) -> bool {
    let may_refuse = ended.may_refuse
        && ended.exit != ExitReason::Code(0)
        && output.ended().session.is_none()
        && !run.was_written_since(began);
    let mut refuses = false;
    if may_refuse {
        let mut words = output.text();
        if let Some(first) = &mut ended.first_words {
            words.push_str(&first.whole().await);
        }
        refuses = refusal::refuses_ours(&run.plan, ended.exit, &words);
    }
    match ended.first_words.take() {
        Some(first) if refuses => first.drop_held(),
        Some(first) => first.finish().await,
        None => {}
    }
    refuses
}

/// Which conversation a run is in that we did not name and neither a hook nor a result told of
/// (`--continue`, a script, printing text): the only one here that something was added to.
fn learn_continued(run: &mut Run) {
    let Some(before) = run.before.as_ref().filter(|_| run.session.is_none()) else { return };
    let Ok(cwd) = std::env::current_dir() else { return };
    let Some(path) = before.only_grown(&run.claude_dir, &cwd) else { return };
    let prompted = before.own(&path).is_some_and(|own| own.tail.prompted_at.is_some());
    if let Some(id) = transcript::session_of(&path).filter(|_| prompted) {
        run.learn_session(id);
    }
}

fn tail(run: &Run) -> Option<Tail> {
    let path = transcript::find(&run.claude_dir, run.session.as_deref()?)?;
    transcript::tail(&path).ok()
}
