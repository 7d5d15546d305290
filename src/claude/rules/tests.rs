//! The table of every error string collected, old wording and new, and what it means.

use super::*;

use FailureKind::{Api, AuthRefresh, LoginService, Refused, SessionBroken, SignInNeeded, StartUp};

const NET: FailureKind = FailureKind::Network { certificate: false };
const CERT: FailureKind = FailureKind::Network { certificate: true };
const DOUBT: FailureKind = FailureKind::Doubtful { firm: false };
const FIRM: FailureKind = FailureKind::Doubtful { firm: true };
const LIMIT: FailureKind = FailureKind::UsageLimit { resets: None };

fn now() -> ZonedDateTime {
    "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time")
}

fn look<'a>(place: Place, text: &'a str, now: &'a ZonedDateTime) -> Observation<'a> {
    let sign_in = Some(SignIn::Expired);
    Observation { place, text, errors: &[], status: None, sign_in, since: None, version: None, now }
}

/// Row, where, words, class (with an expired token that can be refreshed).
const ROWS: &[(&str, Place, &str, Option<FailureKind>)] = &[
    ("1", Place::Output, "OAuth error: Request failed with status code 500", Some(LoginService)),
    (
        "1",
        Place::Screen,
        "✘ OAuth error: The sign-in service couldn't finish signing you in (HTTP 500). Try again in a moment.",
        Some(LoginService),
    ),
    (
        "2",
        Place::Output,
        "OAuth error: Failed to fetch user roles: Request failed with status code 500",
        Some(LoginService),
    ),
    (
        "2b",
        Place::Output,
        "OAuth error: Failed to fetch user roles: OAuth account information not found in config",
        Some(SignInNeeded),
    ),
    ("3", Place::Output, "OAuth error: timeout of 15000ms exceeded", Some(LoginService)),
    (
        "3",
        Place::Screen,
        "✘ OAuth error: Couldn't get an answer from the sign-in service (timed out). Check that the proxy set in HTTPS_PROXY allows connections to platform.claude.com, then try again.",
        Some(LoginService),
    ),
    ("4", Place::Output, "Login failed: timeout of 15000ms exceeded", Some(LoginService)),
    (
        "4",
        Place::Output,
        "Signing in… Couldn't log in: timeout of 30000ms exceeded",
        Some(LoginService),
    ),
    ("5", Place::Output, "Authorization failed\nInternal server error", Some(LoginService)),
    (
        "6",
        Place::Result,
        r#"API Error: 500 {"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":"req_1"}"#,
        Some(Api),
    ),
    ("7", Place::Output, "OAuth error: Request failed with status code 403", Some(Refused)),
    ("8", Place::Output, "OAuth error: Request failed with status code 400", Some(SignInNeeded)),
    (
        "8",
        Place::Screen,
        "✘ OAuth error: The sign-in service couldn't finish signing you in (HTTP 400). Sign in again, and contact support if it keeps failing.",
        Some(SignInNeeded),
    ),
    (
        "9",
        Place::Output,
        "OAuth error: Invalid code. Please make sure the full code was copied",
        Some(SignInNeeded),
    ),
    ("10", Place::Output, "OAuth error: fetch failed", Some(NET)),
    (
        "11",
        Place::Output,
        "OAuth error: The socket connection was closed unexpectedly. For more information, pass `verbose: true` in the second argument to fetch()",
        Some(NET),
    ),
    (
        "12",
        Place::Output,
        "OAuth error: SSL certificate error (UNABLE_TO_GET_ISSUER_CERT). If you are behind a corporate proxy set NODE_EXTRA_CA_CERTS",
        Some(CERT),
    ),
    (
        "13",
        Place::StartUp,
        "Unable to connect to Anthropic services\nFailed to connect to platform.claude.com: CERT_HAS_EXPIRED",
        Some(CERT),
    ),
    (
        "14",
        Place::Output,
        "Invalid OAuth Request Missing code_challenge parameter",
        Some(SignInNeeded),
    ),
    (
        "15",
        Place::Output,
        "Invalid OAuth request — Missing redirect_uri parameter",
        Some(SignInNeeded),
    ),
    ("16", Place::Output, "Login interrupted", Some(SignInNeeded)),
    (
        "17",
        Place::Output,
        "Authorization failed - Redirect URI http:/localhost:1/callback is not supported by client.",
        Some(SignInNeeded),
    ),
    (
        "18",
        Place::Output,
        "Invalid OAuth Request - Unknown scope: user:mcp_servers",
        Some(SignInNeeded),
    ),
    ("19", Place::Output, "Login successful", None),
    (
        "20",
        Place::Transcript,
        r#"API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"OAuth token has expired. Please obtain a new token or refresh your existing token."},"request_id":"req_1"} · Please run /login"#,
        Some(AuthRefresh),
    ),
    (
        "20",
        Place::Transcript,
        "Please run /login · API Error: 401 OAuth token has expired. Please obtain a new token or refresh your existing token.",
        Some(AuthRefresh),
    ),
    (
        "20",
        Place::Output,
        "Failed to authenticate. API Error: 401 OAuth token has expired. Please obtain a new token",
        Some(AuthRefresh),
    ),
    (
        "21",
        Place::Transcript,
        "Please run /login · API Error: 401 Invalid authentication credentials",
        Some(AuthRefresh),
    ),
    (
        "22",
        Place::Transcript,
        r#"API Error: 401 {"error":{"type":"authentication_error","message":"Invalid authentication credentials"}}"#,
        Some(AuthRefresh),
    ),
    ("23", Place::Transcript, "OAuth token revoked · Please run /login", Some(SignInNeeded)),
    ("24", Place::Transcript, "OAuth token has expired · Please run /login", Some(AuthRefresh)),
    ("25", Place::Transcript, "Login expired · Please run /login", Some(SignInNeeded)),
    (
        "26",
        Place::Result,
        "Failed to authenticate: OAuth session expired and could not be refreshed",
        Some(SignInNeeded),
    ),
    (
        "27",
        Place::Result,
        "Failed to authenticate. API Error: 401 Invalid bearer token",
        Some(AuthRefresh),
    ),
    ("28", Place::Transcript, "Not logged in · Please run /login", Some(SignInNeeded)),
    ("29", Place::Transcript, "Invalid API key · Please run /login", Some(DOUBT)),
    ("29", Place::Transcript, "Invalid API key · Fix external API key", Some(DOUBT)),
    (
        "30",
        Place::Output,
        "Could not resolve authentication method. Expected one of apiKey, authToken, …",
        Some(DOUBT),
    ),
    (
        "31",
        Place::Transcript,
        "Anthropic profile login expired · Re-authenticate your Anthropic profile",
        Some(SignInNeeded),
    ),
    ("32", Place::Transcript, "Invalid grant: refresh token is invalid", Some(SignInNeeded)),
    (
        "33",
        Place::Output,
        "POST https://platform.claude.com/v1/oauth/token → HTTP 400",
        Some(SignInNeeded),
    ),
    ("34", Place::Transcript, "Claude.ai login expired", Some(SignInNeeded)),
    (
        "34",
        Place::Transcript,
        "OAuth token refresh failed — run /login to re-authenticate",
        Some(SignInNeeded),
    ),
    (
        "34",
        Place::Transcript,
        "JWT refresh failed: no OAuth token — run /login",
        Some(SignInNeeded),
    ),
    (
        "35",
        Place::Transcript,
        "OAuth token does not meet scope requirement: user:profile",
        Some(SignInNeeded),
    ),
    ("36", Place::Transcript, "Your apiKeyHelper script is failing · exit 1", Some(DOUBT)),
    (
        "37",
        Place::Result,
        r#"API Error: 500 {"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":null}"#,
        Some(Api),
    ),
    (
        "38",
        Place::Result,
        r#"API Error: 500 {"type":"error","error":{"type":"api_error","message":"Overloaded"},"request_id":null}"#,
        Some(Api),
    ),
    (
        "39",
        Place::Transcript,
        "API Error: 500 Internal server error. This is a server-side issue, usually temporary — try again in a moment. If it persists, check https://status.claude.com.",
        Some(Api),
    ),
    (
        "40",
        Place::Transcript,
        r#"API Error: 529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
        Some(Api),
    ),
    (
        "41",
        Place::Transcript,
        "API Error: 529 Overloaded. This is a server-side issue, usually temporary",
        Some(Api),
    ),
    (
        "42",
        Place::Transcript,
        "API Error: Repeated 529 Overloaded errors. The API is at capacity",
        Some(Api),
    ),
    ("43", Place::Transcript, "API Error: Overloaded", Some(Api)),
    (
        "44",
        Place::Transcript,
        "Opus is experiencing high load, please use /model to switch to Sonnet",
        Some(Api),
    ),
    (
        "45",
        Place::Transcript,
        "API Error (503 no healthy upstream) · Retrying in 5 seconds… (attempt 4/10)",
        None,
    ),
    ("45", Place::Transcript, "API Error: 503 no healthy upstream", Some(Api)),
    (
        "46",
        Place::Transcript,
        "API Error: 503 upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
        Some(Api),
    ),
    ("47", Place::Transcript, "API Error: 504 <!DOCTYPE html>", Some(Api)),
    (
        "48",
        Place::Transcript,
        "API Error: 520 <!DOCTYPE html> api.anthropic.com | 520: Web server is returning an unknown error",
        Some(Api),
    ),
    (
        "49",
        Place::Transcript,
        r#"API Error: 522 {"title":"Error 522: Connection timed out","cloudflare_error":true,"retry_after":120}"#,
        Some(Api),
    ),
    ("50", Place::Transcript, "API Error: 524 <!DOCTYPE html>", Some(Api)),
    (
        "51",
        Place::Transcript,
        "API Error: 401 <html> <head><title>502 Bad Gateway</title></head> cloudflare · Please run /login",
        Some(Api),
    ),
    ("51", Place::Transcript, "Please run /login · API Error: 401 502 Bad Gateway", Some(Api)),
    (
        "52",
        Place::Transcript,
        "API Error: Server is temporarily limiting requests (not your usage limit) · Rate limited",
        Some(Api),
    ),
    (
        "53",
        Place::Transcript,
        "API Error: Request rejected (429) · this may be a temporary capacity issue.",
        Some(Api),
    ),
    (
        "54",
        Place::Transcript,
        "API Error (Request timed out.) · Retrying in 8 seconds… (attempt 5/10)",
        None,
    ),
    (
        "54",
        Place::Transcript,
        "Request timed out. If the API is slow to answer, set API_TIMEOUT_MS above 6000.",
        Some(Api),
    ),
    (
        "55",
        Place::Transcript,
        "API Error: Server error mid-response. The response above may be incomplete.",
        Some(Api),
    ),
    (
        "56",
        Place::Transcript,
        "API Error: Connection lost mid-response. The response above may be incomplete.",
        Some(Api),
    ),
    ("56", Place::Transcript, "API Error: Connection closed mid-response.", Some(Api)),
    ("57", Place::Transcript, "API Error: Your computer went to sleep mid-response.", Some(Api)),
    ("57", Place::Transcript, "Connection lost while your computer was asleep", Some(Api)),
    (
        "58",
        Place::Transcript,
        "API Error: The response stopped arriving. The response above may be incomplete.",
        Some(Api),
    ),
    ("58", Place::Transcript, "Response stalled mid-stream", Some(Api)),
    ("59", Place::Transcript, "Connection lost before a response was produced", Some(Api)),
    (
        "60",
        Place::Transcript,
        "Waiting for API response · will retry in 2m 29s · check your network",
        None,
    ),
    ("61", Place::Transcript, "StreamNoResponse", Some(Api)),
    (
        "62",
        Place::Transcript,
        "Agent terminated early due to an API error: API Error: 500 Internal server error",
        None,
    ),
    (
        "63",
        Place::Transcript,
        "Opus is temporarily unavailable (overloaded), so auto mode cannot determine the safety of Bash right now.",
        None,
    ),
    ("64", Place::Output, "No messages returned", Some(Api)),
    ("65", Place::Transcript, "API Error: Unable to connect to API (ECONNRESET)", Some(NET)),
    (
        "66",
        Place::Transcript,
        "API Error: Connection dropped (ECONNRESET). Check the proxy set in HTTPS_PROXY, then try again.",
        Some(NET),
    ),
    ("67", Place::Transcript, "Unable to connect to API (UND_ERR_SOCKET)", Some(NET)),
    (
        "68",
        Place::Transcript,
        "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)",
        Some(NET),
    ),
    (
        "69",
        Place::Transcript,
        "API Error: Can't reach the API server — check your internet or DNS (EAI_AGAIN)",
        Some(NET),
    ),
    (
        "70",
        Place::Transcript,
        "No internet route — check your connection or VPN (EHOSTUNREACH)",
        Some(NET),
    ),
    (
        "71",
        Place::Transcript,
        "Couldn't connect through your proxy (ERR_PROXY_TUNNEL)",
        Some(FailureKind::Proxy),
    ),
    (
        "71",
        Place::Result,
        "API Error: Unable to connect to API (UnsupportedProxyProtocol)",
        Some(CERT),
    ),
    (
        "72",
        Place::Transcript,
        "Unable to connect to API. Check your internet connection",
        Some(NET),
    ),
    (
        "72",
        Place::Transcript,
        "Request timed out. Check your internet connection and proxy settings",
        Some(NET),
    ),
    ("73", Place::Transcript, "Socket is closed", Some(NET)),
    (
        "74",
        Place::Transcript,
        "API Error (self signed certificate in certificate chain) (SELF_SIGNED_CERT_IN_CHAIN)",
        Some(CERT),
    ),
    (
        "75",
        Place::Transcript,
        "API Error: Unable to connect to API: Self-signed certificate detected. Check your proxy or corporate SSL certificates",
        Some(CERT),
    ),
    (
        "76",
        Place::Transcript,
        "Unable to connect to API: SSL certificate verification failed.",
        Some(CERT),
    ),
    (
        "77",
        Place::StartUp,
        "Unable to connect to Anthropic services Failed to connect to api.anthropic.com: ECONNREFUSED",
        Some(NET),
    ),
    (
        "77",
        Place::StartUp,
        "Unable to connect to Anthropic services Failed to connect to api.anthropic.com: SELF_SIGNED_CERT_IN_CHAIN",
        Some(CERT),
    ),
    (
        "77",
        Place::StartUp,
        "Unable to connect to Anthropic services Failed to connect to api.anthropic.com: Status 500",
        Some(StartUp),
    ),
    (
        "78",
        Place::Transcript,
        "API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy or gateway intercepting the request.",
        Some(NET),
    ),
    ("79", Place::Output, "OAuth error: getaddrinfo ENOTFOUND platform.claude.com", Some(NET)),
    ("80", Place::Output, "Claude AI usage limit reached|", Some(LIMIT)),
    ("81", Place::Output, "Claude usage limit reached. Your limit will reset soon", Some(LIMIT)),
    ("82", Place::Output, "5-hour limit reached ∙ resets", Some(LIMIT)),
    ("83", Place::Transcript, "You've hit your limit", Some(LIMIT)),
    ("84", Place::Transcript, "You've hit your session limit", Some(LIMIT)),
    ("85", Place::Transcript, "You've hit your weekly limit", Some(LIMIT)),
    ("86", Place::Transcript, "You've hit your Opus limit", Some(LIMIT)),
    ("86", Place::Transcript, "You've reached your Fable 5 limit", Some(LIMIT)),
    ("87", Place::Transcript, "You're out of extra usage", Some(LIMIT)),
    (
        "88",
        Place::Screen,
        "What do you want to do? 1. Stop and wait for limit to reset 2. Upgrade your plan",
        Some(LIMIT),
    ),
    ("89", Place::Transcript, "You've used 98% of your session limit · resets 8:40pm", None),
    (
        "90",
        Place::Transcript,
        "Usage credits required for 1M context · run /usage-credits",
        Some(Refused),
    ),
    (
        "91",
        Place::Transcript,
        "spend limit reached (daily; resets 2026-08-09 00:00 UTC)",
        Some(Refused),
    ),
    ("92", Place::Transcript, "Credit balance is too low", Some(Refused)),
    (
        "92",
        Place::Transcript,
        "Credit balance too low · Add funds: https://platform.claude.com/settings/billing",
        Some(Refused),
    ),
    (
        "93",
        Place::Transcript,
        "the prompt to confirm went unanswered — nothing was sent",
        Some(Refused),
    ),
    (
        "94",
        Place::Transcript,
        "Your organization has disabled Claude subscription access for Claude Code · Use an Anthropic API key instead",
        Some(Refused),
    ),
    (
        "94",
        Place::Transcript,
        "Claude Code can't use your Claude subscription, usually because a payment is past due",
        Some(Refused),
    ),
    ("95", Place::Transcript, "API Error: 400 This organization has been disabled.", Some(Refused)),
    (
        "95",
        Place::Transcript,
        "Your ANTHROPIC_API_KEY belongs to a disabled organization · Unset the environment variable",
        Some(Refused),
    ),
    (
        "96",
        Place::Transcript,
        "Your organization has disabled API key authentication",
        Some(Refused),
    ),
    ("97", Place::Transcript, "Please run /login · API Error: 403 Request not allowed", Some(FIRM)),
    (
        "98",
        Place::Transcript,
        "API Error: 400 messages.2: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
        Some(SessionBroken),
    ),
    (
        "98",
        Place::Transcript,
        "API Error: 400 due to tool use concurrency issues. Run /rewind to recover the conversation.",
        Some(SessionBroken),
    ),
    ("99", Place::Transcript, "Prompt is too long", Some(SessionBroken)),
    (
        "99",
        Place::Transcript,
        "Context limit reached · /compact or /clear to continue",
        Some(SessionBroken),
    ),
    ("99", Place::Transcript, "Request too large (max 32MB).", Some(SessionBroken)),
    (
        "100",
        Place::Transcript,
        "There's an issue with the selected model (claude-opus-5).",
        Some(FIRM),
    ),
    (
        "100",
        Place::Transcript,
        "Claude Opus is not available with the Claude Pro plan",
        Some(Refused),
    ),
    ("101", Place::Transcript, "Opus 5's safeguards flagged this message", Some(SessionBroken)),
    ("102", Place::Transcript, "Invalid auth token · Fix external auth token", Some(DOUBT)),
    ("102", Place::Transcript, "Invalid ANTHROPIC_CUSTOM_HEADERS · line 1", Some(Refused)),
    (
        "103",
        Place::StartUp,
        "No conversation found with session ID: aaaaaaaa-0000-4000-8000-00000000000a",
        Some(SessionBroken),
    ),
    ("104", Place::StartUp, "Failed to resume the conversation.", Some(SessionBroken)),
    ("104", Place::StartUp, "Failed to resume session aaaaaaaa", Some(SessionBroken)),
    (
        "105",
        Place::Transcript,
        "Transcript writes are failing (disk full — ENOSPC) · recent messages may not be saved for resume",
        None,
    ),
    (
        "106",
        Place::Transcript,
        "Transcript saving is off — inherited CLAUDE_CODE_CHILD_SESSION marker",
        None,
    ),
    ("article", Place::Output, "OAuth error 500: Internal Server Error", Some(LoginService)),
    ("article", Place::Output, "Authentication failed: 500", Some(LoginService)),
    ("article", Place::Output, "Login timed out", Some(LoginService)),
    ("article", Place::Output, "Failed to exchange auth code", Some(LoginService)),
    ("start", Place::StartUp, "error: unknown option '--no-such-flag'", Some(Refused)),
    (
        "start",
        Place::StartUp,
        "The current directory no longer exists (it was deleted or moved).",
        Some(Refused),
    ),
];

