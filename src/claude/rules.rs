//! The rules that tell what a failure is, as data: `rules.toml`, and the user's own. In: what
//! Claude said, and where, as an [`Observation`]. Out: a class with its evidence. The built-in
//! rules are read and compiled at the first question, not at start-up. Evidence never holds a
//! token, an address or a request's body.

use std::sync::{LazyLock, OnceLock};

use jiff::ZonedDateTime;
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

mod listing;

pub use listing::{Listed, redact};

use super::credentials::SignIn;
use super::resets::resets;
use super::version::Version;
use crate::watch::{Evidence, FailureKind, Source};

const BUILT_IN: &str = include_str!("rules.toml");

/// An excerpt is at most this long (characters).
const EXCERPT: usize = 200;

/// Only this much of a text is looked at (bytes, from its start).
const LONGEST_TEXT: usize = 16 << 10;

/// Where something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The `result` of a headless run.
    Result,
    /// The error line of a transcript.
    Transcript,
    /// The `StopFailure` hook.
    Hook,
    /// What a failed run printed, or what a failed login showed.
    Output,
    /// What Claude printed when it left before its first prompt.
    StartUp,
    /// A panel of the screen, as far as it may decide.
    Screen,
}

impl Place {
    fn source(self) -> Source {
        match self {
            Self::Result => Source::Result,
            Self::Transcript => Source::Transcript,
            Self::Hook => Source::Hook,
            Self::Output | Self::StartUp => Source::Output,
            Self::Screen => Source::Screen,
        }
    }
}

/// Something that Claude said about a failure. Only Claude's own error lines, failing results and
/// last words may be put in: any other text may quote an error.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Where.
    pub place: Place,
    /// The words: `result`, the transcript line's text, `last_assistant_message`, the output.
    pub text: &'a str,
    /// Claude's own classes: `error` of transcript and hook; `api_error`, `api_error_type` of a
    /// result. Empty where there are none.
    pub errors: &'a [&'a str],
    /// `apiErrorStatus` or `api_error_status`; without it the text is asked (before 2.1.200).
    pub status: Option<u16>,
    /// How Claude is signed in now, if that was looked at.
    pub sign_in: Option<SignIn>,
    /// Claude's version, if known.
    pub version: Option<Version>,
    /// The present moment in the user's time zone, for reset times.
    pub now: &'a ZonedDateTime,
}

/// How far a rule is believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Seen on the newest version.
    #[default]
    High,
    /// The newest version cannot say it, or the running one lies outside the rule's versions.
    Low,
}

/// What an observation means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// The class.
    pub kind: FailureKind,
    /// The HTTP status, if one was told.
    pub status: Option<u16>,
    /// Which rule, where, and the words, redacted.
    pub evidence: Evidence,
    /// How far it is believed.
    pub trust: Trust,
}

/// A rule as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    #[serde(default, rename = "where")]
    places: Vec<String>,
    pattern: Option<String>,
    #[serde(default)]
    status: Vec<toml::Value>,
    #[serde(default)]
    error: Vec<String>,
    sign_in: Option<String>,
    class: String,
    #[serde(default)]
    certificate: bool,
    #[serde(default)]
    trust: Trust,
    versions: Option<String>,
    #[serde(default)]
    source: String,
}

/// The fields a rule may have, for messages.
const FIELDS: &str = "id, where, pattern, status, error, sign_in, class, certificate, trust, \
                      versions, source";

/// A checked rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name in evidence; a user's own begins with `user:`.
    pub id: String,
    /// Where it was seen.
    pub source: String,
    /// As written; how far it is believed also depends on the version.
    pub trust: Trust,
    /// `None`: not a failure.
    pub kind: Option<FailureKind>,
    pattern: Option<String>,
    places: Vec<Place>,
    statuses: Vec<(u16, u16)>,
    errors: Vec<String>,
    sign_in: Option<SignInIs>,
    versions: Vec<(Bound, Version)>,
}

