//! What waiting cannot cure is Claude's to tell: its words, its code, no second try.

use claude_safe_testkit::{Behaviour, SignIn};

use super::Stage;

fn passes_through(stage: &Stage, args: &[&str]) {
    let plain = stage.ends(stage.plain(args));
    let safe = stage.ends(stage.safe(args));
    assert_ne!(plain.code, Some(0), "{plain:#?}");
    assert_eq!(safe.code, plain.code, "{safe:#?}");
    assert_eq!(safe.stdout, plain.stdout);
    let ours = |line: &&str| line.starts_with("claude-safe: ");
    let claudes: Vec<_> = safe.stderr.lines().filter(|line| !ours(line)).collect();
    assert_eq!(claudes, plain.stderr.lines().collect::<Vec<_>>());
    assert!(safe.stderr.lines().filter(ours).count() <= 1, "{safe:#?}");
    assert_eq!(stage.journalled("attempt_started").len(), 1);
}

#[test]
fn a_flag_that_does_not_exist() {
    passes_through(&Stage::new(SignIn::Valid), &["-p", "--no-such-flag", "--", "hi"]);
}

#[test]
fn a_session_that_does_not_exist() {
    let id = "00000000-0000-4000-8000-0000000000ff";
    passes_through(&Stage::new(SignIn::Valid), &["-p", "--resume", id, "hi"]);
}

#[test]
fn a_request_that_is_refused() {
    let stage = Stage::new(SignIn::Valid);
    stage.service.set_api(Behaviour::error(403));
    passes_through(&stage, &["-p", "hi"]);
}

#[test]
fn no_prompt_at_all() {
    passes_through(&Stage::new(SignIn::Valid), &["-p"]);
}
