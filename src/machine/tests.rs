//! Single paths through the machine, each an event after the other.

use std::time::Duration;

use super::world::{Asked, HOUR, SECOND, TERM, World, policy, signed_in};
use super::*;
use crate::claude::credentials::SignIn;
use crate::failure::{FailureKind, TurnState};
use crate::notify::Occasion;
use crate::rung::Rung;
use crate::service::Reading;

const UNTOUCHED: TurnState = TurnState::Untouched;

/// Brings a world into a state.
type Prepare<'p> = &'p dyn Fn(&mut World);

/// Fails, is tried again, fails, … until it ends or so many tries were made.
fn outage(world: &mut World, kind: FailureKind, attempt: Duration, most: usize) {
    while world.ended.is_none() && world.tries() < most {
        world.pass(attempt);
        world.fails(kind, UNTOUCHED);
        world.goes_on(Reading::Down, 1_000);
        if world.case.means().asks && world.told(Occasion::GaveUp) > 0 {
            return;
        }
    }
}

#[test]
fn a_start_that_refuses_what_we_added_is_made_once_more_without_it() {
    for means in [Means::HEADLESS, Means::TERMINAL] {
        let mut world = World::launched(policy(), means);
        world.refuses_ours(1);
        assert_eq!(world.tries(), 2);
        assert_eq!(
            world.done.last().map(|(_, last)| last),
            Some(&Effect::Launch(Start::AsWritten))
        );
        world.refuses_ours(1);
        assert_eq!((world.tries(), world.code()), (2, Some(1)), "that one is as the user wrote it");
        // what began, or was typed, is not begun again
        let retrying = Event::Retrying { kind: FailureKind::Api, status: None, asked: None };
        for event in [Event::TurnBegan, Event::Typed(Key::Text), retrying] {
            let mut world = World::launched(policy(), means);
            world.hears(event);
            world.refuses_ours(1);
            assert_eq!((world.tries(), world.code()), (1, Some(1)));
        }
    }
}

#[test]
fn attempts_that_last_longer_than_a_healthy_period_end_by_the_horizon_too() {
    for means in [Means::HEADLESS, Means::TERMINAL, Means::PROGRAM] {
        let mut world = World::launched(policy(), means);
        outage(&mut world, FailureKind::Api, 660 * SECOND, 100);
        let last = 660 * SECOND + 2 * HOUR + 660 * SECOND;
        assert!(world.at <= last, "{means:?}: {:?}", world.at);
        assert_eq!(world.told(Occasion::GaveUp), 1, "{means:?}");
        if !means.asks {
            assert_eq!(world.code(), Some(75));
        }
    }
}

#[test]
fn a_sleep_of_the_machine_is_no_horizon_unless_it_lasts_beyond_it() {
    for (slept, ends) in [(HOUR, false), (3 * HOUR, true)] {
        let mut world = World::launched(policy(), Means::HEADLESS);
        world.fails(FailureKind::Api, UNTOUCHED);
        world.goes_on(Reading::Down, 1);
        assert!(matches!(world.asked, Some(Asked::Wait(_))));
        world.pass(slept);
        world.hears(Event::Slept);
        assert_eq!(world.code(), ends.then_some(75));
        if let Some(Asked::Wait(wait)) = &world.asked {
            let left = wait.until.saturating_sub(world.at);
            assert!(left >= 10 * SECOND && left <= 15 * SECOND, "the network returns: {left:?}");
        }
    }
}

