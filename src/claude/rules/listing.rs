//! The rules as people look at them. Pure.

use serde::Serialize;

use super::rule::{Bound, SignInIs};
use super::{Place, Rule};

/// A rule in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its id; a user's own begins with `user:`.
    pub id: String,
    /// Whether the user wrote it.
    pub own: bool,
    /// The failure it names; `none`: not a failure.
    pub class: &'static str,
    /// The versions of Claude Code it holds for; empty: any.
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
            class: self.kind.map_or("none", crate::failure::FailureKind::name),
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
                    SignInIs::Renewed => "renewed",
                    SignInIs::Fresh => "fresh",
                    SignInIs::Refreshable => "refreshable",
                    SignInIs::Gone => "gone",
                    SignInIs::Key => "by a key",
                    SignInIs::Lent => "by a lent key",
                }
            ));
        }
        conditions
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Observation, Rules};
    use super::*;

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
            since: None,
            version: None,
            now: &now,
        };
        let first = rules.matching(&seen).first().map(|rule| rule.id.clone());
        assert_eq!(first, rules.classify(&seen).map(|found| found.evidence.rule));
        assert!(first.is_some());
        assert!(rules.list().iter().all(|rule| !rule.listed().places.is_empty()));
    }
}
