//! Any sequence of events, with sleeps, sign-ins, signals, long attempts and clocks that are set,
//! in all kinds of run: the promises of `world` hold after each.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use proptest::prelude::*;

use super::world::{Asked, HOUR, SECOND, World, failure, policy, signed_in};
use super::*;
use crate::claude::credentials::SignIn;
use crate::failure::{ExitReason, FailureKind, Source, TurnState, Verdict};
use crate::rung::Rung;
use crate::service::{Health, Reading};
use crate::watch::{Panel, WhyNot};

/// Draws what happens next from a proptest's numbers.
struct Dice<'d>(&'d mut dyn Iterator<Item = u32>);

impl Dice<'_> {
    fn below(&mut self, sides: u32) -> u32 {
        self.0.next().unwrap_or_default() % sides
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u32) as usize].clone()
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.below(one_in) == 0
    }
}

fn any_kind(dice: &mut Dice<'_>, wall: Timestamp) -> FailureKind {
    let offset = i64::from(dice.below(20_000)) - 1_000;
    let resets = wall.checked_add(SignedDuration::from_secs(offset)).ok();
    let firm = dice.chance(2);
    dice.one(&[
        FailureKind::Api,
        FailureKind::Api,
        FailureKind::AuthRefresh,
        FailureKind::AuthRefresh,
        FailureKind::SignInNeeded,
        FailureKind::SignInNeeded,
        FailureKind::LoginService,
        FailureKind::UsageLimit { resets },
        FailureKind::UsageLimit { resets: None },
        FailureKind::Refused,
        FailureKind::Doubtful { firm },
        FailureKind::Proxy,
        FailureKind::Network { certificate: false },
        FailureKind::Network { certificate: true },
        FailureKind::SessionBroken,
        FailureKind::StartUp,
        FailureKind::Crash,
        FailureKind::Hang,
    ])
}

const TURNS: [TurnState; 6] = [
    TurnState::NotPrompted,
    TurnState::Untouched,
    TurnState::Untouched,
    TurnState::Partial,
    TurnState::Unknown,
    TurnState::ToolOpen,
];

fn any_report(dice: &mut Dice<'_>, world: &World) -> Report {
    let mut failure = failure(any_kind(dice, world.wall), dice.one(&TURNS));
    if dice.chance(8) {
        failure.session = None;
    }
    let source = dice.one(&[Source::Hook, Source::Transcript, Source::Screen]);
    failure.evidence[0].source = source;
    Report { failure, line: world.scene.line.clone(), sign_in: world.scene.sign_in.clone() }
}

/// The screen and the files change under the machine's eyes.
fn change_scene(dice: &mut Dice<'_>, world: &mut World) {
    let scene = &mut world.scene;
    match dice.below(12) {
        0 => {
            scene.may_type = dice.one(&[
                Ok(()),
                Err(WhyNot::NotSettled),
                Err(WhyNot::UserTyped),
                Err(WhyNot::Draft),
                Err(WhyNot::Dialog),
                Err(WhyNot::NoPlaceholder),
            ]);
        }
        1 => scene.may_enter = dice.one(&[Ok(()), Err(WhyNot::NotOurText), Err(WhyNot::Busy)]),
        2 => scene.box_empty = dice.chance(2),
        3 => scene.busy = dice.chance(3),
        4 => scene.foreign = dice.chance(3),
        5 => scene.background = dice.chance(3),
        6 => scene.line = dice.one(&[None, Some("a".to_owned()), Some("b".to_owned())]),
        7 => {
            let failed = Panel::LoginFailed("x".to_owned());
            scene.panel =
                dice.one(&[None, Some(failed), Some(Panel::LoginMethod), Some(Panel::LoginPaste)]);
            scene.first_entry = dice.chance(2);
            scene.chose_first = dice.chance(2);
        }
        8 | 9 => {
            scene.sign_in = signed_in(u64::from(dice.below(4)));
            let now = dice.one(&[SignIn::Expired, SignIn::Emptied, SignIn::Missing, SignIn::Token]);
            scene.sign_in.sign_in = now;
        }
        _ => {
            scene.may_type = Ok(());
            scene.may_enter = Ok(());
            scene.foreign = false;
            scene.line = None;
        }
    }
}

fn any_span(dice: &mut Dice<'_>) -> Duration {
    let longest = dice.one(&[SECOND, 10 * SECOND, 700 * SECOND, 3 * HOUR]);
    longest.mul_f64(f64::from(dice.below(1_000)) / 1_000.0)
}

fn answer(dice: &mut Dice<'_>, world: &mut World, asked: &Asked) {
    let reading = dice.one(&[Reading::Up, Reading::Down, Reading::Down, Reading::Unknown]);
    match asked {
        Asked::Probe => {
            world.pass(any_span(dice).min(21 * SECOND));
            let health = Health { oauth: reading, api: reading, ..Health::default() };
            world.hears(Event::Health { health, held: dice.chance(2) });
        }
        Asked::Wait(wait) => match dice.below(8) {
            0 if wait.wake != Wake::Never => {
                world.pass(any_span(dice).min(wait.until.saturating_sub(world.at)));
                world.hears(Event::Up);
            }
            1 => {
                world.pass(any_span(dice) + 20 * SECOND);
                world.hears(Event::Slept);
            }
            _ => {
                world.pass(wait.until.saturating_sub(world.at));
                world.hears(Event::WaitOver(reading));
            }
        },
        Asked::Claim(_) => {
            world.pass(any_span(dice).min(120 * SECOND));
            let left = any_span(dice);
            world.hears(Event::Claimed(dice.one(&[
                Ok(()),
                Ok(()),
                Ok(()),
                Err(Obstacle::Down(left)),
                Err(Obstacle::Busy),
                Err(Obstacle::SignInDown),
                Err(Obstacle::Foreign("someone else has it")),
            ])));
        }
        Asked::Question => {
            world.pass(any_span(dice).min(60 * SECOND));
            world.hears(Event::Answered(dice.one(&[Answer::Yes, Answer::Refused("no")])));
        }
        Asked::Fix(_) => {
            world.pass(any_span(dice).min(300 * SECOND));
            world.hears(Event::FixDone(dice.chance(2)));
        }
    }
}

