//! How Claude is signed in, as far as the environment, the Keychain of macOS and the credentials
//! file tell, in the order in which Claude asks them; and a stamp, by which a later look knows
//! whether someone has signed in since. Tokens are read to see whether they are there, and never
//! leave this module.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::environment::{Lookup, is_on};
use super::keychain::{Item, Keychain};

/// An access token is good for this long, and every refresh writes it anew.
const TOKEN_LIFE: Duration = Duration::from_secs(8 * 3600);
/// An item written this long after a failure was not written by the failure itself.
const NOT_BY_FAILURE: SignedDuration = SignedDuration::from_secs(5);

/// How Claude is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// OAuth, with a refresh token; the access token is good until then.
    Kept {
        /// When the access token expires.
        expires: Timestamp,
        /// When it was written down, which is when the sign-in service handed it out.
        since: Option<Timestamp>,
    },
    /// OAuth, with a refresh token; the access token has expired by the clock.
    Expired,
    /// Claude emptied the tokens: the sign-in is dead.
    Emptied,
    /// There are no credentials where they could be seen.
    Missing,
    /// The file cannot be read or is not what Claude writes.
    Unreadable,
    /// `CLAUDE_CODE_OAUTH_TOKEN`: OAuth without a refresh token.
    Token,
    /// An API key or token from the environment, which outranks a subscription.
    ApiKey,
    /// A program that the settings name hands out the key (`apiKeyHelper`).
    Helper,
    /// Bedrock, Vertex, Foundry or a gateway.
    Provider,
    /// macOS keeps them in the Keychain, which is not looked into.
    Keychain,
    /// They are in a Keychain that is locked, so that Claude cannot read them either.
    Locked,
}

impl SignIn {
    /// Whether this is OAuth, for which Claude may be left to retry for hours: with a key it
    /// would retry a wrong one 300 times.
    #[must_use]
    pub fn is_oauth(self) -> bool {
        matches!(
            self,
            Self::Kept { .. } | Self::Expired | Self::Token | Self::Keychain | Self::Locked
        )
    }

    /// Whether a refresh token is there, so that a 401 may pass by itself.
    #[must_use]
    pub fn can_refresh(self) -> bool {
        matches!(self, Self::Kept { .. } | Self::Expired | Self::Keychain)
    }

    /// Whether claude could go on with it, as far as can be seen.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self.can_refresh()
            || matches!(self, Self::Token | Self::ApiKey | Self::Helper | Self::Provider)
    }
}

/// The switches by which another company serves the answers.
pub const PROVIDERS: [&str; 6] = [
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
    "CLAUDE_CODE_USE_FOUNDRY",
];

/// The variable with a key that Claude would use instead of a subscription.
pub fn key_variable(environment: &impl Lookup) -> Option<&'static str> {
    let keys = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"];
    keys.into_iter().find(|name| environment.var(name).is_some())
}

/// What the stored sign-in was when it was looked at. Another stamp says that something was
/// written, not that it is good: Claude empties a dead sign-in where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stamp {
    /// Nothing is stored, or nothing that could be seen.
    #[default]
    Nothing,
    /// A credentials file.
    File {
        /// When it was last written.
        modified: Option<SystemTime>,
        /// How long it is (bytes).
        size: u64,
        /// When its access token expires (milliseconds since 1970).
        expires_ms: Option<i64>,
    },
    /// An item in the Keychain, last written then.
    Item(Timestamp),
    /// It could not be looked at.
    Unseen,
}

impl Stamp {
    /// Whether something else is stored now than `since`; no answer is no news.
    #[must_use]
    pub fn is_news(self, since: Self) -> bool {
        self != Self::Unseen && self != since
    }
}

/// One look at the sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// How Claude is signed in.
    pub sign_in: SignIn,
    /// What is stored.
    pub stamp: Stamp,
    at: Timestamp,
}

impl Look {
    /// The same where a helper program hands out the key, which outranks what is stored.
    #[must_use]
    pub fn by_helper(self) -> Self {
        Self { sign_in: SignIn::Helper, stamp: Stamp::Nothing, ..self }
    }

    /// Whether the next Claude to start will refresh the access token: one at a time should.
    #[must_use]
    pub fn awaits_refresh(&self) -> bool {
        match (self.sign_in, self.stamp) {
            (SignIn::Expired, _) => true,
            // How long its token is good for is not seen, but for how long they are.
            (SignIn::Keychain, Stamp::Item(written)) => {
                Duration::try_from(self.at.duration_since(written))
                    .is_ok_and(|age| age >= TOKEN_LIFE)
            }
            _ => false,
        }
    }

    /// How Claude is signed in by now, for the judgement of a failure at that time: an item that
    /// was written well after it holds a new access token.
    #[must_use]
    pub fn since(&self, failure: Option<Timestamp>) -> SignIn {
        match (self.sign_in, self.stamp, failure) {
            (SignIn::Keychain, Stamp::Item(written), Some(failure))
                if written.duration_since(failure) >= NOT_BY_FAILURE =>
            {
                let expires = written.saturating_add(TOKEN_LIFE).unwrap_or(written);
                SignIn::Kept { expires, since: Some(written) }
            }
            (sign_in, ..) => sign_in,
        }
    }
}

