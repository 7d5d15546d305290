//! Tokens as the sign-in service keeps them: access tokens expire, refresh tokens rotate and
//! work once.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::http::Reply;

/// What an access token holds when the sandbox means it to be expired.
pub(crate) const EXPIRED_MARK: &str = "-expired-";

/// Every access token is good for this long, in seconds.
const LIFETIME_SECONDS: u32 = 28_800;

/// The tokens the service knows about.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    issued: u32,
    spent: HashSet<String>,
    /// Tokens issued from this number on are accepted; others are expired. 0 accepts any.
    good_from: u32,
    /// Whether tokens marked as expired are accepted all the same.
    pub(super) lenient: bool,
}

impl Tokens {
    /// From now on every access token handed out so far is expired.
    pub(super) fn expire_all(&mut self) {
        self.good_from = self.issued + 1;
    }

    /// Whether the API accepts this access token.
    pub(super) fn accepts(&self, token: &str) -> bool {
        if self.lenient {
            return true;
        }
        let number = token.rsplit_once("-issued-").and_then(|(_, number)| number.parse().ok());
        number.unwrap_or(0_u32) >= self.good_from && !token.contains(EXPIRED_MARK)
    }

    /// The token endpoint: exchanges a refresh token or an authorization code.
    pub(super) fn exchange(&mut self, body: &Value) -> Reply {
        let credential = match body["grant_type"].as_str() {
            Some("refresh_token") => body["refresh_token"].as_str(),
            Some("authorization_code") => body["code"].as_str(),
            _ => None,
        };
        let Some(credential) = credential else {
            return refuse("invalid_request", "Invalid request format");
        };
        if credential.is_empty() || !self.spent.insert(credential.to_owned()) {
            return refuse("invalid_grant", "Refresh token not found or invalid");
        }
        self.issued += 1;
        let number = self.issued;
        Reply::json(
            200,
            &json!({
                "token_type": "Bearer",
                "access_token": format!("sk-ant-oat01-fake-issued-{number}"),
                "expires_in": LIFETIME_SECONDS,
                "refresh_token": format!("sk-ant-ort01-fake-issued-{number}"),
                "scope": "user:inference user:profile user:sessions:claude_code",
                "organization": { "uuid": ORGANIZATION, "name": "Fake organization" },
                "account": { "uuid": ACCOUNT, "email_address": EMAIL },
            }),
        )
    }
}

fn refuse(error: &str, description: &str) -> Reply {
    Reply::json(400, &json!({ "error": error, "error_description": description }))
}

/// The one account there is.
pub(crate) const ACCOUNT: &str = "00000000-0000-4000-8000-00000000000a";
/// Its organization.
pub(crate) const ORGANIZATION: &str = "00000000-0000-4000-8000-00000000000b";
/// Its address.
pub(crate) const EMAIL: &str = "person@example.com";

/// `/api/oauth/profile`.
pub(super) fn profile() -> Value {
    json!({
        "account": {
            "uuid": ACCOUNT, "full_name": "Fake Person", "display_name": "Fake",
            "email": EMAIL, "has_claude_max": true, "has_claude_pro": false,
        },
        "organization": {
            "uuid": ORGANIZATION, "name": "Fake organization",
            "organization_type": "claude_max", "rate_limit_tier": "default_claude_max_5x",
        },
    })
}

/// `/api/oauth/claude_cli/roles`.
pub(super) fn roles() -> Value {
    json!({
        "organization_uuid": ORGANIZATION, "organization_name": "Fake organization",
        "organization_role": "admin", "workspace_role": null,
    })
}
