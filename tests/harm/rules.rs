//! `--settings` of the user's: rules mean what they mean for plain claude, wherever the file lies.

use claude_safe_testkit::{SignIn, Terminal};
use serde_json::{Value, json};

use super::kit::{HELLO, Pair, World, person};

/// A rule for each way a path can be written, and a file that each forbids.
const FORBIDDEN: [(&str, &str); 5] = [
    ("Read(/secret/**)", "{project}/conf/secret/a"),
    ("Read(./dot/**)", "{project}/dot/a"),
    ("Read(bare/**)", "{project}/bare/a"),
    ("Read(/{project}/absolute/**)", "{project}/absolute/a"),
    ("Read(~/tilde/**)", "{home}/tilde/a"),
];

fn rules() -> Value {
    let deny: Vec<&str> = FORBIDDEN.iter().map(|(rule, _)| *rule).collect();
    let command = "cat >/dev/null; echo \"$PWD\" >> '{project}/hook.txt'; . ./conf/note";
    json!({
        "permissions": {
            "deny": deny, "allow": ["Bash", "Edit(/mine/**)"],
            "additionalDirectories": ["../beside"],
        },
        "hooks": { "PreToolUse": [{ "hooks": [{ "type": "command", "command": command }] }] },
        "env": { "OF_THE_RULES": "seen" },
    })
}

/// Reads every forbidden file and one that is allowed, writes two, and shows a variable.
fn world(args: &[&str]) -> World {
    let mut files: Vec<&str> = FORBIDDEN.iter().map(|(_, file)| *file).collect();
    // also what the first rule would forbid if it counted from elsewhere
    files.extend(["{project}/secret/a", "{home}/beside/a"]);
    let read = |file: &&str| ("Read", json!({ "file_path": file }));
    let mut calls: Vec<_> = files.iter().map(read).collect();
    for file in ["{project}/conf/mine/b", "{project}/mine/b"] {
        calls.push(("Write", json!({ "file_path": file, "content": "written" })));
    }
    let show = "echo $OF_THE_RULES > variable.txt";
    calls.push(("Bash", json!({ "command": show, "description": "Show" })));
    let mut all = vec!["-p"];
    all.extend(args);
    all.extend(["--", "read them all"]);
    let world = World::new(&all).tools(&calls, "Read.").file("conf/note", "echo noted >> note.txt");
    files.iter().fold(world, |world, file| world.file(file, format!("what {file} holds")))
}

/// What came of a call, in order.
fn denied(pair: &Pair) -> Vec<bool> {
    pair.plain.tools.iter().map(|call| call.contains("refused or failed")).collect()
}

#[test]
fn rules_in_a_file_count_from_its_directory() {
    for form in [&["--settings", "conf/rules.json"][..], &["--settings=./conf/rules.json"]] {
        let pair = world(form).file("conf/rules.json", rules().to_string()).both().same();
        assert_eq!(denied(&pair)[..7], [true, true, true, true, true, false, false], "{pair:#?}");
        assert_eq!(pair.safe.file("variable.txt"), Some("seen\n"));
        assert!(pair.safe.file("note.txt").is_some(), "a hook's relative path");
    }
}

#[test]
fn of_two_settings_the_last_counts_and_sources_stay_as_given() {
    let args = ["--settings", "{}", "--setting-sources", "user", "--settings", "conf/rules.json"];
    world(&args).file("conf/rules.json", rules().to_string()).both().same();
}

#[test]
fn rules_on_the_command_line_mean_the_same() {
    let inline = rules().to_string();
    world(&["--settings", &inline]).both().same();
    world(&["--settings", &inline]).version("2.1.100").both().same();
}

#[test]
fn a_file_that_claude_finds_fault_with_is_named_by_its_own_name() {
    for broken in ["{broken", "{\"hooks\": {\"Stop\": 3}, \"permissions\": {\"deny\": \"x\"}}"] {
        let args = ["-p", "--settings", "conf/rules.json", "hi"];
        World::new(&args).file("conf/rules.json", broken).both().same();
    }
}

#[test]
fn settings_by_a_pipe_are_left_to_claude() {
    // it takes a file alone, and says so
    let through = "\"$@\" -p --settings <(echo '{}') hi";
    let pair = World::new::<&str>(&[]).through(through).both().same();
    assert!(pair.plain.stderr.contains("/dev/fd/"), "{}", pair.tells());
}

#[test]
fn a_helper_named_relative_to_the_project_is_found() {
    let helper = json!({ "apiKeyHelper": "./conf/helper" }).to_string();
    let pair = World::new(&["-p", "--settings", "conf/rules.json", "hi"])
        .sign_in(SignIn::None)
        .file("conf/rules.json", helper)
        .file("conf/helper", "#!/bin/sh\necho sk-ant-api03-fake-key-of-a-helper\n")
        .both()
        .same();
    assert_eq!(pair.safe.stdout.trim_end(), HELLO);
}

#[test]
fn at_a_terminal_a_settings_file_stays_where_it_is() {
    let sits = |terminal: &mut Terminal, _: &super::kit::Live<'_>| {
        person::ask(terminal, "read them", "Read.");
    };
    let rules = json!({
        "permissions": { "deny": ["Read(/secret/**)"] },
        "statusLine": { "type": "command", "command": "echo THEIR-LINE; echo x >> line.txt" },
    });
    let call = ("Read", json!({ "file_path": "{project}/conf/secret/a" }));
    let pair = World::new(&["--settings", "conf/rules.json"])
        .tools(&[call], "Read.")
        .file("conf/rules.json", rules.to_string())
        .file("conf/secret/a", "secret")
        .at_terminal(sits)
        .both()
        .same_but(&[super::kit::Aspect::Files]);
    assert!(pair.plain.tools[0].contains("refused or failed"), "{:?}", pair.plain.tools);
    assert!(pair.safe.file("line.txt").is_some(), "their status line ran");
}
