//! Programs on the real Agent SDKs, which talk to the real Claude Code through claude-safe: what
//! they print on a good day, they print through an outage. Each test is a run of a small program
//! (`sdks/client.py`, `sdks/client.mjs`) against the fake service, judged from its side: every
//! message, but for ids, times and costs.

mod desk;
mod dying;
mod failing;
mod shows;
mod talking;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use claude_safe_testkit::{Behaviour, Script, SignIn, real_claude};
use serde_json::json;

use desk::{Desk, Python, SAFE, SOON, TypeScript, good_day};

#[test]
fn a_good_day_is_as_without_us() {
    let all = json!({
        "prompts": ["hello", "touch the file", "what time is it"],
        "partials": true, "replay": true, "hooks": true, "permission": true, "own_tool": true,
    });
    let one = json!({"one_shot": true, "prompts": ["hello"]});
    for (sdk, plan) in [(Python, &one), (TypeScript, &one), (Python, &all), (TypeScript, &all)] {
        let desk = Desk::new(SignIn::Valid);
        let seen = desk.run(sdk, plan, Path::new(SAFE));
        assert_eq!(seen, good_day(sdk, plan), "{sdk:?}");
        assert!(seen.contains("Hello to you."), "{seen}");
    }
}

#[test]
fn the_claude_to_run_may_be_the_first_word() {
    let desk = Desk::new(SignIn::Valid);
    let mut command = desk.sandbox.command(SAFE);
    command.env_remove("CLAUDE_SAFE_CLAUDE").env("PATH", "/usr/bin:/bin");
    command.arg(real_claude(desk::VERSION)).args(["plugin", "list", "--json"]);
    let ours = desk.sandbox.run(command, SOON);
    let mut command = desk.sandbox.command(real_claude(desk::VERSION));
    command.args(["plugin", "list", "--json"]);
    let plain = desk.sandbox.run(command, SOON);
    assert_eq!(ours.stdout, plain.stdout);
    assert_eq!(ours.status.code(), plain.status.code());
}

#[test]
fn where_we_cannot_watch_it_is_started_with_its_own_arguments_alone() {
    let desk = Desk::new(SignIn::Valid);
    let claude = desk.sandbox.tmp().join("claude");
    let prints = "#!/bin/sh\n[ \"$1\" = --version ] || printf '%s\\n' \"$@\"\n";
    std::fs::write(&claude, prints).expect("written");
    std::fs::set_permissions(&claude, std::fs::Permissions::from_mode(0o755)).expect("ours");
    let arguments = ["--input-format", "stream-json", "--output-format", "stream-json"];
    // Enough open files for a program, and too few for us: how many depends on where tests run.
    let without_us: Vec<String> = (10..20)
        .filter_map(|limit| {
            let mut command = desk.sandbox.command("sh");
            command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh", SAFE]);
            command.arg(&claude).args(arguments);
            let ended = desk.sandbox.run(command, SOON);
            let fell_back = String::from_utf8_lossy(&ended.stderr).contains("without us");
            (fell_back && ended.status.success())
                .then(|| String::from_utf8_lossy(&ended.stdout).into_owned())
        })
        .collect();
    assert!(!without_us.is_empty());
    for said in without_us {
        assert_eq!(said.lines().collect::<Vec<_>>(), arguments);
    }
}
