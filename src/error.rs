//! Errors that someone branches on, and the exit codes of claude-safe itself.

/// Exit codes of ours; Claude's own pass through unchanged. The README lists them.
pub mod exit {
    /// The horizon ended while waiting might still cure it; schedulers requeue on it (`EX_TEMPFAIL`).
    pub const TRY_LATER: u8 = 75;
    /// A person must look before anything goes on: a tool was cut off, and nobody knows what it did.
    pub const PERSON: u8 = 65;
    /// Bad usage: an argument or a configuration given on the command line.
    pub const USAGE: u8 = 2;
    /// claude-safe itself failed.
    pub const OURS: u8 = 125;
    /// Claude was found but cannot be run.
    pub const CANNOT_RUN: u8 = 126;
    /// Claude was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Ctrl-C (128 + SIGINT).
    pub const INTERRUPTED: u8 = 130;

    /// All of them with their meaning, as the manual page and the README list them.
    pub const TABLE: &[(u8, &str)] = &[
        (USAGE, "bad usage, or a mistake that `config check` found"),
        (PERSON, "a tool was cut off, and a person must look before it runs again"),
        (TRY_LATER, "the service was still down when the time was up: try again later"),
        (OURS, "claude-safe itself failed"),
        (CANNOT_RUN, "claude was found but cannot be run"),
        (NOT_FOUND, "claude was not found"),
        (INTERRUPTED, "interrupted (Ctrl-C); any death by signal is 128 + its number"),
    ];
}

/// A mistake in what the user gave us: exit 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
