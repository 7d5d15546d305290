//! How a run ends: one enum, which becomes the exit code and the journal's outcome here and
//! nowhere else. Pure.

use jiff::Timestamp;
use nix::sys::signal::Signal;

use crate::error::exit;
use crate::failure::ExitReason;
use crate::journal::Outcome;

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Claude's own end stands: it worked, or it failed in a way that is the user's to read.
    Done(ExitReason),
    /// It has not passed, and waiting longer might still cure it.
    Later {
        /// Why the run stopped waiting.
        why: String,
        /// Before then there is no use in trying, if that is known.
        not_before: Option<Timestamp>,
    },
    /// Only a person can go on.
    Person {
        /// What they have to know.
        why: String,
        /// Claude's own end, which passes through; `None` if somebody must look before anything
        /// runs again.
        exit: Option<ExitReason>,
    },
    /// A signal ended the run: the child's end, if it had one that stands.
    Signal {
        /// The signal.
        signal: Signal,
        /// How the child took it.
        exit: Option<ExitReason>,
    },
}

impl End {
    /// The exit code of the run.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Person { exit: None, .. } => i32::from(exit::PERSON),
            Self::Later { .. } => i32::from(exit::TRY_LATER),
            // Whatever the child makes of it, the shell must learn of the Ctrl-C.
            Self::Signal { signal: Signal::SIGINT, .. } => i32::from(exit::INTERRUPTED),
            Self::Done(exit)
            | Self::Person { exit: Some(exit), .. }
            | Self::Signal { exit: Some(exit), .. } => exit.shell_code(),
            Self::Signal { signal, exit: None } => 128 + *signal as i32,
        }
    }

    /// What the journal keeps.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Later { not_before, .. } => Outcome::Later { not_before: *not_before },
            Self::Person { why, .. } => Outcome::Person { why: why.clone() },
            Self::Done(_) | Self::Signal { .. } => Outcome::of(self.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_the_exit_code_that_the_readme_promises() {
        let code = ExitReason::Code;
        let why = || "why".to_owned();
        let later = |not_before| End::Later { why: why(), not_before };
        let person = |exit| End::Person { why: why(), exit };
        let signal = |signal, exit| End::Signal { signal, exit };
        let noon = Timestamp::from_second(43_200).ok();
        let again = Outcome::Later { not_before: None };
        for (end, expected, outcome) in [
            (End::Done(code(0)), 0, Outcome::Done),
            (End::Done(code(3)), 3, Outcome::Failed),
            (later(noon), 75, Outcome::Later { not_before: noon }),
            (person(Some(code(1))), 1, Outcome::Person { why: why() }),
            (person(None), i32::from(exit::PERSON), Outcome::Person { why: why() }),
            (signal(Signal::SIGINT, None), 130, again.clone()),
            (signal(Signal::SIGINT, Some(code(0))), 130, again.clone()),
            (signal(Signal::SIGTERM, Some(code(143))), 143, again.clone()),
            (signal(Signal::SIGHUP, None), 129, again),
        ] {
            assert_eq!((end.code(), end.outcome()), (expected, outcome), "{end:?}");
        }
    }
}
