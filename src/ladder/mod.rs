//! What to do about a failure. Pure: history, failure and service health in, a decision out.

mod decision;

pub use decision::{Decision, Reason, Rung};