/// Conditions on the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignInIs {
    /// An access token that is good by the clock.
    Fresh,
    /// A refresh token is there.
    Refreshable,
    /// Emptied, missing or unreadable.
    Gone,
    /// A fixed token or key, or another provider's.
    Key,
}

impl SignInIs {
    fn holds(self, sign_in: Option<SignIn>) -> bool {
        sign_in.is_some_and(|sign_in| match self {
            Self::Fresh => matches!(sign_in, SignIn::Kept { .. }),
            Self::Refreshable => sign_in.can_refresh(),
            Self::Gone => {
                matches!(sign_in, SignIn::Emptied | SignIn::Missing | SignIn::Unreadable)
            }
            Self::Key => matches!(sign_in, SignIn::Token | SignIn::ApiKey | SignIn::Provider),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    AtLeast,
    Below,
}

impl Rule {
    fn check(written: Written) -> Result<Self, String> {
        let mut places = Vec::new();
        for word in &written.places {
            places.extend_from_slice(match word.as_str() {
                "said" => &[Place::Result, Place::Transcript, Place::Hook, Place::Output],
                "result" => &[Place::Result],
                "transcript" => &[Place::Transcript, Place::Hook],
                "output" => &[Place::Output],
                "start_up" => &[Place::StartUp],
                "screen" => &[Place::Screen],
                _ => {
                    let known = "said, result, transcript, output, start_up, screen";
                    return Err(format!("`where`: `{word}` is none of {known}"));
                }
            });
        }
        if places.is_empty() {
            places = vec![Place::Result, Place::Transcript, Place::Hook, Place::Output];
        }
        if written.pattern.is_none() && written.status.is_empty() && written.error.is_empty() {
            return Err("needs `pattern`, `status` or `error`, or it would match all".into());
        }
        if let Some(pattern) = &written.pattern {
            let regex = folded(pattern).map_err(|error| format!("`pattern`: {error}"))?;
            if regex.is_match("") {
                return Err("`pattern` matches the empty text, so it would match all".into());
            }
        }
        let statuses = written.status.iter().map(status_range).collect::<Result<_, _>>()?;
        let sign_in = match written.sign_in.as_deref() {
            None => None,
            Some("fresh") => Some(SignInIs::Fresh),
            Some("refreshable") => Some(SignInIs::Refreshable),
            Some("gone") => Some(SignInIs::Gone),
            Some("key") => Some(SignInIs::Key),
            Some(word) => {
                let known = "fresh, refreshable, gone, key";
                return Err(format!("`sign_in`: `{word}` is none of {known}"));
            }
        };
        let kind = class(&written.class, written.certificate)?;
        let versions = written.versions.as_deref().map_or(Ok(Vec::new()), version_bounds)?;
        Ok(Self {
            id: written.id,
            source: written.source,
            trust: written.trust,
            kind,
            pattern: written.pattern,
            places,
            statuses,
            errors: written.error,
            sign_in,
            versions,
        })
    }

    /// Whether everything but the pattern holds.
    fn applies(&self, seen: &Observation<'_>, status: Option<u16>) -> bool {
        self.places.contains(&seen.place)
            && (self.statuses.is_empty()
                || status.is_some_and(|status| {
                    self.statuses.iter().any(|(low, high)| (*low..=*high).contains(&status))
                }))
            && (self.errors.is_empty()
                || self.errors.iter().any(|error| seen.errors.contains(&error.as_str())))
            && self.sign_in.is_none_or(|wanted| wanted.holds(seen.sign_in))
    }

    /// A rule outside of its versions is still a hint, but no more.
    fn trust_on(&self, version: Option<Version>) -> Trust {
        let within = version.is_none_or(|version| {
            self.versions.iter().all(|(bound, limit)| match bound {
                Bound::AtLeast => version >= *limit,
                Bound::Below => version < *limit,
            })
        });
        if within { self.trust } else { Trust::Low }
    }
}

fn status_range(value: &toml::Value) -> Result<(u16, u16), String> {
    let code = value.as_integer().and_then(|code| u16::try_from(code).ok());
    let hundreds = value.as_str().and_then(|text| match text {
        "4xx" => Some((400, 499)),
        "5xx" => Some((500, 599)),
        _ => None,
    });
    code.filter(|code| (100..600).contains(code))
        .map(|code| (code, code))
        .or(hundreds)
        .ok_or_else(|| format!("`status`: {value} is no HTTP status, `4xx` or `5xx`"))
}

fn class(name: &str, certificate: bool) -> Result<Option<FailureKind>, String> {
    Ok(Some(match name {
        "none" => return Ok(None),
        "api" => FailureKind::Api,
        "auth_refresh" => FailureKind::AuthRefresh,
        "login_service" => FailureKind::LoginService,
        "sign_in_needed" => FailureKind::SignInNeeded,
        "usage_limit" => FailureKind::UsageLimit { resets: None },
        "refused" => FailureKind::Refused,
        "network" => FailureKind::Network { certificate },
        "session_broken" => FailureKind::SessionBroken,
        "start_up" => FailureKind::StartUp,
        _ => {
            let known = "none, api, auth_refresh, login_service, sign_in_needed, usage_limit, \
                         refused, network, session_broken, start_up";
            return Err(format!("`class`: `{name}` is none of {known}"));
        }
    }))
}

fn version_bounds(text: &str) -> Result<Vec<(Bound, Version)>, String> {
    let bound = |part: &str| {
        let part = part.trim();
        let (bound, number) = part
            .strip_prefix(">=")
            .map(|number| (Bound::AtLeast, number))
            .or_else(|| part.strip_prefix('<').map(|number| (Bound::Below, number)))?;
        let mut parts = number.trim().splitn(3, '.').map(|part| part.parse::<u32>().ok());
        // missing parts are 0; a part that is no number is a mistake
        let mut next = || parts.next().unwrap_or(Some(0));
        Some((bound, Version(next()?, next()?, next()?)))
    };
    text.split(',')
        .map(|part| {
            bound(part)
                .ok_or_else(|| format!("`versions`: `{}` is not like `>=2.1.108`", part.trim()))
        })
        .collect()
}

fn folded(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).build()
}

/// All rules, the user's before the built-in ones.
#[derive(Debug, Default)]
pub struct Rules {
    user: Vec<Rule>,
    compiled: OnceLock<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    rules: Vec<Rule>,
    set: RegexSet,
    /// For each rule its pattern's place in the set.
    places: Vec<Option<usize>>,
}

impl Rules {
    /// The built-in rules and the user's, which are tried first. A user's rule that is wrong is
    /// left out; the second value has its place in `user`, and names its field and the cure.
    #[must_use]
    pub fn new(user: &[toml::Table]) -> (Self, Vec<(usize, String)>) {
        let (mut rules, mut wrong) = (Vec::new(), Vec::new());
        for (index, table) in user.iter().enumerate() {
            let id = table.get("id").and_then(toml::Value::as_str);
            let name =
                id.map_or_else(|| format!("rule {}", index + 1), |id| format!("rule `{id}`"));
            let written = table
                .clone()
                .try_into::<Written>()
                .map_err(|error| format!("{} (a rule has {FIELDS})", error.message().trim_end()));
            match written.and_then(Rule::check) {
                Ok(rule) => rules.push(Rule { id: format!("user:{}", rule.id), ..rule }),
                Err(message) => wrong.push((index, format!("{name}: {message}"))),
            }
        }
        (Self { user: rules, compiled: OnceLock::new() }, wrong)
    }

    /// All of them, in the order in which they are tried.
    #[must_use]
    pub fn list(&self) -> &[Rule] {
        &self.compiled().rules
    }

    /// What an observation means; `None` if no rule knows it, or if it is no failure.
    #[must_use]
    pub fn classify(&self, seen: &Observation<'_>) -> Option<Classified> {
        let compiled = self.compiled();
        let text = fold(seen.text);
        let status = seen.status.or_else(|| status_in(&text));
        let matched = compiled.set.matches(&text);
        let (rule, place) = compiled.rules.iter().zip(&compiled.places).find(|(rule, place)| {
            place.is_none_or(|place| matched.matched(place)) && rule.applies(seen, status)
        })?;
        let kind = match rule.kind? {
            FailureKind::UsageLimit { .. } => {
                FailureKind::UsageLimit { resets: resets(&text, seen.now) }
            }
            kind => kind,
        };
        // in a long output the words that matched may stand far from its start
        let at = place
            .and_then(|place| folded(&compiled.set.patterns()[place]).ok())
            .and_then(|pattern| pattern.find(&text))
            .map_or(0, |found| if found.end() > EXCERPT { found.start() } else { 0 });
        let evidence = Evidence {
            rule: rule.id.clone(),
            source: seen.place.source(),
            excerpt: excerpt(&text[at..]),
        };
        Some(Classified { kind, status, evidence, trust: rule.trust_on(seen.version) })
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            #[derive(Deserialize)]
            struct File {
                rules: Vec<Written>,
            }
            let file: File = toml::from_str(BUILT_IN).expect("rules.toml is tested");
            let built_in = file.rules.into_iter().map(|rule| Rule::check(rule).expect("tested"));
            let rules: Vec<Rule> = self.user.iter().cloned().chain(built_in).collect();
            let mut patterns = Vec::new();
            let places = rules.iter().map(|rule| {
                rule.pattern.clone().map(|pattern| {
                    patterns.push(pattern);
                    patterns.len() - 1
                })
            });
            let places = places.collect();
            let set = RegexSetBuilder::new(&patterns).case_insensitive(true).build();
            Compiled { rules, set: set.expect("each pattern was built alone"), places }
        })
    }
}

