//! The API fails before or during an answer.

use claude_safe_testkit::{Behaviour, Script, SignIn};

use super::{ANSWER, Stage};

/// As many requests as claude makes until it gives up when told to retry once.
const REQUESTS: usize = 2;

fn survives(fault: Behaviour) -> Stage {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.service.set_api(Script::first(REQUESTS, fault));
    let ended = stage.asks(&[]);
    ended.is_the_answer();
    assert!(ended.stderr.contains("try 2 in"), "{ended:#?}");
    assert_eq!(stage.prompts(), ["hi"], "{ended:#?}");
    stage
}

#[test]
fn an_api_that_answers_500_is_asked_again_in_the_same_conversation() {
    let stage = survives(Behaviour::error(500));
    assert_eq!(stage.sandbox.transcripts().len(), 1);
}

#[test]
fn an_overloaded_api_is_asked_again() {
    survives(Behaviour::error(529));
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    survives(Behaviour::Refuse);
}

#[test]
fn half_an_answer_is_never_printed() {
    for fault in [Behaviour::CutAfter("Half an answ".into()), Behaviour::SseError("Half".into())] {
        let stage = Stage::new(SignIn::Valid);
        stage.service.set_api(Script::first(3, fault));
        let ended = stage.asks(&[]);
        ended.is_the_answer();
    }
}

#[test]
fn claude_itself_waits_out_a_failing_api_and_we_say_so_once() {
    let stage = Stage::new(SignIn::Valid);
    stage.service.set_api(Script::first(3, Behaviour::error(500)));
    let args = ["-p", "--output-format", "stream-json", "--verbose", "hi"];
    let ended = stage.ends(stage.safe(&args));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains(ANSWER), "{ended:#?}");
    let said: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(said.len(), 2, "{ended:#?}");
    assert!(said[0].contains("Claude itself tries again"), "{ended:#?}");
    assert_eq!(said[1], "claude-safe: recovered");
    assert_eq!(stage.journalled("attempt_started").len(), 1, "{ended:#?}");
    assert_eq!(stage.prompts(), ["hi"]);
}

#[test]
fn in_text_the_transcript_shows_that_claude_itself_is_retrying() {
    let stage = Stage::new(SignIn::Valid);
    // Claude's fifth retry comes after our first look at the transcript.
    stage.service.set_api(Script::first(5, Behaviour::error(529)));
    let ended = stage.asks(&[]);
    ended.is_the_answer();
    let said: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(said.len(), 2, "{ended:#?}");
    assert!(said[0].contains("(529) · Claude itself tries again"), "{ended:#?}");
    assert_eq!(stage.journalled("attempt_started").len(), 1, "{ended:#?}");
}

#[test]
fn a_run_in_which_nothing_moves_is_ended_and_carried_on() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.sandbox.env("CLAUDE_SAFE_WATCH_HANG_AFTER", "6s");
    stage.service.set_api(Script::Requests(vec![Behaviour::Hang, Behaviour::Ok]));
    let ended = stage.asks(&[]);
    ended.is_the_answer();
    assert!(ended.stderr.contains("Claude hung"), "{ended:#?}");
    assert_eq!(stage.prompts(), ["hi"]);
    stage.sandbox.assert_no_leftovers(super::SOON);
}

#[test]
fn a_run_told_to_be_quiet_says_nothing() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.service.set_api(Script::first(REQUESTS, Behaviour::error(500)));
    let ended = stage.ends(stage.safe(&["run", "--quiet", "--", "-p", "hi"]));
    ended.is_the_answer();
    assert_eq!(ended.stderr, "");
}

#[test]
fn past_the_horizon_claudes_words_come_with_the_code_to_try_later() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.sandbox.env("CLAUDE_SAFE_RETRY_HORIZON_HEADLESS", "100ms");
    stage.service.set_api(Behaviour::error(500));
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(75), "{ended:#?}");
    assert!(ended.stdout.starts_with("API Error: 500"), "{ended:#?}");
    assert!(ended.stderr.contains("within the horizon"), "{ended:#?}");
}
