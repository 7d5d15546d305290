//! Do no harm: claude-safe beside plain Claude Code in the same world, on good days and through
//! outages. `kit` builds the two worlds and tells what differs; see its first lines.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

mod again;
mod awake;
mod ends;
mod kit;
mod lines;
mod ordinary;
mod outside;
mod refused;
mod rules;
mod scripts;
mod status_line;
mod surroundings;
mod through;
