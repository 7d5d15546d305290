//! How Claude is signed in, as far as files and environment tell. Tokens are read to see
//! whether they are there, and never leave this module.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;

use super::environment::{Lookup, is_on};

/// Where Claude keeps its tokens, but on macOS.
const FILE: &str = ".credentials.json";

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
}

impl SignIn {
    /// Whether this is OAuth, for which Claude may be left to retry for hours: with a key it
    /// would retry a wrong one 300 times.
    #[must_use]
    pub fn is_oauth(self) -> bool {
        matches!(self, Self::Kept { .. } | Self::Expired | Self::Token | Self::Keychain)
    }

    /// Whether a refresh token is there, so that a 401 may pass by itself.
    #[must_use]
    pub fn can_refresh(self) -> bool {
        matches!(self, Self::Kept { .. } | Self::Expired | Self::Keychain)
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

/// Reads the sign-in below Claude's configuration directory, with the environment that Claude
/// sees.
#[must_use]
pub fn read(claude_dir: &Path, environment: &impl Lookup, now: Timestamp) -> SignIn {
    if PROVIDERS.iter().any(|name| environment.var(name).is_some_and(|value| is_on(&value))) {
        return SignIn::Provider;
    }
    if key_variable(environment).is_some() {
        return SignIn::ApiKey;
    }
    if environment.var("CLAUDE_CODE_OAUTH_TOKEN").is_some() {
        return SignIn::Token;
    }
    let file = claude_dir.join(FILE);
    match std::fs::read(&file) {
        Ok(bytes) => match from_file(&bytes, now) {
            SignIn::Kept { expires, .. } => SignIn::Kept { expires, since: written(&file) },
            other => other,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if cfg!(target_os = "macos") {
                SignIn::Keychain
            } else {
                SignIn::Missing
            }
        }
        Err(_) => SignIn::Unreadable,
    }
}

/// Tells one sign-in from the next, without its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    modified: SystemTime,
    size: u64,
    expires: Option<i64>,
}

#[cfg(test)]
impl Stamp {
    /// One that differs from all of other numbers.
    pub(crate) fn numbered(number: u64) -> Self {
        Self { modified: SystemTime::UNIX_EPOCH, size: number, expires: None }
    }
}

/// The stamp of the sign-in below Claude's configuration directory, if there is one.
#[must_use]
pub fn stamp(claude_dir: &Path) -> Option<Stamp> {
    let path = claude_dir.join(FILE);
    let meta = std::fs::metadata(&path).ok()?;
    let value: Option<Value> = serde_json::from_slice(&std::fs::read(&path).ok()?).ok();
    let expires = value.and_then(|value| value["claudeAiOauth"]["expiresAt"].as_i64());
    Some(Stamp { modified: meta.modified().ok()?, size: meta.len(), expires })
}

fn written(file: &Path) -> Option<Timestamp> {
    std::fs::metadata(file).ok()?.modified().ok()?.try_into().ok()
}

fn from_file(bytes: &[u8], now: Timestamp) -> SignIn {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return SignIn::Unreadable };
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
mod tests {
    use super::*;

    fn read(file: Option<&str>, environment: &[(&str, &str)]) -> SignIn {
        let dir = tempfile::tempdir().expect("a temporary directory");
        if let Some(text) = file {
            std::fs::write(dir.path().join(".credentials.json"), text).expect("written");
        }
        let variable = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        super::read(dir.path(), &variable, Timestamp::from_second(1_000).expect("in range"))
    }

    fn oauth(access: &str, refresh: &str, expires_ms: i64) -> String {
        serde_json::json!({"claudeAiOauth": {
            "accessToken": access, "refreshToken": refresh, "expiresAt": expires_ms
        }})
        .to_string()
    }

    #[test]
    fn each_state_of_the_file_is_told_apart() {
        let expires = Timestamp::from_second(2_000).expect("in range");
        let kept = read(Some(&oauth("a", "r", 2_000_000)), &[]);
        assert!(
            matches!(kept, SignIn::Kept { expires: at, since: Some(_) } if at == expires),
            "{kept:?}"
        );
        assert_eq!(read(Some(&oauth("a", "r", 500_000)), &[]), SignIn::Expired);
        assert_eq!(read(Some(&oauth("", "", 0)), &[]), SignIn::Emptied);
        assert_eq!(read(Some(&oauth("a", "", 500_000)), &[]), SignIn::Emptied);
        assert_eq!(read(Some(&oauth("a", "", 2_000_000)), &[]), SignIn::Token);
        assert_eq!(read(Some("{}"), &[]), SignIn::Missing);
        assert_eq!(read(Some("not json"), &[]), SignIn::Unreadable);
        assert_eq!(read(None, &[]), SignIn::Missing);
    }

    #[test]
    fn the_environment_outranks_the_file() {
        let file = oauth("a", "r", 2_000_000);
        assert_eq!(read(Some(&file), &[("ANTHROPIC_API_KEY", "k")]), SignIn::ApiKey);
        assert_eq!(read(Some(&file), &[("CLAUDE_CODE_OAUTH_TOKEN", "t")]), SignIn::Token);
        assert_eq!(read(Some(&file), &[("CLAUDE_CODE_USE_BEDROCK", "1")]), SignIn::Provider);
        assert_ne!(read(Some(&file), &[("ANTHROPIC_API_KEY", "")]), SignIn::ApiKey);
        assert_ne!(read(Some(&file), &[("CLAUDE_CODE_USE_BEDROCK", "0")]), SignIn::Provider);
    }
}
