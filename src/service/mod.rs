//! Is the service up? Probe, status page, and the breaker that all runs of a user share.

mod health;

pub use health::{Health, Reading};
