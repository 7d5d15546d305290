//! The user's own choice of session, settings and prompt survives a failure.

use std::time::Duration;

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{Behaviour, Script, SignIn, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::{ANSWER, Ended, MESSAGE, SOON, Stage, lines};

const ID: &str = "11111111-2222-4333-8444-555555555555";

/// A home where the next turn fails until claude gives up, once.
fn failing() -> Stage {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    fails_once(&stage);
    stage
}

fn fails_once(stage: &Stage) {
    stage.service.set_api(Script::first(2, Behaviour::error(500)));
}

/// A home with one finished conversation of this id.
fn with_a_conversation() -> Stage {
    with_a_conversation_of(MEASURED)
}

fn with_a_conversation_of(version: &'static str) -> Stage {
    let mut stage = Stage::of_version(version, SignIn::Valid);
    stage.claude_gives_up_soon();
    let ended = stage.ends(stage.plain(&["-p", "--session-id", ID, "before"]));
    ended.is_the_answer();
    stage
}

fn names(stage: &Stage) -> Vec<String> {
    let paths = stage.sandbox.transcripts();
    let name = |path: &std::path::PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    // the oldest version leaves empty ones, and writes its sub-agents' beside them
    let full = |path: &&std::path::PathBuf| std::fs::metadata(path).unwrap().len() > 0;
    let names = paths.iter().filter(full).map(name);
    names.filter(|name| !name.starts_with("agent-")).collect()
}

#[test]
fn a_session_id_of_the_users_is_kept() {
    let stage = failing();
    let ended = stage.asks(&["--session-id", ID]);
    ended.is_the_answer();
    assert_eq!(names(&stage), [ID]);
    assert_eq!(stage.prompts(), ["hi"]);
}

#[test]
fn a_resumed_session_goes_on_in_itself() {
    let stage = with_a_conversation();
    fails_once(&stage);
    stage.asks(&["--resume", ID]).is_the_answer();
    assert_eq!(names(&stage), [ID]);
    assert_eq!(stage.prompts(), ["before", "hi", "hi"]);
}

#[test]
fn a_continued_session_goes_on_in_itself() {
    let stage = with_a_conversation();
    fails_once(&stage);
    stage.asks(&["--continue"]).is_the_answer();
    assert_eq!(names(&stage), [ID]);
    assert_eq!(stage.prompts(), ["before", "hi", "hi"]);
}

/// `--continue` on a version without hooks, printing text: nothing but files tells which
/// conversation that is. `meanwhile` runs while its first attempt fails.
fn continues(meanwhile: impl FnOnce(&Stage)) -> (Stage, Ended) {
    let stage = with_a_conversation_of("2.0.30");
    stage.service.set_api(Behaviour::error(500));
    let ended = std::thread::scope(|scope| {
        let run = scope.spawn(|| stage.asks(&["--continue"]));
        wait_until(SOON, || stage.prompts().contains(&"hi".to_owned()).then_some(()));
        meanwhile(&stage);
        wait_until(SOON, || stage.journalled("decided").pop());
        stage.service.set_api(Behaviour::Ok);
        run.join().unwrap()
    });
    (stage, ended)
}

#[test]
fn a_version_without_hooks_goes_on_in_the_continued_session_too() {
    let (stage, ended) = continues(|_| {});
    ended.is_the_answer();
    assert_eq!(names(&stage), [ID]);
    assert_eq!(stage.prompts(), ["before", "hi", MESSAGE]);
}

#[test]
fn where_two_conversations_were_written_to_none_is_taken_for_the_continued_one() {
    let (stage, ended) = continues(|stage| {
        // someone else's, in the same directory
        let project = stage.sandbox.transcripts()[0].parent().unwrap().to_owned();
        let line = json!({
            "type": "user", "uuid": "u", "message": { "role": "user", "content": "theirs" },
            "timestamp": jiff::Timestamp::now() + Duration::from_secs(60),
        });
        let theirs = project.join("99999999-2222-4333-8444-555555555555.jsonl");
        std::fs::write(theirs, format!("{line}\n")).unwrap();
    });
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(!stage.prompts().contains(&MESSAGE.to_owned()));
}

#[test]
fn a_forked_session_goes_on_in_the_fork() {
    let stage = with_a_conversation();
    fails_once(&stage);
    let args = ["--resume", ID, "--fork-session", "--output-format", "json"];
    let ended = stage.asks(&args);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let fork = lines(&ended.stdout)[0]["session_id"].as_str().unwrap().to_owned();
    assert_ne!(fork, ID);
    assert_eq!(names(&stage).len(), 2, "{ended:#?}");
    let path =
        stage.sandbox.transcripts().into_iter().find(|path| path.ends_with(format!("{ID}.jsonl")));
    let original = std::fs::read_to_string(path.unwrap()).unwrap();
    assert!(!original.contains(MESSAGE), "the original is left alone");
    let last = stage.service.turns().pop().unwrap();
    assert!(last.asks("hi") && last.user_texts.iter().any(|text| text == "before"), "{last:#?}");
}

#[test]
fn a_session_that_fails_to_start_a_turn_is_not_told_to_carry_on() {
    // The earlier conversation is there, but nothing of this run reached it.
    let stage = with_a_conversation();
    let ended = stage.asks(&["--resume", ID, "--no-such-flag"]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(stage.prompts(), ["before"]);
}

#[test]
fn a_prompt_that_begins_with_a_dash_and_one_of_many_lines_stay_as_they_are() {
    for prompt in ["-- not a flag", "-p is a flag", "one\ntwo\n\nthree \"quoted\" $HOME"] {
        let stage = failing();
        let ended = stage.ends(stage.safe(&["-p", "--", prompt]));
        ended.is_the_answer();
        assert_eq!(stage.prompts(), [prompt]);
    }
}

#[test]
fn hooks_of_the_users_settings_run_beside_ours() {
    for inline in [true, false] {
        let stage = failing();
        let seen = stage.sandbox.tmp().join("hook-ran");
        let command = format!("cat >> '{}'", seen.display());
        let hook = json!([{"hooks": [{"type": "command", "command": command}]}]);
        let settings = json!({"hooks": {"UserPromptSubmit": hook, "Stop": hook}}).to_string();
        let file = stage.sandbox.project().join("my settings.json");
        std::fs::write(&file, &settings).unwrap();
        let value = if inline { settings.as_str() } else { "my settings.json" };
        stage.asks(&["--settings", value]).is_the_answer();
        let told = std::fs::read_to_string(seen).unwrap();
        assert_eq!(told.matches(r#""hook_event_name":"UserPromptSubmit""#).count(), 2, "{told}");
        assert_eq!(told.matches(r#""hook_event_name":"Stop""#).count(), 1, "{told}");
        assert_eq!(
            std::fs::read_to_string(file).unwrap(),
            json!({"hooks": {"UserPromptSubmit": hook, "Stop": hook}}).to_string()
        );
    }
}

#[test]
fn settings_that_cannot_be_read_are_claudes_to_judge() {
    let stage = Stage::new(SignIn::Valid);
    for value in ["missing.json", "{broken"] {
        let args = ["-p", "--settings", value, "hi"];
        let (plain, safe) = (stage.ends(stage.plain(&args)), stage.ends(stage.safe(&args)));
        assert_eq!((safe.stdout, safe.code), (plain.stdout, plain.code));
    }
}

#[test]
fn two_runs_in_one_home_each_keep_their_own_conversation() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.claude_gives_up_soon();
    stage.service.set_api(Script::first(4, Behaviour::error(500)));
    let ended: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| stage.asks(&[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    ended.iter().for_each(super::Ended::is_the_answer);
    assert_eq!(names(&stage).len(), 2);
    let mut prompts = stage.prompts();
    prompts.sort();
    assert_eq!(prompts.iter().filter(|prompt| *prompt == "hi").count(), 2, "{prompts:?}");
}

#[test]
fn a_conversation_that_someone_else_carried_on_is_left_to_them() {
    let stage = failing();
    let ended = std::thread::scope(|scope| {
        let run = scope.spawn(|| stage.asks(&["--session-id", ID]));
        let decided = || stage.journalled("decided").pop();
        claude_safe_testkit::wait_until(super::SOON, decided).unwrap();
        // Stopped in its wait until the other has answered.
        let pid = stage.journalled("run_started")[0]["pid"].as_i64().unwrap();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap());
        kill(pid, Signal::SIGSTOP).unwrap();
        let other = stage.ends(stage.plain(&["-p", "--resume", ID, "I am here"]));
        kill(pid, Signal::SIGCONT).unwrap();
        assert_eq!(other.stdout.trim_end(), ANSWER, "{other:#?}");
        run.join().unwrap()
    });
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(ended.stdout.starts_with("API Error: 500"), "{ended:#?}");
    assert!(ended.stderr.contains("someone else"), "{ended:#?}");
    assert_eq!(stage.prompts(), ["hi", "I am here"]);
}
