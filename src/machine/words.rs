//! What is said to people: about each kind of failure, and about each wait. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::{Case, Remedy};
use crate::failure::{Failure, FailureKind};
use crate::notice::short;
use crate::service::Health;

/// Said of a wait that has lasted for as long as it may.
pub const PAST_HORIZON: &str = "it has not passed within the horizon (`retry.horizon_…`)";
/// Said where the prompt might run a tool twice.
pub const NO_PROOF: &str = "nothing proves that no tool ran, so the prompt is not sent again";
/// Said of a sign-in that the service failed.
pub const BACK_TO_PASTE: &str =
    "once it answers you are brought back to where a fresh code is pasted";
/// Said while a draft stands in the box.
pub const DRAFT_FIRST: &str = "waits until your draft is sent or gone · esc cancels";
/// Said where a tool may have been running.
pub const LOOK_FIRST: &str = "a tool may have been running: look before you go on";
/// Why a code is refused although it was pasted: what a person can look at.
pub const LIKELY_CAUSES: &str = "likely causes: the code was not copied whole, this machine's clock \
    is off, a proxy or VPN changed the redirect, or a browser extension did";

/// What failed, in a few words.
#[must_use]
pub fn what(failure: &Failure) -> String {
    let status = failure.status.map(|status| format!(" ({status})")).unwrap_or_default();
    match failure.kind {
        FailureKind::Api if failure.status == Some(529) => "overloaded (529)".to_owned(),
        FailureKind::Api => format!("API failing{status}"),
        FailureKind::AuthRefresh => format!("sign-in service down{status}"),
        FailureKind::LoginService => format!("sign-in service failing{status}"),
        FailureKind::SignInNeeded => "sign-in needed".to_owned(),
        FailureKind::UsageLimit { .. } => "usage limit reached".to_owned(),
        FailureKind::Refused | FailureKind::Doubtful { .. } => format!("request refused{status}"),
        FailureKind::Network { certificate: true } => "certificate or proxy refused".to_owned(),
        FailureKind::Proxy => "proxy refused the connection".to_owned(),
        FailureKind::Network { certificate: false } => "network unreachable".to_owned(),
        FailureKind::SessionBroken => "conversation damaged".to_owned(),
        FailureKind::StartUp => "Claude left at start-up".to_owned(),
        FailureKind::Crash => "Claude crashed".to_owned(),
        FailureKind::Hang => "Claude hung".to_owned(),
    }
}

/// Whether waiting might still cure it, so that a scheduler should try again later.
#[must_use]
pub fn may_pass(failure: &Failure) -> bool {
    match failure.kind {
        FailureKind::Api
        | FailureKind::AuthRefresh
        | FailureKind::LoginService
        | FailureKind::UsageLimit { .. }
        | FailureKind::Network { certificate: false }
        | FailureKind::Hang => true,
        FailureKind::SignInNeeded
        | FailureKind::Refused
        | FailureKind::Doubtful { .. }
        | FailureKind::Proxy
        | FailureKind::Network { certificate: true }
        | FailureKind::SessionBroken
        | FailureKind::StartUp
        | FailureKind::Crash => false,
    }
}

/// How long such outages last: the middle of what was posted in 2026 (`docs/outages.md`).
const USUAL: &str = "such outages last 20–180 min";
/// Before this it is not worth a word.
const LASTS: Duration = Duration::from_secs(60);

/// For how long an outage has lasted, and what is to be expected: what the status page posts, or
/// what is usual. `lasted` is since the first failure.
#[must_use]
pub fn lasting(failure: &Failure, lasted: Duration, health: &Health) -> String {
    let outage = matches!(
        failure.kind,
        FailureKind::Api | FailureKind::AuthRefresh | FailureKind::LoginService
    );
    if !outage || lasted < LASTS {
        return String::new();
    }
    let posted = health.reasons.iter().find(|why| why.starts_with("incident"));
    format!(" · for {} now; {}", short(lasted), posted.map_or(USUAL, String::as_str))
}

/// The line about a wait between two children.
#[must_use]
pub fn wait(
    case: &Case,
    Remedy { failure, rung }: &Remedy,
    (health, held): (&Health, bool),
    after: Duration,
    at: Duration,
) -> String {
    let what = what(failure);
    let why = health.reasons.first().map(|why| format!(" · {why}")).unwrap_or_default();
    if case.means().signs_in {
        let next = format!("again once it answers, at the earliest in {}", short(after));
        return format!("{what}{why} · {next} · Enter: now · Ctrl-C: stop");
    }
    let local = matches!(failure.kind, FailureKind::Network { .. })
        && super::table::looks_local(case.streak(), at);
    let local = if local { " · looks local: is this machine online?" } else { "" };
    let since = case.streak().failing_since().unwrap_or(at);
    let lasting = lasting(failure, at.saturating_sub(since), health);
    if case.means().attended {
        let rung = rung.name().replace('_', " ");
        return format!(
            "{what}{why}{local}{lasting} · {rung} in {} · Enter: now · Ctrl-C: stop",
            short(after)
        );
    }
    // While a probe says down no try is made, so a time would be a promise not kept.
    let when =
        if held { "as soon as it answers".to_owned() } else { format!("in {}", short(after)) };
    format!("{what}{why}{local}{lasting} · try {} {when} · Ctrl-C stops", case.attempts() + 1)
}

/// Said of a job whose earlier run was cut off in a tool.
#[must_use]
pub fn cut_off_in_a_tool(session: &str) -> String {
    format!(
        "a tool was running when this job was cut off, and its result is unknown: look with \
         `claude --resume {session}`"
    )
}

/// The line about Claude's own retries.
#[must_use]
pub fn retrying(failure: &Failure, wall: Timestamp) -> String {
    let until = match failure.kind {
        FailureKind::UsageLimit { resets: Some(resets) } => {
            let left = Duration::try_from(resets.duration_since(wall)).unwrap_or_default();
            format!(" when it resets in {}", short(left))
        }
        _ => String::new(),
    };
    format!("{} · Claude itself tries again{until} · Ctrl-C stops", what(failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::TurnState;

    #[test]
    fn a_long_wait_says_for_how_long_and_what_is_usual_or_posted() {
        let failure = |kind, status| Failure {
            kind,
            status,
            evidence: Vec::new(),
            session: None,
            turn: TurnState::Unknown,
        };
        let (api, minutes) = (failure(FailureKind::Api, Some(529)), Duration::from_secs(720));
        let mut health = Health::default();
        assert_eq!(what(&api), "overloaded (529)");
        assert_eq!(lasting(&api, Duration::from_secs(59), &health), "");
        let usual = " · for 12 min now; such outages last 20–180 min";
        assert_eq!(lasting(&api, minutes, &health), usual);
        health.reasons = vec![
            "status page: Claude Code is down".into(),
            "incident for 40 min: Elevated errors".into(),
        ];
        let posted = " · for 12 min now; incident for 40 min: Elevated errors";
        assert_eq!(lasting(&api, minutes, &health), posted);
        let crash = failure(FailureKind::Crash, None);
        assert_eq!(lasting(&crash, minutes, &health), "");
    }
}
