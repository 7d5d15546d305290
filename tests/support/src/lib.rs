//! Sandbox, fake service and terminal driver for the tests of claude-safe.
