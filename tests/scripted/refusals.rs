//! A fix that a person refuses is not applied, and written down.

use serde_json::json;

use crate::kit::{Desk, SOON};

#[test]
fn a_no_at_the_question_is_written_down_and_the_fix_is_not_applied() {
    let dead = json!([{ "print": "Error: the cache is corrupt\r\n" }, { "exit": 1 }]);
    let well = json!([{ "print": "all is well\r\n" }, { "exit": 0 }]);
    let desk = Desk::new(&json!([dead, dead, well]));
    desk.rule("the cache is corrupt", "start_up");
    let mut terminal = desk.sit_down();
    terminal.wait_for_text(SOON, "run `claude update`? [y/N]");
    terminal.send("n\r");
    assert_eq!(terminal.wait_exit(SOON).code(), Some(0), "{}", desk.tells());
    let declined = desk.events("declined");
    assert_eq!(declined.len(), 1, "{}", desk.tells());
    assert_eq!((&declined[0]["rung"], &declined[0]["by"]), (&json!("update"), &json!("no")));
    assert!(desk.events("fixed").is_empty(), "{}", desk.tells());
    let explained = desk.printed(&["explain", "last"]);
    assert!(explained.contains("update declined: the answer was no"), "{explained}");
    assert!(desk.printed(&["report"]).contains("declined"), "{}", desk.printed(&["report"]));
}

#[test]
fn ctrl_c_at_the_question_ends_the_run() {
    let dead = json!([{ "print": "Error: the cache is corrupt\r\n" }, { "exit": 1 }]);
    let desk = Desk::new(&json!([dead]));
    desk.rule("the cache is corrupt", "start_up");
    let mut terminal = desk.sit_down();
    terminal.wait_for_text(SOON, "run `claude update`? [y/N]");
    terminal.send("\x03");
    assert_eq!(terminal.wait_exit(SOON).code(), Some(130), "{}", desk.tells());
}
