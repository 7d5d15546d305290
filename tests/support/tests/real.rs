//! The pinned real Claude Code against the fake service: what the other tests take for granted.

use std::process::Output;
use std::time::Duration;

use claude_safe_testkit::claude::{MEASURED, NEWEST};
use claude_safe_testkit::{
    Answer, Behaviour, FakeService, RequestKind, Sandbox, Script, SignIn, Terminal, real_claude,
};
use nix::sys::termios::LocalFlags;

/// Enough for a start and a turn on a loaded machine.
const SOON: Duration = Duration::from_secs(60);

fn print(sandbox: &Sandbox, version: &str) -> Output {
    let mut command = sandbox.command(real_claude(version));
    command.args(["-p", "--", "hi"]);
    sandbox.run(command, SOON)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn a_valid_sign_in_gets_an_answer() {
    let service = FakeService::start();
    let sandbox = Sandbox::with(SignIn::Valid, &service);
    let output = print(&sandbox, MEASURED);
    assert_eq!(text(&output), "Hello from the fake service.", "{}", service.summary());
    assert_eq!(output.status.code(), Some(0));
    let turns = service.turns();
    assert_eq!(turns.len(), 1, "{}", service.summary());
    assert!(turns[0].asks("hi"));
    assert_eq!(turns[0].status, Some(200));
    assert_eq!(sandbox.transcripts().len(), 1);
    sandbox.assert_no_leftovers(SOON);
}

/// An answer when all is well, a 401 and the refresh token kept when the sign-in service fails.
fn answers_and_fails_as_measured(version: &str) {
    let service = FakeService::start();
    let sandbox = Sandbox::with(SignIn::Valid, &service);
    let output = print(&sandbox, version);
    assert_eq!(text(&output), "Hello from the fake service.", "{}", service.summary());

    let service = FakeService::start();
    service.set_oauth(Behaviour::error(500));
    let mut sandbox = Sandbox::with(SignIn::Expired, &service);
    // versions before 2.1.200 retry a 401 for three minutes
    sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1");
    let output = print(&sandbox, version);
    assert_eq!(output.status.code(), Some(1), "{}", service.summary());
    assert!(text(&output).contains("401"), "{}\n{}", text(&output), service.summary());
    assert_ne!(sandbox.oauth()["refreshToken"], "");
}

#[test]
fn version_2_0_30_answers_and_fails_as_measured() {
    answers_and_fails_as_measured("2.0.30");
}

#[test]
fn version_2_1_100_answers_and_fails_as_measured() {
    answers_and_fails_as_measured("2.1.100");
}

#[test]
fn version_2_1_200_answers_and_fails_as_measured() {
    answers_and_fails_as_measured("2.1.200");
}

#[test]
fn the_newest_version_answers_and_fails_as_measured() {
    answers_and_fails_as_measured(NEWEST);
}

#[test]
fn an_expired_token_is_refreshed_and_the_new_one_kept() {
    let service = FakeService::start();
    let sandbox = Sandbox::with(SignIn::Expired, &service);
    let output = print(&sandbox, MEASURED);
    assert_eq!(text(&output), "Hello from the fake service.", "{}", service.summary());
    assert_eq!(sandbox.oauth()["accessToken"], "sk-ant-oat01-fake-issued-1");
    assert_eq!(sandbox.oauth()["refreshToken"], "sk-ant-ort01-fake-issued-1");
}

#[test]
fn a_failing_refresh_ends_in_401_and_keeps_the_credentials() {
    let service = FakeService::start();
    service.set_oauth(Behaviour::error(500));
    let sandbox = Sandbox::with(SignIn::Expired, &service);
    let before = sandbox.oauth();
    let output = print(&sandbox, MEASURED);
    assert_eq!(output.status.code(), Some(1), "{}", service.summary());
    assert_eq!(
        text(&output),
        "Failed to authenticate. API Error: 401 OAuth token has expired. Please obtain a new \
         token or refresh your existing token."
    );
    assert_eq!(sandbox.oauth(), before);
}

#[test]
fn invalid_grant_empties_the_credentials() {
    let service = FakeService::start();
    service.set_oauth(Behaviour::invalid_grant());
    let sandbox = Sandbox::with(SignIn::Expired, &service);
    let output = print(&sandbox, MEASURED);
    assert_eq!(output.status.code(), Some(1), "{}", service.summary());
    assert_eq!(
        text(&output),
        "Failed to authenticate: OAuth session expired and could not be refreshed"
    );
    assert_eq!(sandbox.oauth()["refreshToken"], "");
    assert_eq!(sandbox.oauth()["expiresAt"], 0);
}

#[test]
fn an_api_key_and_a_gateway_work_over_plain_http() {
    let service = FakeService::start();
    let mut sandbox = Sandbox::new(SignIn::ApiKey);
    for (name, value) in service.gateway_env() {
        sandbox.env(name, value);
    }
    let output = print(&sandbox, MEASURED);
    assert_eq!(text(&output), "Hello from the fake service.", "{}", service.summary());
}

#[test]
fn a_tool_runs_and_its_result_gets_the_second_answer() {
    let service = FakeService::start();
    service.answer(Answer::bash("echo ran > proof.txt", "Did it."));
    let sandbox = Sandbox::with(SignIn::Valid, &service);
    let mut command = sandbox.command(real_claude(MEASURED));
    command.args(["-p", "--permission-mode", "bypassPermissions", "--", "run it"]);
    command.env("IS_SANDBOX", "1");
    let output = sandbox.run(command, SOON);
    assert_eq!(text(&output), "Did it.", "{}", service.summary());
    assert_eq!(std::fs::read_to_string(sandbox.project().join("proof.txt")).unwrap(), "ran\n");
    assert_eq!(service.turns().last().unwrap().tool_results, 1);
}

#[test]
fn an_error_of_the_api_that_passes_is_retried() {
    let service = FakeService::start();
    service.set_api(Script::first(2, Behaviour::error(529)));
    let sandbox = Sandbox::with(SignIn::Valid, &service);
    let output = print(&sandbox, MEASURED);
    assert_eq!(text(&output), "Hello from the fake service.", "{}", service.summary());
    let statuses: Vec<_> = service.turns().iter().map(|turn| turn.status).collect();
    assert_eq!(statuses, [Some(529), Some(529), Some(200)]);
}

#[test]
fn the_terminal_reaches_the_prompt_and_answers_a_turn() {
    let service = FakeService::start();
    let sandbox = Sandbox::with(SignIn::Valid, &service);
    let mut terminal = Terminal::spawn(sandbox.command(real_claude(MEASURED)));
    terminal.wait_for_screen(SOON, "an empty prompt", |now| now.input().is_some());
    terminal.wait_until_quiet(SOON, Duration::from_millis(800));
    terminal.send("good day");
    terminal.wait_for_screen(SOON, "the typed text", |now| now.input().unwrap() == "good day");
    terminal.send("\r");
    let answered = terminal.wait_for_text(SOON, "Hello from the fake service.");
    assert!(service.turns()[0].asks("good day"), "{}", service.summary());
    assert!(!answered.title().is_empty());
    terminal.wait_for_screen(SOON, "the idle title", |now| now.title().starts_with('✳'));
    assert!(!terminal.stty().local_flags.contains(LocalFlags::ECHO));
    assert!(terminal.screen().vt().bracketed_paste());
    terminal.send("\x03\x03");
    assert!(terminal.wait_exit(SOON).success());
    let cooked = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG;
    assert!(terminal.stty().local_flags.contains(cooked), "{:?}", terminal.stty());
    assert!(!terminal.screen().vt().bracketed_paste());
    sandbox.assert_no_leftovers(SOON);
}

#[test]
fn a_failing_turn_in_the_terminal_leaves_the_dim_placeholder() {
    let service = FakeService::start();
    service.set_api(Behaviour::error(500));
    let mut sandbox = Sandbox::with(SignIn::Valid, &service);
    sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1");
    let mut command = sandbox.command(real_claude(MEASURED));
    command.args(["--", "hi"]);
    let terminal = Terminal::spawn(command);
    let failed =
        terminal.wait_for_screen(SOON, "the placeholder", |now| now.placeholder().is_some());
    assert_eq!(failed.placeholder().unwrap(), "Resend your message to try again");
    assert!(failed.contains("API Error: 500"), "{failed}");
    assert!(service.requests_of(RequestKind::Turn).len() >= 2, "{}", service.summary());
    service.set_api(Behaviour::Ok);
    terminal.send("again");
    terminal.wait_for_screen(SOON, "the typed text", |now| now.input().unwrap() == "again");
    terminal.send("\r");
    terminal.wait_for_text(SOON, "Hello from the fake service.");
}
