//! What a launch is given.

use claude_safe_testkit::SignIn;
use serde_json::json;

use crate::kit::{Desk, SOON};

const WATCHDOG: &str = "CLAUDE_CODE_RETRY_WATCHDOG";

/// What the first launch has of this variable, with these settings of the user's.
fn watchdog(settings: &serde_json::Value) -> serde_json::Value {
    let desk = Desk::with(SignIn::Valid, &json!([[{ "exit": 0 }]]));
    desk.sandbox.write_settings(settings);
    let mut terminal = desk.sit_down();
    assert_eq!(terminal.wait_exit(SOON).code(), Some(0));
    desk.claude.launches()[0]["env"][WATCHDOG].clone()
}

#[test]
fn claude_is_never_left_to_retry_a_key_that_its_settings_name() {
    assert_eq!(watchdog(&json!({})), "1");
    let key = json!({ "env": { "ANTHROPIC_API_KEY": "sk-ant-api03-wrong" } });
    assert!(watchdog(&key).is_null());
    assert!(watchdog(&json!({ "apiKeyHelper": "echo key" })).is_null());
    assert!(watchdog(&json!({ "env": { "CLAUDE_CODE_MAX_RETRIES": 2 } })).is_null());
}
