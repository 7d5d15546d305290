//! What goes on by itself while a child is relayed: looks at the service and waits. In: a stage.
//! Out: what it was waiting for. A panic in here is no end of the relay.

use std::future::{pending, poll_fn};
use std::task::Poll;

use super::signing_in::Return;
use super::{Future, Stage};
use crate::launch::terminal::guarded;
use crate::run::waiting::WaitEnd;
use crate::service::Health;

/// What a stage was waiting for.
pub(super) enum Done {
    Health(Health),
    Wait(WaitEnd),
    /// The token endpoint answers.
    Answers,
    /// Nothing comes of it.
    Panicked,
}

pub(super) async fn progress(stage: &mut Stage) -> Done {
    let done = match stage {
        Stage::Weighing(_, health) => contained(health).await.map(Done::Health),
        Stage::Waiting { end, .. } => contained(end).await.map(Done::Wait),
        Stage::SigningIn(Return::Waiting(_, answers)) => {
            contained(answers).await.map(|()| Done::Answers)
        }
        _ => pending().await,
    };
    done.unwrap_or(Done::Panicked)
}

/// Polls what is ours alone, so that its panic is no end of the relay: `None` if it panicked.
pub(in crate::run) async fn contained<T>(future: &mut Future<T>) -> Option<T> {
    poll_fn(|cx| match guarded(|| future.as_mut().poll(cx)) {
        Some(Poll::Ready(value)) => Poll::Ready(Some(value)),
        Some(Poll::Pending) => Poll::Pending,
        None => Poll::Ready(None),
    })
    .await
}
