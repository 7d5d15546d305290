//! A run at a terminal: attempts one after another. Between them the terminal is the user's
//! own, with lines of ours on stderr; while a child runs, nothing here writes to it. Nothing is
//! decided here.

mod attempt;
mod background;
mod contained;
mod first_words;
mod launching;
mod readings;

use std::collections::VecDeque;
use std::io;

use nix::sys::signal::Signal;

use super::Run;
use crate::launch::terminal::{Tty, TtyEvent};
use crate::machine::{Answer, ChildEnd, Effect, Event, Key, State};
use crate::watch::is_typable;

pub(in crate::run) use contained::Contained;
pub(in crate::run) use launching::{spawned, until};

/// Sees the run through.
pub(in crate::run) async fn run(run: &mut Run) -> io::Result<i32> {
    if let Err(wrong) = is_typable(&run.plan.message) {
        run.say(&format!("`retry.message` {wrong}, so nothing will be typed for you"));
    }
    drive(run, async |run, tty| attempt::run(run, tty).await).await
}

/// The loop between children: events to the machine, its effects to the world. `child` runs the
/// plan's child to its end.
pub(in crate::run) async fn drive(
    run: &mut Run,
    child: impl AsyncFn(&mut Run, &mut Tty) -> io::Result<ChildEnd>,
) -> io::Result<i32> {
    let mut tty = Tty::open()?;
    let mut events = VecDeque::from([Event::Begin(None)]);
    let mut exit = None;
    // Typed while a fix is applied: it is the next child's.
    let mut kept = Vec::new();
    loop {
        while let Some(event) = events.pop_front() {
            for effect in run.on(event) {
                match run.carry_out(effect, None) {
                    None => {}
                    Some(Effect::Observe) => events.push_back(Event::Observed(run.bare_scene())),
                    Some(Effect::Tell(occasion, text)) => {
                        let bytes = run.notifier.notify(occasion, &text);
                        crate::notice::ring(&bytes);
                    }
                    Some(Effect::Launch(start)) => {
                        run.plan_for(start).await;
                        tty.unread(&std::mem::take(&mut kept));
                        let end = child(run, &mut tty).await?;
                        exit = Some(end.exit);
                        events.push_back(Event::ChildEnded(end));
                    }
                    Some(Effect::Exit(end)) => return Ok(run.leave(&end, exit).await),
                    // The child that it was for has ended.
                    Some(other) => tracing::debug!(?other, "not done without a child"),
                }
            }
        }
        let asking = matches!(run.case.state(), State::Asking(_));
        let fixing = matches!(run.case.state(), State::Fixing(_));
        let event = tokio::select! {
            biased;
            event = tty.next() => match event {
                TtyEvent::Input(bytes) if fixing => {
                    kept.extend_from_slice(bytes);
                    None
                }
                event => typed(&event, asking),
            },
            done = run.doing.next() => Some(run.done(done)),
        };
        events.extend(event);
    }
}

/// What somebody at the keys means between two children: anything but a yes is a no.
fn typed(event: &TtyEvent<'_>, asking: bool) -> Option<Event> {
    Some(match event {
        TtyEvent::Input([b'y' | b'Y', ..]) if asking => Event::Answered(Answer::Yes),
        TtyEvent::Input(_) if asking => Event::Answered(Answer::Refused("no")),
        TtyEvent::Input(bytes) if bytes.contains(&b'\n') => Event::Typed(Key::Enter),
        TtyEvent::Signal(signal) => Event::Signal(*signal),
        TtyEvent::Closed => Event::Signal(Signal::SIGHUP),
        TtyEvent::Input(_) | TtyEvent::Resized(_) | TtyEvent::Resumed => return None,
    })
}
