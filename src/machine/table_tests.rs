//! Whole climbs as one list each, and properties of any climb.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::failure::{Failure, FailureKind, TurnState};
use crate::machine::delay::Curve;
use crate::service::{Health, Reading};

const ALL: &[Rung] =
    &[Rung::AskAgain, Rung::Relaunch, Rung::Update, Rung::NewSession, Rung::ClearCache];

fn policy() -> Policy {
    Policy {
        curve: Curve { first: Duration::from_secs(3), max: Duration::from_secs(60) },
        horizon: Duration::from_secs(7_200),
        longest_limit: Duration::from_secs(7_200),
        tries: 3,
        dead_sign_in_shows: true,
        allowed: ALL.to_vec(),
        healthy_after: Duration::from_secs(600),
        unattended_after: Duration::from_secs(600),
        end_terminal: true,
        wait_for_login: Duration::ZERO,
        after_wake: Duration::from_secs(10),
        sign_in: "sign in",
    }
}

fn failure(kind: FailureKind) -> Failure {
    let turn = TurnState::Untouched;
    Failure { kind, status: None, evidence: Vec::new(), session: None, turn }
}

fn health(reading: Reading) -> Health {
    Health { oauth: reading, api: reading, ..Health::default() }
}

/// Fails for ever against this service: the rungs used, in order, each named once per run of
/// the same, and how it ended.
fn climb(place: (&Policy, Standing), failure: &Failure, reading: Reading) -> Vec<String> {
    climb_from(Streak::default(), place, failure, reading)
}

/// [`climb`] after what the run has seen.
fn climb_from(
    mut history: Streak,
    (policy, standing): (&Policy, Standing),
    failure: &Failure,
    reading: Reading,
) -> Vec<String> {
    let mut elapsed = Duration::ZERO;
    let mut path = Vec::new();
    for _ in 0..2_000 {
        let crash = failure.kind == FailureKind::Crash;
        history.failed(elapsed, crash, Duration::from_secs(600));
        let now = Moment { at: elapsed, wall: Timestamp::UNIX_EPOCH, slept: Duration::ZERO };
        match decide(policy, standing, &history, failure, &health(reading), now) {
            Decision::Act { rung, after } => {
                history.tried(rung, elapsed, super::reading(failure, &health(reading)));
                elapsed += after;
                path.push((rung.name().to_owned(), 1));
            }
            Decision::WaitForPerson(_) => path.push(("person".into(), 1)),
            Decision::StandAside(_) => path.push(("aside".into(), 1)),
            Decision::GiveUp(_) => path.push(("end".into(), 1)),
        }
        if matches!(path.last(), Some((name, _)) if ["person", "aside", "end"].contains(&&**name)) {
            break;
        }
    }
    path.dedup_by(|next, first| {
        let same = next.0 == first.0;
        first.1 += u32::from(same);
        same
    });
    path.iter().map(|(name, count)| format!("{name}×{count}")).collect()
}

#[test]
fn while_the_service_is_down_nothing_climbs() {
    for kind in
        [FailureKind::Api, FailureKind::AuthRefresh, FailureKind::StartUp, FailureKind::Crash]
    {
        let path = climb((&policy(), Standing::Unattended), &failure(kind), Reading::Down);
        assert_eq!(path, ["relaunch×123", "end×1"], "{kind:?}");
    }
}

#[test]
fn against_a_healthy_service_each_kind_climbs_as_far_as_it_may() {
    let climbs = [
        (FailureKind::Api, vec!["relaunch×123", "end×1"]),
        (FailureKind::AuthRefresh, vec!["relaunch×6", "update×1", "relaunch×116", "end×1"]),
        (FailureKind::StartUp, vec!["relaunch×3", "update×1", "clear_cache×1", "end×1"]),
        (FailureKind::Crash, vec!["relaunch×1", "update×1", "clear_cache×1", "end×1"]),
        (FailureKind::SessionBroken, vec!["new_session×1", "end×1"]),
        (FailureKind::SignInNeeded, vec!["person×1"]),
        (FailureKind::Refused, vec!["person×1"]),
        (FailureKind::Doubtful { firm: false }, vec!["relaunch×6", "person×1"]),
        (FailureKind::Doubtful { firm: true }, vec!["person×1"]),
        (FailureKind::Network { certificate: true }, vec!["end×1"]),
        (FailureKind::Proxy, vec!["relaunch×123", "end×1"]),
        (FailureKind::UsageLimit { resets: None }, vec!["end×1"]),
    ];
    for (kind, path) in climbs {
        let walked = climb((&policy(), Standing::Unattended), &failure(kind), Reading::Up);
        assert_eq!(walked, path, "{kind:?}");
    }
}

