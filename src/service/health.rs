//! What is known of the service, with reasons. Plain data.

use serde::{Deserialize, Serialize};

use crate::watch::FailureKind;

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
}