/// As a closed laptop does through the night: awake for 45 s now and then.
#[test]
fn nothing_is_tried_in_wakes_that_are_shorter_than_what_a_return_takes() {
    for (means, waits) in
        [(Means::HEADLESS, true), (Means::TERMINAL, true), (Means::TERMINAL, false)]
    {
        let mut world = World::launched(Policy { after_wake: 90 * SECOND, ..policy() }, means);
        world.sleeps(HOUR / 4);
        if waits {
            world.fails(FailureKind::AuthRefresh, UNTOUCHED);
            world.goes_on(Reading::Unknown, 1);
        }
        for _ in 0..4 {
            world.sleeps(HOUR / 4);
            world.hears(if waits { Event::Slept } else { Event::TurnBegan });
            world.pass(45 * SECOND);
            world.hears(Event::Up);
        }
        if !waits {
            // In a turn, when no wait sees the sleep.
            world.fails(FailureKind::AuthRefresh, UNTOUCHED);
            world.goes_on(Reading::Unknown, 1);
        }
        let Some(Asked::Wait(wait)) = &world.asked else { panic!("{:?}", world.asked) };
        let left = wait.until.saturating_sub(world.at);
        assert!(left >= 45 * SECOND, "{means:?} tries in {left:?}");
        assert_eq!(world.tries(), 1, "{means:?}");
    }
}

#[test]
fn a_key_after_a_sleep_says_that_somebody_is_there() {
    let mut world =
        World::launched(Policy { after_wake: 90 * SECOND, ..policy() }, Means::TERMINAL);
    world.sleeps(HOUR);
    world.hears(Event::Typed(Key::Text));
    world.fails(FailureKind::Api, UNTOUCHED);
    world.goes_on(Reading::Unknown, 1);
    let Some(Asked::Wait(wait)) = &world.asked else { panic!("{:?}", world.asked) };
    assert!(wait.until.saturating_sub(world.at) < 10 * SECOND, "{wait:?}");
}

#[test]
fn a_revoked_sign_in_is_asked_again_once_for_each_new_sign_in() {
    let mut world = World::launched(policy(), Means::TERMINAL);
    world.fails(FailureKind::SignInNeeded, UNTOUCHED);
    world.goes_on(Reading::Up, 500);
    assert_eq!((world.tries(), world.told(Occasion::PersonNeeded)), (1, 1), "nothing is typed");
    for (number, tries) in [(1, 2), (2, 3)] {
        world.scene.sign_in = signed_in(number);
        world.goes_on(Reading::Up, 50);
        world.fails(FailureKind::SignInNeeded, UNTOUCHED);
        world.goes_on(Reading::Up, 500);
        assert_eq!((world.tries(), world.told(Occasion::PersonNeeded)), (tries, tries));
    }
}

#[test]
fn an_empty_sign_in_that_fills_again_was_only_being_refreshed() {
    let mut world = World::launched(policy(), Means::HEADLESS);
    world.scene.sign_in.sign_in = SignIn::Emptied;
    world.fails(FailureKind::SignInNeeded, UNTOUCHED);
    world.goes_on(Reading::Down, 3);
    assert_eq!(world.case.state().name(), "Confirming");
    world.scene.sign_in = signed_in(1);
    world.goes_on(Reading::Down, 20);
    assert_eq!(world.tries(), 2, "{:?}", world.case.state());
}

#[test]
fn waiting_for_a_sign_in_needs_proof_and_leave_like_every_other_launch() {
    let mut policy = policy();
    policy.wait_for_login = HOUR;
    for (turn, waits) in [(UNTOUCHED, true), (TurnState::ToolOpen, false)] {
        let mut world = World::launched(policy.clone(), Means::HEADLESS);
        world.fails(FailureKind::SignInNeeded, turn);
        world.goes_on(Reading::Up, 5);
        assert_eq!(world.ended.is_none(), waits, "{turn:?}");
        if waits {
            world.scene.sign_in = signed_in(1);
            world.goes_on(Reading::Up, 1);
            assert!(matches!(world.asked, Some(Asked::Claim(_))), "{:?}", world.asked);
            world.hears(Event::Claimed(Err(Obstacle::Foreign("someone has it"))));
            assert_eq!((world.tries(), world.code()), (1, Some(1)));
        }
    }
}

#[test]
fn nobody_who_signs_in_is_told_once_and_a_signal_meanwhile_is_a_signal() {
    let mut policy = policy();
    policy.wait_for_login = 600 * SECOND;
    let mut world = World::launched(policy.clone(), Means::HEADLESS);
    world.fails(FailureKind::SignInNeeded, UNTOUCHED);
    world.goes_on(Reading::Up, 1_000);
    assert_eq!((world.code(), world.told(Occasion::PersonNeeded)), (Some(1), 1));
    let mut world = World::launched(policy, Means::HEADLESS);
    world.fails(FailureKind::SignInNeeded, UNTOUCHED);
    world.goes_on(Reading::Up, 5);
    world.hears(Event::Signal(nix::sys::signal::Signal::SIGINT));
    assert_eq!((world.code(), world.told(Occasion::PersonNeeded)), (Some(130), 1));
}

