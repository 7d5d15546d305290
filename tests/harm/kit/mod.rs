//! Compares claude-safe with plain claude in a few lines. In: a [`World`], which is built twice:
//! once for the real claude alone, once for claude-safe in front of it. Out: two [`Seen`], and
//! every difference between them that a user could notice.
//!
//! ```ignore
//! World::new(&["-p", "--permission-mode", "acceptEdits", "write it"])
//!     .settings(json!({ "permissions": { "allow": ["Bash(touch:*)"] } }))
//!     .file("conf/rules.json", "{}")            // below the project; `{home}` and so on are filled in
//!     .answer(Answer::bash("touch made", "Done."))
//!     .outage(Outage::requests(2).after(1))     // claude-safe alone meets it
//!     .both()
//!     .same();                                  // or `.same_but(&[Aspect::Conversation])`
//! ```
//!
//! Plain claude lives through a good day; an outage meets claude-safe alone, unless
//! [`World::outage_for_both`] says otherwise. Claude gives an API fault up after one retry, which
//! is two requests, so that two failing requests end one attempt.

// Parts of the vocabulary may wait for their first test.
#![allow(dead_code, unused_imports)]

mod outage;
mod pair;
pub mod person;
mod place;
mod seen;
mod world;

pub use outage::Outage;
pub use pair::{Aspect, Pair};
pub use seen::{Seen, journal};
pub use world::{Live, World};

use std::time::Duration;

/// What the fake service says unless told otherwise.
pub const HELLO: &str = "Hello from the fake service.";

/// What claude-safe continues a failed turn with in these tests.
pub const MESSAGE: &str = "Carry on where the service failed.";

/// Enough for a start, a turn or a recovery on a loaded machine.
pub const SOON: Duration = Duration::from_secs(120);
