//! Which values of Claude's JSON files are secrets. Pure: names and texts in, a judgement out.
//! In doubt a value counts as secret: a masked harmless value is kept by restore's merging,
//! a leaked one cannot be called back.

use std::sync::LazyLock;

use regex::Regex;

/// What stands in a snapshot in place of a secret.
pub const MASK: &str = "[masked by claude-safe]";

/// How the values below a key are to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// Masked only if the text itself looks like a key or token.
    ByContent,
    /// Masked unless it is a switch or a short number (`env`, where most are settings).
    UnlessHarmless,
    /// Masked whole, whatever it is.
    Masked,
}

/// Judges a member by its key and the key of the object that holds it.
#[must_use]
pub fn treatment(parent: Option<&str>, key: &str) -> Treatment {
    if is_secret_name(key) {
        return Treatment::Masked;
    }
    match parent.map(str::to_lowercase).as_deref() {
        Some("env") => Treatment::UnlessHarmless,
        Some("headers" | "httpheaders") => Treatment::Masked,
        _ => Treatment::ByContent,
    }
}

/// Whether a key's name announces a secret: `primaryApiKey`, `refresh_token`, `MY_SECRET` …
#[must_use]
pub fn is_secret_name(key: &str) -> bool {
    const WHOLE: &[&str] = &[
        "authorization",
        "claudeaioauth",
        "cookie",
        "credential",
        "credentials",
        "customapikeyresponses",
        "mcpoauth",
        "mcpoauthclientconfig",
        "pass",
        "passphrase",
        "pat",
        "pwd",
    ];
    const ENDS: &[&str] = &[
        "accesskey",
        "accesskeyid",
        "apikey",
        "authkey",
        "encryptionkey",
        "passwd",
        "password",
        "privatekey",
        "secret",
        "secretkey",
        "signingkey",
        "token",
    ];
    let name: String =
        key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    WHOLE.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end))
}

/// Whether a text holds something with the shape of a key or token.
#[must_use]
pub fn looks_secret(text: &str) -> bool {
    static SHAPES: LazyLock<Regex> = LazyLock::new(|| {
        let shapes = [
            r"\bsk-[A-Za-z0-9_-]{16}",
            r"\bgh[opsur]_[A-Za-z0-9]{16}",
            r"\bgithub_pat_[A-Za-z0-9]",
            r"\bglpat-[A-Za-z0-9_-]{10}",
            r"\bxox[abeoprs]-[A-Za-z0-9-]{10}",
            r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
            r"\bAIza[A-Za-z0-9_-]{30}",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
            r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8}",
            r"(?i)[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@",
            r"(?i)[?&](api_?key|key|access_token|token|secret|sig)=[^&\s]{6}",
            r"(?i)--?(api[-_]?key|auth[-_]?token|token|password|secret)[ =]\S",
            r"(?i)\b[a-z_]*(api_?key|token|secret|passw(or)?d)=\S",
            r"-----BEGIN [A-Z ]*PRIVATE KEY",
        ];
        Regex::new(&shapes.join("|")).expect("the shapes are fixed patterns")
    });
    SHAPES.is_match(text)
}

/// Whether an element of an argument list announces that the next one is a secret.
#[must_use]
pub fn announces_secret(argument: &str) -> bool {
    argument.strip_prefix('-').is_some_and(is_secret_name)
        || ["-h", "--header", "-H"].contains(&argument)
}

/// Whether a value can be shown: a switch or a number too short to be a code.
#[must_use]
pub fn is_harmless(text: &str) -> bool {
    matches!(text, "" | "true" | "false" | "null" | "on" | "off" | "yes" | "no")
        || text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_of_secrets_are_known() {
        for name in ["primaryApiKey", "refresh_token", "GITHUB_TOKEN", "clientSecret", "password"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["apiKeyHelper", "maxOutputTokens", "model", "keybindings", "numStartups"] {
            assert!(!is_secret_name(name), "{name}");
        }
        for text in [
            "sk-ant-api03-abcdefghijklmnop",
            "Authorization: Bearer abcdefgh12",
            "curl -H x?token=abcdef",
            "postgres://me:pw@db/x",
            "--api-key=x",
            "eyJhbGciOiJI.eyJzdWIiOiIx",
            "MY_TOKEN=x run",
        ] {
            assert!(looks_secret(text), "{text}");
        }
        for text in ["npx -y server", "https://example.com/mcp", "claude-sonnet-4-5", "Bash(git:*)"]
        {
            assert!(!looks_secret(text), "{text}");
        }
    }
}
