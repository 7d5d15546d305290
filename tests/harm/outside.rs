//! What refuses for a while: keys and tokens that are good, pages and proxies on the way,
//! gateways that show nothing to strangers.

use std::time::Duration;

use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Answer, Behaviour, SignIn};
use serde_json::json;

use super::kit::{Aspect, HELLO, Outage, Pair, World};

const OUTAGE: Duration = Duration::from_secs(25);
const TOKEN: (&str, &str) = ("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-fake-of-a-job-0");

fn ask() -> World {
    World::new(&["-p", "hi"]).deadline(Duration::from_secs(240))
}

/// The API does this for a while, and the answer is that of a good day.
fn waits(world: World, fault: Behaviour) -> Pair {
    let pair = world.outage(Outage::lasting(OUTAGE).fault(fault)).both().same();
    assert_eq!(pair.safe.stdout.trim_end(), HELLO, "{}", pair.tells());
    pair
}

/// An outage without end ends claude-safe at once, with Claude's own words and code.
fn ends_at_once(world: World, outage: Outage) {
    let pair = world.outage(outage).outage_for_both().both();
    let (plain, safe) = (&pair.plain, &pair.safe);
    assert_ne!(plain.code, 0, "{}", pair.tells());
    assert_eq!((safe.code, &safe.stdout), (plain.code, &plain.stdout), "{}", pair.tells());
    assert_eq!(safe.events("attempt_started").len(), 1, "{}", pair.tells());
}

#[test]
fn a_token_of_a_job_that_is_refused_for_a_while() {
    waits(ask().sign_in(SignIn::None).env(TOKEN.0, TOKEN.1), Behaviour::error(401));
}

#[test]
fn a_token_of_a_gateway_that_is_refused_for_a_while() {
    let world = ask().sign_in(SignIn::None).env("ANTHROPIC_BASE_URL", "{service}");
    waits(world.env("ANTHROPIC_AUTH_TOKEN", "fake-token-of-a-gateway"), Behaviour::error(401));
}

#[test]
fn a_key_that_is_refused_for_a_while() {
    let refused = Behaviour::error_with(401, "authentication_error", "invalid x-api-key");
    waits(ask().sign_in(SignIn::ApiKey), refused);
}

#[test]
fn a_key_helper_whose_vault_is_out_of_reach_for_a_while() {
    let helper = "#!/bin/sh\n[ -e {tmp}/since ] || date +%s > {tmp}/since\n\
        [ $(($(date +%s) - $(cat {tmp}/since))) -ge 25 ] || { echo unreachable >&2; exit 3; }\n\
        echo sk-ant-api03-of-the-vault\n";
    let settings = json!({ "apiKeyHelper": "{tmp}/helper" });
    let world = ask().sign_in(SignIn::None).file("{tmp}/helper", helper).settings(&settings);
    let good = world.clone().file("{tmp}/since", "0\n").plain();
    let safe = world.outage(Outage::lasting(OUTAGE).status(401)).safe();
    assert_eq!((safe.code, &safe.stdout), (good.code, &good.stdout), "{}", safe.log);
    assert!(!safe.events("failed").is_empty(), "{}", safe.log);
}

#[test]
fn tokens_handed_out_just_now_and_refused_are_the_apis_outage() {
    let pair = waits(ask(), Behaviour::error(401));
    let failed = pair.safe.events("failed");
    assert_eq!(failed[0]["failure"]["kind"], "api", "{}", pair.tells());
    let updates = pair.safe.events("fix_started");
    assert!(updates.is_empty(), "{}", pair.tells());
}

#[test]
fn a_page_that_forbids_in_the_apis_place() {
    waits(ask(), Behaviour::html(403, "Just a moment..."));
}

#[test]
fn a_page_that_forbids_a_key() {
    waits(ask().sign_in(SignIn::ApiKey), Behaviour::html(403, "403 Forbidden"));
}

#[test]
fn an_api_that_is_not_found_for_a_while() {
    waits(ask(), Behaviour::error(404));
}

#[test]
fn a_permission_that_was_there_a_moment_ago() {
    let pair = World::new(&["-p", "--permission-mode", "bypassPermissions", "add a line"])
        .deadline(Duration::from_secs(240))
        .answer(Answer::bash("echo ran >> proof.txt", HELLO))
        .outage(Outage::lasting(OUTAGE).after(1).status(403))
        .both()
        .same();
    assert_eq!(pair.safe.tool_runs("Bash"), 1, "{}", pair.tells());
}

#[test]
fn answers_that_no_api_gives() {
    waits(ask(), Behaviour::html(451, "Blocked"));
}

#[test]
fn a_torn_answer() {
    let torn = Behaviour::error_raw(200, "application/json", "{\"id\":\"msg_1\",\"ty");
    let pair = ask().outage(Outage::lasting(OUTAGE).fault(torn)).both();
    // the service counts each as an answer
    pair.same_but(&[Aspect::Answers]);
}

#[test]
fn a_proxy_that_fails() {
    let outage = Outage::lasting(OUTAGE).at(Endpoint::Proxy).fault(Behaviour::error(502));
    let pair = ask().outage(outage).both().same();
    assert_eq!(pair.safe.stdout.trim_end(), HELLO, "{}", pair.tells());
}

#[test]
fn a_proxy_that_says_no_is_the_users_to_know() {
    let outage = Outage::requests(1_000).at(Endpoint::Proxy).fault(Behaviour::error(407));
    ends_at_once(ask(), outage);
}

#[test]
fn a_model_that_does_not_exist_is_the_users_to_know() {
    let missing = Behaviour::error_with(404, "not_found_error", "model: claude-nonesuch");
    let world = World::new(&["-p", "--model", "claude-nonesuch", "hi"]);
    ends_at_once(world, Outage::requests(1_000).strangers(Behaviour::Ok).fault(missing));
}

#[test]
fn a_permission_that_never_was_is_the_users_to_know() {
    ends_at_once(ask(), Outage::requests(1_000).status(403));
}

/// A gateway on loopback, with a key.
fn gateway() -> World {
    ask().sign_in(SignIn::ApiKey).env("ANTHROPIC_BASE_URL", "{service}")
}

#[test]
fn a_gateway_that_drops_requests_without_credentials() {
    let outage = Outage::lasting(OUTAGE).strangers(Behaviour::Refuse);
    gateway().outage(outage).both().same();
}

#[test]
fn a_dead_sign_in_that_an_older_claude_keeps_on_disk_ends_after_some_tries() {
    let revoked = Outage::requests(1_000).at(Endpoint::OAuth).fault(Behaviour::invalid_grant());
    let world =
        ask().version("2.1.100").sign_in(SignIn::Expired).env("CLAUDE_SAFE_RUNGS_UPDATE", "off");
    let pair = world.outage(revoked).outage_for_both().both();
    let (plain, safe) = (&pair.plain, &pair.safe);
    assert_ne!(plain.code, 0, "{}", pair.tells());
    assert_eq!((safe.code, &safe.stdout), (plain.code, &plain.stdout), "{}", pair.tells());
    assert_eq!(safe.events("attempt_started").len(), 7, "{}", pair.tells());
    assert!(safe.stderr.contains("/login"), "{}", pair.tells());
}
