//! The words of what is done: rungs and decisions. Plain data.

use std::time::Duration;

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
}

/// Why a run stops acting, as a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason(pub String);

/// What is done about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Wait this long, then apply the rung.
    Act {
        /// The rung.
        rung: Rung,
        /// The wait before it.
        after: Duration,
    },
    /// Only a person can go on.
    WaitForPerson(Reason),
    /// Claude goes on by itself, or acting could do harm: leave it alone.
    StandAside(Reason),
    /// The horizon ended, or nothing that is allowed is left.
    GiveUp(Reason),
}
