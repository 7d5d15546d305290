//! The page of the states in ARCHITECTURE.md, held against the machine: cases that runs have
//! brought into each state hear every event there is.

use std::collections::{BTreeMap, BTreeSet};

use nix::sys::signal::Signal;

use super::properties::lived;
use super::world::{HOUR, SECOND, at_rest, failure, signed_in};
use super::*;
use crate::claude::credentials::SignIn;
use crate::clock::Moment;
use crate::failure::{ExitReason, FailureKind, TurnState, Verdict};
use crate::service::{Health, Reading};
use crate::watch::{Panel, WhyNot};

/// So many cases are kept of each state and kind of run.
const KEPT: usize = 80;

fn reports() -> Vec<Report> {
    let resets = None;
    let kinds = [
        FailureKind::Api,
        FailureKind::AuthRefresh,
        FailureKind::SignInNeeded,
        FailureKind::LoginService,
        FailureKind::UsageLimit { resets },
    ];
    let mut emptied = signed_in(1);
    emptied.sign_in = SignIn::Emptied;
    let sign_ins = [signed_in(0), emptied];
    let report = |kind, sign_in: &SignInSeen| Report {
        failure: failure(kind, TurnState::Untouched),
        line: None,
        sign_in: sign_in.clone(),
    };
    kinds.iter().flat_map(|kind| sign_ins.iter().map(|seen| report(*kind, seen))).collect()
}

fn scenes() -> Vec<Scene> {
    let open = at_rest();
    let fresh = Scene { sign_in: signed_in(9), ..open.clone() };
    let why_not = |why| Scene { may_type: Err(why), may_enter: Err(why), ..open.clone() };
    let panel = |panel| Scene { panel: Some(panel), box_empty: false, ..open.clone() };
    let failed = || Panel::LoginFailed("x".to_owned());
    vec![
        fresh,
        why_not(WhyNot::NotSettled),
        why_not(WhyNot::Draft),
        why_not(WhyNot::Dialog),
        why_not(WhyNot::NoPlaceholder),
        why_not(WhyNot::NotOurText),
        Scene { busy: true, ..open.clone() },
        Scene { foreign: true, ..open.clone() },
        panel(failed()),
        panel(Panel::LoginPaste),
        open,
    ]
}

fn events() -> Vec<Event> {
    let mut events = vec![
        Event::Begin(None),
        Event::Begin(Some(Left { session: "s".to_owned(), turn: TurnState::ToolOpen })),
        Event::TurnBegan,
        Event::TurnWorked,
        Event::Retrying { kind: FailureKind::Api, status: Some(529), asked: None },
        Event::Hung,
        Event::MovedOn,
        Event::Blind,
        Event::Answered(Answer::Yes),
        Event::Answered(Answer::Refused("no")),
        Event::Up,
        Event::Slept,
        Event::FixDone(true),
        Event::FixDone(false),
        Event::Signal(Signal::SIGTERM),
    ];
    events.extend([Key::Text, Key::Enter, Key::Escape, Key::Interrupt].map(Event::Typed));
    let obstacles = [
        Obstacle::Down(SECOND),
        Obstacle::Busy,
        Obstacle::SignInDown,
        Obstacle::Foreign("someone has it"),
    ];
    events.push(Event::Claimed(Ok(())));
    events.extend(obstacles.map(|obstacle| Event::Claimed(Err(obstacle))));
    for reading in [Reading::Up, Reading::Down, Reading::Unknown] {
        events.push(Event::WaitOver(reading));
        let health = Health { oauth: reading, api: reading, ..Health::default() };
        events.push(Event::Health { health, held: reading == Reading::Down });
    }
    events.extend(scenes().into_iter().map(Event::Observed));
    for code in [0, 1] {
        let exit = ExitReason::Code(code);
        let (verdict, sign_in, refuses_ours) = (Verdict::Done(exit), signed_in(0), code == 1);
        let end = ChildEnd { exit, verdict, refuses_ours, line: None, sign_in };
        events.push(Event::ChildEnded(end));
    }
    for report in reports() {
        events.push(Event::TurnFailed(report.clone()));
        let Report { failure, line, sign_in } = report;
        let (exit, verdict) = (ExitReason::Code(1), Verdict::Failed(failure));
        let refuses_ours = false;
        events.push(Event::ChildEnded(ChildEnd { exit, verdict, refuses_ours, line, sign_in }));
    }
    events
}

/// Cases in every state that runs come to.
fn cases() -> Vec<(Case, Moment)> {
    let (mut random, mut chance) = (fastrand::Rng::with_seed(7), fastrand::Rng::with_seed(8));
    let mut kept: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for means in [Means::HEADLESS, Means::TERMINAL, Means::SIGN_IN, Means::PROGRAM] {
        for _ in 0..3_000 {
            let mut numbers = std::iter::repeat_with(|| random.u32(..));
            let visited = lived(means, &mut numbers, true).visited.unwrap_or_default();
            for (case, now) in visited {
                let fixes = matches!(case.state(), State::Ending(remedy) if remedy.rung.is_fix());
                let name = (case.state().name(), case.living, means.asks, means.attended, fixes);
                let cases = kept.entry(name).or_default();
                if cases.len() < KEPT {
                    cases.push((case, now));
                } else {
                    // late ones as likely as early ones
                    cases[chance.usize(..KEPT)] = (case, now);
                }
            }
        }
    }
    kept.into_values().flatten().collect()
}

/// All edges, as ARCHITECTURE.md writes them: for each state those that follow it, itself too where
/// another child is started, and after which events.
fn edges() -> BTreeMap<&'static str, String> {
    let mut edges: BTreeMap<_, BTreeMap<_, BTreeSet<String>>> = BTreeMap::new();
    let events = events();
    for (case, now) in cases() {
        for event in &events {
            for later in [SECOND, 20 * SECOND, 6 * HOUR] {
                let mut case = case.clone();
                let from = case.state().name();
                let now = Moment { at: now.at + later, ..now };
                let effects = on(&mut case, now, event.clone());
                let to = case.state().name();
                let starts = effects.iter().any(|effect| matches!(effect, Effect::Launch(_)));
                if from != to || starts {
                    let name = format!("{event:?}");
                    let name = name.split(|c: char| !c.is_ascii_alphabetic()).next();
                    let name = name.unwrap_or_default().to_owned();
                    edges.entry(from).or_default().entry(to).or_default().insert(name);
                }
            }
        }
    }
    let line = |(to, events): (_, BTreeSet<String>)| {
        format!("{to} ({})", events.into_iter().collect::<Vec<_>>().join(", "))
    };
    let lines = |tos: BTreeMap<_, _>| tos.into_iter().map(line).collect::<Vec<_>>().join("; ");
    edges.into_iter().map(|(from, tos)| (from, lines(tos))).collect()
}

#[test]
fn the_page_of_the_states_shows_every_edge_that_the_machine_has() {
    let page = include_str!("../../ARCHITECTURE.md");
    let edges = edges();
    let shown: BTreeMap<&str, String> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
            let state = cells.next()?;
            let known = edges.contains_key(state);
            known.then(|| (state, cells.last().unwrap_or_default().to_owned()))
        })
        .collect();
    for (state, edges) in &edges {
        assert_eq!(shown.get(state), Some(edges), "the row of {state} in ARCHITECTURE.md");
    }
}
