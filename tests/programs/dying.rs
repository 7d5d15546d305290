//! Claude is killed, or the program is.

use std::os::fd::AsFd as _;

use claude_safe_testkit::wait_until;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

#[test]
fn a_claude_that_is_killed_in_its_turn_is_replaced() {
    let all = json!({
        "prompts": ["hello", "what time is it"],
        "partials": true, "replay": true, "hooks": true, "own_tool": true,
    });
    let one = json!({"one_shot": true, "prompts": ["hello"]});
    for (sdk, plan) in [(Python, &one), (Python, &all), (TypeScript, &all)] {
        let desk = Desk::new(SignIn::Valid);
        // The last request of each plan but one.
        let before = plan["prompts"].as_array().map_or(0, Vec::len) - 1;
        let hang = Script::first(1, Behaviour::Hang);
        desk.service.set_api(Script::After(before, Box::new(hang)));
        let seen = desk.run_while(sdk, plan, || {
            desk.wait_for_turns(before + 1);
            desk.kill_claude();
        });
        assert_eq!(seen, good_day(sdk, plan), "{sdk:?} {plan}");
    }
}

#[test]
fn a_permission_that_was_asked_of_a_killed_claude_is_asked_anew() {
    let plan = json!({"prompts": ["touch the file"], "permission": true, "hesitate": true});
    for sdk in [Python, TypeScript] {
        let desk = Desk::new(SignIn::Valid);
        let seen = desk.run_while(sdk, &plan, || {
            desk.marked("asked");
            std::fs::remove_file(desk.sandbox.tmp().join("asked")).unwrap();
            desk.kill_claude();
            desk.marked("asked");
            desk.mark("allow");
        });
        assert_eq!(seen.matches("asked: Bash").count(), 2, "{seen}");
        assert!(seen.contains("withdrawn") && seen.contains("completed"), "{seen}");
        let touched = desk.sandbox.project().join("touched");
        assert_eq!(std::fs::read_to_string(touched).unwrap(), "once\n", "{sdk:?}");
    }
}

#[test]
fn what_the_program_had_set_holds_after_a_relaunch() {
    let plan = json!({
        "prompts": ["hello", "write a note"], "permission": true,
        "mode": "acceptEdits", "model": "claude-haiku-4-5",
    });
    let mut killed = plan.clone();
    killed["pause"] = 0.into();
    for sdk in [Python, TypeScript] {
        let good = good_day(sdk, &plan);
        assert!(!good.contains("asked:"), "{good}");
        let desk = Desk::new(SignIn::Valid);
        let seen = desk.run_while(sdk, &killed, || {
            // Claude asks the service before it takes another model.
            desk.marked("pauses");
            let before = desk.service.turns().len();
            desk.service.set_api(Script::first(1, Behaviour::Hang));
            desk.mark("go");
            desk.wait_for_turns(before + 1);
            desk.kill_claude();
        });
        assert_eq!(seen, good, "{sdk:?}");
    }
}

#[test]
fn a_message_that_claude_never_read_is_sent_to_the_next_one() {
    let plan = json!({"prompts": ["hello", "what time is it"], "own_tool": true, "pause": 1});
    for sdk in [Python, TypeScript] {
        let desk = Desk::new(SignIn::Valid);
        let seen = desk.run_while(sdk, &plan, || {
            desk.marked("pauses");
            let claude = Pid::from_raw(desk.claude());
            kill(claude, Signal::SIGSTOP).unwrap();
            desk.mark("go");
            desk.marked("prompted");
            wait_until(SOON, || has_input(claude).then_some(())).expect("the message");
            kill(claude, Signal::SIGKILL).unwrap();
        });
        let good = json!({"prompts": ["hello", "what time is it"], "own_tool": true});
        assert_eq!(seen, good_day(sdk, &good), "{sdk:?}");
    }
}

/// Whether something waits to be read on its standard input.
fn has_input(pid: Pid) -> bool {
    let stdin = std::fs::File::open(format!("/proc/{pid}/fd/0")).expect("it lives");
    let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).expect("a pipe") > 0
}

#[test]
fn nobody_is_left_behind_when_the_program_is_killed() {
    for sdk in [Python, TypeScript] {
        let desk = Desk::new(SignIn::Valid);
        desk.service.set_api(Behaviour::error(500));
        let plan = json!({"prompts": ["hello"]});
        let mut program = desk.command(sdk, &plan, Path::new(SAFE)).spawn().expect("it starts");
        desk.wait_for_turns(2);
        wait_until(SOON, || (desk.sandbox.processes().len() > 2).then_some(())).expect("all run");
        program.kill().unwrap();
        program.wait().unwrap();
        desk.sandbox.assert_no_leftovers(SOON);
    }
}
