//! The few screens that decide without another witness. In: a look. Out: a class, or nothing:
//! everything else on a screen may be quoted.

use super::hint::Placeholder;
use super::look::{InputBox, Look, Panel};
use crate::claude::rules::Classified;
use crate::failure::{Evidence, FailureKind, Source};

/// The few screens that may decide without another witness; everything else needs one.
/// `classify` is asked about the words of a failed login.
#[must_use]
pub fn by_screen(
    look: &Look,
    classify: impl FnOnce(&str) -> Option<Classified>,
) -> Option<Classified> {
    let is = |kind, rule: &str| {
        let evidence =
            Evidence { rule: rule.into(), source: Source::Screen, excerpt: String::new() };
        Some(Classified { kind, status: None, evidence })
    };
    if look.is_busy() {
        return None;
    }
    match (&look.panel, &look.input) {
        (Some(Panel::LoginFailed(text)), _) => classify(text),
        (Some(Panel::LoginMethod | Panel::LoginPaste), _) => {
            is(FailureKind::SignInNeeded, "screen-login")
        }
        (Some(Panel::LimitMenu), _) => {
            is(FailureKind::UsageLimit { resets: None }, "screen-limit-menu")
        }
        (None, InputBox::Placeholder(Placeholder::Resend)) => is(FailureKind::Api, "screen-resend"),
        (None, InputBox::Placeholder(Placeholder::RunRewind)) => {
            is(FailureKind::SessionBroken, "screen-rewind")
        }
        _ if look.limit_wait => is(FailureKind::UsageLimit { resets: None }, "screen-limit-wait"),
        _ => None,
    }
}
