//! The words of what went wrong: exit reasons, failures with their evidence, verdicts.
//! Plain data, no behaviour that needs a clock, a file or the environment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a child process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// It called `exit` with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl ExitReason {
    /// The exit code a shell would report: the code itself, or 128 + signal.
    #[must_use]
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// What kind of fault ended or stalled a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The API answered 5xx, 429 (not a plan limit) or 529, or cut the answer short.
    Api,
    /// The access token could not be refreshed; Claude shows a 401. The sign-in itself is intact.
    AuthRefresh,
    /// The browser sign-in could not be completed by the service.
    LoginService,
    /// Only a person can go on: no sign-in, a dead one, or a revoked one.
    SignInNeeded,
    /// The plan's usage limit is reached, until `resets` if that is known.
    UsageLimit {
        /// When the limit lifts.
        resets: Option<Timestamp>,
    },
    /// A person must change something: billing, flag, organisation.
    Refused,
    /// Refused in a way that an outage shows too: a key or token without a refresh, a helper
    /// that hands out none, a permission, a model.
    Doubtful {
        /// The API's own word for it (a permission, a model), believed at once unless this run
        /// or our own look at the API says otherwise.
        firm: bool,
    },
    /// The service was not reached; `certificate` marks faults that waiting cannot cure.
    Network {
        /// A certificate's, not a passing fault.
        certificate: bool,
    },
    /// The proxy refused the tunnel. Claude's words are the same whether it says no or fails
    /// itself; our own look tells.
    Proxy,
    /// The conversation itself is damaged (tool ids, too long, cannot be loaded).
    SessionBroken,
    /// Claude left before its first prompt.
    StartUp,
    /// Claude was killed in mid-session by a fault signal.
    Crash,
    /// Headless only: nothing moved for as long as `hang_after`.
    Hang,
}

impl FailureKind {
    /// The name used in the journal, in messages and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::AuthRefresh => "auth_refresh",
            Self::LoginService => "login_service",
            Self::SignInNeeded => "sign_in_needed",
            Self::UsageLimit { .. } => "usage_limit",
            Self::Refused => "refused",
            Self::Doubtful { .. } => "doubtful",
            Self::Network { .. } => "network",
            Self::Proxy => "proxy",
            Self::SessionBroken => "session_broken",
            Self::StartUp => "start_up",
            Self::Crash => "crash",
            Self::Hang => "hang",
        }
    }
}

/// Where a piece of evidence was found, most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The child's exit status.
    Exit,
    /// The `result` of a headless run.
    Result,
    /// The `StopFailure` hook.
    Hook,
    /// The last assistant line of the transcript.
    Transcript,
    /// The credentials file.
    Credentials,
    /// The screen, as far as it may decide.
    Screen,
    /// Text that a headless run printed.
    Output,
}

/// Why a failure was believed: which rule, where, and the text that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The id of the rule, or the name of the signal.
    pub rule: String,
    /// Where it was seen.
    pub source: Source,
    /// The matched text, redacted and at most 200 characters.
    pub excerpt: String,
}

/// What is known of the turn that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// Nothing proves anything.
    #[default]
    Unknown,
    /// No prompt was submitted.
    NotPrompted,
    /// The prompt is in the conversation; neither answer text nor a tool followed.
    Untouched,
    /// Answer text or finished tools followed: the turn must be continued, not repeated.
    Partial,
    /// A tool or sub-agent has no result: nobody knows whether it ran.
    ToolOpen,
}

/// A classified fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its class.
    pub kind: FailureKind,
    /// The HTTP status Claude reported, if any.
    pub status: Option<u16>,
    /// Why it is believed.
    pub evidence: Vec<Evidence>,
    /// Claude's session id, once known.
    pub session: Option<String>,
    /// What the turn had done.
    pub turn: TurnState,
}

impl Failure {
    /// The status by which a service says that it fails, whatever kind of failure came of it.
    #[must_use]
    pub fn service_fault(&self) -> Option<u16> {
        self.status.filter(|status| matches!(status, 408 | 425 | 429 | 500..=599))
    }
}

/// How an attempt ended or stalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The child ended and its exit code is the run's.
    Done(ExitReason),
    /// A fault that the machine is told of.
    Failed(Failure),
}
