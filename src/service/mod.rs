//! Is the service up? Probe, status page, and the breaker that all runs of a user share.

pub mod endpoint;
mod health;
mod network;
pub mod pace;
pub mod probe;
pub mod schedule;
#[cfg(test)]
mod simulation;

pub use endpoint::{Endpoint, Endpoints, Role};
pub use health::{Health, Reading};
pub use network::Network;
pub use probe::{HttpLook, Look, Obstacle, Sighting};
