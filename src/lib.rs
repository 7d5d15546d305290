//! claude-safe starts the real Claude Code, watches it, and brings it through
//! outages of its sign-in and API service. ARCHITECTURE.md has the map.

pub mod backup;
pub mod claude;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod demo;
pub mod error;
pub mod fix;
pub mod journal;
pub mod launch;
pub mod logging;
pub mod machine;
pub mod notice;
pub mod notify;
pub mod paths;
pub mod plan;
pub mod process;
pub mod program;
pub mod ps;
pub mod queue;
pub mod report;
pub mod run;
pub mod runs;
pub mod service;
pub mod unknown;
pub mod watch;