#[test]
fn a_signal_is_heard_wherever_a_run_stands() {
    let broken = |world: &mut World| {
        world.fails(FailureKind::StartUp, UNTOUCHED);
        for _ in 0..200 {
            if matches!(world.asked, Some(Asked::Fix(_))) || world.ended.is_some() {
                break;
            }
            world.goes_on(Reading::Up, 1);
            if world.asked.is_none() && world.ended.is_none() {
                world.pass(5 * SECOND);
                world.fails(FailureKind::StartUp, UNTOUCHED);
            }
        }
        assert!(matches!(world.asked, Some(Asked::Fix(Rung::Update))), "{:?}", world.asked);
    };
    let weighing = |world: &mut World| world.fails(FailureKind::Api, UNTOUCHED);
    let waiting = |world: &mut World| {
        world.fails(FailureKind::Api, UNTOUCHED);
        world.goes_on(Reading::Down, 1);
    };
    let confirming = |world: &mut World| {
        world.scene.sign_in.sign_in = SignIn::Emptied;
        world.fails(FailureKind::SignInNeeded, UNTOUCHED);
    };
    let states: [(&str, Prepare<'_>); 4] = [
        ("Fixing", &broken),
        ("Weighing", &weighing),
        ("Waiting", &waiting),
        ("Confirming", &confirming),
    ];
    for (name, prepare) in states {
        let mut world = World::launched(policy(), Means::HEADLESS);
        prepare(&mut world);
        assert_eq!(world.case.state().name(), name);
        world.hears(Event::Signal(TERM));
        assert_eq!(world.code(), Some(143), "{name}");
    }
}

#[test]
fn a_signal_to_a_living_child_is_its_end_and_never_called_a_recovery() {
    let mut world = World::launched(policy(), Means::HEADLESS);
    world.fails(FailureKind::Api, UNTOUCHED);
    world.goes_on(Reading::Down, 3);
    assert_eq!(world.tries(), 2);
    world.hears(Event::Signal(TERM));
    world.ends(0);
    assert_eq!((world.code(), world.told(Occasion::Recovered)), (Some(0), 0));
}

#[test]
fn a_wait_that_the_service_asked_for_is_kept_whatever_a_look_says() {
    let mut world = World::launched(policy(), Means::HEADLESS);
    let (status, asked) = (Some(503), Some(30 * SECOND));
    world.hears(Event::Retrying { kind: FailureKind::Api, status, asked });
    world.fails(FailureKind::Api, UNTOUCHED);
    world.hears(Event::Up);
    world.pass(29 * SECOND);
    assert_eq!(world.tries(), 1);
    world.goes_on(Reading::Up, 3);
    assert_eq!(world.tries(), 2);
}

#[test]
fn while_claude_itself_tries_again_a_terminal_is_told_each_minute_what_to_expect() {
    let mut world = World::launched(policy(), Means::TERMINAL);
    let event = Event::Retrying { kind: FailureKind::Api, status: Some(529), asked: None };
    for _ in 0..90 {
        world.hears(event.clone());
        world.pass(2 * SECOND);
    }
    let shown: Vec<String> = world
        .done
        .iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Show(notice) => Some(notice.what.clone()),
            _ => None,
        })
        .collect();
    let lasting = |span| format!("overloaded (529) · for {span} now; such outages last 20–180 min");
    assert_eq!(shown, [lasting("60 s"), lasting("2 min")]);
    world.hears(Event::Typed(Key::Escape));
    assert!(matches!(world.done.last(), Some((_, Effect::Hide))), "it ends with the turn");
}