#[test]
fn every_error_string_users_saw_has_its_class() {
    let (rules, now) = (Rules::new(&[]).0, now());
    let mut wrong = Vec::new();
    for (row, place, text, wanted) in ROWS {
        let found = rules.classify(&look(*place, text, &now));
        if found.as_ref().map(|found| found.kind) != *wanted {
            wrong.push(format!("row {row}: {text}\n   wanted {wanted:?}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for row in 1..=106 {
        let row = row.to_string();
        assert!(ROWS.iter().any(|(name, ..)| *name == row), "row {row} is not in the table");
    }
}

#[test]
fn every_rule_has_an_id_of_its_own_and_names_its_source() {
    let rules = Rules::new(&[]).0;
    for rule in rules.list() {
        assert!(!rule.source.is_empty(), "{}", rule.id);
    }
    let mut ids: Vec<&str> = rules.list().iter().map(|rule| rule.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rules.list().len(), "ids are unique");
}

#[test]
fn a_401_is_an_outage_only_while_a_refresh_token_is_there() {
    let (rules, now) = (Rules::new(&[]).0, now());
    let expires = now.timestamp();
    let text = "Please run /login · API Error: 401 OAuth token has expired.";
    for (sign_in, wanted) in [
        (Some(SignIn::Expired), AuthRefresh),
        (Some(SignIn::Kept { expires, since: None }), AuthRefresh),
        (Some(SignIn::Keychain), AuthRefresh),
        (Some(SignIn::Emptied), SignInNeeded),
        (Some(SignIn::Missing), SignInNeeded),
        (Some(SignIn::Unreadable), SignInNeeded),
        (Some(SignIn::Token), DOUBT),
        (Some(SignIn::ApiKey), DOUBT),
        (Some(SignIn::Helper), DOUBT),
        (Some(SignIn::Provider), DOUBT),
        (None, SignInNeeded),
    ] {
        for place in [Place::Result, Place::Transcript, Place::Hook, Place::Output] {
            let seen = Observation { sign_in, status: Some(401), ..look(place, text, &now) };
            let found = rules.classify(&seen).expect("a 401 is known");
            assert_eq!((found.kind, found.status), (wanted, Some(401)), "{sign_in:?}");
        }
    }
    // dead by its words, unless another process has signed in again meanwhile
    let dead = |sign_in| {
        let seen = Observation {
            sign_in: Some(sign_in),
            ..look(Place::Transcript, "Login expired · Please run /login", &now)
        };
        rules.classify(&seen).map(|found| found.kind)
    };
    assert_eq!(dead(SignIn::Emptied), Some(SignInNeeded));
    assert_eq!(dead(SignIn::Keychain), Some(SignInNeeded));
    assert_eq!(dead(SignIn::Kept { expires, since: None }), Some(AuthRefresh));
}

#[test]
fn a_token_handed_out_since_the_turn_began_is_not_what_a_401_refuses() {
    let (rules, now) = (Rules::new(&[]).0, now());
    let at = |seconds: i64| Timestamp::from_second(seconds).expect("in range");
    let expires = now.timestamp();
    for text in [
        "Failed to authenticate. API Error: 401 OAuth token has expired.",
        "Failed to authenticate. API Error: 401 Sign in - Corp SSO",
        "Not logged in · Please run /login",
    ] {
        for (renewed, wanted) in [(101, Api), (100, Api), (99, AuthRefresh)] {
            let seen = Observation {
                sign_in: Some(SignIn::Kept { expires, since: Some(at(renewed)) }),
                since: Some(at(100)),
                status: Some(401),
                ..look(Place::Transcript, text, &now)
            };
            let found = rules.classify(&seen).map(|found| found.kind);
            assert_eq!(found, Some(wanted), "{text} {renewed}");
        }
    }
}

/// What Claude Code 2.1.330 says about what stands between it and the API, measured.
#[test]
fn what_stands_on_the_way_is_told_from_what_the_api_refuses() {
    let (rules, now) = (Rules::new(&[]).0, now());
    for (status, text, wanted) in [
        (Some(403), "Failed to authenticate. API Error: 403 Forbidden", NET),
        (Some(403), "Failed to authenticate. API Error: 403 403 Forbidden", NET),
        (Some(403), "Failed to authenticate. API Error: 403 Just a moment...", NET),
        (Some(403), "Failed to authenticate. API Error: 403 status code (no body)", NET),
        (Some(403), "Failed to authenticate. API Error: 403 Access denied: VPN reconnecting", NET),
        (None, "API Error: 403 <!DOCTYPE html><html><head>", NET),
        (Some(403), "Failed to authenticate. API Error: 403 Request not allowed", FIRM),
        (Some(403), "API Error: 403 Your account does not have access to Claude", FIRM),
        (Some(403), "API Error: 403 Try later", DOUBT),
        (Some(403), "API Error: 403 OAuth token revoked", SignInNeeded),
        (Some(404), "There's an issue with the selected model (m). It may not exist", FIRM),
        (Some(404), "API Error: 404 Not Found", FIRM),
        (Some(405), "API Error: 405 Not Allowed", DOUBT),
        (Some(410), "API Error: 410 Gone", DOUBT),
        (Some(451), "API Error: 451 Unavailable For Legal Reasons", DOUBT),
        (Some(400), "API Error: 400 Bad Request", Refused),
        (Some(408), "API Error: 408 Request timed out", Api),
        (Some(421), "API Error: 421 Misdirected Request", Api),
        (Some(425), "API Error: 425 Too Early", Api),
        (Some(511), "API Error: 511 Network Authentication Required", Api),
        (Some(520), "API Error: 520 Web server is returning an unknown error", Api),
        (None, "API Error: JSON Parse error: Unterminated string", Api),
        (None, "API Error: Unable to connect to API (EPROTO)", NET),
        (None, "API Error: No internet route — check your connection (ENETUNREACH)", NET),
        (None, "API Error: Unable to connect to API: SSL certificate hostname mismatch", CERT),
    ] {
        let seen = Observation { status, ..look(Place::Transcript, text, &now) };
        assert_eq!(rules.classify(&seen).map(|found| found.kind), Some(wanted), "{text}");
    }
    let helper = Observation {
        sign_in: Some(SignIn::Helper),
        ..look(Place::Transcript, "API Error: 403 Request not allowed", &now)
    };
    assert_eq!(rules.classify(&helper).map(|found| found.kind), Some(DOUBT));
}

#[test]
fn claudes_own_classes_decide_where_the_words_are_unknown() {
    let (rules, now) = (Rules::new(&[]).0, now());
    for (errors, status, wanted) in [
        (&["server_error"][..], None, Some(Api)),
        (&["server_error"], Some(503), Some(Api)),
        (&["rate_limit"], Some(429), Some(Api)),
        (&["authentication_failed"], Some(401), Some(AuthRefresh)),
        (&["authentication_failed"], None, Some(SignInNeeded)),
        (&["billing_error"], Some(400), Some(Refused)),
        (&["oauth_org_not_allowed"], Some(403), Some(Refused)),
        (&["model_not_found"], Some(404), Some(FIRM)),
        (&["invalid_request"], None, Some(SessionBroken)),
        (&["unknown"], Some(400), Some(Refused)),
        (&["unknown"], Some(500), Some(Api)),
        (&["usage_limit_reached", "rate_limit_error"], Some(429), Some(LIMIT)),
        (&["unknown"], Some(407), Some(CERT)),
        (&["unknown"], None, None),
        (&[], None, None),
    ] {
        let seen = Observation { errors, status, ..look(Place::Result, "some new words", &now) };
        let found = rules.classify(&seen).map(|found| found.kind);
        assert_eq!(found, wanted, "{errors:?} {status:?}");
    }
}

#[test]
fn a_usage_limit_carries_its_reset_time_whatever_the_wrapping() {
    let (rules, now) = (Rules::new(&[]).0, now());
    let text = "You've hit your weekly limit · resets Nov\n   27, 8:52pm (UTC)";
    let found = rules.classify(&look(Place::Transcript, text, &now)).expect("a limit");
    let resets = "2026-11-27T20:53:00Z".parse().ok();
    assert_eq!(found.kind, FailureKind::UsageLimit { resets });
}

#[test]
fn a_rule_does_not_hold_outside_of_its_versions() {
    let now = now();
    let user: toml::Table =
        "id = 'mine'\nerror = ['x']\nclass = 'api'\nversions = '>=2.1.300, <2.2'"
            .parse()
            .expect("toml");
    let (rules, wrong) = Rules::new(&[user]);
    assert_eq!(wrong, []);
    for (version, wanted) in [
        (Some("2.1.299"), None),
        (Some("2.1.330"), Some(Api)),
        (Some("2.2.0"), None),
        (None, Some(Api)),
    ] {
        let version = version.and_then(|version| version.parse().ok());
        let seen = Observation { version, errors: &["x"], ..look(Place::Hook, "", &now) };
        assert_eq!(rules.classify(&seen).map(|found| found.kind), wanted, "{version:?}");
    }
}

#[test]
fn a_users_rule_is_tried_first_and_a_wrong_one_is_named_with_its_cure() {
    let table = |text: &str| text.parse::<toml::Table>().expect("toml");
    let (rules, wrong) = Rules::new(&[
        table("id = 'gateway'\npattern = 'our gateway naps'\nclass = 'api'"),
        table("id = 'a'\npattern = '('\nclass = 'api'"),
        table("id = 'b'\npattern = 'x'\nclass = 'apo'"),
        table("id = 'c'\npattern = 'x'\nclass = 'api'\nwhere = ['scren']"),
        table("id = 'd'\nclass = 'api'"),
        table("id = 'e'\npattern = 'x*'\nclass = 'api'"),
        table("id = 'f'\npattern = 'x'\nclass = 'api'\nstatus = [42]"),
        table("id = 'g'\npattern = 'x'\nclass = 'api'\nversions = '2.1'"),
        table("pattern = 'x'\nclass = 'api'"),
        table("id = 'h'\npatern = 'x'\nclass = 'api'"),
    ]);
    for ((_, message), (id, field)) in wrong.iter().zip([
        ("rule `a`: ", "`pattern`"),
        ("rule `b`: ", "`class`: `apo` is none of none, api"),
        ("rule `c`: ", "`where`: `scren` is none of said"),
        ("rule `d`: ", "needs `pattern`"),
        ("rule `e`: ", "matches the empty text"),
        ("rule `f`: ", "`status`: 42"),
        ("rule `g`: ", "`versions`: `2.1` is not like"),
        ("rule 9: ", "missing field `id`"),
        ("rule `h`: ", "unknown field `patern`"),
    ]) {
        assert!(message.starts_with(id) && message.contains(field), "{message}");
    }
    assert!(wrong.iter().map(|(index, _)| *index).eq(1..10));
    let now = now();
    let seen = look(Place::Result, "API Error: 403 our gateway naps", &now);
    let found = rules.classify(&seen).expect("the user's rule");
    assert_eq!((found.kind, found.evidence.rule.as_str()), (Api, "user:gateway"));
}

#[test]
fn large_patterns_of_the_users_stop_no_run() {
    let table = |number: usize| {
        let text = format!("id = 'r{number}'\npattern = 'x\\w{{40}}'\nclass = 'api'");
        text.parse::<toml::Table>().expect("toml")
    };
    let (rules, wrong) = Rules::new(&(0..6).map(table).collect::<Vec<_>>());
    assert_eq!(wrong, []);
    assert_eq!(rules.classify(&look(Place::Result, "unheard of", &now())), None);
}

#[test]
fn an_excerpt_holds_no_secret_no_address_and_no_body() {
    let text = "API Error: 401 key sk-ant-oat01-Ab_9-x Authorization: Bearer abc.def someone@example.org \
        token=hunter2 eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9eyJzdWIiOiIxIn0 {\"messages\":[\"my\nprompt\"";
    let short = excerpt(text);
    for secret in ["Ab_9", "abc.def", "example", "hunter2", "eyJ", "prompt", "messages"] {
        assert!(!short.contains(secret), "{short}");
    }
    assert!(short.starts_with("API Error: 401 key [redacted]"), "{short}");
    let long = excerpt(&"é ".repeat(300));
    assert_eq!((long.chars().count(), long.ends_with('…')), (200, true));
}
