//! A discrete simulation of turns in outages that are whole or partial: Claude's own retries as
//! measured on 2.1.330, and what follows when it has given up. Time is a number of seconds,
//! chance a seeded generator; the waits between tries are the defaults of the configuration.

/// Requests of a turn with eight tool calls.
const REQUESTS: u32 = 9;
const OUTAGE_S: f64 = 1200.0;
const SEEDS: u64 = 4000;

/// One request and its refusal or answer; one start of claude; one tool call (seconds).
const REQUEST_S: f64 = 0.5;
const START_S: f64 = 2.0;
const TOOL_S: f64 = 0.3;

/// A way through an outage.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Claude alone, with so many retries.
    Plain(u32),
    /// Claude alone, with its retry watchdog.
    Watchdog,
    /// As it is started by us: ten retries of its own, then our waits, from 3 s to 40 s.
    Ours,
}

/// How a turn went.
#[derive(Debug, Clone, Copy)]
struct Turn {
    done: bool,
    took_s: f64,
    requests: u32,
}

/// Claude's wait before its retry number `retry` (from 1): half a second, doubled up to `cap_s`.
fn backoff_s(retry: u32, cap_s: f64, chance: &mut fastrand::Rng) -> f64 {
    (0.5 * f64::from(retry - 1).exp2()).min(cap_s) * (1.0 + chance.f64() / 4.0)
}

fn turn(way: Way, refused: f64, seed: u64) -> Turn {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut turn = Turn { done: false, took_s: 0.0, requests: 0 };
    let (mut answered, mut retry, mut tries) = (0, 0, 0_i32);
    while answered < REQUESTS {
        turn.requests += 1;
        turn.took_s += REQUEST_S;
        if turn.took_s >= OUTAGE_S || chance.f64() >= refused {
            turn.took_s += TOOL_S;
            (answered, retry, tries) = (answered + 1, 0, 0);
            continue;
        }
        retry += 1;
        turn.took_s += match way {
            Way::Watchdog => backoff_s(retry, 300.0, &mut chance),
            Way::Plain(most) if retry > most => return turn,
            Way::Ours if retry > 10 => {
                let wait = (3.0 * f64::from(tries).exp2()).min(40.0);
                (retry, tries) = (0, tries + 1);
                (wait * (2.0 / 3.0 + chance.f64())).min(40.0) + START_S
            }
            Way::Plain(_) | Way::Ours => backoff_s(retry, 32.0, &mut chance),
        };
    }
    turn.done = true;
    turn
}

/// The share of the turns that came to their end, and how long those took in the mean (seconds).
fn of(way: Way, refused: f64) -> (f64, f64) {
    let turns: Vec<_> = (0..SEEDS).map(|seed| turn(way, refused, seed)).collect();
    let done = || turns.iter().filter(|turn| turn.done);
    #[allow(clippy::cast_precision_loss)]
    let (count, all) = (done().count() as f64, SEEDS as f64);
    (count / all, done().map(|turn| turn.took_s).sum::<f64>() / count)
}

#[test]
fn a_turn_in_a_partial_outage_always_ends_and_about_as_soon_as_by_the_best_other_way() {
    for refused in [0.70, 0.85] {
        let others = [Way::Plain(10), Way::Plain(15), Way::Watchdog];
        let (done, mean) = of(Way::Ours, refused);
        eprintln!("{refused}: ours {mean:.0} s");
        assert!(done >= 1.0, "{refused}: {done}");
        for way in others {
            let (share, other) = of(way, refused);
            eprintln!("{refused}: {way:?} ends in {share:.2} of the turns, {other:.0} s");
            // A way that gives up on the long ones looks quick.
            if share > 0.95 {
                assert!(mean <= 1.3 * other, "{refused}: {mean} s, {way:?} {other} s");
            }
        }
    }
}

#[test]
fn in_a_whole_outage_at_most_four_requests_a_minute_are_made_and_it_is_noticed_when_it_ends() {
    let turns = || (0..SEEDS).map(|seed| turn(Way::Ours, 1.0, seed));
    let mut late: Vec<f64> = turns().map(|turn| turn.took_s - OUTAGE_S).collect();
    late.sort_by(f64::total_cmp);
    let (median, most) = (late[late.len() / 2], late[late.len() - 1]);
    let requests = turns().map(|turn| f64::from(turn.requests)).fold(0.0, f64::max);
    let a_minute = (requests - f64::from(REQUESTS)) / (OUTAGE_S / 60.0);
    eprintln!("{a_minute:.1} requests a minute, late by {median:.0} s, at most {most:.0} s");
    assert!(a_minute <= 4.0, "{a_minute}");
    // the turn's own nine requests are in it
    assert!(median <= 20.0 + 8.0 && most <= 45.0 + 8.0, "{median} {most}");
}
