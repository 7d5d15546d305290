//! The requests the service has seen, for a test to count, read and wait for.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// `/v1/messages` with tools: a turn of the conversation.
    Turn,
    /// `/v1/messages` without tools: titles, classifiers, warm-ups.
    Auxiliary,
    /// `/v1/messages` or the token endpoint without credentials: somebody's health probe.
    Probe,
    /// The token endpoint.
    Token,
    /// `/api/hello`, `/v1/oauth/hello`.
    Hello,
    /// Profile and roles.
    Profile,
    /// The status page.
    Status,
    /// A `CONNECT` to the proxy.
    Connect,
    /// Anything else; answered 404 unless scripted.
    Other,
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Since the service started.
    pub at: Duration,
    /// The host asked, without port.
    pub host: String,
    /// `POST`, `GET` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What it was for.
    pub kind: RequestKind,
    /// Header names in lower case, in order. Holds fake credentials only.
    pub headers: Vec<(String, String)>,
    /// The body, if it was JSON.
    pub body: Value,
    /// The status answered; `None` while unanswered, hung or reset.
    pub status: Option<u16>,
    /// Texts of the last user message, tool results left out.
    pub last_user: Vec<String>,
    /// Texts of every user message, in order.
    pub user_texts: Vec<String>,
    /// Tool results that came back since the last user message without one.
    pub tool_results: usize,
}

impl Request {
    pub(super) fn new(method: &str, host: &str, path: &str) -> Self {
        Self {
            at: Duration::ZERO,
            host: host.into(),
            method: method.into(),
            path: path.into(),
            kind: RequestKind::Other,
            headers: Vec::new(),
            body: Value::Null,
            status: None,
            last_user: Vec::new(),
            user_texts: Vec::new(),
            tool_results: 0,
        }
    }

    /// A header's value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the last user message holds `text`.
    pub fn asks(&self, text: &str) -> bool {
        self.last_user.iter().any(|said| said.contains(text))
    }

    /// Reads the conversation out of the body.
    pub(super) fn read_messages(&mut self) {
        let Some(messages) = self.body.get("messages").and_then(Value::as_array) else { return };
        for message in messages.iter().filter(|message| message["role"] == "user") {
            let (texts, has_result) = texts_of(&message["content"]);
            self.tool_results = if has_result { self.tool_results + 1 } else { 0 };
            self.user_texts.extend(texts.iter().cloned());
            self.last_user = texts;
        }
    }
}

/// The texts of a message's content, and whether it brings back a tool's result.
fn texts_of(content: &Value) -> (Vec<String>, bool) {
    match content {
        Value::String(text) => (vec![text.clone()], false),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            let has_result = blocks.iter().any(|block| block["type"] == "tool_result");
            (texts.map(str::to_owned).collect(), has_result)
        }
        _ => (Vec::new(), false),
    }
}

/// All requests so far, shared with the connections.
#[derive(Clone, Debug)]
pub(super) struct Log {
    shared: Arc<(Mutex<Vec<Request>>, Condvar)>,
    start: Instant,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { shared: Arc::default(), start: Instant::now() }
    }

    /// Notes a request; the number it gets is for [`Log::answered`].
    pub(super) fn note(&self, request: &Request) -> usize {
        let mut all = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Request { at: self.start.elapsed(), ..request.clone() });
        self.shared.1.notify_all();
        all.len() - 1
    }

    pub(super) fn answered(&self, number: usize, status: u16) {
        let mut all = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        all[number].status = Some(status);
        self.shared.1.notify_all();
    }

    pub(super) fn all(&self) -> Vec<Request> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `enough` says so of all requests; whether it did before `deadline`.
    pub(super) fn wait(&self, deadline: Duration, enough: impl Fn(&[Request]) -> bool) -> bool {
        let end = Instant::now() + deadline;
        let mut all = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if enough(&all) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.1.wait_timeout(all, left);
            all = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
