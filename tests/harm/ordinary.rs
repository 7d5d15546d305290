//! Ordinary days: nothing fails, and nothing may differ. Each test runs some situations and tells
//! all that differs.

use serde_json::json;

use super::kit::World;

/// Runs each situation for both; panics with every difference.
fn same(situations: Vec<(&str, World)>) {
    let mut found = Vec::new();
    for (name, world) in situations {
        let pair = world.both();
        found.extend(pair.differences().into_iter().map(|(_, text)| format!("{name}: {text}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn asks() -> World {
    World::new(&["-p", "hi"])
}

/// A run whose tools write a file by Claude and one by a shell, and tell what they inherited.
fn works() -> World {
    let shows = "umask > seen.txt; ls /proc/self/fd | wc -l >> seen.txt; ulimit -n >> seen.txt; \
                 grep -i 'Sig[BI]' /proc/self/status >> seen.txt; locale 2>/dev/null >> seen.txt";
    World::new(&["-p", "--permission-mode", "bypassPermissions", "work"]).tools(
        &[
            ("Write", json!({ "file_path": "{project}/written.txt", "content": "by Claude" })),
            ("Bash", json!({ "command": shows, "description": "Show what it inherited" })),
        ],
        "Worked.",
    )
}

#[test]
fn every_form_of_output_and_input() {
    let form = |args: &[&str]| World::new(&[&["-p"], args, &["hi"]].concat());
    same(vec![
        ("text", asks()),
        ("json", form(&["--output-format", "json"])),
        ("json lines", form(&["--output-format=stream-json", "--verbose"])),
        ("by a pipe", World::new(&["-p"]).stdin("hi")),
        ("by a pipe and as an argument", asks().stdin("and more")),
        ("by a file", World::new(&["-p"]).file("in", "hi").through("\"$@\" < in")),
        ("stdin closed", asks().through("\"$@\" <&-")),
        ("stdin a directory", asks().through("\"$@\" < .")),
        ("one file for both", asks().through("\"$@\" > all.txt 2>&1")),
        ("a reader that leaves", asks().through("\"$@\" | head -c 3")),
        ("no prompt at all", World::new(&["-p"])),
        ("an empty prompt", World::new(&["-p", ""])),
    ]);
}

#[test]
fn descriptors_signals_and_limits() {
    same(vec![
        ("as it is", works()),
        ("stdout closed", works().through("\"$@\" >&-")),
        ("stderr closed", works().through("\"$@\" 2>&-")),
        ("umask", works().through("umask 077; \"$@\"")),
        ("few descriptors", works().through("ulimit -n 128; \"$@\"")),
        ("an open descriptor", works().through("exec 7< /dev/null; \"$@\"")),
        ("without the terminal's signals", works().through("trap '' HUP INT QUIT PIPE; \"$@\"")),
        ("in the background", works().through("\"$@\" & wait $!")),
        ("in a session of its own", works().through("setsid -w \"$@\"")),
    ]);
}

#[test]
fn places_languages_and_sizes() {
    let large = "word ".repeat(20_000);
    same(vec![
        ("a directory with a strange name", works().directory("sub dir/ü'\"")),
        ("a directory that is gone", asks().through("mkdir x; cd x; rmdir ../x; \"$@\"")),
        ("no language", works().env_remove("LANG").env("LC_ALL", "POSIX")),
        ("no terminal type", works().env_remove("TERM").env("TERM", "dumb")),
        ("a large prompt", World::new(&["-p", large.as_str()])),
        ("a large environment", works().env("LARGE", &"x".repeat(100_000))),
        (
            "a home that is not there",
            asks().env("HOME", "/nowhere").env("CLAUDE_CONFIG_DIR", "{home}/.claude"),
        ),
        ("a temporary directory that is not there", asks().env("TMPDIR", "/nowhere")),
        ("a prompt that looks like a flag", World::new(&["-p", "--", "--model"])),
    ]);
}

#[test]
fn what_claude_refuses_and_its_own_commands() {
    let id = "11111111-2222-4333-8444-555555555555";
    let all = [
        &["-p", "--no-such-flag", "hi"][..],
        &["-p", "--resume", id, "hi"],
        &["-p", "--session-id", "no-uuid", "hi"],
        &["-p", "--mcp-config", "missing.json", "--", "hi"],
        &["-p", "--model"],
        &["-p", "--output-format", "poem", "hi"],
        &["-p", "--permission-mode", "any", "hi"],
        &["--version"],
        &["mcp", "list"],
        &["mcp", "get", "nothing"],
        &["config", "list"],
        &["plugin", "list"],
        &["doctor"],
        &["auth", "status"],
    ];
    same(all.iter().map(|args| (args[args.len() - 1], World::new(args))).collect());
}
