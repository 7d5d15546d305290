//! The verdict of `check`: the first cause that explains why Claude does not work. Pure.

use serde::Serialize;

use super::report::{Page, Report};
use crate::claude::credentials::SignIn;
use crate::error::exit;
use crate::service::{Obstacle, Reading, Role, Sighting};

/// How long incidents of this kind lasted: 15 that were reported in 2025 and 2026.
const HOW_LONG: &str = "wait: incidents like this lasted about 80 minutes in the median, one in \
                        three more than 3 hours; claude-safe goes on by itself when it is over";

/// What it comes to.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// 0, 75 or 1.
    pub exit_code: u8,
    /// One sentence.
    pub sentence: String,
    /// What follows.
    pub advice: String,
}

fn verdict(exit_code: u8, sentence: impl Into<String>, advice: impl Into<String>) -> Verdict {
    Verdict { exit_code, sentence: sentence.into(), advice: advice.into() }
}

impl Report {
    /// The first cause that explains why Claude does not work: what keeps us from seeing the
    /// service, then the service, then what is wrong here.
    pub(super) fn judge(&self) -> Verdict {
        self.way_blocked().or_else(|| self.service_down()).or_else(|| self.here()).unwrap_or_else(
            || {
                let unseen = self.looks.is_empty();
                let sentence = if unseen {
                    "Nothing wrong was found; the service was not looked at."
                } else {
                    "All is well: the service answers and nothing here is in the way."
                };
                verdict(0, sentence, "nothing to do")
            },
        )
    }

    fn way_blocked(&self) -> Option<Verdict> {
        let blocked_by =
            |wanted: Obstacle| self.looks.iter().find(|seen| seen.obstacle == Some(wanted));
        if let Some(seen) = blocked_by(Obstacle::Certificate) {
            return Some(verdict(
                1,
                format!("The certificate shown for {} is not trusted here.", seen.host),
                "a proxy or filter may put its own certificate in between: name its authority \
                 with NODE_EXTRA_CA_CERTS=/path/to/ca.pem, or leave that network",
            ));
        }
        let proxy = self.proxy.as_deref().unwrap_or("of the environment");
        if blocked_by(Obstacle::ProxyUnreachable).is_some() {
            return Some(verdict(
                1,
                format!("The proxy {proxy} cannot be reached."),
                "check HTTPS_PROXY, or unset it if this network needs no proxy",
            ));
        }
        if blocked_by(Obstacle::ProxyRefused).is_some() {
            return Some(verdict(
                1,
                format!("The proxy {proxy} refuses to pass us on."),
                "check name and password in HTTPS_PROXY, and whether the host is allowed there",
            ));
        }
        if let Some(seen) = blocked_by(Obstacle::ProxyUnsupported) {
            return Some(verdict(
                1,
                sentence_of(&seen.reason),
                "name an HTTP proxy instead (one such as privoxy can stand before a SOCKS proxy), \
                 or unset it if this network needs no proxy",
            ));
        }
        if !self.looks.is_empty()
            && self.looks.iter().all(|seen| seen.obstacle == Some(Obstacle::Intercepted))
        {
            return Some(verdict(
                1,
                "Something between here and the service answers in its place.",
                "open a browser and sign in to the network (captive portal), or ask who filters it",
            ));
        }
        // The status page stands on other ground than the service: with both out of reach,
        // it is the way that is broken.
        let unreachable = |seen: &Sighting| seen.obstacle.is_some_and(Obstacle::may_be_local);
        let page_too = matches!(self.status_page, Page::Failed { .. });
        if page_too && !self.looks.is_empty() && self.looks.iter().all(unreachable) {
            return Some(verdict(
                1,
                "No host can be reached from here, not even the status page.",
                "check the network, DNS, VPN and firewall of this machine",
            ));
        }
        None
    }

