//! claude-safe at a terminal around the scripted stand-in, where the real Claude Code cannot be
//! made to fail so.

#![allow(clippy::unwrap_used)]

mod kit;
mod living;
mod refusals;
mod unknown;
