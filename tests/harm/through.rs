//! Through an outage: what stands at the end is what a good day would have left.

use claude_safe_testkit::Answer;

use super::kit::{HELLO, MESSAGE, Outage, World};

#[test]
fn an_outage_leaves_what_a_good_day_leaves() {
    let pair = World::new(&["-p", "hi"]).outage(Outage::requests(2)).both().same();
    assert_eq!(pair.safe.stdout.trim_end(), HELLO);
    assert_eq!(pair.safe.said(MESSAGE), 0, "the prompt itself was asked again");
}

#[test]
fn a_tool_before_the_outage_ran_once() {
    let pair = World::new(&["-p", "--permission-mode", "bypassPermissions", "add a line"])
        .answer(Answer::bash("echo ran >> proof.txt", "Added."))
        .outage(Outage::requests(2).after(1))
        .both()
        .same();
    assert_eq!(pair.safe.file("proof.txt"), Some("ran\n"));
    assert_eq!(pair.safe.tool_runs("Bash"), 1);
}
