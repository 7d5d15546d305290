//! The user's `claude` is a script of theirs: what it adds, hides and does holds as without us.

use claude_safe_testkit::Terminal;
use serde_json::json;

use super::kit::{HELLO, Live, Outage, World, person};

const ID: &str = "11111111-2222-4333-8444-555555555555";

/// Starts claude where nothing of the home is seen but the project and Claude's own directory.
const SANDBOXED: &str = "#!/bin/sh
mv {home}/.local {home}/.config/hidden 2>/dev/null
{claude} \"$@\"
code=$?
mv {home}/.config/hidden {home}/.local 2>/dev/null
exit $code
";

fn sits(terminal: &mut Terminal, _: &Live<'_>) {
    person::ask(terminal, "good day", HELLO);
}

fn asks(script: &str) -> World {
    World::new(&["-p", "hi"]).file("{home}/.config/place", "").script(script)
}

#[test]
fn a_sandbox_that_cannot_see_our_files_starts_claude_at_once() {
    let pair = asks(SANDBOXED).both().same();
    assert_eq!(pair.safe.stdout.trim_end(), HELLO);
    assert_eq!(pair.safe.events("attempt_started").len(), 1);
}

#[test]
fn nor_what_we_put_in_a_pipes_place() {
    let through = "\"$@\" -p --strict-mcp-config --mcp-config <(echo '{\"mcpServers\":{}}') -- hi";
    let world = World::new::<&str>(&[]).file("{home}/.config/place", "").script(SANDBOXED);
    let pair = world.through(through).both().same();
    assert_eq!(pair.safe.stdout.trim_end(), HELLO, "{}", pair.tells());
}

#[test]
fn in_a_terminal_too() {
    let world = World::new::<&str>(&[]).file("{home}/.config/place", "").script(SANDBOXED);
    world.at_terminal(sits).both().same();
}

#[test]
fn what_a_script_says_of_the_session_holds() {
    let earlier = format!("{{claude}} -p --session-id {ID} before >/dev/null 2>&1");
    for (before, adds) in [
        ("", "--continue".to_owned()),
        ("", format!("--session-id {ID}")),
        (earlier.as_str(), format!("--resume {ID}")),
        (earlier.as_str(), "--continue".to_owned()),
    ] {
        let pair = asks(&format!("#!/bin/sh\n{before}\nexec {{claude}} {adds} \"$@\"\n")).both();
        let pair = pair.same();
        assert_eq!(pair.safe.stdout.trim_end(), HELLO, "{adds}");
    }
}

#[test]
fn the_settings_of_a_script_hold_before_and_behind_the_users_arguments() {
    let hook = |name: &str| {
        json!({ "hooks": { "Stop": [{ "hooks": [{
            "type": "command", "command": format!("cat >/dev/null; echo ran >> '{{project}}/{name}'"),
        }]}]}})
    };
    let own = |world: World| world.file("{home}/own.json", hook("script").to_string());
    for call in
        ["{claude} --settings {home}/own.json \"$@\"", "{claude} \"$@\" --settings {home}/own.json"]
    {
        let pair = own(asks(&format!("#!/bin/sh\nexec {call}\n"))).both().same();
        assert_eq!(pair.safe.file("script"), Some("ran\n"), "{call}");
    }
    let script = "#!/bin/sh\nexec {claude} --settings {home}/own.json \"$@\"\n";
    let pair = own(World::new::<&str>(&[]).script(script)).at_terminal(sits).both().same();
    assert_eq!(pair.safe.file("script"), Some("ran\n"));
}

#[test]
fn a_script_that_looks_at_its_arguments_sees_the_users() {
    let script = "#!/bin/sh\nprintf '%s\\n' \"$@\" > {project}/argv\nexec {claude} \"$@\"\n";
    let pair = World::new(&["-p", "--model", "haiku", "hi"]).script(script).both().same();
    assert_eq!(pair.safe.file("argv"), Some("-p\n--model\nhaiku\nhi\n"));
}

#[test]
fn an_outage_behind_a_script_is_brought_through() {
    for adds in ["", "--continue"] {
        let script = format!("#!/bin/sh\nexec {{claude}} {adds} \"$@\"\n");
        let pair = asks(&script).outage(Outage::requests(2)).both().same();
        assert_eq!(pair.safe.stdout.trim_end(), HELLO, "{adds}");
    }
}
