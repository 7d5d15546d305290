//! The table of every error string collected, old wording and new, and what it means.

use super::*;

use FailureKind::{Api, AuthRefresh, LoginService, Refused, SessionBroken, SignInNeeded, StartUp};

const NET: FailureKind = FailureKind::Network { certificate: false };
const CERT: FailureKind = FailureKind::Network { certificate: true };
const DOUBT: FailureKind = FailureKind::Doubtful { firm: false };
const FIRM: FailureKind = FailureKind::Doubtful { firm: true };
const LIMIT: FailureKind = FailureKind::UsageLimit { resets: None };

mod rows;

use rows::ROWS;

fn now() -> ZonedDateTime {
    "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time")
}

fn look<'a>(place: Place, text: &'a str, now: &'a ZonedDateTime) -> Observation<'a> {
    let sign_in = Some(SignIn::Expired);
    Observation { place, text, errors: &[], status: None, sign_in, since: None, version: None, now }
}

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
