//! The report of `check` and its verdict. Pure: findings in, a sentence and an exit code out.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::claude::credentials::SignIn;
use crate::error::exit;
use crate::service::{Obstacle, Reading, Role, Sighting, status_page};

/// How long incidents of this kind lasted: 15 that were reported in 2025 and 2026.
const HOW_LONG: &str = "wait: incidents like this lasted about 80 minutes in the median, one in \
                        three more than 3 hours; claude-safe goes on by itself when it is over";

/// The claude that would be started.
#[derive(Debug, Serialize)]
pub struct ClaudeFound {
    /// Where.
    pub path: PathBuf,
    /// Its version, or why that could not be learned.
    pub version: Result<String, String>,
}

/// How Claude is signed in.
#[derive(Debug)]
pub struct SignInSeen {
    /// What Claude uses, the environment included.
    pub used: SignIn,
    /// What lies in the credentials file.
    pub stored: SignIn,
    /// The variable that holds a key.
    pub key_variable: Option<&'static str>,
}

impl SignInSeen {
    fn word(&self) -> &'static str {
        match self.used {
            SignIn::Kept { .. } => "kept",
            SignIn::Expired => "expired",
            SignIn::Emptied => "emptied",
            SignIn::Missing => "missing",
            SignIn::Unreadable => "unreadable",
            SignIn::Token => "token",
            SignIn::ApiKey => "api_key",
            SignIn::Provider => "provider",
            SignIn::Keychain => "keychain",
        }
    }

    fn sentence(&self) -> String {
        match self.used {
            SignIn::Kept { expires } => format!("kept, access token good until {expires:.0}"),
            SignIn::Expired => "kept; the access token has expired and is refreshed at the next \
                                start"
                .to_owned(),
            SignIn::Emptied => "emptied: Claude signed itself out".to_owned(),
            SignIn::Missing => "none".to_owned(),
            SignIn::Unreadable => "the credentials file cannot be read".to_owned(),
            SignIn::Token => "a long-lived token".to_owned(),
            SignIn::ApiKey => {
                format!("a key from {}", self.key_variable.unwrap_or("the environment"))
            }
            SignIn::Provider => "a cloud provider's".to_owned(),
            SignIn::Keychain => "in the Keychain (not looked into)".to_owned(),
        }
    }

    /// A key in the environment is used although a subscription is signed in.
    fn outranked(&self) -> Option<&'static str> {
        let subscription = matches!(self.stored, SignIn::Kept { .. } | SignIn::Expired);
        self.key_variable.filter(|_| self.used == SignIn::ApiKey && subscription)
    }

    /// Whether Claude needs the sign-in service at all.
    fn uses_oauth(&self) -> bool {
        !matches!(self.used, SignIn::ApiKey | SignIn::Token | SignIn::Provider)
    }
}

/// The status page, as far as it was read.
#[derive(Debug)]
pub enum Page {
    /// Switched off, or it says nothing about the hosts in use.
    NotAsked,
    /// What it says now.
    Seen(status_page::Page),
    /// It could not be had; what it said last.
    Failed {
        /// Up to two hours old.
        last: Option<status_page::Page>,
        /// Why.
        why: String,
    },
}

/// Something found on this machine.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Whether it keeps Claude from working.
    pub fault: bool,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// Worth knowing.
    pub fn note(what: String) -> Self {
        Self { fault: false, what, advice: None }
    }

    /// Keeps Claude from working.
    pub fn fault(what: String, advice: &str) -> Self {
        Self { fault: true, what, advice: Some(advice.to_owned()) }
    }
}

/// What it comes to.
#[derive(Debug, PartialEq, Eq, Serialize)]
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

/// All of it. `Display` is the screen.
#[derive(Debug, Serialize)]
pub struct Report {
    claude: Result<ClaudeFound, String>,
    #[serde(serialize_with = "sign_in_json")]
    sign_in: SignInSeen,
    #[serde(serialize_with = "looks_json")]
    looks: Vec<Sighting>,
    #[serde(serialize_with = "page_json")]
    status_page: Page,
    proxy: Option<String>,
    findings: Vec<Finding>,
    #[serde(skip)]
    now: Timestamp,
    /// What it comes to.
    pub verdict: Verdict,
}

fn sign_in_json<S: Serializer>(seen: &SignInSeen, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::json!({
        "state": seen.word(),
        "outranks_subscription": seen.outranked(),
    })
    .serialize(serializer)
}

fn looks_json<S: Serializer>(looks: &[Sighting], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(looks.iter().map(|seen| {
        serde_json::json!({
            "role": match seen.role { Role::Oauth => "oauth", Role::Api => "api" },
            "host": seen.host,
            "reading": seen.reading,
            "latency_ms": seen.latency.as_millis() as u64,
            "reason": seen.reason,
        })
    }))
}

