//! The rules that tell what a failure is, as data: `rules.toml`, and the user's own. In: what
//! Claude said, and where, as an [`Observation`]. Out: a class with its evidence. The built-in
//! rules are read and compiled at the first question, not at start-up. Evidence never holds a
//! token, an address or a request's body.

use std::sync::{LazyLock, OnceLock};

use jiff::{Timestamp, ZonedDateTime};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

mod listing;
mod redaction;
mod rule;

pub use listing::Listed;
pub use redaction::{excerpt, redact};
pub use rule::Rule;

use redaction::EXCERPT;
use rule::{FIELDS, Written};

use super::credentials::SignIn;
use super::resets::resets;
use super::version::Version;
use crate::failure::{Evidence, FailureKind, Source};

const BUILT_IN: &str = include_str!("rules.toml");

/// Only this much of a text is looked at (bytes, from its start).
const LONGEST_TEXT: usize = 16 << 10;

/// A rule's pattern, compiled, is no larger than this (bytes).
const ONE_PATTERN_BYTES: usize = 10 << 20;

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
    /// Since when the sign-in may have been renewed for this turn: when it, or the run, began.
    pub since: Option<Timestamp>,
    /// Claude's version, if known.
    pub version: Option<Version>,
    /// The present moment in the user's time zone, for reset times.
    pub now: &'a ZonedDateTime,
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
}

fn folded(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).size_limit(ONE_PATTERN_BYTES).build()
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
        let text = fold(seen.text);
        let (status, mut hits) = self.hits(seen, &text);
        let (rule, place) = hits.next()?;
        let kind = match rule.kind? {
            FailureKind::UsageLimit { .. } => {
                FailureKind::UsageLimit { resets: resets(&text, seen.now) }
            }
            kind => kind,
        };
        // in a long output the words that matched may stand far from its start
        let at = place
            .and_then(|place| folded(&self.compiled().set.patterns()[place]).ok())
            .and_then(|pattern| pattern.find(&text))
            .map_or(0, |found| if found.end() > EXCERPT { found.start() } else { 0 });
        let evidence = Evidence {
            rule: rule.id.clone(),
            source: seen.place.source(),
            excerpt: excerpt(&text[at..]),
        };
        Some(Classified { kind, status, evidence })
    }

    /// Every rule that holds for this observation, in the order in which they are tried: the
    /// first of them decides.
    #[must_use]
    pub fn matching(&self, seen: &Observation<'_>) -> Vec<&Rule> {
        self.hits(seen, &fold(seen.text)).1.map(|(rule, _)| rule).collect()
    }

    /// Whether any rule holds for this observation, be it one that names no failure.
    #[must_use]
    pub fn know(&self, seen: &Observation<'_>) -> bool {
        self.hits(seen, &fold(seen.text)).1.next().is_some()
    }

    /// The status that the observation tells, and the rules that hold for it, each with its
    /// pattern's place in the set. `text` is the observation's, folded.
    fn hits(
        &self,
        seen: &Observation<'_>,
        text: &str,
    ) -> (Option<u16>, impl Iterator<Item = (&Rule, Option<usize>)>) {
        let compiled = self.compiled();
        let status = seen.status.or_else(|| status_in(text));
        let matched = compiled.set.matches(text);
        let rules = compiled.rules.iter().zip(compiled.places.iter().copied());
        let hits = rules.filter(move |(rule, place)| {
            place.is_none_or(|place| matched.matched(place)) && rule.applies(seen, status)
        });
        (status, hits)
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
            // the limit for one holds for each; together they may need as many times as much
            let limit = ONE_PATTERN_BYTES * (patterns.len() + 1);
            let set =
                RegexSetBuilder::new(&patterns).case_insensitive(true).size_limit(limit).build();
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

#[cfg(test)]
mod tests;
