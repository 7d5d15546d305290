//! What a person does at a terminal.

use std::time::Duration;

use claude_safe_testkit::{Terminal, wait_until};

use super::SOON;

/// A screen that is drawn rests this long.
const SETTLED: Duration = Duration::from_millis(800);

/// Waits until Claude's empty input box stands still.
pub fn ready(terminal: &Terminal) {
    terminal.wait_for_screen(SOON, "an input box", |now| now.input().is_some());
    terminal.wait_until_quiet(SOON, SETTLED);
}

/// Types a line and Enter.
pub fn submit(terminal: &Terminal, text: &str) {
    /// An Enter during start-up may be lost, with us or without.
    const TAKEN: Duration = Duration::from_secs(5);
    terminal.send(text);
    terminal.wait_for_screen(SOON, &format!("the draft {text:?}"), |now| {
        now.input().is_some_and(|input| input.ends_with(text))
    });
    terminal.send("\r");
    let left = || terminal.screen().input().as_deref() != Some(text);
    if wait_until(TAKEN, || left().then_some(())).is_none() {
        terminal.send("\r");
    }
}

/// Waits until this stands on the screen and Claude rests.
pub fn answered(terminal: &Terminal, answer: &str) {
    terminal.wait_for_text(SOON, answer);
    terminal.wait_for_screen(SOON, "the idle title", |now| now.title().starts_with('✳'));
    terminal.wait_until_quiet(SOON, SETTLED);
}

/// Ctrl-C twice.
pub fn leave(terminal: &Terminal) {
    terminal.send("\x03\x03");
}

/// Asks one question and leaves.
pub fn ask(terminal: &Terminal, question: &str, answer: &str) {
    ready(terminal);
    submit(terminal, question);
    answered(terminal, answer);
    leave(terminal);
}
