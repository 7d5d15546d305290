//! The levels of the ladder: what can be done about a failure. Plain data.

use serde::{Deserialize, Serialize};

/// A level of the ladder, low to high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Type a short message into the living terminal UI.
    AskAgain,
    /// Start Claude again in the same session.
    Relaunch,
    /// `claude update`, then relaunch.
    Update,
    /// Leave the session on disk and ask in a fresh one.
    NewSession,
    /// Move the cache aside behind a verified backup, then relaunch.
    ClearCache,
    /// Move the credentials file aside so that a login can start clean.
    SignInReset,
    /// Use the configured API key for this launch.
    ApiKey,
}

impl Rung {
    /// All of them, low to high.
    pub const ALL: [Self; 7] = [
        Self::AskAgain,
        Self::Relaunch,
        Self::Update,
        Self::NewSession,
        Self::ClearCache,
        Self::SignInReset,
        Self::ApiKey,
    ];

    /// The name used in the journal, in messages and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AskAgain => "ask_again",
            Self::Relaunch => "relaunch",
            Self::Update => "update",
            Self::NewSession => "new_session",
            Self::ClearCache => "clear_cache",
            Self::SignInReset => "sign_in_reset",
            Self::ApiKey => "api_key",
        }
    }

    /// Whether something is changed before claude is started or asked again.
    #[must_use]
    pub fn is_fix(self) -> bool {
        !matches!(self, Self::AskAgain | Self::Relaunch)
    }

    /// What it would change, as a question to someone at the keys; `None` if it changes nothing
    /// that needs their word.
    #[must_use]
    pub fn question(self) -> Option<&'static str> {
        match self {
            Self::Update => Some("run `claude update`?"),
            Self::ClearCache => Some("move Claude's cache aside, behind a verified backup?"),
            Self::SignInReset => {
                Some("move the credentials file aside, so that you can sign in anew?")
            }
            Self::ApiKey => Some("use your API key for this launch (it costs money)?"),
            Self::AskAgain | Self::Relaunch | Self::NewSession => None,
        }
    }
}