#[test]
fn a_failure_that_names_a_fault_of_the_service_climbs_nowhere_whatever_a_look_says() {
    for kind in [FailureKind::StartUp, FailureKind::Crash, FailureKind::AuthRefresh] {
        let failure = Failure { status: Some(503), ..failure(kind) };
        let place = (&policy(), Standing::Unattended);
        assert_eq!(climb(place, &failure, Reading::Up), ["relaunch×123", "end×1"], "{kind:?}");
    }
}

#[test]
fn where_a_dead_sign_in_does_not_show_a_person_is_asked_after_some_tries() {
    let mut policy = policy();
    policy.dead_sign_in_shows = false;
    let auth = failure(FailureKind::AuthRefresh);
    let place = (&policy, Standing::Unattended);
    assert_eq!(climb(place, &auth, Reading::Up), ["relaunch×6", "update×1", "person×1"]);
    assert_eq!(climb(place, &auth, Reading::Down), ["relaunch×123", "end×1"]);
}

#[test]
fn what_worked_in_this_run_is_waited_for_though_it_is_refused() {
    let policy = policy();
    let place = (&policy, Standing::Unattended);
    for firm in [false, true] {
        let doubtful = failure(FailureKind::Doubtful { firm });
        let mut worked = Streak::default();
        worked.worked();
        let path = climb_from(worked, place, &doubtful, Reading::Up);
        assert_eq!(path, ["relaunch×123", "end×1"], "{firm}");
        let answered = Failure { turn: TurnState::Partial, ..doubtful };
        assert_eq!(climb(place, &answered, Reading::Up), ["relaunch×123", "end×1"], "{firm}");
    }
    // a proxy that says no is barred from our look too, and one that fails is not
    let proxy = failure(FailureKind::Proxy);
    assert_eq!(climb(place, &proxy, Reading::Unknown), ["end×1"]);
    assert_eq!(climb(place, &proxy, Reading::Down)[0], "relaunch×123");
    // the API's own word is doubted where our look at it fails as well
    let firm = failure(FailureKind::Doubtful { firm: true });
    assert_eq!(climb(place, &firm, Reading::Down), ["relaunch×6", "person×1"]);
}

#[test]
fn a_living_terminal_is_only_asked_unless_it_may_be_ended() {
    let living =
        |can_ask, may_end, may_relaunch| Standing::Living { can_ask, may_end, may_relaunch };
    let auth = failure(FailureKind::AuthRefresh);
    let asked = climb((&policy(), living(true, false, false)), &auth, Reading::Up);
    assert_eq!(asked, ["ask_again×123", "end×1"]);
    let ended = climb((&policy(), living(true, true, true)), &auth, Reading::Up);
    assert_eq!(ended[..3], ["ask_again×6", "update×1", "ask_again×116"]);
    let api = failure(FailureKind::Api);
    assert_eq!(
        climb((&policy(), living(false, false, true)), &api, Reading::Down)[0],
        "relaunch×123"
    );
    assert_eq!(climb((&policy(), living(false, false, false)), &api, Reading::Down), ["aside×1"]);
    let limit = failure(FailureKind::UsageLimit { resets: Some(Timestamp::UNIX_EPOCH) });
    assert_eq!(climb((&policy(), living(true, true, true)), &limit, Reading::Up), ["aside×1"]);
}

#[test]
fn a_tool_whose_result_is_missing_is_never_run_again_unattended() {
    let mut open = failure(FailureKind::Api);
    open.turn = TurnState::ToolOpen;
    assert_eq!(climb((&policy(), Standing::Unattended), &open, Reading::Down), ["end×1"]);
}

#[test]
fn a_second_crash_at_a_terminal_is_not_relaunched() {
    let crash = failure(FailureKind::Crash);
    let path = climb((&policy(), Standing::Attended), &crash, Reading::Unknown);
    assert_eq!(path, ["relaunch×1", "end×1"]);
}

#[test]
fn a_usage_limit_is_waited_for_only_within_the_horizon() {
    let at = |second| Timestamp::from_second(second).expect("in range");
    let now = Moment { at: Duration::ZERO, wall: at(10_000), slept: Duration::ZERO };
    let decide_for = |resets| {
        let limit = failure(FailureKind::UsageLimit { resets: Some(at(resets)) });
        match decide(
            &policy(),
            Standing::Unattended,
            &Streak::default(),
            &limit,
            &Health::default(),
            now,
        ) {
            Decision::Act { after, .. } => after.as_secs(),
            _ => 0,
        }
    };
    assert_eq!(decide_for(13_600), 3_605);
    assert_eq!(decide_for(9_900), 3, "just past means now");
    assert_eq!(decide_for(9_000), 0, "long past is not tomorrow");
    assert_eq!(decide_for(20_000), 0, "past the horizon");
}

