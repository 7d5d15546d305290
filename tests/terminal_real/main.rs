//! claude-safe at a terminal around the real Claude Code, as a person meets it: healthy turns
//! that look as without us, outages that pass, and everything we must keep our hands off.

#![allow(clippy::unwrap_used)]

mod crash;
mod healthy;
mod keys;
mod kit;
mod logins;
mod matrix;
mod outage;
mod sessions;
mod settings;
mod start_up;
mod tmux;
mod untouched;