/// Something nobody asked for.
fn surprise(dice: &mut Dice<'_>, world: &mut World) {
    let asks = world.case.means().asks;
    match dice.below(24) {
        0..=2 => change_scene(dice, world),
        3 => world.hears(Event::Typed(dice.one(&[
            Key::Text,
            Key::Enter,
            Key::Escape,
            Key::Interrupt,
        ]))),
        4 if asks => world.hears(Event::TurnBegan),
        5 if asks => world.hears(Event::TurnWorked),
        6..=9 if asks => {
            world.pass(any_span(dice));
            let report = any_report(dice, world);
            world.hears(Event::TurnFailed(report));
        }
        4..=13 => {
            world.pass(any_span(dice));
            let Report { failure, line, sign_in } = any_report(dice, world);
            let exit = dice.one(&[ExitReason::Code(1), ExitReason::Code(0), ExitReason::Signal(9)]);
            let stands = dice.chance(6);
            let verdict = if stands { Verdict::Done(exit) } else { Verdict::Failed(failure) };
            let refuses_ours = stands && dice.chance(2);
            world.hears(Event::ChildEnded(ChildEnd { exit, verdict, refuses_ours, line, sign_in }));
        }
        14 => world.pass(any_span(dice)),
        // Somebody sets the clock.
        15 => {
            let by = SignedDuration::from_secs(i64::from(dice.below(400_000)) - 200_000);
            world.wall = world.wall.checked_add(by).expect("in range");
        }
        16 => {
            let status = dice.one(&[None, Some(529)]);
            let asked = status.map(|_| Duration::from_secs(45));
            world.hears(Event::Retrying { kind: any_kind(dice, world.wall), status, asked });
        }
        17 => world.hears(dice.one(&[Event::Hung, Event::MovedOn, Event::Blind])),
        // What comes too late, or was never asked for.
        18 => world.hears(dice.one(&[
            Event::WaitOver(Reading::Up),
            Event::Up,
            Event::FixDone(true),
            Event::Answered(Answer::Yes),
            Event::Begin(None),
        ])),
        19 if dice.chance(6) => {
            let signal = dice.one(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
            world.hears(Event::Signal(signal));
        }
        _ => {}
    }
}

fn any_world(dice: &mut Dice<'_>, means: Means, shows: bool) -> World {
    let mut policy = policy();
    policy.allowed = Rung::ALL.into_iter().filter(|_| !dice.chance(8)).collect();
    policy.tries = dice.one(&[1, 3]);
    policy.end_terminal = dice.chance(2);
    policy.unattended_after = dice.one(&[SECOND, 600 * SECOND]);
    policy.wait_for_login = dice.one(&[Duration::ZERO, HOUR, 5 * HOUR]);
    let facts = Facts {
        prompt: !dice.chance(3),
        prompt_uncertain: dice.chance(8),
        child_session: dice.chance(6),
        typable: !dice.chance(6),
    };
    let mut world = World::new(policy, means, facts);
    world.visited = shows.then(Vec::new);
    let left = Left { session: "s".to_owned(), turn: dice.one(&TURNS) };
    world.hears(Event::Begin(dice.chance(4).then_some(left)));
    world
}

fn live(means: Means, numbers: Vec<u32>) {
    lived(means, &mut numbers.into_iter(), false);
}

/// One run, to its end or for so many events.
pub(super) fn lived(means: Means, numbers: &mut dyn Iterator<Item = u32>, shows: bool) -> World {
    let mut dice = Dice(numbers);
    let mut world = any_world(&mut dice, means, shows);
    for _ in 0..120 {
        if world.ended.is_some() {
            break;
        }
        match world.asked.clone() {
            Some(asked) if !dice.chance(4) => answer(&mut dice, &mut world, &asked),
            _ => surprise(&mut dice, &mut world),
        }
    }
    world
}

fn numbers() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 0..700)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn without_a_terminal_no_sequence_of_events_breaks_a_promise(numbers in numbers()) {
        live(Means::HEADLESS, numbers);
    }

    #[test]
    fn at_a_terminal_no_sequence_of_events_breaks_a_promise(numbers in numbers()) {
        live(Means::TERMINAL, numbers);
    }

    #[test]
    fn in_a_sign_in_no_sequence_of_events_breaks_a_promise(numbers in numbers()) {
        live(Means::SIGN_IN, numbers);
    }

    #[test]
    fn with_a_program_no_sequence_of_events_breaks_a_promise(numbers in numbers()) {
        live(Means::PROGRAM, numbers);
    }
}
