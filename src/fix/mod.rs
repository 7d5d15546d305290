//! The fixes: what a rung does before the relaunch. One rung per file.
