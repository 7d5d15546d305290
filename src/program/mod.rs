//! Between a program and Claude: what the Agent SDKs, editors and the GitHub Action speak with
//! `claude --input-format stream-json`. A proxy of lines: all pass at once and as they are, but
//! the end of a turn that failed. It is held back while the service is waited for; then Claude is
//! asked again, in the same process or in a new one, and the program sees one turn with one result.
//!
//! Pure: lines of both sides and what became of Claude go in; bytes for both sides and what a
//! turn came to go out. When something is done about a failure is decided elsewhere.

mod conversation;
mod held;
mod line;
mod open;
mod turn;

pub use conversation::{Conversation, Event, MOST_HELD_BYTES, Outbox, Written};
pub use held::FailedTurn;

#[cfg(test)]
mod tests;
