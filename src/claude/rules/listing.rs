//! The rules as people look at them: listed, tested on a text, and their redaction applied to a
//! whole text that is to be kept. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Bound, Observation, Place, Rule, Rules, SignInIs, Trust, fold, redacted, status_in};

/// A rule in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its id; a user's own begins with `user:`.
    pub id: String,
    /// Whether the user wrote it.
    pub own: bool,
    /// The failure it names; `none`: not a failure.
    pub class: &'static str,
    /// `high` or `low`.
    pub trust: &'static str,
    /// The versions of Claude Code it was seen on; empty: any.
    pub versions: String,
    /// Where it looks.
    pub places: Vec<&'static str>,
    /// The regular expression, if it has one.
    pub pattern: Option<String>,
    /// What else must hold, in words.
    pub conditions: Vec<String>,
    /// Where it was seen.
    pub source: String,
}

impl Place {
    /// The word for it in `rules.toml` and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Transcript => "transcript",
            Self::Hook => "hook",
            Self::Output => "output",
            Self::StartUp => "start_up",
            Self::Screen => "screen",
        }
    }
}

impl Rule {
    /// The rule in words.
    #[must_use]
    pub fn listed(&self) -> Listed {
        Listed {
            id: self.id.clone(),
            own: self.id.starts_with("user:"),
            class: self.kind.map_or("none", crate::watch::FailureKind::name),
            trust: match self.trust {
                Trust::High => "high",
                Trust::Low => "low",
            },
            versions: self.versions_in_words(),
            places: self.places.iter().map(|place| place.name()).collect(),
            pattern: self.pattern.clone(),
            conditions: self.conditions(),
            source: self.source.clone(),
        }
    }

    fn versions_in_words(&self) -> String {
        let bounds = self.versions.iter().map(|(bound, version)| match bound {
            Bound::AtLeast => format!(">={version}"),
            Bound::Below => format!("<{version}"),
        });
        bounds.collect::<Vec<_>>().join(", ")
    }

    fn conditions(&self) -> Vec<String> {
        let mut conditions = Vec::new();
        if !self.statuses.is_empty() {
            let codes = self.statuses.iter().map(|(low, high)| {
                if low == high { low.to_string() } else { format!("{low}–{high}") }
            });
            conditions.push(format!("status {}", codes.collect::<Vec<_>>().join(" or ")));
        }
        if !self.errors.is_empty() {
            conditions.push(format!("error {}", self.errors.join(" or ")));
        }
        if let Some(sign_in) = self.sign_in {
            conditions.push(format!(
                "sign-in {}",
                match sign_in {
                    SignInIs::Fresh => "fresh",
                    SignInIs::Refreshable => "refreshable",
                    SignInIs::Gone => "gone",
                    SignInIs::Key => "by a key",
                }
            ));
        }
        conditions
    }
}

impl Rules {
    /// Every rule that holds for this observation, in the order in which they are tried: the
    /// first of them decides.
    #[must_use]
    pub fn matching(&self, seen: &Observation<'_>) -> Vec<&Rule> {
        let compiled = self.compiled();
        let text = fold(seen.text);
        let status = seen.status.or_else(|| status_in(&text));
        let matched = compiled.set.matches(&text);
        let rules = compiled.rules.iter().zip(&compiled.places);
        rules
            .filter(|(rule, place)| {
                place.is_none_or(|place| matched.matched(place)) && rule.applies(seen, status)
            })
            .map(|(rule, _)| rule)
            .collect()
    }
}

/// A whole text without tokens, keys, addresses, request bodies, pages and control characters,
/// line by line, at most `cap` bytes. A body in braces may span lines: it is left out up to its
/// closing brace.
#[must_use]
pub fn redact(text: &str, cap: usize) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    for line in text.lines() {
        let outside = outside_of_braces(line, &mut depth);
        let clean = redacted(&outside);
        let line = clean.trim_end();
        let mut shown = String::new();
        for character in line.chars() {
            match character {
                '\t' => shown.push('\t'),
                character if character.is_control() => {
                    let _ = write!(shown, "{}", character.escape_default());
                }
                character => shown.push(character),
            }
        }
        if kept.len() + shown.len() + 1 > cap {
            break;
        }
        kept.push_str(&shown);
        kept.push('\n');
    }
    kept
}

/// What of a line stands outside of braces; `depth` is carried from line to line.
fn outside_of_braces(line: &str, depth: &mut usize) -> String {
    let mut outside = String::new();
    for character in line.chars() {
        match character {
            '{' => {
                if *depth == 0 {
                    outside.push('\u{2983}');
                }
                *depth += 1;
            }
            '}' => *depth = depth.saturating_sub(1),
            character if *depth == 0 => outside.push(character),
            _ => {}
        }
    }
    outside.replace('\u{2983}', "(body left out)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_text_has_no_key_address_body_or_control_character_and_keeps_its_lines() {
        let text = "first\n{\"prompt\":\n \"my secret plan\"} after sk-ant-api03-abcdef\n\
                    me@example.com \u{1b}[31mred\nlast";
        let kept = redact(text, 1000);
        assert_eq!(
            kept,
            "first\n(body left out)\n after [redacted]\n[redacted] \\u{1b}[31mred\nlast\n"
        );
        assert_eq!(redact("12345\n67890\n", 8), "12345\n");
    }

    #[test]
    fn the_first_rule_that_matches_is_the_one_that_classifies() {
        let now = "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time");
        let rules = Rules::new(&[]).0;
        let seen = Observation {
            place: Place::Output,
            text: "API Error: 529 Overloaded",
            errors: &[],
            status: None,
            sign_in: None,
            version: None,
            now: &now,
        };
        let first = rules.matching(&seen).first().map(|rule| rule.id.clone());
        assert_eq!(first, rules.classify(&seen).map(|found| found.evidence.rule));
        assert!(first.is_some());
        assert!(rules.list().iter().all(|rule| !rule.listed().places.is_empty()));
    }
}
