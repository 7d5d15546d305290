//! A plan's usage limit: waited for if it resets within the horizon.

use std::time::{Duration, SystemTime};

use claude_safe_testkit::{Behaviour, Script, SignIn};

use super::{ANSWER, Stage};

fn unix_seconds_in(span: Duration) -> u64 {
    (SystemTime::now() + span).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_limit_that_resets_soon_is_waited_for() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    let resets = unix_seconds_in(Duration::from_secs(8));
    stage.service.set_api(Script::first(2, Behaviour::usage_limit("five_hour", resets)));
    let args = ["-p", "--output-format", "stream-json", "--verbose", "hi"];
    let ended = stage.ends(stage.safe(&args));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains(ANSWER), "{ended:#?}");
    assert!(ended.stderr.contains("usage limit"), "{ended:#?}");
    assert!(unix_seconds_in(Duration::ZERO) >= resets, "not before the reset");
    // The minute of the text, and one more, is where a run without the exact time would be.
    assert!(ended.took < Duration::from_secs(50), "{ended:#?}");
}

#[test]
fn a_limit_past_the_horizon_ends_the_run_and_says_when_it_resets() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    let resets = unix_seconds_in(Duration::from_secs(40 * 3600));
    stage.service.set_api(Behaviour::usage_limit("seven_day", resets));
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(75), "{ended:#?}");
    assert!(ended.stdout.starts_with("You've hit your weekly limit"), "{ended:#?}");
    assert!(ended.stderr.contains("resets"), "{ended:#?}");
    assert_eq!(stage.journalled("attempt_started").len(), 1);
}

#[test]
fn a_limit_for_which_claude_itself_would_wait_past_the_horizon_ends_the_run_too() {
    let stage = Stage::new(SignIn::Valid);
    let resets = unix_seconds_in(Duration::from_secs(40 * 3600));
    stage.service.set_api(Behaviour::usage_limit("seven_day", resets));
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(75), "{ended:#?}");
    assert!(ended.stderr.contains("usage limit resets at"), "{ended:#?}");
    assert_eq!(stage.journalled("attempt_started").len(), 1);
    stage.sandbox.assert_no_leftovers(super::SOON);
}
