//! What a run is told: the events that the machine acts on, and what they carry. Plain data; who
//! reads a screen, a file or a clock for them is a loop in `run`.

use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::claude::credentials::{SignIn, Stamp};
use crate::failure::{ExitReason, Failure, FailureKind, TurnState, Verdict};
use crate::service::{Health, Reading};
use crate::watch::{Panel, WhyNot};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run begins: anew, or with what an earlier run of the same job left.
    Begin(Option<Left>),
    /// A turn failed in a living child.
    TurnFailed(Report),
    /// A turn began: by our message, or by the user's own.
    TurnBegan,
    /// A turn came to its end.
    TurnWorked,
    /// The child ended.
    ChildEnded(ChildEnd),
    /// Claude itself is trying again.
    Retrying {
        /// What it met.
        kind: FailureKind,
        /// The HTTP status, if it told.
        status: Option<u16>,
        /// The wait that the service asked for (`Retry-After`), if it did.
        asked: Option<Duration>,
    },
    /// Nothing has moved in the child for as long as `watch.hang_after`.
    Hung,
    /// The user typed.
    Typed(Key),
    /// The user left the conversation that was ours to look after (`/clear`, `/resume`).
    MovedOn,
    /// The analysis of this child is broken: it is only relayed from now on.
    Blind,
    /// Someone at the keys answered a question.
    Answered(Answer),
    /// Asked for by [`Effect::Observe`](super::Effect::Observe).
    Observed(Scene),
    /// Asked for by [`Effect::Probe`](super::Effect::Probe). `held`: the host reads down, so that
    /// nothing is tried before it answers.
    Health {
        /// What is known of the service.
        health: Health,
        /// Whether tries are held back.
        held: bool,
    },
    /// A wait is over; the last reading of the service in it.
    WaitOver(Reading),
    /// A host that read down in this wait answers.
    Up,
    /// The machine slept during a wait.
    Slept,
    /// Asked for by [`Effect::Claim`](super::Effect::Claim).
    Claimed(Result<(), Obstacle>),
    /// A fix ended; whether it was applied.
    FixDone(bool),
    /// A signal asked the run to end.
    Signal(Signal),
}

/// What an earlier run of the same job left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Its conversation.
    pub session: String,
    /// What its last turn had done.
    pub turn: TurnState,
}

/// A turn that failed, and what was seen at that moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What failed.
    pub failure: Failure,
    /// The last line of the transcript (its uuid): a later one is someone else's.
    pub line: Option<String>,
    /// The sign-in then.
    pub sign_in: SignInSeen,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildEnd {
    /// Its exit status.
    pub exit: ExitReason,
    /// What that means.
    pub verdict: Verdict,
    /// It ended before anything began, with words about what we had added to the start.
    pub refuses_ours: bool,
    /// As in [`Report`].
    pub line: Option<String>,
    /// As in [`Report`].
    pub sign_in: SignInSeen,
}

/// The sign-in as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSeen {
    /// Its kind.
    pub sign_in: SignIn,
    /// Changes with every sign-in and refresh, and tells nothing else.
    pub stamp: Option<Stamp>,
}

/// What the user typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Esc: it cancels what is planned.
    Escape,
    /// Ctrl-C: it is Claude's, but takes back what is being typed for them.
    Interrupt,
    /// Enter; between two children it means *now*.
    Enter,
    /// Anything else that types.
    Text,
}

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No, and how it was said.
    Refused(&'static str),
}

/// What stands in the way of a try, as far as others are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The host reads down; one try in ten minutes is free again in so long.
    Down(Duration),
    /// Another run is asking or refreshing just now.
    Busy,
    /// Someone else has this conversation, or carried it on.
    Foreign(&'static str),
    /// Before the first launch: others were before us, and the sign-in service is down.
    SignInDown,
}

/// What is to be seen of a living child. The default allows nothing.
#[derive(Debug, Clone, PartialEq)]
// independent observations
#[allow(clippy::struct_excessive_bools)]
pub struct Scene {
    /// Whether our message may be pasted.
    pub may_type: Result<(), WhyNot>,
    /// Whether Enter may follow it.
    pub may_enter: Result<(), WhyNot>,
    /// The box is there and nothing is in it.
    pub box_empty: bool,
    /// A turn is running.
    pub busy: bool,
    /// Someone else has the conversation open.
    pub foreign: bool,
    /// Claude has work in the background, which would die with it.
    pub background: bool,
    /// As in [`Report`].
    pub line: Option<String>,
    /// The sign-in now.
    pub sign_in: SignInSeen,
    /// What stands in the place of the box.
    pub panel: Option<Panel>,
    /// The marked line of that panel is its first entry.
    pub first_entry: bool,
    /// The person had chosen the first entry of the login menu.
    pub chose_first: bool,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            may_type: Err(WhyNot::NotFailed),
            may_enter: Err(WhyNot::NotOurText),
            box_empty: false,
            busy: false,
            foreign: false,
            background: true,
            line: None,
            sign_in: SignInSeen::default(),
            panel: None,
            first_entry: false,
            chose_first: false,
        }
    }
}

impl Default for SignInSeen {
    fn default() -> Self {
        Self { sign_in: SignIn::Missing, stamp: None }
    }
}

impl SignInSeen {
    /// Whether someone has signed in since that one was refused.
    #[must_use]
    pub fn is_renewed(&self, refused: &Self) -> bool {
        let since = refused.stamp.unwrap_or(Stamp::Unseen);
        self.sign_in.is_usable() && self.stamp.is_some_and(|stamp| stamp.is_news(since))
    }
}

/// When a limit that Claude waits for by itself lifts.
#[must_use]
pub fn resets(kind: FailureKind) -> Option<Timestamp> {
    match kind {
        FailureKind::UsageLimit { resets } => resets,
        _ => None,
    }
}
