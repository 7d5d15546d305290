//! What tests, benchmarks and fuzz targets call directly. No promise to anybody else: all other
//! items are the program's own, so that the compiler finds those that nothing uses.

pub mod backup {
    pub use crate::backup::{
        HeldPath, Snapshot, Source, Store, manifest, prune, shown, users, verified_snapshot,
    };
}

pub mod claude {
    pub use crate::claude::args::ClaudeArgs;
    pub use crate::claude::resume_hint::ResumeHint;
    pub use crate::claude::transcript::{Tail, tail};
    pub mod rules {
        pub use crate::claude::rules::{Classified, Observation, Place, Rules, excerpt, redact};
    }
}

pub mod cli {
    pub use crate::cli::Cli;
}

pub mod config {
    pub use crate::config::{Origin, Profile, keys, load, profiles, reference, value};
}

pub mod exit {
    pub use crate::error::exit::*;
}

pub mod fix {
    pub use crate::fix::clear_cache::clear_cache;
    pub use crate::fix::sign_in_reset::{KEPT_FOR, prune_aside, sign_in_reset};
}

pub mod terminal {
    pub use crate::launch::terminal::{Event, Launch, Relay, SpawnError, Tty, guarded, spawn};
}

pub mod service {
    pub use crate::service::endpoint::Ask;
    pub use crate::service::probe::Fetched;
    pub use crate::service::{
        Breaker, Endpoint, HttpLook, Lease, LockName, Look, Network, Obstacle, Reading, Role,
        Sighting, locks, until_up,
    };
}

pub mod watch {
    pub use crate::failure::FailureKind;
    pub use crate::watch::{
        Input, InputBox, InputSplitter, Modes, Piece, Placeholder, Screen, by_screen,
    };
}
