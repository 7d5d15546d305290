//! The service fails, and claude lives or leaves because its input is closed.

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
    let faults = [
        Behaviour::error(500),
        Behaviour::error(529),
        Behaviour::Refuse,
        Behaviour::CutAfter(String::new()),
    ];
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
fn what_waiting_cannot_cure_is_told_at_once_and_as_it_is() {
    let month = std::time::SystemTime::now() + std::time::Duration::from_secs(30 * 86_400);
    let month = month.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let limit = Behaviour::usage_limit("seven_day", month);
    let talk = json!({"prompts": ["hello", "again"]});
    let one = json!({"one_shot": true, "prompts": ["hello"]});
    let turns = json!({"one_shot": true, "prompts": ["touch the file"], "max_turns": 1});
    let (grant, refused) = (Behaviour::invalid_grant(), Behaviour::error(400));
    for (name, sign_in, oauth, api, sdk, plan) in [
        ("not signed in", SignIn::None, None, None, TypeScript, &talk),
        ("limit", SignIn::Valid, None, Some(&limit), Python, &one),
        ("limit", SignIn::Valid, None, Some(&limit), TypeScript, &talk),
        ("dead sign-in", SignIn::Expired, Some(&grant), None, TypeScript, &one),
        ("dead sign-in", SignIn::Expired, Some(&grant), None, Python, &talk),
        ("refused", SignIn::Valid, None, Some(&refused), TypeScript, &one),
        ("max turns", SignIn::Valid, None, None, Python, &turns),
    ] {
        let run = |claude: &Path| {
            let desk = Desk::new(sign_in);
            oauth.into_iter().for_each(|fault| desk.service.set_oauth(fault.clone()));
            api.into_iter().for_each(|fault| desk.service.set_api(fault.clone()));
            desk.run(sdk, plan, claude)
        };
        assert_eq!(run(Path::new(SAFE)), run(&real_claude(desk::VERSION)), "{name} {sdk:?}");
    }
}
