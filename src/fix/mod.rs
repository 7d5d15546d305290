//! The fixes: what a rung does before the relaunch. One rung per file.

pub mod api_key;
pub mod clear_cache;
pub mod sign_in_reset;
pub mod update;
