//! What a loop is asked to do. Plain data. `Probe`, `Wait`, `Claim`, `Question` and `Fix` take
//! time: the loop begins them, goes on hearing everything else, and reports how they ended;
//! `Cease` drops whatever of them is under way.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::End;
use crate::failure::{Failure, FailureKind, TurnState};
use crate::journal;
use crate::notice::Notice;
use crate::notify::Occasion;
use crate::rung::Rung;
use crate::service::Reading;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look at the service; answered by `Health`.
    Probe(Failure),
    /// Read the screen, the files and the sign-in; answered by `Observed` at once.
    Observe,
    /// Wait; answered by `WaitOver`, `Up` or `Slept`. The next one replaces it.
    Wait(Waiting),
    /// Ask all others for leave to try; answered by `Claimed`.
    Claim(Claim),
    /// Ask whoever is at the keys; answered by `Answered`.
    Question(Rung),
    /// Apply a fix; answered by `FixDone`.
    Fix(Rung, Failure),
    /// Drop what is under way.
    Cease,
    /// Give back what was claimed; `worked` says how the try went, if there was one.
    Unclaim {
        /// Whether a turn worked, or failed on the service.
        worked: Option<bool>,
    },
    /// Start claude.
    Launch(Start),
    /// Paste the message, and hold the user's input from now on.
    Paste,
    /// Press Enter.
    Enter,
    /// Take the pasted message out of the box again, if it holds exactly that.
    Withdraw,
    /// Let the user's input follow.
    Release,
    /// A turn runs with our message: let the user's input follow.
    Taken,
    /// End the child, to start it again; `kind` is what for, if it had not failed by itself.
    EndChild(Option<FailureKind>),
    /// Hand a signal to the child.
    Pass(Signal),
    /// Show this line in Claude's own status line.
    Show(Notice),
    /// Take that line away.
    Hide,
    /// One line for whoever reads, between two children.
    Say(String),
    /// Say how the conversation is found again, if it is there.
    SayKept,
    /// Tell someone who looks elsewhere.
    Tell(Occasion, String),
    /// Write it down.
    Record(journal::Event),
    /// The run ends.
    Exit(End),
}

/// A wait. One with the same `since` is the same wait with another end: what was seen of the
/// service in it still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When it began.
    pub since: Duration,
    /// When it ends by itself.
    pub until: Duration,
    /// What ends it before.
    pub wake: Wake,
}

/// What ends a wait before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Nothing.
    Never,
    /// The host that such a failure met read down in this wait, and answers.
    Back(FailureKind),
    /// The host that such a failure met answers, whatever it read before.
    Answers(FailureKind),
}

/// Leave to try, as far as other runs and processes are concerned: their place in the
/// conversation, the pace of all starts, the one refresh at a time of an expired token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What the try is about; `None` before the first launch.
    pub kind: Option<FailureKind>,
    /// What the service read last in the wait: while that is *down*, one try in ten minutes is
    /// given to one run of all.
    pub reading: Reading,
    /// The transcript's last line at the failure.
    pub line: Option<String>,
}

/// How claude is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// As the user asked, with what we add.
    First,
    /// As the user wrote it: what we had added was refused before anything began.
    AsWritten,
    /// What the last launch sent may be sent again: this is proved of the turn, and no tool ran.
    Repeat(TurnState),
    /// The same conversation goes on; the prompt is not sent again.
    Resume,
    /// The same conversation opens, and nothing is sent: a tool may have been running.
    Open,
    /// The prompt in a conversation of its own, as the fix before it prepared.
    Afresh,
}
