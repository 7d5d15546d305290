//! The program talks on while claude-safe waits.

use super::*;

#[test]
fn an_interruption_while_waiting_gives_the_failure_and_the_next_message_works() {
    let plan = json!({"prompts": ["hello", "again"], "interrupt": "stop"});
    for sdk in [Python, TypeScript] {
        let desk = Desk::new(SignIn::Valid);
        desk.service.set_api(Behaviour::error(500));
        let seen = desk.run_while(sdk, &plan, || {
            desk.marked("waits");
            desk.service.set_api(Behaviour::Ok);
            desk.mark("stop");
        });
        let failed = seen.find("API Error: 500").expect("the failure");
        let works = seen.find("Hello to you.").expect("the next message");
        assert!(failed < works && seen.contains("interrupted"), "{sdk:?} {seen}");
    }
}

#[test]
fn messages_of_an_outage_have_a_result_each() {
    // While Claude itself tries again, which queues them, and while claude-safe waits.
    for (sdk, when) in
        [(Python, "retries"), (Python, "waits"), (TypeScript, "retries"), (TypeScript, "waits")]
    {
        let plan = json!({
            "prompts": ["hello"], "later": ["what time is it"], "when": when, "own_tool": true,
        });
        let desk = Desk::new(SignIn::Valid);
        desk.service.set_api(Behaviour::error(500));
        let seen = desk.run_while(sdk, &plan, || {
            desk.marked("sent");
            // Each turn that fails takes two requests.
            desk.wait_for_turns(4);
            desk.service.set_api(Behaviour::Ok);
        });
        assert!(!seen.contains("API Error"), "{sdk:?} {when} {seen}");
        for (what, times) in [("\"completed\",", 2), ("init default", 2), ("called: clock", 1)] {
            assert_eq!(seen.matches(what).count(), times, "{sdk:?} {when} {what}: {seen}");
        }
        assert!(seen.to_lowercase().contains("status: true"), "{seen}");
    }
}
