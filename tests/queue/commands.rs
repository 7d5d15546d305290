//! What a person says to the queue, and what it says back.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::Desk;

#[test]
fn tasks_are_handed_in_listed_moved_changed_and_taken_out_without_a_runner() {
    let desk = Desk::around("");
    let said = desk.says(&["add", "Fix the flaky tests in net.rs", "--name", "flaky"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "q1\n"));
    assert!(said.stderr.contains("q1 waits; start it with: claude-safe queue run"), "{said:?}");
    desk.ok(&["add", "Second", "--after", "flaky"]);
    desk.ok(&["add", "Third", "--at", "2099-01-01T02:00"]);
    desk.ok(&["add", "Fourth", "--next"]);
    let ids = || {
        desk.tasks().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(), ["q4", "q1", "q2", "q3"]);
    let table = desk.ok(&["list"]);
    for text in ["WAITS FOR", "flaky", "claude-safe queue run", "q1", "01 Jan 02:00"] {
        assert!(table.contains(text), "{text}: {table}");
    }
    desk.ok(&["move", "q3", "--before", "q1"]);
    assert_eq!(ids(), ["q4", "q3", "q1", "q2"]);
    desk.ok(&["move", "q4", "--last"]);
    desk.ok(&["move", "q2", "--first"]);
    assert_eq!(ids(), ["q2", "q3", "q1", "q4"]);

    let file = desk.file("new.md");
    std::fs::write(&file, "+++\nname = \"renamed\"\nretries = 2\n+++\nOther words").unwrap();
    desk.ok(&["edit", "q1", "--file", file.to_str().unwrap()]);
    let shown = desk.ok(&["show", "renamed"]);
    assert!(shown.contains("Other words") && shown.contains("q1 renamed"), "{shown}");
    // In an editor, which is anything that changes the file.
    let mut edit = desk.command(&["edit", "q1"]);
    edit.env("VISUAL", "sed -i s/Other/Better/");
    assert!(edit.status().unwrap().success());
    assert!(desk.ok(&["show", "q1"]).contains("Better words"));
    std::fs::write(&file, "+++\nafter = [\"q2\"]\n+++\nx").unwrap();
    let said = desk.says(&["edit", "q1", "--file", file.to_str().unwrap()]);
    assert!(said.code == Some(2) && said.stderr.contains("would wait for itself"), "{said:?}");

    desk.ok(&["rm", "q3", "q4"]);
    assert_eq!(desk.task("q3")["state"], "removed");
    assert!(!desk.ok(&["list"]).contains("Third"));
    desk.ok(&["pause", "--until", "2099-01-01"]);
    assert!(desk.ok(&["list"]).contains("paused until"));
    desk.ok(&["resume"]);
    for wrong in [
        &["show", "q99"][..],
        &["rm", "nobody"],
        &["move", "q1", "--before", "q3"],
        &["add", "x", "--at", "soon"],
        &["add", "x", "--dir", "/nowhere/at/all"],
        &["add", ""],
    ] {
        let said = desk.says(wrong);
        assert_eq!(said.code, Some(2), "{wrong:?}: {said:?}");
    }
    let mode =
        std::fs::metadata(desk.sandbox.state_dir().join("queue.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let left: Vec<_> = std::fs::read_dir(desk.sandbox.state_dir().join("queue")).unwrap().collect();
    assert!(left.is_empty(), "no draft is left: {left:?}");
}

#[test]
fn of_a_list_with_a_mistake_nothing_is_queued_and_the_nearest_word_is_named() {
    let desk = Desk::around("");
    let (good, bad) = (desk.file("good.md"), desk.file("bad.md"));
    std::fs::write(&good, "+++\nname = \"one\"\nargs = [\"--model\", \"opus\"]\n+++\nDo one")
        .unwrap();
    std::fs::write(&bad, "+++\nbudjet_usd = 3\n+++\nDo two").unwrap();
    let files = [good.to_str().unwrap(), bad.to_str().unwrap()];
    let said = desk.says(&["add", "-f", files[0], files[1]]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("bad.md") && said.stderr.contains("did you mean `budget_usd`?"),
        "{said:?}"
    );
    assert!(desk.tasks().is_empty());

    std::fs::write(&bad, "+++\nafter = [\"one\"]\n+++\nDo two").unwrap();
    assert_eq!(desk.ok(&["add", "-f", files[0], files[1]]), "q1\nq2\n");
    assert_eq!(desk.task("q2")["after"][0], "q1");

    let mut from_stdin = desk.command(&["add", "-", "--key", "gh-7", "--json"]);
    let mut child = from_stdin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"+++\nname = \"issue\"\n+++\nMend it\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let added: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((added[0]["id"].as_str(), added[0]["name"].as_str()), (Some("q3"), Some("issue")));
    assert_eq!(desk.ok(&["add", "Again", "--key", "gh-7"]), "q3\n", "it lives already");
}

#[test]
fn a_damaged_queue_is_said_and_kept_and_one_of_a_newer_version_is_refused() {
    let desk = Desk::around("");
    desk.ok(&["add", "Something"]);
    let file = desk.sandbox.state_dir().join("queue.db");
    std::fs::write(&file, vec![b'x'; 9000]).unwrap();
    let _ = std::fs::remove_file(desk.sandbox.state_dir().join("queue.db-wal"));
    let said = desk.says(&["list"]);
    assert!(said.stderr.contains("was damaged: it was set aside as"), "{said:?}");
    assert!(desk.ok(&["list"]).contains("is kept as"), "said again until someone cleans");
    desk.ok(&["clean"]);
    assert!(!desk.ok(&["list"]).contains("is kept as"));

    let mut header = std::fs::read(&file).unwrap();
    header[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&file, &header).unwrap();
    let said = desk.says(&["add", "Something"]);
    assert_eq!(said.code, Some(125));
    assert!(said.stderr.contains("newer claude-safe (schema 99"), "{said:?}");
    assert_eq!(std::fs::read(&file).unwrap(), header);
}

#[test]
fn who_does_not_use_the_queue_has_no_file_of_it() {
    let desk = Desk::around("echo hi");
    let mut run = desk.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
    run.args(["-p", "hi"]);
    assert!(desk.sandbox.run(run, crate::SOON).status.success());
    for command in ["status", "report"] {
        let mut command_ = desk.sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
        command_.arg(command);
        assert!(desk.sandbox.run(command_, crate::SOON).status.success());
    }
    let names: Vec<String> = std::fs::read_dir(desk.sandbox.state_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.contains("queue")), "{names:?}");
}
