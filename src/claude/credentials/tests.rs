use super::super::keychain::tests::{attributes, security};
use super::*;

type Variables = &'static [(&'static str, &'static str)];

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn environment(all: Variables) -> impl Fn(&str) -> Option<String> {
    move |name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

fn look(dir: &Path, file: Option<&str>, variables: Variables) -> Look {
    if let Some(text) = file {
        std::fs::write(dir.join(".credentials.json"), text).expect("written");
    }
    let now = Timestamp::from_second(1_000).expect("in range");
    Store::new(dir, None).look(&environment(variables), now)
}

fn read(file: Option<&str>, variables: Variables) -> SignIn {
    let dir = tempfile::tempdir().expect("a temporary directory");
    look(dir.path(), file, variables).sign_in
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

fn is_renewed(look: Look, since: Stamp) -> bool {
    look.sign_in.is_usable() && look.stamp.is_news(since)
}

#[test]
fn only_a_sign_in_that_was_written_since_and_can_be_used_is_a_new_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let kept = look(dir.path(), Some(&oauth("a", "r", 2_000_000)), &[]);
    assert!(!is_renewed(kept, kept.stamp), "a token that was there all the time");
    let emptied = look(dir.path(), Some(&oauth("", "", 0)), &[]);
    assert!(!is_renewed(emptied, kept.stamp), "emptied is written, and dead");
    let again = look(dir.path(), Some(&oauth("a", "r", 3_000_000)), &[]);
    assert!(is_renewed(again, emptied.stamp) && is_renewed(again, kept.stamp));
    assert!(is_renewed(again, Stamp::Nothing), "where there was none");
}

/// A look through a `security` of ours, eight hours after the item's hour.
fn through_keychain(prints: &str, code: i32, file: Option<&str>) -> Look {
    let dir = tempfile::tempdir().expect("a directory");
    if let Some(text) = file {
        std::fs::write(dir.path().join(".credentials.json"), text).expect("written");
    }
    let keychain = Keychain::through(&security(dir.path(), prints, code));
    let store = Store::new(dir.path(), Some(keychain));
    store.look(&environment(&[]), at("2026-09-15T20:00:00Z"))
}

#[test]
fn the_keychain_is_asked_first_and_a_leftover_file_counts_only_without_an_item() {
    let leftover = oauth("", "", 0);
    let item = through_keychain(&attributes("20260915110920"), 0, Some(&leftover));
    let stamp = Stamp::Item(at("2026-09-15T11:09:20Z"));
    assert_eq!((item.sign_in, item.stamp), (SignIn::Keychain, stamp));
    assert_eq!(through_keychain("", 44, Some(&leftover)).sign_in, SignIn::Emptied);
    assert_eq!(through_keychain("", 44, None).sign_in, SignIn::Missing);
    let locked = through_keychain("", 36, Some(&leftover));
    assert_eq!((locked.sign_in, locked.stamp), (SignIn::Locked, Stamp::Nothing));
    let untold = through_keychain("", 1, None);
    assert_eq!((untold.sign_in, untold.stamp), (SignIn::Keychain, Stamp::Unseen));
}

#[test]
fn an_item_tells_by_its_time_whether_someone_signed_in_and_whether_its_token_is_old() {
    let old = through_keychain(&attributes("20260915110920"), 0, None);
    let new = through_keychain(&attributes("20260915195900"), 0, None);
    assert!(is_renewed(new, old.stamp) && !is_renewed(old, old.stamp));
    let locked = through_keychain("", 36, None);
    assert!(is_renewed(new, locked.stamp) && !is_renewed(locked, new.stamp));
    let untold = through_keychain("", 1, None);
    assert!(!is_renewed(untold, old.stamp), "no answer is no news");
    assert!(old.awaits_refresh() && !new.awaits_refresh() && !untold.awaits_refresh());
}

#[test]
fn an_item_written_well_after_a_failure_holds_a_new_token() {
    let item = through_keychain(&attributes("20260915195900"), 0, None);
    let kept = |time| matches!(item.since(Some(at(time))), SignIn::Kept { .. });
    assert!(kept("2026-09-15T19:50:00Z"));
    // A refresh that failed may have emptied it as it failed.
    assert!(!kept("2026-09-15T19:58:59Z") && !kept("2026-09-15T20:00:00Z"));
    assert_eq!(item.since(None), SignIn::Keychain);
}

#[test]
fn who_must_unlock_a_keychain_is_told_so() {
    let ssh = environment(&[("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")]);
    let here = environment(&[]);
    for (sign_in, remote, unlock) in [
        (SignIn::Locked, false, true),
        (SignIn::Keychain, true, true),
        (SignIn::Keychain, false, false),
        (SignIn::Emptied, true, false),
    ] {
        let told = if remote { advice(sign_in, &ssh) } else { advice(sign_in, &here) };
        assert_eq!(told.contains("unlock-keychain"), unlock, "{sign_in:?}: {told}");
    }
}
