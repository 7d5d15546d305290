//! `claude auth login` and `claude setup-token` at a terminal: claude itself, unchanged, and
//! started again when the sign-in service failed it and it left. In: the run. Out: an exit code.
//! Nothing is typed but the one Enter that `own_screen` is told to press.

mod own_screen;

use std::io;

use super::Run;
use super::terminal::{drive, spawned, until};
use crate::claude::rules::{Classified, Observation, Place};
use crate::failure::{ExitReason, Failure, TurnState, Verdict};
use crate::launch::terminal::{Event as Relayed, Relay, Tty};
use crate::machine::{ChildEnd, Event};
use crate::unknown;
use own_screen::OwnScreen;

/// Sees a sign-in through.
pub(super) async fn run(run: &mut Run) -> io::Result<i32> {
    drive(run, async |run, tty| attempt(run, tty).await).await
}

/// One child from its start to its end.
async fn attempt(run: &mut Run, tty: &mut Tty) -> io::Result<ChildEnd> {
    let child = spawned(run, tty)?;
    let size = tty.size();
    let mut screen = OwnScreen::new(size.rows, size.cols);
    let mut relay = Relay::start(tty, child)?;
    run.child_started(relay.pid().as_raw(), false);
    let exit = loop {
        let due = screen.next_deadline();
        tokio::select! {
            biased;
            event = relay.next() => match event {
                Relayed::Output(bytes) => screen.output(bytes),
                Relayed::Input(bytes) => {
                    for key in screen.input(bytes) {
                        screen.hear(run, &mut relay, Event::Typed(key));
                    }
                }
                Relayed::Resized(size) => screen.resize(size.rows, size.cols),
                Relayed::Signal(signal) => screen.hear(run, &mut relay, Event::Signal(signal)),
                Relayed::Exited(exit) => break exit,
                Relayed::Suspended | Relayed::Resumed => {}
            },
            done = run.doing.next_contained() => {
                let event = run.done(done);
                screen.hear(run, &mut relay, event);
            }
            () = until(due) => {}
        }
        screen.step(run, &mut relay);
    };
    let sign_in = run.sign_in_seen();
    let verdict = failure(run, exit, &screen.text()).map_or(Verdict::Done(exit), Verdict::Failed);
    Ok(ChildEnd { exit, verdict, refuses_ours: false, line: None, sign_in })
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