fn page_json<S: Serializer>(page: &Page, serializer: S) -> Result<S::Ok, S::Error> {
    match page {
        Page::NotAsked => serializer.serialize_none(),
        Page::Seen(page) => page.serialize(serializer),
        Page::Failed { why, .. } => serde_json::json!({ "error": why }).serialize(serializer),
    }
}

impl Report {
    /// Puts the report together and judges it.
    pub fn new(
        claude: Result<ClaudeFound, String>,
        sign_in: SignInSeen,
        looks: Vec<Sighting>,
        status_page: Page,
        proxy: Option<String>,
        findings: Vec<Finding>,
        now: Timestamp,
    ) -> Self {
        let verdict = verdict(0, "", "");
        let mut report =
            Self { claude, sign_in, looks, status_page, proxy, findings, now, verdict };
        report.verdict = report.judge();
        report
    }

    /// The first cause that explains why Claude does not work: what keeps us from seeing the
    /// service, then the service, then what is wrong here.
    fn judge(&self) -> Verdict {
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

    fn page(&self) -> Option<&status_page::Page> {
        match &self.status_page {
            Page::Seen(page) => Some(page),
            Page::Failed { last, .. } => last.as_ref(),
            Page::NotAsked => None,
        }
    }

    fn page_lines(&self) -> Vec<String> {
        let mut lines = self.page().map(|page| page.explain(true, self.now)).unwrap_or_default();
        match &self.status_page {
            Page::NotAsked => lines.push("not asked".to_owned()),
            Page::Failed { why, .. } => lines.push(format!("could not be read: {why}")),
            Page::Seen(_) if lines.is_empty() => lines.push("nothing posted".to_owned()),
            Page::Seen(_) => {}
        }
        lines
    }
}

/// An error fragment as a sentence.
fn sentence_of(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let rest = chars.as_str();
    let stop = if rest.ends_with('.') { "" } else { "." };
    format!("{first}{rest}{stop}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, text: &str| writeln!(f, "{name:<16}{text}");
        match &self.claude {
            Ok(found) => match &found.version {
                Ok(version) => row("claude", &format!("{version}, {}", found.path.display()))?,
                Err(why) => row("claude", &format!("{}, {why}", found.path.display()))?,
            },
            Err(why) => row("claude", why)?,
        }
        row("sign-in", &self.sign_in.sentence())?;
        for seen in &self.looks {
            let word = match seen.reading {
                Reading::Up => "up",
                Reading::Down => "DOWN",
                Reading::Unknown => "unknown",
            };
            let latency = seen.latency.as_millis();
            row(seen.role.name(), &format!("{word}: {}, {latency} ms", seen.reason))?;
        }
        if self.looks.is_empty() {
            row("service", "not looked at")?;
        }
        for line in self.page_lines() {
            row("status page", line.trim_start_matches("status page: "))?;
        }
        row("proxy", self.proxy.as_deref().unwrap_or("none"))?;
        for finding in &self.findings {
            row(if finding.fault { "FAULT" } else { "note" }, &finding.what)?;
        }
        writeln!(f, "\n{}", self.verdict.sentence)?;
        writeln!(f, "{}", sentence_of(&self.verdict.advice))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
        SignInSeen { used, stored: SignIn::Expired, key_variable }
    }

    fn judged(
        used: SignIn,
        (oauth, api): (Option<Obstacle>, Option<Obstacle>),
        page: Page,
        findings: Vec<Finding>,
    ) -> (u8, String) {
        let reading = |obstacle: Option<Obstacle>| match obstacle {
            None => Reading::Up,
            Some(Obstacle::Certificate | Obstacle::Intercepted | Obstacle::ProxyRefused) => {
                Reading::Unknown
            }
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
            Certificate, Intercepted, NoSuchHost, ProxyRefused, ProxyUnreachable, Status, TimeOut,
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
            (kept, both(Intercepted), failed(), vec![], 1, "answers in its place"),
            (kept, (None, None), Page::NotAsked, read_only(), 1, "/x is read-only."),
            (SignIn::Emptied, (None, None), Page::NotAsked, vec![], 1, "sign-in is dead"),
            (SignIn::Missing, (None, None), Page::NotAsked, vec![], 1, "Nobody is signed in"),
            (SignIn::Emptied, both(Status(503)), Page::NotAsked, vec![], 75, "down"),
        ] {
            let verdict = judged(used, obstacles, page, findings);
            assert_eq!(verdict.0, code, "{used:?} {obstacles:?}: {verdict:?}");
            assert!(verdict.1.contains(words), "{used:?} {obstacles:?}: {verdict:?}");
        }
    }
}