#[test]
fn rungs_that_are_off_are_passed_over() {
    let mut policy = policy();
    policy.allowed = vec![Rung::Relaunch, Rung::ClearCache];
    let path = climb((&policy, Standing::Unattended), &failure(FailureKind::StartUp), Reading::Up);
    assert_eq!(path, ["relaunch×3", "clear_cache×1", "end×1"]);
}

#[test]
fn the_key_is_used_only_when_allowed_and_while_sign_in_is_down() {
    let mut policy = policy();
    policy.allowed.push(Rung::ApiKey);
    let auth = failure(FailureKind::AuthRefresh);
    assert_eq!(
        climb((&policy, Standing::Unattended), &auth, Reading::Down)[..2],
        ["relaunch×3", "api_key×1"]
    );
    assert!(
        !climb((&policy, Standing::Unattended), &auth, Reading::Up).concat().contains("api_key")
    );
}

#[test]
fn after_a_healthy_period_the_count_starts_over_and_nothing_of_ours_is_one() {
    let mut streak = Streak::default();
    let (minute, healthy_after) = (Duration::from_secs(60), Duration::from_secs(600));
    let stands = |streak: &Streak| (streak.count(), streak.failing_since());
    streak.failed(Duration::ZERO, false, healthy_after);
    streak.tried(Rung::Relaunch, Duration::ZERO, Reading::Down);
    // a wait, or an attempt that fails in the end
    streak.acted();
    streak.failed(30 * minute, false, healthy_after);
    assert_eq!(stands(&streak), (1, Some(Duration::ZERO)));
    streak.left_to_the_user(31 * minute);
    streak.failed(40 * minute, false, healthy_after);
    assert_eq!(stands(&streak), (1, Some(Duration::ZERO)));
    streak.left_to_the_user(41 * minute);
    streak.failed(51 * minute, false, healthy_after);
    assert_eq!(stands(&streak), (0, Some(51 * minute)));
}

fn any_kind() -> impl Strategy<Value = FailureKind> {
    prop_oneof![
        Just(FailureKind::Api),
        Just(FailureKind::AuthRefresh),
        Just(FailureKind::LoginService),
        Just(FailureKind::Network { certificate: false }),
        Just(FailureKind::SessionBroken),
        any::<bool>().prop_map(|firm| FailureKind::Doubtful { firm }),
        Just(FailureKind::StartUp),
        Just(FailureKind::Crash),
        Just(FailureKind::Hang),
    ]
}

proptest! {
    #[test]
    fn every_climb_ends_within_the_horizon_and_never_descends_while_healthy(
        kind in any_kind(),
        readings in prop::collection::vec(0u8..3, 1..40),
        allowed in prop::sample::subsequence(ALL.to_vec(), 0..=ALL.len()),
    ) {
        let mut policy = policy();
        policy.allowed = allowed;
        let mut history = Streak::default();
        let (mut elapsed, mut highest, mut ended) = (Duration::ZERO, None, false);
        for step in 0..5_000 {
            let reading = [Reading::Up, Reading::Down, Reading::Unknown][usize::from(readings[step % readings.len()])];
            history.failed(elapsed, kind == FailureKind::Crash, Duration::from_secs(600));
            let now = Moment { at: elapsed, wall: Timestamp::UNIX_EPOCH, slept: Duration::ZERO };
            match decide(&policy, Standing::Unattended, &history, &failure(kind), &health(reading), now) {
                Decision::Act { rung, after } => {
                    prop_assert!(after <= policy.curve.max.max(Duration::from_secs(60)));
                    prop_assert!(policy.allowed.contains(&rung));
                    if reading == Reading::Down {
                        highest = None;
                        prop_assert!(rung <= Rung::Relaunch || kind == FailureKind::SessionBroken);
                    }
                    let goes_back = kind == FailureKind::AuthRefresh && rung < Rung::Update;
                    if reading == Reading::Up && history.healthy_tries() > 0 && !goes_back {
                        prop_assert!(highest.is_none_or(|highest| rung >= highest));
                        highest = Some(rung);
                    }
                    history.tried(rung, elapsed, reading);
                    elapsed += after;
                }
                _ => { ended = true; break; }
            }
        }
        prop_assert!(ended && elapsed <= policy.horizon);
    }
}
