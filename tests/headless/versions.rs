//! The same outages with older and newer versions of Claude Code.

use claude_safe_testkit::claude::NEWEST;
use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, Script, SignIn};

use super::{MESSAGE, Stage};

fn survives(version: &'static str) {
    let healthy = Stage::of_version(version, SignIn::Valid);
    let ended = healthy.asks(&[]);
    ended.is_the_answer();
    assert_eq!(ended.stderr, "", "{version}: {ended:#?}");

    let refresh = Stage::of_version(version, SignIn::Expired);
    refresh.asks_through(Endpoint::OAuth, Behaviour::error(500)).is_the_answer();
    assert_eq!(refresh.prompts(), ["hi", MESSAGE], "{version}");

    let mut api = Stage::of_version(version, SignIn::Valid);
    api.claude_gives_up_soon();
    api.service.set_api(Script::first(2, Behaviour::error(500)));
    let ended = api.asks(&[]);
    ended.is_the_answer();
    assert_eq!(api.prompts(), ["hi", MESSAGE], "{version}: {ended:#?}");
}

#[test]
fn version_2_0_30_without_hooks() {
    survives("2.0.30");
}

#[test]
fn version_2_1_100_with_raw_json_errors() {
    survives("2.1.100");
}

#[test]
fn version_2_1_200() {
    survives("2.1.200");
}

#[test]
fn the_newest_version() {
    survives(NEWEST);
}
