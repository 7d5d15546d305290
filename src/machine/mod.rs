//! The state machine that decides everything: what is retried, after which backoff, until which
//! horizon, and when a person is needed. Pure: no clock, no environment, no file, no tokio.
//!
//! ```text
//! events ─▶ machine::on(&mut Case, Moment, Event) -> Vec<Effect> ─▶ a loop carries them out ─▶ events
//! ```
//!
//! A [`Case`] is one run of claude with all that is known of it; its [`State`] is where it stands.
//! [`table`] says what is done about each kind of failure, [`delay`] how long is waited before,
//! [`End`] how a run ends. The loops in `run` carry effects out and report events; whether it is
//! a terminal, `-p` or a sign-in shows only in the [`Means`] of the case.

mod case;
pub mod delay;
mod effect;
mod end;
mod event;
mod reaction;
mod state;
mod streak;
pub mod table;
pub mod words;

#[cfg(test)]
mod edges;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use case::{Case, Facts, Means, Policy};
pub use effect::{Claim, Effect, Start, Waiting, Wake};
pub use end::End;
pub use event::{Answer, ChildEnd, Event, Key, Left, Obstacle, Report, Scene, SignInSeen};
pub use reaction::on;
pub use state::{Remedy, State};
pub use streak::Streak;
