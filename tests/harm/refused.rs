//! What is called claude refuses what we add to its start: the user gets claude all the same, as
//! they wrote it, and sees nothing of the first start. What may have worked is never started twice.

use claude_safe_testkit::{Answer, Terminal};
use serde_json::{Value, json};

use super::kit::{Aspect, HELLO, Live, Outage, World, person};

/// An option that an older Claude, another program, or Claude in a place of its own refuses.
const REFUSALS: [(&str, &str); 4] = [
    ("--settings", "error: unknown option '--settings'\n(Did you mean --setting-sources?)"),
    ("--settings", "\x1b[31mError: Settings file not found: {next}\x1b[39m"),
    ("--session-id", "Error: Session ID {next} is already in use."),
    ("--session-id", "usage: claude [-p] [PROMPT]"),
];

fn refuses((word, text): (&str, &str)) -> Value {
    json!({ "refuses": { word: text } })
}

#[test]
fn claude_starts_as_the_user_wrote_it() {
    for refusal in REFUSALS {
        let pair = World::new(&["-p", "hi"]).program(refuses(refusal)).both().same();
        assert_eq!(pair.safe.stdout.trim_end(), HELLO, "{}", pair.tells());
        assert_eq!(pair.safe.events("attempt_started").len(), 2, "{}", pair.tells());
        assert!(pair.safe.log.contains("is repeated without"), "{}", pair.tells());
    }
}

#[test]
fn with_all_that_goes_in_by_pipes() {
    let through = "echo 'from a pipe' | \"$@\" -p --output-format stream-json --verbose \
        --mcp-config <(echo '{\"mcpServers\":{}}') --append-system-prompt-file=<(echo Be brief.)";
    let hidden = json!({ "refuses": {
        "--settings": "error: unknown option '--settings'",
        "--session-id": "error: unknown option '--session-id'",
    }});
    let world = World::new::<&str>(&[]).through(through).program(hidden);
    let pair = world.both().same_but(&[Aspect::Stdout]);
    assert_eq!(pair.safe.said("from a pipe"), 1, "{}", pair.tells());
}

#[test]
fn at_a_terminal_nothing_of_the_first_start_is_seen() {
    let sits = |terminal: &mut Terminal, _: &Live<'_>| {
        person::ready(terminal);
        assert!(!terminal.screen().to_string().contains("settings"), "{}", terminal.screen());
        person::submit(terminal, "good day");
        person::answered(terminal, HELLO);
        person::leave(terminal);
    };
    for refusal in &REFUSALS[..2] {
        let world = World::new::<&str>(&[]).program(refuses(*refusal)).at_terminal(sits);
        let pair = world.both().same();
        assert_eq!(pair.safe.events("attempt_started").len(), 2, "{}", pair.tells());
    }
}

#[test]
fn to_what_a_program_starts_nothing_is_added() {
    let args = "-p --input-format stream-json --output-format stream-json --verbose";
    let args: Vec<&str> = args.split(' ').collect();
    let message = json!({ "type": "user", "message": { "role": "user", "content": "hi" } });
    let world = World::new(&args).stdin(format!("{message}\n")).program(refuses(REFUSALS[0]));
    let pair = world.both().same_but(&[Aspect::Stdout]);
    assert!(pair.safe.stdout.contains(HELLO), "{}", pair.tells());
    assert_eq!(pair.safe.events("attempt_started").len(), 1, "{}", pair.tells());
}

#[test]
fn an_outage_after_it_is_brought_through() {
    let world = World::new(&["-p", "hi"]).program(refuses(REFUSALS[0]));
    let pair = world.outage(Outage::requests(2)).both().same();
    assert_eq!(pair.safe.events("attempt_started").len(), 3, "{}", pair.tells());
}

#[test]
fn one_that_fails_without_us_too_says_so_once() {
    let missing = "11111111-2222-4333-8444-555555555555";
    let fails = |args: &[&str]| {
        World::new(args).program(refuses(REFUSALS[0])).both().same();
    };
    fails(&["-p", "--resume", missing, "hi"]);
    // its own option is refused with or without ours
    World::new(&["-p", "--no-such-flag", "hi"]).both().same();
}

#[test]
fn a_start_that_may_have_worked_is_not_made_again() {
    let works = |world: World| {
        let ends = json!({ "ends": "error: unknown option '--settings'" });
        world.program(ends).answer(Answer::bash("echo ran >> proof.txt", "Added."))
    };
    let bypass = ["-p", "--permission-mode", "bypassPermissions", "add a line"];
    for world in [
        World::new(&bypass),
        // by the transcript alone, by the lines alone
        World::new(&bypass).settings(&json!({ "disableAllHooks": true })),
        World::new(&[&bypass[..], &["--output-format=stream-json", "--verbose"]].concat())
            .settings(&json!({ "disableAllHooks": true }))
            .env("CLAUDE_CODE_SKIP_PROMPT_HISTORY", "1"),
    ] {
        let pair = works(world).both().same_but(&[Aspect::Stdout]);
        assert_eq!(pair.safe.file("proof.txt"), Some("ran\n"), "{}", pair.tells());
        assert_eq!(pair.safe.events("attempt_started").len(), 1, "{}", pair.tells());
    }
}
