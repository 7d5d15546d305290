//! The sign-in service fails, or the sign-in itself is dead.

use std::time::Duration;

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, RequestKind, Script, SignIn, wait_until};

use super::{SOON, Stage};

fn down(seconds: u64, fault: Behaviour) -> Script {
    Script::down_for(Duration::from_secs(seconds), fault)
}

#[test]
fn a_refresh_that_answers_500_for_a_while_delays_the_answer_and_nothing_else() {
    let stage = Stage::new(SignIn::Expired);
    let ended = stage.asks_through(Endpoint::OAuth, Behaviour::error(500));
    ended.is_the_answer();
    assert!(ended.stderr.contains("sign-in service down (401)"), "{ended:#?}");
    assert!(ended.stderr.ends_with("claude-safe: recovered\n"), "{ended:#?}");
    // One conversation, in which the question stands once.
    assert_eq!(stage.sandbox.transcripts().len(), 1);
    assert_eq!(stage.prompts(), ["hi"]);
    assert_eq!(stage.journalled("attempt_started").len(), 2, "{ended:#?}");
    stage.sandbox.assert_no_leftovers(SOON);
}

#[test]
fn with_the_default_waits_the_answer_follows_the_services_return_within_seconds() {
    let stage = Stage::with_defaults(MEASURED, SignIn::Expired);
    let ended = stage.asks_through(Endpoint::OAuth, Behaviour::error(500));
    ended.is_the_answer();
    assert!(ended.took < Duration::from_secs(40), "{ended:#?}");
}

#[test]
fn a_refresh_that_answers_a_gateways_page_is_waited_out() {
    let stage = Stage::new(SignIn::Expired);
    let page = Behaviour::html(502, "502 Bad Gateway");
    stage.asks_through(Endpoint::OAuth, page).is_the_answer();
    assert_eq!(stage.prompts(), ["hi"]);
}

#[test]
fn a_refresh_that_hangs_is_waited_out() {
    let stage = Stage::new(SignIn::Expired);
    stage.service.set_oauth(down(20, Behaviour::Hang));
    stage.asks(&[]).is_the_answer();
}

#[test]
fn a_dead_sign_in_is_claudes_to_tell_and_never_looped() {
    let stage = Stage::new(SignIn::Expired);
    stage.service.set_oauth(Behaviour::invalid_grant());
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let dead = "Failed to authenticate: OAuth session expired and could not be refreshed";
    assert_eq!(ended.stdout.trim_end(), dead);
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains("/login"), "{ended:#?}");
    assert_eq!(stage.journalled("attempt_started").len(), 1);
}

#[test]
fn without_credentials_claudes_word_passes_through_with_one_line_of_advice() {
    let stage = Stage::new(SignIn::None);
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(ended.stdout.trim_end(), "Not logged in · Please run /login");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains("/login"), "{ended:#?}");
    assert_eq!(stage.journalled("attempt_started").len(), 1);
}

#[test]
fn someone_who_signs_in_elsewhere_ends_the_wait_for_it() {
    let mut stage = Stage::new(SignIn::None);
    let args = ["run", "--wait-for-login", "2m", "--", "-p", "hi"];
    let mut child = stage.safe(&args);
    child.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let waits = || stage.journalled("decided").first().map(|entry| entry["decision"].clone());
    assert_eq!(wait_until(SOON, waits).unwrap(), "wait_for_person");
    stage.sandbox.sign_in(SignIn::Valid).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stdout).trim_end(), super::ANSWER, "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn runs_with_one_expired_token_refresh_one_after_another_and_all_answer() {
    let stage = Stage::new(SignIn::Expired);
    stage.service.set_oauth(down(6, Behaviour::error(500)));
    let ended: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| stage.asks(&[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    ended.iter().for_each(super::Ended::is_the_answer);
    let refreshed = stage.service.requests_of(RequestKind::Token);
    let good = refreshed.iter().filter(|request| request.status == Some(200)).count();
    assert_eq!(good, 1, "{}", stage.service.summary());
}
