//! `run --dry-run`: what would be done about each kind of failure, with this configuration. The
//! machine's own table is asked, over a streak in which nothing ever helps. In: the
//! configuration and the mode. Out: a page; nothing is started, asked or sent.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::policy;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::exit;
use crate::failure::{Failure, FailureKind, TurnState};
use crate::journal::Mode;
use crate::machine::Streak;
use crate::machine::table::{self, Decision, Reason, Standing};
use crate::notice::{say, short};
use crate::report::words;
use crate::rung::Rung;
use crate::service::{Health, Reading};

/// How long a try is taken to last: its length is not known, and 0 would never cross a horizon.
const TRY: Duration = Duration::from_secs(1);

/// No forecast is longer; the horizon ends each before (12 h of 1 s waits).
const MOST_STEPS: usize = 50_000;

/// The limit of the forecast's usage limit lifts then.
const RESETS_IN: Duration = Duration::from_secs(3 * 3600);

/// What a person calls each kind of failure, and the kinds themselves.
fn kinds(now: Timestamp) -> [(&'static str, FailureKind); 14] {
    let resets = SignedDuration::try_from(RESETS_IN).ok().and_then(|r| now.checked_add(r).ok());
    [
        ("API failing (5xx, 429, 529)", FailureKind::Api),
        ("sign-in refresh failing (seen as a 401)", FailureKind::AuthRefresh),
        ("login not completed by the service", FailureKind::LoginService),
        ("sign-in needed", FailureKind::SignInNeeded),
        ("usage limit, resets in 3 h", FailureKind::UsageLimit { resets }),
        ("refused (billing, flag, organisation)", FailureKind::Refused),
        ("key or token refused (it may be an outage)", FailureKind::Doubtful { firm: false }),
        ("network: refused, reset, no such host", FailureKind::Network { certificate: false }),
        ("network: certificate", FailureKind::Network { certificate: true }),
        ("network: the proxy refuses or fails", FailureKind::Proxy),
        ("conversation damaged", FailureKind::SessionBroken),
        ("left at start-up", FailureKind::StartUp),
        ("crash", FailureKind::Crash),
        ("hang", FailureKind::Hang),
    ]
}

/// Prints the forecast.
pub(super) fn print(config: &Config, mode: Mode) -> ExitCode {
    written(&forecast(config, mode, Timestamp::now()))
}

/// The arguments ask for something that is handed to claude as it is.
pub(super) fn print_plain() -> ExitCode {
    written("Dry run: claude would be started in our place, with nothing watched or retried.\n")
}

fn written(page: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(page.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed to write the forecast: {error}"));
            ExitCode::from(exit::OURS)
        }
    }
}

fn forecast(config: &Config, mode: Mode, now: Timestamp) -> String {
    let (name, standings): (_, &[(&str, Standing)]) = match mode {
        Mode::Headless | Mode::Program => ("without a terminal", &[("", Standing::Unattended)]),
        Mode::Terminal => {
            ("in a terminal", &[("", LIVING), ("Claude has ended", Standing::Attended)])
        }
    };
    let horizon = policy(config, mode).horizon;
    let mut page = format!(
        "Dry run {name}: nothing is started. What would be done if nothing helped, for at most \
         {} (waits without jitter):\n",
        short(horizon)
    );
    for (what, kind) in kinds(now) {
        let _ = writeln!(page, "\n{what}");
        let mut told: Vec<(Vec<String>, String)> = Vec::new();
        for (place, standing) in standings {
            for (service, reading) in [("down", Reading::Down), ("up", Reading::Up)] {
                let steps = climb(config, mode, *standing, kind, reading, now);
                let case = if place.is_empty() {
                    format!("service {service}")
                } else {
                    format!("service {service}, {place}")
                };
                match told.iter_mut().find(|(known, _)| *known == steps) {
                    Some((_, cases)) => *cases = format!("{cases}; {case}"),
                    None => told.push((steps, case)),
                }
            }
        }
        let alone = told.len() == 1;
        for (steps, cases) in told {
            if !alone {
                let _ = writeln!(page, "  {cases}:");
            }
            for step in steps {
                let _ = writeln!(page, "{}{step}", if alone { "  " } else { "    " });
            }
        }
    }
    let off: Vec<String> = Rung::ALL
        .into_iter()
        .filter(|rung| !config.allows(*rung))
        .map(|rung| format!("rungs.{}", rung.name()))
        .collect();
    if !off.is_empty() {
        let _ = writeln!(page, "\nTurned off: {}.", off.join(", "));
    }
    page
}

/// A living Claude whose prompt can be asked again; whether it may be ended is the
/// configuration's to say.
const LIVING: Standing = Standing::Living { can_ask: true, may_end: false, may_relaunch: true };

