//! What an endpoint does, and when: the vocabulary tests script the service with.
//! In: a [`Script`] set by the test. Out: the one [`Behaviour`] for the request at hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::log::Request;

/// What the model answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A finished text.
    Text(String),
    /// A call of a tool; `then` follows once its result comes back.
    Tool {
        /// The tool's name, as `Bash`.
        name: String,
        /// Its input, as `{"command": "true"}`.
        input: Value,
        /// The answer to the tool's result.
        then: Box<Answer>,
    },
    /// Several calls of tools in one message; `then` follows once their results come back.
    Tools {
        /// Each tool's name and input.
        calls: Vec<(String, Value)>,
        /// The answer to their results.
        then: Box<Answer>,
    },
    /// A text that comes word by word.
    Slow {
        /// The whole text.
        text: String,
        /// The pause before each word.
        every: Duration,
    },
}

impl Answer {
    /// A finished text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Claude's Bash tool with `command`, and the text that follows its result.
    pub fn bash(command: &str, then: impl Into<String>) -> Self {
        Self::Tool {
            name: "Bash".into(),
            input: json!({ "command": command, "description": "Run the command of the test" }),
            then: Box::new(Self::text(then)),
        }
    }

    /// What is due after `results` tool results came back in this turn.
    pub(super) fn after(&self, results: usize) -> &Self {
        match self {
            Self::Tool { then, .. } | Self::Tools { then, .. } if results > 0 => {
                then.after(results - 1)
            }
            other => other,
        }
    }
}

/// Which answer a turn gets.
pub type AnswerRule = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// A reply with an error status.
#[derive(Clone, Debug)]
pub struct ErrorReply {
    /// HTTP status.
    pub status: u16,
    /// `error.type` of the JSON body.
    pub kind: String,
    /// `error.message` of the JSON body.
    pub message: String,
    /// Headers besides content type and length.
    pub headers: Vec<(String, String)>,
    /// Content type and body instead of the JSON error.
    pub raw: Option<(String, String)>,
}

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// The endpoint does its work: answers, refreshes, says hello.
    Ok,
    /// As `Ok`, with this answer of the model instead of the service's rule.
    Answer(Answer),
    /// An error status.
    Error(ErrorReply),
    /// A proxy's or captive portal's page.
    Html {
        /// HTTP status.
        status: u16,
        /// Title and text of the page.
        title: String,
    },
    /// The connection stays open and silent.
    Hang,
    /// The request is read, then the connection is reset (RST).
    Reset,
    /// The request is read, then the connection closed without a byte of reply.
    Refuse,
    /// The stream breaks after a complete block with this text (empty: before any block).
    CutAfter(String),
    /// The stream reports `overloaded_error` after a block with this text (empty: at once).
    SseError(String),
    /// The reply comes byte by byte with this pause.
    Drip(Duration),
    /// 302 to this address.
    Redirect(String),
    /// 200 with a JSON body padded by this many bytes.
    Huge(usize),
    /// This share of the requests (0 to 1, drawn anew for each) meets the behaviour, the others
    /// are answered.
    Share(f64, Box<Behaviour>),
}

impl Behaviour {
    /// A JSON error with the type and message the real service gives this status.
    pub fn error(status: u16) -> Self {
        let (kind, message) = match status {
            400 => ("invalid_request_error", "Invalid request format"),
            401 => (
                "authentication_error",
                "OAuth token has expired. Please obtain a new token or refresh your existing \
                 token.",
            ),
            403 => ("permission_error", "Request not allowed"),
            404 => ("not_found_error", "Not found"),
            413 => ("request_too_large", "Request exceeds the maximum size"),
            429 => ("rate_limit_error", "This request would exceed your account's rate limit."),
            529 => ("overloaded_error", "Overloaded"),
            503 => ("api_error", "Service Temporarily Unavailable"),
            _ => ("api_error", "Internal server error"),
        };
        Self::error_with(status, kind, message)
    }

    /// A JSON error with the given type and message.
    pub fn error_with(status: u16, kind: &str, message: &str) -> Self {
        Self::Error(ErrorReply {
            status,
            kind: kind.into(),
            message: message.into(),
            headers: Vec::new(),
            raw: None,
        })
    }

