//! What claude-safe's own tests stand on. A test usually holds three things:
//!
//! - a [`FakeService`]: the sign-in and API service on loopback, up or down as scripted;
//! - a [`Sandbox`]: a throw-away HOME with credentials, and the processes started in it;
//! - a [`Terminal`]: a program in a real pseudo-terminal, and its screen as a person sees it.
//!
//! [`claude`] finds the pinned real Claude Code versions and the scripted stand-in.
//! Failures panic with what was seen; nothing here ever skips, and nothing reaches beyond
//! loopback and the sandbox's temporary directory.

pub mod claude;
pub mod postgres;
pub mod sandbox;
pub mod service;
pub mod stand;
pub mod terminal;
pub mod wait;

pub use claude::{real_claude, scripted_claude};
pub use postgres::PostgresServer;
pub use sandbox::{Sandbox, SignIn};
pub use service::FakeService;
pub use service::log::{Request, RequestKind};
pub use service::script::{Answer, Behaviour, ErrorReply, Script};
pub use stand::StandIn;
pub use terminal::{Size, Terminal, TerminalOptions};
pub use wait::wait_until;
