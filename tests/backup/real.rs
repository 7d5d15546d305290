//! A conversation of the real Claude Code that was lost comes back from a backup.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{Answer, FakeService, Sandbox, SignIn, real_claude};

/// Enough for a start and a turn on a loaded machine.
const SOON: Duration = Duration::from_secs(90);
const QUESTION: &str = "My favourite colour is ultramarine.";
const ANSWER: &str = "Ultramarine, noted.";

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).trim_end().to_owned()
}

#[test]
fn a_deleted_session_is_restored_and_real_claude_goes_on_with_it() {
    let service = FakeService::start();
    let sandbox = Sandbox::with(SignIn::Valid, &service);
    let claude = |args: &[&str]| {
        let mut command = sandbox.command(real_claude(MEASURED));
        command.args(args);
        sandbox.run(command, SOON)
    };
    let backup = |args: &[&str]| {
        let mut command: Command = sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
        command.arg("backup").args(args);
        let output = sandbox.run(command, SOON);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
    };

    service.answer(Answer::text(ANSWER));
    let first = claude(&["-p", "--", QUESTION]);
    assert_eq!(text(&first), ANSWER, "{}", service.summary());
    let transcripts = sandbox.transcripts();
    assert_eq!(transcripts.len(), 1, "{transcripts:?}");
    let (transcript, before) = (&transcripts[0], fs::read(&transcripts[0]).unwrap());
    let session = transcript.file_stem().unwrap().to_str().unwrap();
    backup(&["create", "--verify"]);

    fs::remove_file(transcript).unwrap();
    let lost = claude(&["--resume", session, "-p", "--", "What is it?"]);
    assert!(!lost.status.success(), "without it there is nothing to resume: {}", text(&lost));
    assert_eq!(service.turns().len(), 1, "{}", service.summary());

    backup(&["restore", "--session", session]);
    assert_eq!(fs::read(transcript).unwrap(), before);
    service.answer(Answer::text("You said ultramarine."));
    let resumed = claude(&["--resume", session, "-p", "--", "What is it?"]);
    assert_eq!(text(&resumed), "You said ultramarine.", "{}", service.summary());
    let turns = service.turns();
    let turn = turns.last().unwrap();
    for asked in [QUESTION, "What is it?"] {
        assert!(turn.user_texts.iter().any(|text| text.contains(asked)), "{:?}", turn.user_texts);
    }
    sandbox.assert_no_leftovers(SOON);
}
