//! The report of `check`: what was found, as JSON and as a screen. Pure.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::verdict::{Verdict, sentence_of};
use crate::claude::credentials::{SignIn, Stamp};
use crate::service::{Reading, Role, Sighting, status_page};

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
    /// When it was last written, where that is all that is seen.
    pub stamp: Stamp,
    /// What is stored, the environment's keys left aside.
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
            SignIn::Helper => "helper",
            SignIn::Provider => "provider",
            SignIn::Keychain => "keychain",
            SignIn::Locked => "keychain_locked",
        }
    }

    fn sentence(&self) -> String {
        match self.used {
            SignIn::Kept { expires, .. } => format!("kept, access token good until {expires:.0}"),
            SignIn::Expired => "kept; the access token has expired and is refreshed at the next \
                                start"
                .to_owned(),
            SignIn::Emptied => "emptied: Claude signed itself out".to_owned(),
            SignIn::Missing => "none".to_owned(),
            SignIn::Unreadable => "the credentials file cannot be read".to_owned(),
            SignIn::Token => "a long-lived token".to_owned(),
            SignIn::Helper => "a key that `apiKeyHelper` hands out".to_owned(),
            SignIn::ApiKey => {
                format!("a key from {}", self.key_variable.unwrap_or("the environment"))
            }
            SignIn::Provider => "a cloud provider's".to_owned(),
            SignIn::Keychain => match self.stamp {
                Stamp::Item(written) => {
                    format!("in the Keychain (not looked into), last written {written:.0}")
                }
                _ => "in the Keychain, as far as can be told: `security` did not answer".to_owned(),
            },
            SignIn::Locked => "in the Keychain, which is locked".to_owned(),
        }
    }

    /// A key in the environment is used although a subscription is signed in.
    pub(super) fn outranked(&self) -> Option<&'static str> {
        let subscription = self.stored.can_refresh();
        self.key_variable.filter(|_| self.used == SignIn::ApiKey && subscription)
    }

    /// Whether Claude needs the sign-in service at all.
    pub(super) fn uses_oauth(&self) -> bool {
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

/// All of it. `Display` is the screen.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) claude: Result<ClaudeFound, String>,
    #[serde(serialize_with = "sign_in_json")]
    pub(super) sign_in: SignInSeen,
    #[serde(serialize_with = "looks_json")]
    pub(super) looks: Vec<Sighting>,
    #[serde(serialize_with = "page_json")]
    pub(super) status_page: Page,
    pub(super) proxy: Option<String>,
    pub(super) findings: Vec<Finding>,
    #[serde(skip)]
    pub(super) now: Timestamp,
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
        let verdict = Verdict::default();
        let mut report =
            Self { claude, sign_in, looks, status_page, proxy, findings, now, verdict };
        report.verdict = report.judge();
        report
    }

    /// What the status page says, now or last.
    pub(super) fn page(&self) -> Option<&status_page::Page> {
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
