//! A child in a pseudo-terminal between it and the user's terminal.
//!
//! [`Tty`] is the user's terminal, opened once per process; [`spawn`] starts a child in a PTY of
//! the same size and settings; [`Relay`] carries bytes both ways, unchanged, and reports what
//! happened. Bytes reach the terminal before anyone looks at them, and the terminal is restored on
//! every way out.
//!
//! ```no_run
//! # use claude_safe::launch::terminal::{Event, Launch, Relay, Tty, spawn};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tty = Tty::open()?;
//! let child = spawn(&Launch { program: "claude".into(), ..Launch::default() }, &tty)?;
//! let mut relay = Relay::start(&mut tty, child)?;
//! loop {
//!     match relay.next().await {
//!         Event::Output(_bytes) => { /* look at what was shown */ }
//!         Event::Exited(reason) => break println!("{}", reason.shell_code()),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod claim;
mod descriptor;
mod job_control;
mod pty;
mod relay;
mod signals;
mod tty;

pub use claim::guarded;
pub use pty::{Launch, PtyChild, SpawnError, spawn};
pub use relay::{Event, Relay, Rewrite, is_plain};
pub use tty::{Tty, TtyEvent};
