//! The one place that knows Claude Code: finding it, its flags, settings, hooks, credentials,
//! transcripts and the rules that recognise its failures.

pub mod agents;
pub mod args;
pub mod credentials;
pub mod environment;
pub mod hooks;
pub mod keychain;
pub mod locate;
pub mod resets;
pub mod resume_hint;
pub mod retries;
pub mod rules;
pub mod session_file;
pub mod settings;
pub mod status_line;
pub mod transcript;
pub mod version;
