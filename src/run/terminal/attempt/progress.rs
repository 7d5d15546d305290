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
    match stage {
        Stage::Weighing(_, health) => contained(health, Done::Health).await,
        Stage::Waiting { end, .. } => contained(end, Done::Wait).await,
        Stage::SigningIn(Return::Waiting(_, answers)) => {
            contained(answers, |()| Done::Answers).await
        }
        _ => pending().await,
    }
}

/// Polls what is ours alone, so that its panic is no end of the relay.
async fn contained<T>(future: &mut Future<T>, done: impl Fn(T) -> Done) -> Done {
    poll_fn(|cx| match guarded(|| future.as_mut().poll(cx)) {
        Some(Poll::Ready(value)) => Poll::Ready(done(value)),
        Some(Poll::Pending) => Poll::Pending,
        None => Poll::Ready(Done::Panicked),
    })
    .await
}
