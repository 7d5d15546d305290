use super::*;

fn plan(words: &[&str]) -> LaunchPlan {
    let words: Vec<OsString> = words.iter().map(Into::into).collect();
    LaunchPlan::new("/bin/claude".into(), ClaudeArgs::parse(&words), "go on".into())
}

fn text(plan: &LaunchPlan) -> String {
    let args: Vec<String> =
        plan.args().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    args.join(" ")
}

#[test]
fn the_first_launch_is_the_users_with_our_settings_in_front() {
    let mut plan = plan(&["-p", "--settings", "mine.json", "--", "-hi"]);
    assert_eq!(text(&plan), "-p --settings mine.json -- -hi");
    plan.settings = Some("/run/s.json".into());
    assert_eq!(text(&plan), "--settings /run/s.json -p -- -hi");
    plan.session = SessionPlan::WithId("id".into());
    assert_eq!(text(&plan), "--settings /run/s.json --session-id id -p -- -hi");
}

#[test]
fn a_resume_sends_the_message_or_nothing_and_never_the_prompt() {
    let first = plan(&["-p", "--model", "opus", "do it"]);
    let again = first.resume("id", Continuation::Message);
    assert_eq!(text(&again), "--resume id -p --model opus -- go on");
    assert!(first.sends_prompt() && !again.sends_prompt());
    let silent = first.resume("id", Continuation::Silent);
    assert_eq!(text(&silent), "--resume id -p --model opus");
    assert!(silent.environment().iter().all(|(_, value)| value.is_none()));
}

fn heard(fields: &str) -> HookEvent {
    let line = format!(r#"{{"session_id":"s",{fields}}}"#);
    HookEvent::parse(line.as_bytes()).expect("an event")
}

#[test]
fn at_a_terminal_the_model_and_the_mode_are_those_the_session_had_last() {
    let prompt = |mode: &str| {
        let name = r#""hook_event_name":"UserPromptSubmit","cwd":"/elsewhere""#;
        heard(&format!(r#"{name},"permission_mode":"{mode}""#))
    };
    let model = |id: &str| heard(&format!(r#""hook_event_name":"StatusLine","model":"{id}""#));
    let plan_mode = ["--permission-mode=plan", "--model", "haiku"];
    let skip = "--dangerously-skip-permissions";
    for (given, events, wanted) in [
        // unchanged: the user's own words
        (
            &plan_mode[..],
            vec![prompt("plan"), model("h-1")],
            "--permission-mode=plan --model haiku",
        ),
        (&["--permission-mode", "manual"], vec![prompt("default")], "--permission-mode manual"),
        (&[], vec![prompt("plan"), prompt("plan"), model("o"), model("o")], ""),
        (&[skip], vec![prompt("bypassPermissions")], skip),
        // changed, before the first prompt or later
        (&plan_mode, vec![prompt("acceptEdits")], "--permission-mode acceptEdits --model haiku"),
        (&[], vec![prompt("default"), prompt("plan")], "--permission-mode plan"),
        (&plan_mode, vec![model("h"), model("o-2")], "--model o-2 --permission-mode=plan"),
        (
            &[skip, "--verbose"],
            vec![prompt("plan")],
            "--allow-dangerously-skip-permissions --permission-mode plan --verbose",
        ),
    ] {
        let mut first = plan(given);
        for event in &events {
            first.learn(event);
        }
        let again = first.resume("id", Continuation::Silent);
        assert_eq!(text(&again), format!("--resume id {wanted}").trim_end(), "{given:?}");
        assert_eq!(again.cwd, None);
    }
}

#[test]
fn a_relaunch_starts_where_the_first_launch_did_but_for_a_worktree() {
    let at = |cwd: &str| heard(&format!(r#""hook_event_name":"Stop","cwd":"{cwd}""#));
    let mut first = plan(&["-p", "-w", "feature", "do it"]);
    assert_eq!(text(&first.afresh("new")), "--session-id new -p -w feature do it");
    first.learn_place(&at("/project/tree"));
    first.learn_place(&at("/project/tree/src"));
    assert_eq!(first.cwd.as_deref(), Some(std::path::Path::new("/project/tree")));
    assert_eq!(text(&first.resume("id", Continuation::Message)), "--resume id -p -- go on");
    assert_eq!(text(&first.afresh("new")), "--session-id new -p do it");
    let mut first = plan(&["-p", "do it"]);
    first.learn_place(&at("/project/src"));
    assert_eq!(first.cwd, None);
}

#[test]
fn an_interrupted_turn_is_sent_again_by_environment_and_never_by_inheritance() {
    let first = plan(&[]);
    assert_eq!(first.environment(), [(RESUME_TURN, None), (RESUME_MESSAGE, None)]);
    let again = first.resume("id", Continuation::InterruptedTurn);
    assert_eq!(again.environment()[0], (RESUME_TURN, Some("1".into())));
    assert_eq!(again.environment()[1], (RESUME_MESSAGE, Some("go on".into())));
}

#[test]
fn a_fresh_session_leaves_the_choice_of_the_old_one_out() {
    let fresh = plan(&["-p", "--resume", "old", "--fork-session", "do it"]).afresh("new");
    assert_eq!(text(&fresh), "--session-id new -p do it");
}

#[test]
fn an_attempt_of_which_nothing_came_is_made_again_without_what_it_said() {
    let first = plan(&["-p", "--resume", "id", "-w", "tree", "--", "-do it"]);
    let again = first.again("id", "before");
    assert_eq!(text(&again), "--resume id --resume-session-at before -p -- -do it");
    assert!(again.sends_prompt() && !again.asks());
    let own = plan(&["-p", "--resume", "id", "--resume-session-at=theirs", "do it"]);
    let own = own.again("id", "before");
    assert_eq!(text(&own), "--resume id --resume-session-at theirs -p do it");
    // our message stands once, however often it was sent in vain
    let asked = first.resume("id", Continuation::Message);
    let twice = asked.again("id", "tool").again("id", "in vain");
    assert_eq!(text(&twice), "--resume id --resume-session-at tool -p -- go on");
    assert!(twice.asks());
    let further = twice.resume("id", Continuation::Message);
    assert_eq!(text(&further), "--resume id -p -- go on");
}