/// Folds whitespace: Claude wraps its texts, and wrapping says nothing.
fn fold(text: &str) -> String {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The status in a text, for versions that do not tell it elsewhere.
fn status_in(text: &str) -> Option<u16> {
    static STATUS: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r"(?:API Error:? \(?|\(HTTP |status code |: Status )(\d{3})\b";
        Regex::new(pattern).expect("the pattern is constant")
    });
    STATUS.captures(text)?[1].parse().ok()
}

/// A text without tokens, keys, addresses and request bodies.
fn redacted(text: &str) -> std::borrow::Cow<'_, str> {
    static SECRET: LazyLock<Regex> = LazyLock::new(|| {
        // a body in braces, however torn; keys; bearers; long opaque words; addresses
        let pattern = r#"(?is)(\{.*)|(<(?:!doctype|html|head|body)\b.*)|sk-[a-z0-9_-]{6,}|\b(?:Bearer|Basic)\s+[^\s"',;]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:[a-z]{0,8}_?token|key|secret|password)\s*[=:]\s*[^\s"',;]+|\b[a-z0-9_+/=-]{40,}"#;
        Regex::new(pattern).expect("the pattern is constant")
    });
    SECRET.replace_all(text, |found: &regex::Captures<'_>| match (found.get(1), found.get(2)) {
        (Some(_), _) => "{…}",
        (_, Some(_)) => "<…>",
        _ => "[redacted]",
    })
}

/// The first 200 characters of a text, redacted.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let folded = fold(text);
    let clean = redacted(&folded);
    let mut characters = clean.chars();
    let short: String = characters.by_ref().take(EXCERPT).collect();
    match characters.next() {
        Some(_) => short.chars().take(EXCERPT - 1).chain(['…']).collect(),
        None => short,
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
