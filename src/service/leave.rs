//! Leave to start claude or to ask it again: the pace of all runs together, and, at a service that
//! fails for all of them, one try at a time. In: the breaker. Out: a permission, handed back with
//! how it went.

use super::Breaker;
use super::pace::Ticket;
use super::turns::{Try, Waits};

/// A permission to restart.
#[derive(Debug)]
pub struct Leave {
    ticket: Ticket,
    attempt: Option<Try>,
}

impl Leave {
    pub(super) fn paced(ticket: Ticket) -> Self {
        Self { ticket, attempt: None }
    }
}

impl Breaker {
    /// As [`Breaker::admit`], after the tries of other runs at a service that fails for all: one
    /// at a time, until a turn works.
    pub async fn admit_in_turn(&self) -> Leave {
        let attempt = self.turns.leave_to_try().await;
        Leave { ticket: self.admit().await.ticket, attempt }
    }

    /// The start with this leave brought a working turn.
    pub async fn succeeded(&self, leave: Leave) {
        self.worked_with(leave.ticket).await;
    }

    /// The start with this leave failed on the service (not on anything here).
    pub async fn failed(&self, leave: Leave) {
        self.update(|pace, now| pace.failed(now, leave.ticket)).await;
        if let Some(attempt) = leave.attempt {
            attempt.failed();
        }
    }

    /// A turn of this run worked: those that wait for one are told.
    pub fn worked(&self) {
        self.turns.worked();
    }

    /// While the value lives, this run waits for a turn to work.
    #[must_use]
    pub fn wait_for_turn(&self) -> Waits {
        self.turns.wait()
    }

    /// Waits until a turn works in any run of this service and model.
    pub async fn until_worked(&self) {
        self.turns.until_worked().await;
    }
}
