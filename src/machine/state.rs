//! Where a case stands. ARCHITECTURE.md has the states and the edges between them on one page; a
//! test compares it with the code.

use std::time::Duration;

use super::{End, SignInSeen};
use crate::failure::{Failure, FailureKind};
use crate::rung::Rung;
use crate::service::{Health, Reading};

/// What will be done about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// The failure.
    pub failure: Failure,
    /// The rung that is used.
    pub rung: Rung,
}

/// Where a case stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Nothing was begun.
    Fresh,
    /// Leave for the first launch is awaited, or what stands in its way.
    Opening,
    /// A child runs, and nothing of ours is under way; or it was told to end.
    Running,
    /// A sign-in reads empty: two processes that refresh at once can leave it so for a moment.
    Confirming {
        /// What failed.
        failure: Failure,
        /// From then on it counts as dead.
        until: Duration,
    },
    /// The service is looked at, then the screen.
    Weighing {
        /// What failed.
        failure: Failure,
        /// What is known of the service, and whether tries are held back.
        health: Option<(Health, bool)>,
    },
    /// The time to act has not come.
    Waiting {
        /// What is done then.
        remedy: Remedy,
        /// When the wait began.
        since: Duration,
        /// When it is over, as far as the backoff goes.
        due: Duration,
        /// The service is back, so that no look holds the try back.
        up: bool,
        /// Leave was given already: only the screen had not settled.
        claimed: bool,
    },
    /// Leave to act is asked for.
    Claiming {
        /// What is done then.
        remedy: Remedy,
        /// When its wait began.
        since: Duration,
    },
    /// A person is asked whether a fix may be applied.
    Asking(Remedy),
    /// A fix is applied.
    Fixing(Remedy),
    /// The screen is looked at once more, before anything is done to a living child.
    Ready {
        /// What is done then.
        remedy: Remedy,
        /// When its wait began.
        since: Duration,
        /// Leave is still to be asked for: whether the service came back in the wait, and what
        /// it read last.
        unclaimed: Option<(bool, Reading)>,
    },
    /// The message was pasted; Enter follows when it is seen in the box.
    Pasted {
        /// When.
        at: Duration,
    },
    /// Enter was pressed; a turn should begin.
    Entered {
        /// When.
        at: Duration,
    },
    /// The child is being ended, to start it again.
    Ending(Remedy),
    /// Someone must sign in.
    Person {
        /// What failed.
        failure: Failure,
        /// The sign-in that was refused: only another one lets us go on.
        refused: SignInSeen,
        /// For how long is waited, if the run does nothing else.
        until: Option<Duration>,
        /// The user has typed since: the next failure is of a turn of their own.
        typed: bool,
    },
    /// A sign-in that the service failed is seen through.
    SigningIn(Return),
    /// The run has ended so.
    Ended(End),
}

/// How far the way back to where a fresh code is pasted is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Return {
    /// The token endpoint does not answer yet. Holds the failed screen's text.
    Waiting(String),
    /// It answers; the screen is looked at before Enter.
    Leaving(String),
    /// Enter was pressed on the failed screen; when the menu was first seen after that.
    ToMenu(Duration, Option<Duration>),
    /// Enter was pressed on the menu.
    ToPaste(Duration),
}

impl State {
    /// Its name, as ARCHITECTURE.md and the log have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fresh => "Fresh",
            Self::Opening => "Opening",
            Self::Running => "Running",
            Self::Confirming { .. } => "Confirming",
            Self::Weighing { .. } => "Weighing",
            Self::Waiting { .. } => "Waiting",
            Self::Claiming { .. } => "Claiming",
            Self::Asking(_) => "Asking",
            Self::Fixing(_) => "Fixing",
            Self::Ready { .. } => "Ready",
            Self::Pasted { .. } => "Pasted",
            Self::Entered { .. } => "Entered",
            Self::Ending(_) => "Ending",
            Self::Person { .. } => "Person",
            Self::SigningIn(_) => "SigningIn",
            Self::Ended(_) => "Ended",
        }
    }

    /// Whether the user's input is held back, because ours is on its way.
    #[must_use]
    pub fn holds_input(&self) -> bool {
        matches!(self, Self::Pasted { .. } | Self::Entered { .. })
    }
}

/// Whether another sign-in could cure it.
pub(super) fn is_about_sign_in(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::SignInNeeded | FailureKind::AuthRefresh)
}