/// What is done about the same failure again and again, equal waits put together.
fn climb(
    config: &Config,
    mode: Mode,
    standing: Standing,
    kind: FailureKind,
    reading: Reading,
    wall: Timestamp,
) -> Vec<String> {
    let standing = match standing {
        Standing::Living { can_ask, may_relaunch, .. } => {
            Standing::Living { can_ask, may_end: config.values.rungs.end_terminal, may_relaunch }
        }
        other => other,
    };
    let policy = policy(config, mode);
    let turn = match kind {
        FailureKind::StartUp => TurnState::NotPrompted,
        _ => TurnState::Untouched,
    };
    let failure = Failure { kind, status: None, evidence: Vec::new(), session: None, turn };
    let health = Health { oauth: reading, api: reading, ..Health::default() };
    let mut streak = Streak::default();
    let mut elapsed = Duration::ZERO;
    let mut steps: Vec<(Rung, Vec<Duration>)> = Vec::new();
    let mut end = None;
    for _ in 0..MOST_STEPS {
        // Nothing helps, so the streak never ends by having been healthy.
        streak.failed(elapsed, kind == FailureKind::Crash, Duration::MAX);
        let wall = SignedDuration::try_from(elapsed).map_or(wall, |past| wall + past);
        match table::decide(
            &policy,
            standing,
            &streak,
            &failure,
            &health,
            Moment { at: elapsed, wall, slept: Duration::ZERO },
        ) {
            Decision::Act { rung, after } => {
                match steps.last_mut() {
                    Some((last, waits)) if *last == rung => waits.push(after),
                    _ => steps.push((rung, vec![after])),
                }
                streak.tried(rung, elapsed, health.facing(kind));
                elapsed += after + TRY;
                if matches!(kind, FailureKind::UsageLimit { .. }) {
                    end = Some("goes on when the limit lifts".to_owned());
                    break;
                }
            }
            Decision::WaitForPerson(Reason(why)) => end = Some(format!("a person: {why}")),
            Decision::StandAside(Reason(why)) => end = Some(format!("stands aside: {why}")),
            Decision::GiveUp(Reason(why)) => end = Some(format!("gives up: {why}")),
        }
        if end.is_some() {
            break;
        }
    }
    let mut lines: Vec<String> =
        steps.iter().map(|(rung, waits)| step(*rung, waits, mode, standing)).collect();
    lines.extend(end);
    lines
}

/// One rung: what it does, after which waits, and whether it asks first.
fn step(rung: Rung, waits: &[Duration], mode: Mode, standing: Standing) -> String {
    let longest = waits.last().copied().unwrap_or_default();
    let rising = waits.iter().take_while(|wait| **wait < longest).count();
    let mut spoken: Vec<String> = waits[..rising].iter().copied().map(short).collect();
    match waits.len() - rising {
        1 => spoken.push(short(longest)),
        count => spoken.push(format!("{} ×{count}", short(longest))),
    }
    let question = rung.question().is_some();
    let asks = question && mode == Mode::Terminal && standing == Standing::Attended;
    let first = if asks { " (asks first; no answer means no)" } else { "" };
    format!("{} after {}{first}", words::rung(rung), spoken.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn page(mode: Mode, set: &[(&str, &str)]) -> String {
        let mut config = Config::default();
        for (key, value) in set {
            config.set(key, value, Origin::Option).expect("a value");
        }
        forecast(&config, mode, "2026-11-24T21:00:00Z".parse().expect("a time"))
    }

    /// The lines below a kind of failure.
    fn below<'a>(page: &'a str, kind: &str) -> &'a str {
        let start = page.find(&format!("\n{kind}")).expect(kind);
        let rest = &page[start + 1..];
        rest.split("\n\n").next().unwrap_or(rest)
    }

    #[test]
    fn a_headless_forecast_waits_while_the_service_is_down_and_climbs_while_it_is_up() {
        let page = page(Mode::Headless, &[]);
        let api = below(&page, "API failing");
        assert!(api.contains("relaunch after 3 s, 6 s, 12 s, 24 s, 40 s ×"), "{api}");
        assert!(api.contains("gives up: it has not passed within the horizon"), "{api}");
        let start_up = below(&page, "left at start-up");
        let up = start_up.split("service up:").nth(1).expect("another way");
        let (update, cache) = (up.find("update after"), up.find("clear cache after"));
        assert!(update.is_some() && update < cache, "{start_up}");
        assert!(below(&page, "sign-in needed").contains("a person: sign in again"));
        assert!(below(&page, "usage limit").contains("relaunch after 3 h"));
        assert!(page.contains("Turned off: rungs.sign_in_reset, rungs.api_key."), "{page}");
    }

    #[test]
    fn the_configuration_decides_what_is_foreseen() {
        let short = page(Mode::Headless, &[("retry.horizon_headless", "20s")]);
        let api = below(&short, "API failing");
        assert!(api.contains("relaunch after 3 s, 6 s") && !api.contains("12 s"), "{api}");
        let off = page(Mode::Headless, &[("rungs.update", "off"), ("rungs.clear_cache", "off")]);
        let start_up = below(&off, "left at start-up");
        assert!(start_up.contains("nothing that is allowed is left to try"), "{start_up}");
        assert!(!start_up.contains("update after"), "{start_up}");
    }

    #[test]
    fn at_a_terminal_the_living_claude_is_asked_and_fixes_of_files_ask_first() {
        let page = page(Mode::Terminal, &[]);
        assert!(below(&page, "API failing").contains("ask again after 3 s"), "{page}");
        let start_up = below(&page, "left at start-up");
        assert!(start_up.contains("(asks first; no answer means no)"), "{start_up}");
    }
}
