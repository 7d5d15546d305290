//! One rule: as it is written, checked, and held against an observation. In: a table of
//! `rules.toml` or of the user's file. Out: a [`Rule`], or a message that names the field and what
//! it may be.

use serde::Deserialize;

use super::{Observation, Place, folded};
use crate::claude::credentials::SignIn;
use crate::claude::version::Version;
use crate::failure::FailureKind;

/// A rule as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
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
    firm: bool,
    versions: Option<String>,
    #[serde(default)]
    source: String,
}

/// The fields a rule may have, for messages.
pub(super) const FIELDS: &str = "id, where, pattern, status, error, sign_in, class, certificate, firm, \
                      versions, source";

/// A checked rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name in evidence; a user's own begins with `user:`.
    pub id: String,
    /// Where it was seen.
    pub source: String,
    /// `None`: not a failure.
    pub kind: Option<FailureKind>,
    pub(super) pattern: Option<String>,
    pub(super) places: Vec<Place>,
    pub(super) statuses: Vec<(u16, u16)>,
    pub(super) errors: Vec<String>,
    pub(super) sign_in: Option<SignInIs>,
    pub(super) versions: Vec<(Bound, Version)>,
}

/// Conditions on the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignInIs {
    /// An access token that the sign-in service handed out since the turn began.
    Renewed,
    /// An access token that is good by the clock.
    Fresh,
    /// A refresh token is there.
    Refreshable,
    /// Emptied, missing or unreadable.
    Gone,
    /// A fixed token or key, or a lent one.
    Key,
    /// Handed out anew at each start: by a key helper, or another provider's.
    Lent,
}

impl SignInIs {
    fn holds(self, seen: &Observation<'_>) -> bool {
        let lent = |sign_in| matches!(sign_in, SignIn::Helper | SignIn::Provider);
        seen.sign_in.is_some_and(|sign_in| match self {
            Self::Renewed => matches!(
                (sign_in, seen.since),
                (SignIn::Kept { since: Some(renewed), .. }, Some(began)) if renewed >= began
            ),
            Self::Fresh => matches!(sign_in, SignIn::Kept { .. }),
            Self::Refreshable => sign_in.can_refresh(),
            Self::Gone => {
                matches!(sign_in, SignIn::Emptied | SignIn::Missing | SignIn::Unreadable)
            }
            Self::Key => matches!(sign_in, SignIn::Token | SignIn::ApiKey) || lent(sign_in),
            Self::Lent => lent(sign_in),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    AtLeast,
    Below,
}

impl Rule {
    pub(super) fn check(written: Written) -> Result<Self, String> {
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
            Some("renewed") => Some(SignInIs::Renewed),
            Some("fresh") => Some(SignInIs::Fresh),
            Some("refreshable") => Some(SignInIs::Refreshable),
            Some("gone") => Some(SignInIs::Gone),
            Some("key") => Some(SignInIs::Key),
            Some("lent") => Some(SignInIs::Lent),
            Some(word) => {
                let known = "renewed, fresh, refreshable, gone, key, lent";
                return Err(format!("`sign_in`: `{word}` is none of {known}"));
            }
        };
        let kind = class(&written)?;
        let versions = written.versions.as_deref().map_or(Ok(Vec::new()), version_bounds)?;
        Ok(Self {
            id: written.id,
            source: written.source,
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
    pub(super) fn applies(&self, seen: &Observation<'_>, status: Option<u16>) -> bool {
        self.places.contains(&seen.place)
            && (self.statuses.is_empty()
                || status.is_some_and(|status| {
                    self.statuses.iter().any(|(low, high)| (*low..=*high).contains(&status))
                }))
            && (self.errors.is_empty()
                || self.errors.iter().any(|error| seen.errors.contains(&error.as_str())))
            && self.sign_in.is_none_or(|wanted| wanted.holds(seen))
            && seen.version.is_none_or(|version| {
                self.versions.iter().all(|(bound, limit)| match bound {
                    Bound::AtLeast => version >= *limit,
                    Bound::Below => version < *limit,
                })
            })
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

fn class(written: &Written) -> Result<Option<FailureKind>, String> {
    let name = written.class.as_str();
    Ok(Some(match name {
        "none" => return Ok(None),
        "api" => FailureKind::Api,
        "auth_refresh" => FailureKind::AuthRefresh,
        "login_service" => FailureKind::LoginService,
        "sign_in_needed" => FailureKind::SignInNeeded,
        "usage_limit" => FailureKind::UsageLimit { resets: None },
        "refused" => FailureKind::Refused,
        "doubtful" => FailureKind::Doubtful { firm: written.firm },
        "network" => FailureKind::Network { certificate: written.certificate },
        "proxy" => FailureKind::Proxy,
        "session_broken" => FailureKind::SessionBroken,
        "start_up" => FailureKind::StartUp,
        _ => {
            let known = "none, api, auth_refresh, login_service, sign_in_needed, usage_limit, \
                         refused, doubtful, network, proxy, \
                         session_broken, start_up";
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
