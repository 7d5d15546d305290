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
    ] {
        assert_eq!(parse(line).words(), line.iter().map(OsString::from).collect::<Vec<_>>());
    }
}

#[test]
fn a_resume_keeps_flags_and_leaves_out_prompt_session_model_and_mode() {
    assert_eq!(resumed(&["--verbose", "-p", "hi"]), ["--verbose", "-p"]);
    assert_eq!(
        resumed(&["--model", "opus", "-c", "--permission-mode=plan", "--add-dir", "a", "b"]),
        ["--add-dir", "a", "b"]
    );
    assert_eq!(resumed(&["-r", "name", "-w", "--", "-prompt"]), [""; 0]);
    assert_eq!(resumed(&["--some-new-flag", "x", "prompt"]), ["--some-new-flag", "x"]);
}

#[test]
fn a_letter_leaves_its_cluster_alone() {
    assert_eq!(resumed(&["-pc", "hi"]), ["-p"]);
    assert_eq!(resumed(&["-cp", "hi"]), ["-p"]);
    assert_eq!(resumed(&["-ph"]), ["-ph"]);
    assert_eq!(parse(&["-cp", "hi"]).without("--print"), parse(&["-c", "hi"]));
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
        assert_eq!(without, parse(wanted));
    }
}

#[test]
fn what_the_arguments_ask_for() {
    let intents = [
        (&["hello"][..], Intent::Conversation),
        (&["-p", "mcp servers?"], Intent::Conversation),
        (&["--", "mcp"], Intent::Conversation),
        (&[], Intent::Conversation),
        (&["mcp", "list"], Intent::Plain),
        (&["--debug", "--version"], Intent::Plain),
        (&["-p", "--input-format", "stream-json"], Intent::Plain),
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
