use super::*;

fn parse(line: &[&str]) -> ClaudeArgs {
    ClaudeArgs::parse(&line.iter().map(OsString::from).collect::<Vec<_>>())
}

fn resumed(line: &[&str]) -> Vec<String> {
    let words = parse(line).for_resume().words();
    words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

#[test]
fn words_come_back_as_they_were_written() {
    for line in [
        &["-p", "hi"][..],
        &["--allowedTools", "Bash", "Edit", "--", "-dash prompt"],
        &["-pc", "--model=opus", "multi\nline "],
        &["--unknown", "value", "--settings", "{}", "-r"],
        &["-pcrname", "-pZ", "-pd", "x", "-p-x", "-d2e", "--verbose=x", "hi", "--", "--", "-p"],
    ] {
        assert_eq!(parse(line).words(), line.iter().map(OsString::from).collect::<Vec<_>>());
    }
}

#[test]
fn a_resume_leaves_out_the_prompt_and_the_choice_of_session_and_nothing_else() {
    let id = "11111111-1111-4111-8111-111111111111";
    for (line, kept) in [
        (&["--verbose", "-p", "hi"][..], &["--verbose", "-p"][..]),
        (
            &["--model", "opus", "-c", "--permission-mode=plan", "--add-dir", "a", "b"],
            &["--model", "opus", "--permission-mode=plan", "--add-dir", "a", "b"],
        ),
        (&["-r", "name", "-w", "--", "-prompt"], &[]),
        (&["--resume", id, "--resume-session-at", "u", "--fork-session", "hi"], &[]),
        (&["--resume=x", "--resume-session-at=u", "--session-id=y", "--from-pr=1", "hi"], &[]),
        (&["-rID", "-wtree", "--from-pr", "12", "--prefill", "hi", "-nname"], &["-nname"]),
        (&["-p", "--allowedTools=Bash", "hi"], &["-p", "--allowedTools=Bash"]),
        (
            &["-p", "--mcp-config=a.json", "hi", "--tools=", "you"],
            &["-p", "--mcp-config=a.json", "--tools="],
        ),
        (&["--debug=api", "hi"], &["--debug=api"]),
        (&["-dapi", "hi"], &["-dapi"]),
        (&["-d", "api", "hi"], &["-d", "api"]),
        (
            &["--allowedTools", "-c", "hi", "--betas", "x"],
            &["--allowedTools", "-c", "hi", "--betas", "x"],
        ),
        (&["--system-prompt", "--", "hi", "-c"], &["--system-prompt", "--"]),
        (&["--some-new-flag", "x", "prompt"], &["--some-new-flag", "x"]),
        (&["-p", "", "--model", "", "-"], &["-p", "--model", ""]),
    ] {
        assert_eq!(resumed(line), kept, "{line:?}");
    }
}

#[test]
fn a_letter_leaves_its_cluster_alone() {
    assert_eq!(resumed(&["-pc", "hi"]), ["-p"]);
    assert_eq!(resumed(&["-cp", "hi"]), ["-p"]);
    assert_eq!(resumed(&["-ph"]), ["-ph"]);
    assert_eq!(resumed(&["-pcrID", "hi"]), ["-p"]);
    assert_eq!(resumed(&["-pr", "ID", "hi"]), ["-p"]);
    assert_eq!(resumed(&["-pcd", "api", "hi"]), ["-p", "-d", "api"]);
    assert_eq!(resumed(&["-pnname", "hi"]), ["-pnname"]);
    assert_eq!(resumed(&["-d2e", "hi"]), ["-d2e"]);
    assert_eq!(parse(&["-cp", "hi"]).without("--print").words(), parse(&["-c", "hi"]).words());
    assert_eq!(parse(&["-pd=x"]).value("--debug").as_deref(), Some("=x"));
}

#[test]
fn a_prompt_stays_one_when_the_flag_before_it_is_left_out() {
    for (line, wanted) in [
        (&["--allowedTools", "Bash", "-c", "hi"][..], &["hi", "--allowedTools", "Bash"][..]),
        (
            &["-p", "--add-dir", "a", "--new", "-c", "hi", "you", "--", "-x"],
            &["-p", "hi", "you", "--add-dir", "a", "--new", "--", "-x"],
        ),
        (&["--model", "opus", "-c", "hi"], &["--model", "opus", "hi"]),
        (&["--new=1", "-c", "hi"], &["--new=1", "hi"]),
    ] {
        let without = parse(line).without("--continue");
        assert_eq!(without.words(), parse(wanted).words());
    }
}

#[test]
fn what_the_arguments_ask_for() {
    let intents = [
        (&["hello"][..], Intent::Conversation),
        (&["-p", "mcp servers?"], Intent::Conversation),
        (&["--", "mcp"], Intent::Plain),
        // with `-p` there are no commands
        (&["-p", "doctor"], Intent::Conversation),
        (&["mcp", "list", "--print"], Intent::Conversation),
        (&["mcp", "add", "x", "--", "npx", "-p"], Intent::Plain),
        (&["-d", "mcp", "list"], Intent::Conversation),
        (&["--model", "mcp"], Intent::Conversation),
        (&[], Intent::Conversation),
        (&["mcp", "list"], Intent::Plain),
        (&["--debug", "--version"], Intent::Plain),
        (&["-p", "--input-format", "stream-json"], Intent::Program),
        (&["--input-format=stream-json", "--sdk-url", "ws://x"], Intent::Plain),
        (&["--bg", "work"], Intent::Plain),
        (&["auth", "status"], Intent::Plain),
        (&["auth", "login"], Intent::SignIn),
        (&["setup-token"], Intent::SignIn),
    ];
    for (line, intent) in intents {
        assert_eq!(parse(line).intent(), intent, "{line:?}");
    }
}

#[test]
fn flags_are_seen_in_every_spelling_and_the_last_one_wins() {
    assert!(parse(&["-pc"]).print() && parse(&["-pc"]).has("--continue"));
    let twice = parse(&["--settings", "a.json", "--settings={}"]);
    assert_eq!(twice.value("--settings").as_deref(), Some("{}"));
    assert_eq!(parse(&["-p", "--output-format", "json"]).output_format(), OutputFormat::Json);
    let value_like_flag = parse(&["--append-system-prompt", "-p"]);
    assert!(!value_like_flag.print());
}

#[test]
fn the_session_is_named_only_by_an_id_that_stays() {
    let id = "11111111-1111-4111-8111-111111111111";
    assert_eq!(parse(&["--resume", id]).named_session().as_deref(), Some(id));
    assert_eq!(parse(&["--resume", id, "--fork-session"]).named_session(), None);
    assert_eq!(parse(&["--resume", "my name"]).named_session(), None);
    assert!(parse(&["-c"]).chooses_session());
}

#[test]
fn a_word_after_an_unknown_flag_may_be_the_prompt() {
    assert!(parse(&["--new-flag", "do it"]).prompt_is_uncertain());
    assert!(!parse(&["--new-flag=1", "do it"]).prompt_is_uncertain());
    assert!(parse(&["--new-flag=1", "do it"]).has_prompt());
}
