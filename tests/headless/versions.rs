//! The same outages with older and newer versions of Claude Code.

use claude_safe_testkit::claude::NEWEST;
use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, SignIn};

use super::Stage;

fn survives(version: &'static str) {
    let healthy = Stage::of_version(version, SignIn::Valid);
    let ended = healthy.asks(&[]);
    ended.is_the_answer();
    assert_eq!(ended.stderr, "", "{version}: {ended:#?}");
    assert_eq!(healthy.journalled("run_started")[0]["claude_version"], version);
    for command in [&["status", "--json"][..], &["report", "--json"]] {
        let shown = healthy.ends(healthy.safe(command)).stdout;
        let told = format!("\"claude_version\": \"{version}\"");
        assert!(shown.contains(&told), "{command:?}: {shown}");
    }

    let mut refresh = Stage::of_version(version, SignIn::Expired);
    // The older ones repeat a 401 too, for minutes.
    refresh.claude_gives_up_soon();
    refresh.asks_through(Endpoint::OAuth, Behaviour::error(500)).is_the_answer();
    assert_eq!(refresh.prompts(), ["hi"], "{version}");

    let mut api = Stage::of_version(version, SignIn::Valid);
    api.claude_gives_up_soon();
    let ended = api.asks_through(Endpoint::Api, Behaviour::error(500));
    ended.is_the_answer();
    assert_eq!(api.prompts(), ["hi"], "{version}: {ended:#?}");
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
