//! `run --job NAME`: a job that is started again goes on with its conversation.

use claude_safe_testkit::{Behaviour, RequestKind, SignIn};
use std::os::unix::fs::PermissionsExt as _;

use super::{ANSWER, MESSAGE, Stage};

fn job(stage: &Stage) -> super::Ended {
    stage.ends(stage.safe(&["run", "--job", "nightly.1", "--", "-p", "hi"]))
}

#[test]
fn a_requeued_job_goes_on_where_it_stopped_and_a_finished_one_starts_afresh() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.sandbox.env("CLAUDE_SAFE_RETRY_HORIZON_HEADLESS", "100ms");
    stage.service.set_api(Behaviour::error(500));
    let ended = job(&stage);
    assert_eq!(ended.code, Some(75), "{ended:#?}");
    let file = stage.sandbox.state_dir().join("jobs/nightly.1.json");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    stage.service.set_api(Behaviour::Ok);
    job(&stage).is_the_answer();
    assert_eq!(stage.prompts(), ["hi", MESSAGE]);
    assert_eq!(stage.sandbox.transcripts().len(), 1);
    assert!(!file.exists(), "a job that succeeded is forgotten");

    job(&stage).is_the_answer();
    assert_eq!(stage.sandbox.transcripts().len(), 2);
    let last = stage.service.requests_of(RequestKind::Turn).pop().unwrap();
    assert_eq!(last.user_texts.iter().filter(|text| *text == "hi").count(), 1, "{last:#?}");
}

#[test]
fn a_job_whose_conversation_had_ended_asks_its_question_anew() {
    let stage = Stage::new(SignIn::Valid);
    stage.asks(&[]).is_the_answer();
    let session = stage.sandbox.transcripts()[0].file_stem().unwrap().to_owned();
    let jobs = stage.sandbox.state_dir().join("jobs");
    std::fs::create_dir_all(&jobs).unwrap();
    let text = serde_json::json!({ "session": session.to_string_lossy() }).to_string();
    std::fs::write(jobs.join("nightly.1.json"), text).unwrap();
    job(&stage).is_the_answer();
    assert_eq!(stage.prompts(), ["hi", "hi"]);
    assert_eq!(stage.sandbox.transcripts().len(), 2);
}

#[test]
fn a_name_that_is_no_name_is_wrong_usage() {
    let stage = Stage::new(SignIn::Valid);
    for name in ["../x", "", ".hidden", "a/b"] {
        let ended = stage.ends(stage.safe(&["run", "--job", name, "--", "-p", "hi"]));
        assert_eq!(ended.code, Some(2), "{name}: {ended:#?}");
        assert!(!ended.stdout.contains(ANSWER));
    }
}
