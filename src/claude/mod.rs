//! The one place that knows Claude Code: finding it, its flags, settings, hooks, credentials,
//! transcripts and the rules that recognise its failures.

pub mod args;
pub mod credentials;
pub mod locate;
