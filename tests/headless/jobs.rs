//! `run --job NAME`: a job that is started again goes on with its conversation.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use claude_safe_testkit::{Answer, Behaviour, RequestKind, SignIn, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{ANSWER, MESSAGE, SOON, Stage};

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
    let end = stage.journalled("run_ended").pop().unwrap();
    assert!(end["outcome"]["later"].is_object(), "{end}");
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

#[test]
fn of_two_runs_of_one_job_the_second_says_who_has_it_and_starts_nothing() {
    let stage = Stage::new(SignIn::Valid);
    stage.service.set_api(Behaviour::Hang);
    let mut first = stage.safe(&["run", "--job", "nightly.1", "--", "-p", "hi"]);
    // No pipe: the claude that it leaves would hold it open.
    first.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = first.spawn().unwrap();
    stage.service.wait_for_count(SOON, RequestKind::Turn, 1);
    let second = job(&stage);
    assert_eq!(second.code, Some(75), "{second:#?}");
    let said = format!("job `nightly.1` is being run already (process {})", first.id());
    assert!(second.stderr.contains(&said), "{second:#?}");
    assert_eq!(stage.journalled("run_started").len(), 1);

    // Killed outright, it takes its claude along, and nobody is at the job any more.
    kill(Pid::from_raw(i32::try_from(first.id()).unwrap()), Signal::SIGKILL).unwrap();
    first.wait().unwrap();
    let claude = stage.journalled("attempt_started")[0]["pid"].as_u64().unwrap();
    let gone = || (!std::path::Path::new(&format!("/proc/{claude}")).exists()).then_some(());
    wait_until(SOON, gone).expect("it dies");
    stage.service.set_api(Behaviour::Ok);
    job(&stage).is_the_answer();
    assert_eq!(stage.sandbox.transcripts().len(), 1);
}

#[test]
fn a_job_that_was_cut_off_in_a_tool_is_told_to_a_person_each_time_it_is_run_again() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.sandbox.env("IS_SANDBOX", "1");
    stage.service.answer_with(|_| Answer::bash("echo ran >> proof.txt; exec sleep 600", "Done."));
    let options = ["run", "--job", "open", "--", "-p", "--permission-mode", "bypassPermissions"];
    let run = |stage: &Stage| {
        let mut command = stage.safe(&options);
        command.arg("hi").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let first = run(&stage).spawn().unwrap();
    let proof = stage.sandbox.project().join("proof.txt");
    wait_until(SOON, || proof.exists().then_some(())).expect("the tool runs");
    let claude = stage.journalled("attempt_started")[0]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(claude).unwrap()), Signal::SIGKILL).unwrap();
    let ended = first.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(65));

    let told = stage.sandbox.tmp().join("told");
    stage.sandbox.env("CLAUDE_SAFE_NOTIFY_COMMAND", format!("cat >> '{}'", told.display()));
    for times in 2..=3 {
        let ended = stage.ends(run(&stage));
        assert_eq!(ended.code, Some(65), "{ended:#?}");
        assert!(ended.stderr.contains("claude --resume"), "{ended:#?}");
        let ends = stage.journalled("run_ended");
        assert_eq!(ends.len(), times);
        assert!(ends[times - 1]["outcome"]["person"]["why"].is_string(), "{ends:#?}");
        let told = std::fs::read_to_string(&told).unwrap();
        assert_eq!(told.matches("person_needed").count(), times - 1, "{told}");
    }
    assert_eq!(std::fs::read_to_string(proof).unwrap(), "ran\n");
}
