//! Homes, configurations and starts that are not as they should be.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use claude_safe_testkit::{Answer, Behaviour, Request, Script, SignIn};

use super::{ANSWER, Endpoint, Stage};

fn fails_once(stage: &mut Stage) {
    stage.claude_gives_up_soon();
    stage.service.set_api(Script::first(2, Behaviour::error(500)));
}

#[test]
fn inside_a_session_a_run_goes_on_as_far_as_its_own_transcript_tells() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.sandbox.env("CLAUDE_CODE_CHILD_SESSION", "1").env("CLAUDECODE", "1");
    stage.asks(&[]).is_the_answer();
    fails_once(&mut stage);
    stage.asks(&[]).is_the_answer();
    // Never resumed: the second answer came in a conversation of its own.
    assert_eq!(stage.prompts(), ["hi", "hi", "hi"]);
}

#[test]
fn a_state_directory_that_cannot_be_made_stops_nothing() {
    let mut stage = Stage::new(SignIn::Valid);
    // A file where the directory should be: refused to root as well.
    let blocked = stage.sandbox.tmp().join("not-a-directory");
    fs::write(&blocked, "").unwrap();
    stage.sandbox.env("CLAUDE_SAFE_STATE_DIR", blocked.join("state"));
    fails_once(&mut stage);
    let ended = stage.asks(&[]);
    ended.is_the_answer();
    assert_eq!(stage.prompts(), ["hi"]);
}

#[test]
fn with_no_place_to_write_at_all_a_run_still_answers() {
    let mut stage = Stage::new(SignIn::Valid);
    let blocked = stage.sandbox.tmp().join("not-a-directory");
    fs::write(&blocked, "").unwrap();
    stage.sandbox.env("CLAUDE_SAFE_STATE_DIR", blocked.join("state"));
    stage.sandbox.env("XDG_RUNTIME_DIR", blocked.join("run"));
    stage.asks(&[]).is_the_answer();
}

#[test]
fn a_broken_configuration_is_told_once_and_the_rest_of_it_holds() {
    let mut stage = Stage::new(SignIn::Valid);
    let file = stage.sandbox.tmp().join("config.toml");
    fs::write(&file, "[retry]\nmax_wait = \"soon\"\n\n[headless]\nquiet = \"off\"\n").unwrap();
    stage.sandbox.env("CLAUDE_SAFE_CONFIG", &file);
    stage.sandbox.env_remove("CLAUDE_SAFE_RETRY_MAX_WAIT");
    let ended = stage.asks(&[]);
    ended.is_the_answer();
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert!(
        ended.stderr.contains("max_wait") && ended.stderr.contains("config.toml"),
        "{ended:#?}"
    );
    fs::write(&file, "[retry\n").unwrap();
    let ended = stage.asks(&[]);
    ended.is_the_answer();
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
}

#[test]
fn without_claude_the_code_is_127_and_the_way_to_install_it_is_named() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.sandbox.env_remove("CLAUDE_SAFE_CLAUDE");
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(127), "{ended:#?}");
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("npm install -g @anthropic-ai/claude-code"), "{ended:#?}");
}

#[test]
fn a_claude_that_leads_back_to_us_is_an_error_not_a_loop() {
    let mut stage = Stage::new(SignIn::Valid);
    let link = stage.sandbox.tmp().join("claude");
    symlink(env!("CARGO_BIN_EXE_claude-safe"), &link).unwrap();
    stage.sandbox.env("CLAUDE_SAFE_CLAUDE", &link);
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(127), "{ended:#?}");
    assert!(ended.stderr.contains("leads back to claude-safe"), "{ended:#?}");
    // A script between us and us is seen through when it comes round.
    let script = stage.sandbox.tmp().join("wrapper");
    fs::write(&script, format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_claude-safe")))
        .unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    stage.sandbox.env("CLAUDE_SAFE_CLAUDE", &script);
    let ended = stage.asks(&[]);
    assert_eq!(ended.code, Some(127), "{ended:#?}");
    assert!(ended.stderr.contains("leads back to claude-safe"), "{ended:#?}");
}

#[test]
fn a_claude_that_cannot_be_run_is_126() {
    let mut stage = Stage::new(SignIn::Valid);
    let program = stage.sandbox.tmp().join("claude");
    fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    stage.sandbox.env("CLAUDE_SAFE_CLAUDE", &program);
    let ended = stage.asks(&[]);
    assert!(matches!(ended.code, Some(126 | 127)), "{ended:#?}");
    assert!(ended.stderr.contains("failed to run"), "{ended:#?}");
}

#[test]
fn started_by_claudes_own_tool_it_is_a_run_of_its_own() {
    let mut stage = Stage::new(SignIn::Valid);
    stage.sandbox.env("IS_SANDBOX", "1");
    let inner = format!("'{}' -p inner > inner.txt 2>&1", env!("CARGO_BIN_EXE_claude-safe"));
    let asked = |request: &Request, word| request.user_texts.iter().any(|text| text == word);
    stage.service.answer_with(move |request| {
        if asked(request, "outer") {
            Answer::bash(&inner, "Outer done.")
        } else {
            Answer::text(ANSWER)
        }
    });
    let args = ["-p", "--permission-mode", "bypassPermissions", "outer"];
    let ended = stage.ends(stage.safe(&args));
    assert_eq!(ended.stdout.trim_end(), "Outer done.", "{ended:#?}");
    let inner = fs::read_to_string(stage.sandbox.project().join("inner.txt")).unwrap();
    assert_eq!(inner.trim_end(), ANSWER);
    assert_eq!(stage.journalled("run_started").len(), 2);
}

#[test]
fn what_is_written_is_for_its_owner_alone_and_holds_no_prompt_and_no_token() {
    let mut stage = Stage::new(SignIn::Expired);
    stage.sandbox.env("CLAUDE_SAFE_LOG_LEVEL", "trace");
    stage
        .service
        .set_oauth(Script::down_for(std::time::Duration::from_secs(4), Behaviour::error(500)));
    stage.ends(stage.safe(&["-p", "a prompt of my own"])).is_the_answer();
    let mut left = vec![stage.sandbox.state_dir()];
    let mut files = 0;
    while let Some(path) = left.pop() {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{}", path.display());
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        files += 1;
        for secret in ["a prompt of my own", "sk-ant-"] {
            assert!(!text.contains(secret), "{secret} in {}", path.display());
        }
    }
    assert!(files > 1);
}

#[test]
fn our_looks_go_the_way_that_claudes_settings_name() {
    let mut stage = Stage::new(SignIn::Expired);
    let way = stage.service.env();
    let way: serde_json::Map<_, _> =
        way.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    for name in way.keys() {
        stage.sandbox.env_remove(name);
    }
    stage.sandbox.write_settings(&serde_json::json!({ "env": way }));
    stage.asks_through(Endpoint::OAuth, Behaviour::error(500)).is_the_answer();
    let reasons = stage.journalled("failed")[0]["health"]["reasons"].to_string();
    assert!(reasons.contains("platform.claude.com fails (500)"), "{reasons}");
}
