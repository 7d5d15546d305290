//! claude-safe starts the real Claude Code, watches it, and brings it through
//! outages of its sign-in and API service. ARCHITECTURE.md has the map.

// The documentation is for readers of the source: it is made with the private items.
#![allow(rustdoc::private_intra_doc_links)]

mod backup;
mod claude;
mod cli;
mod clock;
mod commands;
mod config;
mod demo;
mod error;
mod failure;
mod fix;
mod journal;
mod launch;
mod logging;
mod machine;
mod notice;
mod notify;
#[doc(hidden)]
pub mod parts;
mod paths;
mod plan;
mod process;
mod program;
// where there is no `/proc`; elsewhere its tests alone
#[cfg_attr(target_os = "linux", allow(dead_code))]
mod ps;
mod queue;
mod report;
mod run;
mod rung;
mod runs;
mod service;
mod unknown;
mod watch;

pub use cli::start;
