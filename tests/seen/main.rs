//! What people are shown of runs: the binary over made-up journals, and the report's page in a
//! real browser.

mod browser;
mod commands;
mod journal;
mod page;
mod watch;
