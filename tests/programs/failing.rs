//! The service fails, and claude lives or leaves because its input is closed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::*;

/// An outage that claude does not outlast by itself: two requests are one failed turn.
const OUTAGE_REQUESTS: usize = 4;

#[test]
fn an_outage_of_the_api_is_not_seen() {
    let one = json!({"one_shot": true, "prompts": ["hello"]});
    let all = json!({
        "prompts": ["hello", "what time is it"],
        "partials": true, "replay": true, "hooks": true, "own_tool": true,
    });
    // After a stream that was cut, Claude asks without one, and then tells things in another order.
    let faults =
        [Behaviour::error(500), Behaviour::error(529), Behaviour::Refuse, Behaviour::error(500)];
    let mut faults = faults.iter().cycle();
    for plan in [&one, &all] {
        for sdk in [Python, TypeScript] {
            let good = good_day(sdk, plan);
            for fault in faults.by_ref().take(2) {
                let desk = Desk::new(SignIn::Valid);
                desk.service.set_api(Script::first(OUTAGE_REQUESTS, fault.clone()));
                let seen = desk.run(sdk, plan, Path::new(SAFE));
                assert_eq!(seen, good, "{sdk:?} {fault:?}");
            }
        }
    }
}

/// Most hosts have Claude tell when it is idle; who writes lines by hand does not.
#[test]
fn an_outage_is_not_seen_where_claude_does_not_tell_its_state() {
    let desk = Desk::new(SignIn::Valid);
    desk.service.set_api(Script::first(OUTAGE_REQUESTS, Behaviour::error(500)));
    let mut command = desk.sandbox.command(SAFE);
    // The wrapper form, as VS Code starts it.
    command.arg(real_claude(desk::VERSION)).args(["-p", "--verbose"]);
    command.args(["--output-format", "stream-json", "--input-format", "stream-json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut safe = command.spawn().expect("it starts");
    let message = json!({"type": "user", "message": {"role": "user", "content": "hello"}});
    let stdin = safe.stdin.as_mut().expect("piped");
    writeln!(stdin, "{message}").unwrap();
    let stdout = BufReader::new(safe.stdout.take().expect("piped"));
    let mut lines = stdout.lines().map(|line| line.expect("text"));
    let result = lines.find(|line| line.contains(r#""type":"result""#));
    drop(safe.stdin.take());
    assert_eq!(lines.count(), 0);
    assert!(safe.wait().unwrap().success());
    let result = result.expect("a result");
    assert!(result.contains("Hello to you.") && result.contains(r#""is_error":false"#), "{result}");
}

#[test]
fn a_refresh_that_fails_is_not_seen() {
    let one = json!({"one_shot": true, "prompts": ["hello"]});
    let two = json!({"prompts": ["hello", "again"]});
    for (sdk, plan) in [(Python, &one), (TypeScript, &two)] {
        let desk = Desk::new(SignIn::Expired);
        // Six requests are one failed refresh.
        desk.service.set_oauth(Script::first(8, Behaviour::error(500)));
        let seen = desk.run(sdk, plan, Path::new(SAFE));
        assert_eq!(seen, good_day(sdk, plan), "{sdk:?}");
    }
}

#[test]
fn a_tool_that_ran_before_the_outage_runs_once() {
    let plan = json!({"prompts": ["touch the file"], "permission": true, "max_turns": 2});
    for sdk in [Python, TypeScript] {
        let desk = Desk::new(SignIn::Valid);
        let outage = Script::first(OUTAGE_REQUESTS, Behaviour::error(529));
        desk.service.set_api(Script::After(1, Box::new(outage)));
        let seen = desk.run(sdk, &plan, Path::new(SAFE));
        assert_eq!(seen, good_day(sdk, &plan), "{sdk:?}");
        let touched = desk.sandbox.project().join("touched");
        assert_eq!(std::fs::read_to_string(touched).unwrap(), "once\n", "{sdk:?}");
    }
}

#[test]
fn what_waiting_cannot_cure_is_told_a_one_shot_program_as_it_is() {
    let one = json!({"one_shot": true, "prompts": ["hello"]});
    let turns = json!({"one_shot": true, "prompts": ["touch the file"], "max_turns": 1});
    let (grant, refused) = (Behaviour::invalid_grant(), Behaviour::error(400));
    as_plain("limit", SignIn::Valid, None, Some(&limit()), Python, &one);
    as_plain("dead sign-in", SignIn::Expired, Some(&grant), None, TypeScript, &one);
    as_plain("refused", SignIn::Valid, None, Some(&refused), TypeScript, &one);
    let (forget, down) =
        (json!({"one_shot": true, "prompts": ["hello"], "forget": true}), Behaviour::error(500));
    as_plain("nothing to resume", SignIn::Valid, None, Some(&down), Python, &forget);
    as_plain("max turns", SignIn::Valid, None, None, Python, &turns);
}

#[test]
fn what_waiting_cannot_cure_is_told_a_program_that_talks_on_as_it_is() {
    let talk = json!({"prompts": ["hello", "again"]});
    let grant = Behaviour::invalid_grant();
    as_plain("not signed in", SignIn::None, None, None, TypeScript, &talk);
    as_plain("limit", SignIn::Valid, None, Some(&limit()), TypeScript, &talk);
    as_plain("dead sign-in", SignIn::Expired, Some(&grant), None, Python, &talk);
}

/// A limit that lifts in a month.
fn limit() -> Behaviour {
    let month = SystemTime::now() + Duration::from_secs(30 * 86_400);
    let month = month.duration_since(UNIX_EPOCH).expect("it is past 1970").as_secs();
    Behaviour::usage_limit("seven_day", month)
}

fn as_plain(
    name: &str,
    sign_in: SignIn,
    oauth: Option<&Behaviour>,
    api: Option<&Behaviour>,
    sdk: desk::Sdk,
    plan: &Value,
) {
    let run = |claude: &Path| {
        let desk = Desk::new(sign_in);
        desk.service.set_oauth(oauth.cloned().unwrap_or(Behaviour::Ok));
        desk.service.set_api(api.cloned().unwrap_or(Behaviour::Ok));
        let seen = desk.run(sdk, plan, claude);
        let waited = desk.sandbox.tmp().join("waits").exists();
        assert!(!waited, "{name}: nothing is waited for, and nobody is told so");
        seen
    };
    assert_eq!(run(Path::new(SAFE)), run(&real_claude(desk::VERSION)), "{name} {sdk:?}");
}
