//! Is the service up? Probe, status page, and the breaker that all runs of a user share.

pub mod breaker;
pub mod endpoint;
mod exchange;
mod health;
mod leave;
pub mod locks;
mod network;
pub mod pace;
mod page_cache;
#[cfg(test)]
mod partial;
pub mod probe;
pub mod schedule;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod simulation;
pub mod status_page;
mod turns;
mod wait;

#[cfg(test)]
pub use breaker::Clock;
pub use breaker::{Breaker, Lease, Shared};
pub use endpoint::{Endpoint, Endpoints, Role};
pub use health::{Health, Reading};
pub use leave::Leave;
pub use locks::{Lock, LockName};
pub use network::Network;
pub use page_cache::{PageSeen, status_page};
pub use probe::{HttpLook, Look, Obstacle, Sighting};
#[cfg(test)]
pub(crate) use scripted::ScriptedLook;
pub use wait::{look_again, look_once, until_up};
