//! One line for people about each kind of failure: what it is, and what only they can do. Pure.

use crate::watch::{Failure, FailureKind};

/// What failed, in a few words.
pub(super) fn what(failure: &Failure) -> String {
    let status = failure.status.map(|status| format!(" ({status})")).unwrap_or_default();
    match failure.kind {
        FailureKind::Api => format!("API failing{status}"),
        FailureKind::AuthRefresh => format!("sign-in service down{status}"),
        FailureKind::LoginService => format!("sign-in service failing{status}"),
        FailureKind::SignInNeeded => "sign-in needed".to_owned(),
        FailureKind::UsageLimit { .. } => "usage limit reached".to_owned(),
        FailureKind::Refused | FailureKind::Doubtful { .. } => format!("request refused{status}"),
        FailureKind::Network { certificate: true } => "certificate or proxy refused".to_owned(),
        FailureKind::Proxy => "proxy refused the connection".to_owned(),
        FailureKind::Network { certificate: false } => "network unreachable".to_owned(),
        FailureKind::SessionBroken => "conversation damaged".to_owned(),
        FailureKind::StartUp => "Claude left at start-up".to_owned(),
        FailureKind::Crash => "Claude crashed".to_owned(),
        FailureKind::Hang => "Claude hung".to_owned(),
    }
}

/// Whether waiting might still cure it, so that a scheduler should try again later.
pub(super) fn may_pass(failure: &Failure) -> bool {
    match failure.kind {
        FailureKind::Api
        | FailureKind::AuthRefresh
        | FailureKind::LoginService
        | FailureKind::UsageLimit { .. }
        | FailureKind::Network { certificate: false }
        | FailureKind::Proxy
        | FailureKind::Hang => true,
        FailureKind::SignInNeeded
        | FailureKind::Refused
        | FailureKind::Doubtful { .. }
        | FailureKind::Network { certificate: true }
        | FailureKind::SessionBroken
        | FailureKind::StartUp
        | FailureKind::Crash => false,
    }
}