    /// An error status with any body.
    pub fn error_raw(status: u16, content_type: &str, body: &str) -> Self {
        Self::Error(ErrorReply {
            status,
            kind: String::new(),
            message: String::new(),
            headers: Vec::new(),
            raw: Some((content_type.into(), body.into())),
        })
    }

    /// Adds a header to an error reply; other behaviours stay as they are.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Error(reply) = &mut self {
            reply.headers.push((name.into(), value.into()));
        }
        self
    }

    /// The gateway's HTML page for this status.
    pub fn html(status: u16, title: &str) -> Self {
        Self::Html { status, title: title.into() }
    }

    /// This share of the requests fails so: a partial outage.
    #[must_use]
    pub fn for_share(self, share: f64) -> Self {
        Self::Share(share, Box::new(self))
    }

    /// A plan limit; `claim` is `five_hour`, `seven_day`, `seven_day_opus` or
    /// `seven_day_sonnet`, `resets` in Unix seconds.
    pub fn usage_limit(claim: &str, resets: u64) -> Self {
        Self::error(429)
            .header("anthropic-ratelimit-unified-status", "rejected")
            .header("anthropic-ratelimit-unified-reset", &resets.to_string())
            .header("anthropic-ratelimit-unified-representative-claim", claim)
    }

    /// The token endpoint's answer to a refresh token that will never work again.
    pub fn invalid_grant() -> Self {
        let body = json!({
            "error": "invalid_grant",
            "error_description": "Refresh token not found or invalid",
        });
        Self::error_raw(400, "application/json", &body.to_string())
    }
}

/// What an endpoint does over time or over requests.
#[derive(Clone, Debug)]
pub enum Script {
    /// The same for every request.
    Always(Behaviour),
    /// From each offset on (counted from when the script was set) its behaviour; the first
    /// holds before its offset too.
    Timeline(Vec<(Duration, Behaviour)>),
    /// One behaviour per request, in order; the last one stays.
    Requests(Vec<Behaviour>),
    /// Up for so many requests; the other script begins with the next.
    After(usize, Box<Script>),
}

impl From<Behaviour> for Script {
    fn from(behaviour: Behaviour) -> Self {
        Self::Always(behaviour)
    }
}

impl Script {
    /// `fault` for this long, then up.
    pub fn down_for(outage: Duration, fault: Behaviour) -> Self {
        Self::Timeline(vec![(Duration::ZERO, fault), (outage, Behaviour::Ok)])
    }

    /// `fault` for the first `n` requests, then up.
    pub fn first(n: usize, fault: Behaviour) -> Self {
        let mut each = vec![fault; n];
        each.push(Behaviour::Ok);
        Self::Requests(each)
    }
}

/// A script that runs.
#[derive(Debug)]
pub(super) struct Running {
    script: Script,
    since: Instant,
    taken: usize,
}

impl Running {
    pub(super) fn new(script: Script) -> Self {
        Self { script, since: Instant::now(), taken: 0 }
    }

    /// The behaviour now; `counts` says whether this request uses up one of
    /// [`Script::Requests`] (probes and title requests only look).
    pub(super) fn next(&mut self, counts: bool) -> Behaviour {
        if let Script::After(first, then) = &mut self.script {
            if self.taken < *first {
                self.taken += usize::from(counts);
                return Behaviour::Ok;
            }
            let then = std::mem::replace(&mut **then, Behaviour::Ok.into());
            *self = Self::new(then);
        }
        let now = match &self.script {
            Script::Always(behaviour) => Some(behaviour),
            Script::Timeline(steps) => {
                let elapsed = self.since.elapsed();
                let due = steps.iter().rev().find(|(from, _)| *from <= elapsed);
                due.or(steps.first()).map(|(_, behaviour)| behaviour)
            }
            Script::Requests(each) => each.get(self.taken).or(each.last()),
            Script::After(..) => None,
        };
        let now = now.cloned().unwrap_or(Behaviour::Ok);
        if counts {
            self.taken += 1;
        }
        match now {
            Behaviour::Share(share, fault) if fastrand::f64() < share => *fault,
            Behaviour::Share(..) => Behaviour::Ok,
            all => all,
        }
    }
}
