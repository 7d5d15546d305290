//! The sign-in lies in a Keychain, of which only the time of its last writing is seen.

use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

use claude_safe_testkit::{Behaviour, RequestKind, Script, SignIn, wait_until};

use super::{ANSWER, SOON, Stage};

fn stage(sign_in: SignIn) -> Stage {
    let mut stage = Stage::new(sign_in);
    stage.sandbox.keep_in_keychain().unwrap();
    stage
}

/// A run that has come to wait for someone to sign in.
fn waits_for_login(stage: &Stage, limit: &str) -> Child {
    let mut child = stage.safe(&["run", "--wait-for-login", limit, "--", "-p", "hi"]);
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let waits = || stage.journalled("decided").first().map(|entry| entry["decision"].clone());
    assert_eq!(wait_until(SOON, waits).unwrap(), "wait_for_person");
    child
}

#[test]
fn a_sign_in_elsewhere_ends_the_wait_for_it_within_seconds() {
    for before in [SignIn::None, SignIn::Emptied] {
        let mut stage = stage(before);
        let child = waits_for_login(&stage, "2m");
        stage.sandbox.sign_in(SignIn::Valid).unwrap();
        let signed_in = SystemTime::now();
        let again = wait_until(SOON, || stage.journalled("wait_ended").pop());
        // The item's time is known to the second.
        let late = signed_in.elapsed().unwrap();
        assert!(late < Duration::from_secs(10), "seen after {late:?}");
        assert_eq!(again.unwrap()["by"], "credentials");
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim_end(), ANSWER, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_sign_in_that_is_refused_although_it_is_kept_is_told_once() {
    for in_keychain in [false, true] {
        let mut stage = Stage::new(SignIn::Valid);
        if in_keychain {
            stage.sandbox.keep_in_keychain().unwrap();
        }
        let revoked = "OAuth token has been revoked. Please obtain a new token.";
        stage.service.set_api(Behaviour::error_with(403, "permission_error", revoked));
        let output = waits_for_login(&stage, "5s").wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stage.journalled("attempt_started").len(), 1, "{}", stage.service.summary());
    }
}

/// Five runs start while the sign-in service is down, with a token that is old; how often it was
/// asked for another, and how often it gave one.
fn refreshes(mut stage: Stage, in_keychain: bool) -> (usize, usize) {
    if in_keychain {
        stage.sandbox.keep_in_keychain().unwrap();
    }
    let written = SystemTime::now() - Duration::from_secs(9 * 3600);
    let file = std::fs::File::options().write(true).open(stage.sandbox.credentials()).unwrap();
    file.set_modified(written).unwrap();
    stage.service.set_oauth(Script::down_for(Duration::from_secs(6), Behaviour::error(500)));
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..5).map(|_| scope.spawn(|| stage.asks(&[]))).collect();
        for run in runs {
            run.join().unwrap().is_the_answer();
        }
    });
    let asked = stage.service.requests_of(RequestKind::Token);
    let given = asked.iter().filter(|request| request.status == Some(200)).count();
    (asked.len(), given)
}

#[test]
fn runs_whose_token_is_old_refresh_one_after_another_as_with_a_file() {
    let [file, keychain] = [false, true].map(|in_keychain| {
        let (asked, given) = refreshes(Stage::new(SignIn::Expired), in_keychain);
        assert_eq!(given, 1, "keychain: {in_keychain}");
        asked
    });
    // How many fall into the outage is chance; without turns each run would send its own.
    assert!(keychain <= file + 2, "{keychain} against {file}");
}
