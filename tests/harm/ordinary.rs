//! Ordinary days: nothing fails, and nothing may differ.

use super::kit::World;

#[test]
fn a_question_is_answered_as_by_plain_claude() {
    World::new(&["-p", "hi"]).both().same();
}
