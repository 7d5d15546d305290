//! The subcommands, one file each.

pub mod backup;
pub mod check;
pub mod completions;
pub mod config;
pub mod demo;
pub mod explain;
pub mod init;
pub mod log;
pub mod man;
pub mod queue;
pub mod report;
pub mod rules;
pub mod shim;
pub mod status;
pub mod uninstall;