/// What a person is told who must sign in.
pub const SIGN_IN_AGAIN: &str = "sign in again: run `claude` and use /login";

#[cfg(test)]
impl Stamp {
    /// One that differs from all of other numbers.
    pub(crate) fn numbered(number: u64) -> Self {
        Self::File { modified: None, size: number, expires_ms: None }
    }
}

/// What a person is told when only they can help. Over SSH a Keychain is locked until its
/// password was given, and a sign-in there "succeeds" without being stored.
#[must_use]
pub fn advice(sign_in: SignIn, environment: &impl Lookup) -> &'static str {
    match sign_in {
        SignIn::Locked => "the keychain is locked: run `security unlock-keychain`, then go on",
        SignIn::Keychain if is_remote(environment) => {
            "over SSH the keychain may be locked: run `security unlock-keychain`; if that does \
             not help, sign in again: run `claude` and use /login"
        }
        _ => SIGN_IN_AGAIN,
    }
}

/// Whether this is a session over SSH.
pub fn is_remote(environment: &impl Lookup) -> bool {
    ["SSH_CONNECTION", "SSH_TTY"].iter().any(|name| environment.var(name).is_some())
}

/// Where Claude keeps a sign-in: the Keychain where there is one, and a file below its
/// configuration directory.
#[derive(Debug)]
pub struct Store {
    claude_dir: PathBuf,
    keychain: Option<Keychain>,
}

impl Store {
    /// The one of this configuration directory.
    #[must_use]
    pub fn new(claude_dir: &Path, keychain: Option<Keychain>) -> Self {
        Self { claude_dir: claude_dir.to_owned(), keychain }
    }

    /// Looks at the sign-in, with the environment that Claude sees.
    pub fn look(&self, environment: &impl Lookup, at: Timestamp) -> Look {
        let given = if PROVIDERS
            .iter()
            .any(|name| environment.var(name).is_some_and(|value| is_on(&value)))
        {
            Some(SignIn::Provider)
        } else if key_variable(environment).is_some() {
            Some(SignIn::ApiKey)
        } else {
            environment.var("CLAUDE_CODE_OAUTH_TOKEN").map(|_| SignIn::Token)
        };
        let (sign_in, stamp) = match given {
            Some(sign_in) => (sign_in, Stamp::Nothing),
            None => self.stored(environment, at),
        };
        Look { sign_in, stamp, at }
    }

    /// What is stored: the file counts only where the Keychain has no item, as for Claude.
    fn stored(&self, environment: &impl Lookup, at: Timestamp) -> (SignIn, Stamp) {
        match self.keychain.as_ref().map(|all| all.look(&self.claude_dir, environment)) {
            Some(Item::Written(written)) => (SignIn::Keychain, Stamp::Item(written)),
            Some(Item::Locked) => (SignIn::Locked, Stamp::Nothing),
            Some(Item::Untold) => (SignIn::Keychain, Stamp::Unseen),
            Some(Item::Absent) | None => self.in_file(at),
        }
    }

    fn in_file(&self, now: Timestamp) -> (SignIn, Stamp) {
        let path = self.claude_dir.join(".credentials.json");
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return (SignIn::Missing, Stamp::Nothing);
            }
            Err(_) => return (SignIn::Unreadable, Stamp::Unseen),
        };
        let value = serde_json::from_slice::<Value>(&bytes).ok();
        let modified = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        let stamp = Stamp::File {
            modified,
            size: bytes.len() as u64,
            expires_ms: value.as_ref().and_then(|all| all["claudeAiOauth"]["expiresAt"].as_i64()),
        };
        let sign_in = match value.map_or(SignIn::Unreadable, |value| from_file(&value, now)) {
            SignIn::Kept { expires, .. } => {
                SignIn::Kept { expires, since: modified.and_then(|at| at.try_into().ok()) }
            }
            other => other,
        };
        (sign_in, stamp)
    }
}

fn from_file(value: &Value, now: Timestamp) -> SignIn {
    let Some(oauth) = value.get("claudeAiOauth") else { return SignIn::Missing };
    let filled = |key: &str| oauth[key].as_str().is_some_and(|token| !token.is_empty());
    let expires = oauth["expiresAt"].as_i64().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match (expires.filter(|expires| *expires > now), filled("refreshToken")) {
        (Some(expires), true) => SignIn::Kept { expires, since: None },
        (None, true) => SignIn::Expired,
        // A file written for a long-lived token has an access token alone; so has one that
        // versions around 2.1.175 emptied, but its token has expired.
        (_, false) if filled("accessToken") && expires.is_none_or(|expires| expires > now) => {
            SignIn::Token
        }
        (_, false) => SignIn::Emptied,
    }
}

#[cfg(test)]
mod tests;