#[test]
fn a_reset_that_the_local_clock_has_passed_is_waited_for_with_growing_waits() {
    let mut world = World::launched(policy(), Means::HEADLESS);
    let resets = Some(world.wall);
    world.pass(2 * SECOND);
    outage(&mut world, FailureKind::UsageLimit { resets }, 4 * SECOND, 30);
    assert!(world.tries() < 12, "{} launches in five minutes", world.tries());
}

#[test]
fn what_a_turn_has_done_is_never_forgotten_by_a_later_attempt() {
    for (first, later, starts) in [
        (TurnState::Partial, TurnState::NotPrompted, vec![Start::Resume, Start::Resume]),
        (UNTOUCHED, TurnState::NotPrompted, vec![Start::Resume, Start::Resume]),
        (TurnState::NotPrompted, TurnState::NotPrompted, {
            let again = Start::Repeat(TurnState::NotPrompted);
            vec![again, again]
        }),
        (TurnState::ToolOpen, TurnState::NotPrompted, vec![]),
        (TurnState::Unknown, TurnState::NotPrompted, vec![]),
    ] {
        let mut world = World::launched(policy(), Means::HEADLESS);
        for turn in [first, later] {
            if world.ended.is_none() {
                world.pass(4 * SECOND);
                world.fails(FailureKind::Api, turn);
                world.goes_on(Reading::Down, 10);
            }
        }
        let launched: Vec<Start> = world
            .done
            .iter()
            .filter_map(|(_, effect)| match effect {
                Effect::Launch(start) if *start != Start::First => Some(*start),
                _ => None,
            })
            .collect();
        assert_eq!(launched, starts, "{first:?}, then {later:?}");
    }
}

#[test]
fn an_outage_of_a_whole_night_ends_in_one_answer_in_both_kinds_of_run() {
    let mut policy = policy();
    policy.horizon = 12 * HOUR;
    policy.longest_limit = policy.horizon;
    for means in [Means::HEADLESS, Means::TERMINAL] {
        let mut world = World::launched(policy.clone(), means);
        outage(&mut world, FailureKind::AuthRefresh, 4 * SECOND, 40);
        assert!(world.ended.is_none());
        if means.asks {
            world.hears(Event::TurnWorked);
        } else {
            world.ends(0);
            assert_eq!(world.code(), Some(0));
        }
        assert_eq!(world.told(Occasion::Recovered), 1, "{means:?}");
    }
}

#[test]
fn a_draft_holds_the_plan_until_it_is_gone_and_only_escape_cancels_it() {
    for (key, goes_on) in [(Key::Text, true), (Key::Interrupt, true), (Key::Escape, false)] {
        let mut world = World::launched(policy(), Means::TERMINAL);
        world.fails(FailureKind::Api, UNTOUCHED);
        world.goes_on(Reading::Down, 1);
        world.hears(Event::Typed(key));
        assert_eq!(world.case.state().name() == "Waiting", goes_on, "{key:?}");
        world.scene.may_type = Err(crate::watch::WhyNot::Draft);
        world.goes_on(Reading::Down, 20);
        assert_eq!(world.tries(), 1, "nothing is typed beside a draft");
        world.scene.may_type = Ok(());
        world.goes_on(Reading::Down, 20);
        assert_eq!(world.tries(), if goes_on { 2 } else { 1 }, "{key:?}");
    }
}

#[test]
fn a_paste_that_is_not_sent_is_taken_out_again() {
    let mut world = World::launched(policy(), Means::TERMINAL);
    world.fails(FailureKind::Api, UNTOUCHED);
    world.scene.may_enter = Err(crate::watch::WhyNot::NotOurText);
    world.goes_on(Reading::Down, 3);
    assert_eq!(world.case.state().name(), "Pasted");
    world.goes_on(Reading::Down, 100);
    let effects: Vec<&Effect> = world.done.iter().map(|(_, effect)| effect).collect();
    let at = |wanted: &Effect| effects.iter().position(|effect| *effect == wanted);
    assert!(at(&Effect::Paste) < at(&Effect::Withdraw));
    assert!(at(&Effect::Withdraw) < at(&Effect::Release));
    assert_eq!((at(&Effect::Enter), world.case.state()), (None, &State::Running));
}
