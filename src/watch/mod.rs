//! Watching an attempt: events and instants in, a verdict out. Pure: no clock, no file, no
//! environment is read here.

mod verdict;

pub use verdict::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState, Verdict};
