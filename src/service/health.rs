//! What is known of the service, with reasons: our own attempts, probes and the status page
//! put together. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::status_page::Page;
use super::{Obstacle, Role, Sighting};
use crate::failure::{Failure, FailureKind};

/// One look at one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// It answers as a working service does.
    Up,
    /// It fails: 5xx, 429, time-out, reset, no such host.
    Down,
    /// Nothing can be said (proxy page, captive portal, not looked).
    #[default]
    Unknown,
}

/// What is known of the hosts in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The OAuth (sign-in and refresh) service.
    pub oauth: Reading,
    /// The API.
    pub api: Reading,
    /// Something on the way answered our look at the API in its place.
    #[serde(default)]
    pub intercepted: bool,
    /// Why, one line each, for people.
    pub reasons: Vec<String>,
}

impl Health {
    /// What counts for this kind of failure: the host that it met.
    #[must_use]
    pub fn facing(&self, kind: FailureKind) -> Reading {
        match kind {
            FailureKind::AuthRefresh | FailureKind::LoginService | FailureKind::SignInNeeded => {
                self.oauth
            }
            _ => self.api,
        }
    }

    /// Puts together what our last attempt met, what probes saw and what the status page says,
    /// in falling order of trust: an attempt that failed on a host proves it down, whatever a
    /// probe says (decision 1 of the design); a posted outage counts as down even where the
    /// edge answers, so that nothing is fixed here meanwhile; a page that is green proves
    /// nothing.
    #[must_use]
    pub fn assess(
        own: Option<&Failure>,
        sightings: &[Sighting],
        page: Option<&Page>,
        now: Timestamp,
    ) -> Self {
        let mut health = Self::default();
        for seen in sightings {
            let reading = health.of_mut(seen.role);
            *reading = seen.reading;
            health.intercepted |=
                seen.role == Role::Api && seen.obstacle == Some(Obstacle::Intercepted);
            health.reasons.push(seen.reason.clone());
        }
        let signing_in = own.is_some_and(|own| own.kind == FailureKind::LoginService);
        if let Some(page) = page {
            if page.says_down(signing_in) {
                // A page does not say which host; both belong to what it posts.
                health.oauth = Reading::Down;
                health.api = Reading::Down;
            }
            health.reasons.extend(page.explain(signing_in, now));
        }
        if let Some((role, why)) = own.and_then(met) {
            *health.of_mut(role) = Reading::Down;
            health.reasons.insert(0, why);
        }
        health
    }

    fn of_mut(&mut self, role: Role) -> &mut Reading {
        match role {
            Role::Oauth => &mut self.oauth,
            Role::Api => &mut self.api,
        }
    }
}

/// Which host a failure of claude proves down, and why. A failed refresh proves nothing: all
/// that is seen of it is a 401, with a dead service and with a refused token alike.
fn met(failure: &Failure) -> Option<(Role, String)> {
    let fault = failure.service_fault();
    match failure.kind {
        FailureKind::Api => Some(match fault {
            Some(status) => (Role::Api, format!("claude's request to the API failed ({status})")),
            None => (Role::Api, "claude's request to the API failed".to_owned()),
        }),
        FailureKind::Network { certificate: false } => {
            Some((Role::Api, "claude could not reach the API".to_owned()))
        }
        FailureKind::LoginService => Some(match fault {
            Some(status) => (Role::Oauth, format!("claude's sign-in failed ({status})")),
            None => (Role::Oauth, "claude's sign-in failed".to_owned()),
        }),
        FailureKind::AuthRefresh => {
            fault.map(|status| (Role::Oauth, format!("claude's token refresh failed ({status})")))
        }
        FailureKind::Network { certificate: true }
        | FailureKind::SignInNeeded
        | FailureKind::UsageLimit { .. }
        | FailureKind::Refused
        | FailureKind::Doubtful { .. }
        | FailureKind::Proxy
        | FailureKind::SessionBroken
        | FailureKind::StartUp
        | FailureKind::Crash
        | FailureKind::Hang => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::TurnState;

    fn failure(kind: FailureKind, status: Option<u16>) -> Failure {
        Failure { kind, status, evidence: Vec::new(), session: None, turn: TurnState::Unknown }
    }

    fn seen(role: Role, reading: Reading) -> Sighting {
        Sighting {
            role,
            host: "h".to_owned(),
            reading,
            obstacle: None,
            latency: Duration::ZERO,
            reason: format!("{} reads {reading:?}", role.name()),
            retry_after: None,
            clock_offset_s: None,
        }
    }

    #[test]
    fn what_our_attempt_met_outweighs_probes_and_a_posted_outage_outweighs_an_edge_that_answers() {
        use Reading::{Down, Unknown, Up};
        let both_up = [seen(Role::Oauth, Up), seen(Role::Api, Up)];
        let oauth_down = [seen(Role::Oauth, Down), seen(Role::Api, Up)];
        let outage = Page::parse(include_str!("status_page/captures/outage.json"));
        let fine = Page::parse(include_str!("status_page/captures/fine.json"));
        let api = failure(FailureKind::Api, Some(529));
        let refresh = failure(FailureKind::AuthRefresh, Some(401));
        let login = failure(FailureKind::LoginService, None);
        let network = failure(FailureKind::Network { certificate: false }, None);
        let certificate = failure(FailureKind::Network { certificate: true }, None);
        let crash = failure(FailureKind::Crash, None);
        for (own, sightings, page, expected) in [
            (None, &[][..], None, (Unknown, Unknown)),
            (None, &both_up, None, (Up, Up)),
            (Some(&api), &both_up, None, (Up, Down)),
            (Some(&api), &both_up, fine.as_ref(), (Up, Down)),
            (Some(&refresh), &both_up, None, (Up, Up)),
            (Some(&refresh), &oauth_down, None, (Down, Up)),
            (Some(&refresh), &both_up, outage.as_ref(), (Down, Down)),
            (Some(&refresh), &[], fine.as_ref(), (Unknown, Unknown)),
            (Some(&login), &both_up, None, (Down, Up)),
            (Some(&network), &both_up, None, (Up, Down)),
            (Some(&certificate), &both_up, None, (Up, Up)),
            (Some(&crash), &both_up, fine.as_ref(), (Up, Up)),
        ] {
            let health = Health::assess(own, sightings, page, Timestamp::UNIX_EPOCH);
            assert_eq!((health.oauth, health.api), expected, "{own:?} {sightings:?}");
        }
    }

    #[test]
    fn reasons_begin_with_what_claude_met() {
        let own = failure(FailureKind::Api, Some(529));
        let sightings = [seen(Role::Api, Reading::Up)];
        let health = Health::assess(Some(&own), &sightings, None, Timestamp::UNIX_EPOCH);
        assert_eq!(health.reasons, ["claude's request to the API failed (529)", "API reads Up"]);
    }
}