    fn service_down(&self) -> Option<Verdict> {
        let needed = |seen: &&Sighting| seen.role == Role::Api || self.sign_in.uses_oauth();
        let down: Vec<_> =
            self.looks.iter().filter(|seen| seen.reading == Reading::Down).filter(needed).collect();
        if let Some(first) = down.first() {
            let names: Vec<_> = down.iter().map(|seen| seen.role.name()).collect();
            let local = down.iter().all(|seen| seen.obstacle.is_some_and(Obstacle::may_be_local));
            // Nothing but a silent line was seen, and no page told whose fault it is.
            if local && self.page().is_none() {
                let advice = format!("{HOW_LONG}; check the network, VPN and firewall here too");
                let what = format!("The service cannot be reached: {}.", first.reason);
                return Some(verdict(exit::TRY_LATER, what, advice));
            }
            return Some(verdict(
                exit::TRY_LATER,
                format!("The service is down ({}): {}.", names.join(" and "), first.reason),
                HOW_LONG,
            ));
        }
        let page = self.page().filter(|page| page.says_down(false))?;
        let lines = page.explain(false, self.now);
        Some(verdict(
            exit::TRY_LATER,
            format!("The service answers, but an outage is posted ({}).", lines.join("; ")),
            HOW_LONG,
        ))
    }

    fn here(&self) -> Option<Verdict> {
        if let Err(why) = &self.claude {
            let advice = "install it with `npm install -g @anthropic-ai/claude-code`, or name it \
                          with CLAUDE_SAFE_CLAUDE=/path/to/claude";
            return Some(verdict(1, sentence_of(why), advice));
        }
        if let Some(fault) = self.findings.iter().find(|finding| finding.fault) {
            let advice = fault.advice.as_deref().unwrap_or_default();
            return Some(verdict(1, sentence_of(&fault.what), advice));
        }
        let sign_in = "run `claude auth login`; on a machine without a browser run `claude \
                       setup-token` elsewhere and set CLAUDE_CODE_OAUTH_TOKEN here";
        match self.sign_in.used {
            SignIn::Emptied => {
                return Some(verdict(1, "The sign-in is dead: its tokens were emptied.", sign_in));
            }
            SignIn::Missing => return Some(verdict(1, "Nobody is signed in.", sign_in)),
            SignIn::Locked => {
                let unlock = "run `security unlock-keychain`: until then Claude says that nobody \
                              is signed in";
                return Some(verdict(1, "The keychain with the sign-in is locked.", unlock));
            }
            SignIn::Unreadable => {
                return Some(verdict(1, "The credentials file cannot be read.", sign_in));
            }
            _ => {}
        }
        if let Some(variable) = self.sign_in.outranked() {
            return Some(verdict(
                1,
                format!("{variable} silently outranks the subscription that is signed in."),
                format!("unset {variable} to use the subscription; keep it to pay by use"),
            ));
        }
        let Ok(found) = &self.claude else { return None };
        let why = found.version.as_ref().err()?;
        Some(verdict(1, sentence_of(why), "run `claude update`, or install Claude Code again"))
    }
}

