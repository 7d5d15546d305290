//! A tool that ran is never run twice.

use std::time::Duration;

use claude_safe_testkit::{Answer, Behaviour, Script, SignIn, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{MESSAGE, SOON, Stage};

const ALLOWED: [&str; 4] = ["-p", "--permission-mode", "bypassPermissions", "add a line"];

fn stage(command: &'static str) -> Stage {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon().sandbox.env("IS_SANDBOX", "1");
    stage.service.answer_with(move |request| {
        if request.asks("add a line") {
            Answer::bash(command, "Added.")
        } else {
            Answer::text("Carried on.")
        }
    });
    stage
}

#[test]
fn a_tool_that_ran_before_the_failure_is_not_run_again() {
    let stage = stage("echo ran >> proof.txt");
    let fault = Behaviour::error(500);
    let each = vec![Behaviour::Ok, fault.clone(), fault, Behaviour::Ok];
    stage.service.set_api(Script::Requests(each));
    let ended = stage.ends(stage.safe(&ALLOWED));
    assert_eq!(ended.stdout.trim_end(), "Carried on.", "{ended:#?}");
    assert_eq!(ended.code, Some(0));
    let proof = std::fs::read_to_string(stage.sandbox.project().join("proof.txt")).unwrap();
    assert_eq!(proof, "ran\n");
    assert_eq!(stage.prompts(), ["add a line", MESSAGE]);
}

#[test]
fn a_tool_whose_result_is_missing_is_left_to_a_person() {
    let stage = stage("echo ran >> proof.txt; exec sleep 600");
    let mut command = stage.safe(&ALLOWED);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let proof = stage.sandbox.project().join("proof.txt");
    let written = || proof.exists().then_some(());
    wait_until(SOON, written).unwrap_or_else(|| panic!("{}", stage.service.summary()));
    let claude = stage.journalled("attempt_started")[0]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(claude).unwrap()), Signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("a tool was running"), "{said}");
    assert_eq!(std::fs::read_to_string(proof).unwrap(), "ran\n");
    assert_eq!(stage.journalled("attempt_started").len(), 1);
    stage.service.wait_for_count(Duration::ZERO, claude_safe_testkit::RequestKind::Turn, 1);
}

#[test]
fn claude_killed_before_it_did_anything_carries_on() {
    let stage = Stage::new(SignIn::Valid);
    stage.service.set_api(Script::Requests(vec![Behaviour::Hang, Behaviour::Ok]));
    let mut command = stage.safe(&["-p", "hi"]);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    stage.service.wait_for_count(SOON, claude_safe_testkit::RequestKind::Turn, 1);
    // The request is out before the transcript holds the prompt.
    let written =
        || stage.sandbox.transcript_lines().iter().any(|line| line["type"] == "user").then_some(());
    wait_until(SOON, written).expect("the prompt is in the transcript");
    let claude = stage.journalled("attempt_started")[0]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(claude).unwrap()), Signal::SIGKILL).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stdout).trim_end(), super::ANSWER, "{}", text(&output.stderr));
    assert_eq!(stage.prompts(), ["hi"]);
}
