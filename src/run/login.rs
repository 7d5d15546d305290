//! `claude auth login` and `claude setup-token` at a terminal: claude itself, unchanged, and
//! started again when the sign-in service failed it and it left. In: the run. Out: an exit code.
//! A code that was refused is not tried again. Nothing is typed but `own_screen`'s one Enter.

mod own_screen;

use std::io;

use super::Run;
use super::terminal::{pause, spawned, until};
use crate::claude::rules::{Classified, Observation, Place};
use crate::journal::Event as Entry;
use crate::launch::terminal::{Event, Relay, Tty};
use crate::machine::table::{Decision, Reason, Standing};
use crate::machine::words::what;
use crate::notice::short;
use crate::notify::Occasion;
use crate::unknown;
use crate::watch::{ExitReason, Failure, FailureKind, TurnState};
use own_screen::OwnScreen;

/// Why a code is refused although it was pasted: what a person can look at.
const LIKELY_CAUSES: &str = "likely causes: the code was not copied whole, this machine's clock \
    is off, a proxy or VPN changed the redirect, or a browser extension did";

/// Sees a sign-in through.
pub(super) async fn run(run: &mut Run) -> io::Result<i32> {
    let mut tty = Tty::open()?;
    loop {
        let (exit, words) = attempt(run, &mut tty).await?;
        let code = exit.shell_code();
        let Some(failure) = failure(run, exit, &words) else {
            if code == 0 {
                run.recovered();
            }
            return Ok(run.end(code, Some(exit)));
        };
        let (decision, health) = run.consider(&failure, Standing::Attended).await;
        let after = match (failure.kind, decision) {
            (
                FailureKind::LoginService | FailureKind::Network { certificate: false },
                Decision::Act { after, .. },
            ) => after,
            (
                FailureKind::SignInNeeded | FailureKind::Refused | FailureKind::Doubtful { .. },
                _,
            ) => {
                run.say(LIKELY_CAUSES);
                return Ok(run.end(code, Some(exit)));
            }
            (_, Decision::GiveUp(Reason(why))) => {
                run.say(&format!("{}: {why}", what(&failure)));
                return Ok(run.end(code, Some(exit)));
            }
            _ => return Ok(run.end(code, Some(exit))),
        };
        let why = health.reasons.first().map(|why| format!(" · {why}")).unwrap_or_default();
        let next = format!("again once it answers, at the earliest in {}", short(after));
        run.say(&format!("{}{why} · {next} · Enter: now · Ctrl-C: stop", what(&failure)));
        if let Some(code) = pause(run, &mut tty, &failure, after).await {
            return Ok(run.end(code, Some(exit)));
        }
        let bytes =
            run.notifier.notify(Occasion::PersonNeeded, "sign in again: paste a fresh code");
        crate::notice::ring(&bytes);
    }
}

/// One child from its start to its end, and what it printed.
async fn attempt(run: &mut Run, tty: &mut Tty) -> io::Result<(ExitReason, String)> {
    let child = spawned(run, tty)?;
    let size = tty.size();
    let mut screen = OwnScreen::new(size.rows, size.cols);
    let mut relay = Relay::start(tty, child)?;
    run.attempts += 1;
    let pid = relay.pid().as_raw();
    run.journal.record(Entry::AttemptStarted { attempt: run.attempts, pid, resumed: false });
    loop {
        let due = screen.next_deadline();
        tokio::select! {
            biased;
            event = relay.next() => match event {
                Event::Output(bytes) => screen.output(bytes),
                Event::Input(bytes) => screen.input(bytes),
                Event::Resized(size) => screen.resize(size.rows, size.cols),
                Event::Exited(exit) => return Ok((exit, screen.text())),
                Event::Suspended | Event::Resumed | Event::Signal(_) => {}
            },
            () = screen.answers() => screen.leave(&mut relay),
            () = until(due) => {}
        }
        screen.step(run, &mut relay);
    }
}

/// What a failed sign-in printed, in a class.
fn failure(run: &Run, exit: ExitReason, words: &str) -> Option<Failure> {
    // Signals and the user's own ending are no fault of the service.
    if !matches!(exit, ExitReason::Code(code) if !matches!(code, 0 | 129 | 130 | 143)) {
        return None;
    }
    let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    let now = super::now_here();
    let seen = Observation {
        place: Place::Output,
        text: last,
        errors: &[],
        status: None,
        sign_in: Some(run.sign_in()),
        since: None,
        version: run.version,
        now: &now,
    };
    let found = run.rules.classify(&seen);
    // The line of the question may hold the code.
    let is_question = last.contains("Paste code");
    if found.is_none() && !run.rules.know(&seen) && !is_question {
        unknown::keep(&run.state_dir, "screen", last);
    }
    let Classified { kind, status, evidence, .. } = found?;
    let turn = TurnState::NotPrompted;
    Some(Failure { kind, status, evidence: vec![evidence], session: None, turn })
}
