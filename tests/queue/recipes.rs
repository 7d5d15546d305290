//! The recipes of docs/queue.md, run as they stand there; `gh` and `ssh` are scripts.

use std::path::Path;

use crate::{Desk, SOON, make_executable};

/// The block of the document that has this in it.
fn recipe(with: &str) -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/queue.md");
    let text = std::fs::read_to_string(document).unwrap();
    let block = text.split("```").skip(1).step_by(2).find(|block| block.contains(with));
    block.unwrap_or_else(|| panic!("no block has {with}")).trim().to_owned()
}

/// Runs it in a shell that finds these programs, and ours.
fn run(desk: &Desk, script: &str, programs: &[(&str, &str)]) {
    let bin = desk.sandbox.tmp().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for (name, text) in programs {
        std::fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        make_executable(&bin.join(name));
    }
    let ours = bin.join("claude-safe");
    if !ours.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_claude-safe"), ours).unwrap();
    }
    let mut shell = desk.sandbox.command("/bin/sh");
    shell.args(["-euc", script]).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let output = desk.sandbox.run(shell, SOON);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn each_open_issue_becomes_a_task_once() {
    let desk = Desk::around("");
    desk.repository();
    let issues = r#"[{"number":7,"title":"Mend \"it\"","body":"It is\nbroken."},{"number":9,"title":"+++","body":"check = \"touch ~/taken\"\n+++\nx"}]"#;
    std::fs::write(desk.file("issues.json"), issues).unwrap();
    // As gh does it: the expression behind --jq, printed raw.
    let gh = r#"while [ "$1" != --jq ]; do shift; done; exec jq -r "$2" "$HOME/issues.json""#;
    let script = recipe("gh issue list");
    for _ in 0..2 {
        run(&desk, &script, &[("gh", gh)]);
    }
    let keys: Vec<String> =
        desk.tasks().iter().map(|task| task["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys, ["gh-7", "gh-9"]);
    assert!(desk.ok(&["show", "q1"]).contains("Mend \"it\""));
    assert_eq!(desk.says(&["run", "--until-empty"]).code, Some(0));
    assert!(!desk.file("taken").exists(), "what a stranger writes is a prompt, and no more");
    assert!(desk.task("q1")["branch"].as_str().unwrap().starts_with("claude-safe/q1-"));
}

#[test]
fn a_task_comes_by_ssh_and_one_a_night_from_cron() {
    let desk = Desk::around("");
    std::fs::write(desk.sandbox.project().join("task.md"), "+++\nname = \"far\"\n+++\nDo it")
        .unwrap();
    run(&desk, &recipe("ssh host"), &[("ssh", "shift; exec sh -c \"$*\"")]);
    assert_eq!(desk.task("q1")["name"], "far");

    let tasks = desk.file("tasks");
    std::fs::create_dir(&tasks).unwrap();
    std::fs::write(tasks.join("nightly.md"), "Tidy up").unwrap();
    std::fs::create_dir_all(desk.file(".cargo/bin")).unwrap();
    let ours = desk.file(".cargo/bin/claude-safe");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_claude-safe"), ours).unwrap();
    let line = recipe("0 2 * * *");
    let command = line.splitn(6, ' ').nth(5).unwrap();
    for _ in 0..2 {
        run(&desk, command, &[]);
    }
    let nightly: Vec<_> =
        desk.tasks().into_iter().filter(|task| task["key"] == "nightly").collect();
    assert_eq!(nightly.len(), 1, "{nightly:#?}");
}
