//! JSON and JSON lines through a failure: one result, one session.

use std::collections::BTreeSet;

use claude_safe_testkit::{Answer, Behaviour, Script, SignIn};

use super::{ANSWER, Ended, Stage, lines};

fn through_a_500(args: &[&str]) -> Ended {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.service.set_api(Script::first(2, Behaviour::error(500)));
    let mut all = vec!["-p"];
    all.extend(args);
    all.push("hi");
    let ended = stage.ends(stage.safe(&all));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended
}

#[test]
fn a_json_document_is_the_healthy_one() {
    let ended = through_a_500(&["--output-format", "json"]);
    let documents = lines(&ended.stdout);
    assert_eq!(documents.len(), 1, "{ended:#?}");
    assert_eq!(documents[0]["is_error"], false);
    assert_eq!(documents[0]["result"], ANSWER);
}

#[test]
fn json_lines_hold_one_result_one_start_and_one_session() {
    let ended = through_a_500(&["--output-format", "stream-json", "--verbose"]);
    let documents = lines(&ended.stdout);
    let of = |kind: &str| documents.iter().filter(|line| line["type"] == kind).count();
    assert_eq!(of("result"), 1, "{ended:#?}");
    assert_eq!(documents.last().unwrap()["is_error"], false, "{ended:#?}");
    let starts = documents.iter().filter(|line| line["subtype"] == "init").count();
    assert_eq!(starts, 1, "{ended:#?}");
    let errors = documents.iter().filter(|line| line["error"].is_string()).count();
    let retries = documents.iter().filter(|line| line["subtype"] == "api_retry").count();
    assert_eq!(errors, retries, "only Claude's own retries name an error: {ended:#?}");
    let ids: BTreeSet<_> =
        documents.iter().filter_map(|line| line["session_id"].as_str()).collect();
    assert_eq!(ids.len(), 1, "{ended:#?}");
}

#[test]
fn json_lines_come_while_claude_works_not_at_its_end() {
    use std::io::BufRead as _;
    let stage = Stage::new(SignIn::Valid);
    stage.service.set_api(Behaviour::Hang);
    let mut command = stage.safe(&["-p", "--output-format", "stream-json", "--verbose", "hi"]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("session_id"), "{first}");
    let claude = i32::try_from(child.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(claude), nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_question_on_stdin_stands_once_in_the_resumed_conversation() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.service.set_api(Script::first(2, Behaviour::error(500)));
    let ended = stage.ends_with_stdin(stage.safe(&["-p"]), b"hi from stdin");
    ended.is_the_answer();
    assert_eq!(stage.prompts(), ["hi from stdin"]);
}

#[test]
fn a_long_stdin_is_sent_again_whole_where_no_conversation_is_kept() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.service.set_api(Script::first(2, Behaviour::error(500)));
    // 1.2 MiB: more than is kept in memory.
    let mut question = "0123456789abcde ".repeat(80_000);
    question.push_str("and this is its end");
    let args = ["-p", "--no-session-persistence", "--output-format", "stream-json", "--verbose"];
    let ended = stage.ends_with_stdin(stage.safe(&args), question.as_bytes());
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stderr, ended.log);
    assert!(ended.stdout.contains(ANSWER), "{}", ended.stderr);
    let turns = stage.service.turns();
    assert_eq!(turns.len(), 3, "{}", ended.log);
    for turn in turns {
        let asked = turn.last_user.concat();
        assert!(asked.contains(&question), "{} bytes of {}", asked.len(), question.len());
    }
}

#[test]
fn a_conversation_that_is_not_kept_is_not_asked_again_once_it_answered() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon().sandbox.env("IS_SANDBOX", "1");
    stage.service.answer(Answer::bash("echo ran >> proof.txt", "Did it."));
    let fault = Behaviour::error(500);
    stage.service.set_api(Script::Requests(vec![Behaviour::Ok, fault.clone(), fault]));
    let args = [
        "-p",
        "--no-session-persistence",
        "--permission-mode",
        "bypassPermissions",
        "--output-format",
        "stream-json",
        "--verbose",
        "hi",
    ];
    let ended = stage.ends(stage.safe(&args));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stderr.contains("nothing proves"), "{ended:#?}");
    let proof = std::fs::read_to_string(stage.sandbox.project().join("proof.txt")).unwrap();
    assert_eq!(proof, "ran\n");
    assert_eq!(stage.journalled("attempt_started").len(), 1);
}