/// An error fragment as a sentence.
pub(super) fn sentence_of(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let rest = chars.as_str();
    let stop = if rest.ends_with('.') { "" } else { "." };
    format!("{first}{rest}{stop}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::report::{ClaudeFound, Finding, SignInSeen};
    use super::*;
    use crate::claude::credentials::Stamp;
    use crate::service::status_page;

    const OUTAGE: &str = include_str!("../../service/status_page/captures/outage.json");

    fn seen(role: Role, reading: Reading, obstacle: Option<Obstacle>) -> Sighting {
        Sighting {
            role,
            host: format!("{role:?}.example"),
            reading,
            obstacle,
            latency: Duration::from_millis(7),
            reason: format!("{role:?} {obstacle:?}"),
            retry_after: None,
            clock_offset_s: None,
        }
    }

    fn sign_in(used: SignIn) -> SignInSeen {
        let key_variable = (used == SignIn::ApiKey).then_some("ANTHROPIC_API_KEY");
        SignInSeen { used, stamp: Stamp::Nothing, stored: SignIn::Expired, key_variable }
    }

    pub(super) fn judged(
        used: SignIn,
        (oauth, api): (Option<Obstacle>, Option<Obstacle>),
        page: Page,
        findings: Vec<Finding>,
    ) -> (u8, String) {
        let reading = |obstacle: Option<Obstacle>| match obstacle {
            None => Reading::Up,
            Some(
                Obstacle::Certificate
                | Obstacle::Intercepted
                | Obstacle::ProxyRefused
                | Obstacle::ProxyUnsupported,
            ) => Reading::Unknown,
            Some(_) => Reading::Down,
        };
        let looks =
            vec![seen(Role::Oauth, reading(oauth), oauth), seen(Role::Api, reading(api), api)];
        let claude =
            Ok(ClaudeFound { path: "/bin/claude".into(), version: Ok("2.1.330".to_owned()) });
        let now = "2026-09-03T13:36:30Z".parse().expect("a time");
        let report = Report::new(claude, sign_in(used), looks, page, None, findings, now);
        (report.verdict.exit_code, report.verdict.sentence)
    }

    fn failed() -> Page {
        Page::Failed { last: None, why: "no such host".to_owned() }
    }

    #[test]
    fn the_verdict_names_the_first_cause() {
        use Obstacle::{
            Certificate, Intercepted, NoSuchHost, ProxyRefused, ProxyUnreachable, ProxyUnsupported,
            Status, TimeOut,
        };
        let outage = || Page::Seen(status_page::Page::parse(OUTAGE).expect("a summary"));
        let read_only = || vec![Finding::fault("/x is read-only".to_owned(), "mount it")];
        let kept = SignIn::Expired;
        let both = |obstacle| (Some(obstacle), Some(obstacle));
        for (used, obstacles, page, findings, code, words) in [
            (kept, (None, None), Page::NotAsked, vec![], 0, "All is well"),
            (kept, (None, Some(Status(529))), Page::NotAsked, vec![], 75, "down (API)"),
            (kept, (Some(TimeOut), None), failed(), vec![], 75, "cannot be reached"),
            (kept, (Some(TimeOut), None), outage(), vec![], 75, "down (sign-in service)"),
            (kept, both(Status(500)), failed(), read_only(), 75, "sign-in service and API"),
            (SignIn::ApiKey, (Some(Status(500)), None), failed(), vec![], 1, "silently outranks"),
            (SignIn::Token, (Some(Status(500)), None), failed(), vec![], 0, "All is well"),
            (kept, (None, None), outage(), vec![], 75, "an outage is posted"),
            (kept, both(NoSuchHost), failed(), vec![], 1, "not even the status page"),
            (kept, both(NoSuchHost), outage(), vec![], 75, "The service is down"),
            (kept, both(Certificate), failed(), vec![], 1, "is not trusted here"),
            (kept, both(ProxyUnreachable), failed(), vec![], 1, "cannot be reached"),
            (kept, both(ProxyRefused), failed(), vec![], 1, "refuses"),
            (kept, both(ProxyUnsupported), failed(), vec![], 1, "ProxyUnsupported"),
            (kept, both(Intercepted), failed(), vec![], 1, "answers in its place"),
            (kept, (None, None), Page::NotAsked, read_only(), 1, "/x is read-only."),
            (SignIn::Emptied, (None, None), Page::NotAsked, vec![], 1, "sign-in is dead"),
            (SignIn::Missing, (None, None), Page::NotAsked, vec![], 1, "Nobody is signed in"),
            (SignIn::Locked, (None, None), Page::NotAsked, vec![], 1, "sign-in is locked"),
            (SignIn::Emptied, both(Status(503)), Page::NotAsked, vec![], 75, "down"),
        ] {
            let verdict = judged(used, obstacles, page, findings);
            assert_eq!(verdict.0, code, "{used:?} {obstacles:?}: {verdict:?}");
            assert!(verdict.1.contains(words), "{used:?} {obstacles:?}: {verdict:?}");
        }
    }
}
