//! What to do about a failure. Pure: history, failure and service health in, a decision out.

mod decide;
mod decision;
pub mod delay;
mod history;
#[cfg(test)]
mod tests;

pub use decide::{Now, Policy, Standing, decide, looks_local};
pub use decision::{Decision, Reason, Rung};
pub use history::{CRASH_WINDOW, History, Try};
