//! What a session's tools, hooks and servers see around them is what plain claude gives them.

use claude_safe_testkit::Terminal;
use serde_json::{Value, json};

use super::kit::{Live, Outage, World, person};

const ALLOWED: [&str; 4] = ["-p", "--permission-mode", "bypassPermissions", "look around"];

/// A tool, a hook and a server that write down which variables they see.
fn looks_around(world: World) -> World {
    let shows = |file: &str| format!("env | cut -d= -f1 | sort > '{{project}}/{file}'");
    let hook = |file: &str| json!([{ "hooks": [{ "type": "command", "command": shows(file) }] }]);
    let server = json!({ "mcpServers": { "look": {
        "command": "sh", "args": ["-c", format!("{}; exec cat > /dev/null", shows("server.txt"))],
    }}});
    world
        .settings(&json!({
            "hooks": { "PreToolUse": hook("hook.txt"), "SessionStart": hook("start.txt") },
            "enableAllProjectMcpServers": true,
        }))
        .file(".mcp.json", server.to_string())
        .tools(&[bash(&shows("tool.txt"))], "Seen.")
        // Claude itself may then retry for hours, if anything of ours lets it
        .env_remove("CLAUDE_CODE_MAX_RETRIES")
}

fn bash(command: &str) -> (&'static str, Value) {
    ("Bash", json!({ "command": command, "description": "Run the command of the test" }))
}

#[test]
fn nothing_of_ours_is_in_the_environment_of_tools_hooks_and_servers() {
    let pair = looks_around(World::new(&ALLOWED)).both().same();
    for file in ["tool.txt", "hook.txt", "start.txt", "server.txt"] {
        let seen = pair.safe.file(file).unwrap_or_else(|| panic!("{file}; {}", pair.tells()));
        assert!(seen.contains("\nHOME\n"), "{seen}");
    }
}

#[test]
fn nor_in_that_of_a_second_attempt() {
    let world = looks_around(World::new(&ALLOWED)).env("CLAUDE_CODE_MAX_RETRIES", "1");
    world.outage(Outage::requests(2)).both().same();
}

#[test]
fn nor_in_a_terminal() {
    let sits = |terminal: &mut Terminal, _: &Live<'_>| {
        person::ask(terminal, "look around", "Seen.");
    };
    let args = ["--permission-mode", "bypassPermissions"];
    let world = looks_around(World::new(&args)).settings(&json!({
        "skipDangerousModePermissionPrompt": true,
    }));
    let pair = world.at_terminal(sits).both().same();
    assert!(pair.safe.file("tool.txt").is_some(), "{}", pair.tells());
}

#[test]
fn a_claude_that_a_tool_starts_through_us_is_not_taken_for_a_circle() {
    let script = "#!/bin/sh\nexec {claude} \"$@\"\n";
    let inner = "command -v claude-safe; {project}/inner -p inner > inner.txt 2>&1; true";
    let world = World::new(&ALLOWED)
        .script(script)
        .file("inner", format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_claude-safe")))
        .answer_with(move |request| {
            if request.user_texts.iter().any(|text| text == "look around") {
                claude_safe_testkit::Answer::bash(inner, "Seen.")
            } else {
                claude_safe_testkit::Answer::text("Inner.")
            }
        });
    let pair = world.both().same();
    assert_eq!(pair.safe.file("inner.txt").map(str::trim), Some("Inner."));
}
