//! One look at a host, without credentials. In: an endpoint and how this machine reaches the
//! network. Out: a [`Sighting`]. Never sends a token, a cookie or more than a plain
//! User-Agent, never follows a redirect, never blocks the event loop or the end of the process.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use ureq::http::Method;

use super::Reading;
use super::endpoint::{Ask, Endpoint, Role};
use super::exchange::{Answer, exchange};
use super::network::Network;

/// No look takes longer (a hung service is a down service).
pub const TIME_OUT: Duration = Duration::from_secs(10);

/// No more of a probe's answer is read (bytes); its first ones tell JSON from HTML.
const PROBE_CAP_BYTES: u64 = 8 << 10;

/// What stood between us and a working answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// An HTTP status that means "down".
    Status(u16),
    /// No answer in time.
    TimeOut,
    /// The connection broke.
    Reset,
    /// Nobody listens there.
    Refused,
    /// The name does not resolve.
    NoSuchHost,
    /// No route to the host.
    NoRoute,
    /// The certificate is not trusted: something here or on the way, never an outage.
    Certificate,
    /// The configured proxy could not be reached.
    ProxyUnreachable,
    /// The configured proxy refused (a password is asked for, the host is not allowed).
    ProxyRefused,
    /// The configured proxy is of a kind that Claude Code cannot use.
    ProxyUnsupported,
    /// A page for people where a machine's answer belongs: a captive portal or a filter.
    Intercepted,
    /// An answer that fits nothing known.
    Strange,
}

impl Obstacle {
    /// Whether it may lie between here and the internet rather than with the service.
    #[must_use]
    pub fn may_be_local(self) -> bool {
        !matches!(self, Self::Status(_) | Self::Strange)
    }
}

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What the host is for.
    pub role: Role,
    /// The host.
    pub host: String,
    /// The reading of its answer.
    pub reading: Reading,
    /// What was in the way, when the reading is not `Up`.
    pub obstacle: Option<Obstacle>,
    /// How long the look took.
    pub latency: Duration,
    /// One line for people: `platform.claude.com answers (400)`.
    pub reason: String,
    /// How long the service asked clients to wait.
    pub retry_after: Option<Duration>,
    /// The service's clock minus ours (seconds), to the second.
    pub clock_offset_s: Option<i64>,
}

impl Sighting {
    /// A reading of this endpoint, and nothing more.
    #[must_use]
    pub fn of(endpoint: &Endpoint, reading: Reading, reason: String) -> Self {
        Self {
            role: endpoint.role,
            host: endpoint.host().to_owned(),
            reading,
            obstacle: None,
            latency: Duration::ZERO,
            reason,
            retry_after: None,
            clock_offset_s: None,
        }
    }
}

/// A document that was fetched, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The document has not changed since the given tag.
    NotModified,
    /// A new document, and its tag.
    Body {
        /// The text.
        text: String,
        /// Its `ETag`.
        etag: Option<String>,
    },
    /// Nothing usable came: an obstacle and one line for people.
    Failed(Obstacle, String),
}

/// A future that can stay in a `dyn` trait.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The seam to the network.
pub trait Look {
    /// One look at an endpoint.
    fn look<'a>(&'a self, endpoint: &'a Endpoint) -> Boxed<'a, Sighting>;
    /// Fetches a document of at most `cap` bytes.
    fn fetch<'a>(&'a self, url: &'a str, etag: Option<&'a str>, cap: u64) -> Boxed<'a, Fetched>;
    /// How many requests were sent since this was last asked.
    fn take_sent(&self) -> u32 {
        0
    }
}

/// Settings that are read on the thread of the first look: the system's certificates are some
/// hundred files, and a run in which nothing fails never needs them.
type OnDemand = LazyLock<Network, Box<dyn FnOnce() -> Network + Send>>;

/// Looks over the real network.
#[derive(Debug, Clone)]
pub struct HttpLook {
    network: Arc<OnDemand>,
    time_out: Duration,
    sent: Arc<AtomicU32>,
}

impl HttpLook {
    /// Looks through this machine's proxy and certificate settings.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self::on_demand(move || network)
    }

    /// As [`HttpLook::new`], with settings that are read when they are first needed.
    #[must_use]
    pub fn on_demand(network: impl FnOnce() -> Network + Send + 'static) -> Self {
        let network = Arc::new(LazyLock::new(Box::new(network) as _));
        Self { network, time_out: TIME_OUT, sent: Arc::default() }
    }

    /// Gives up sooner than [`TIME_OUT`].
    #[must_use]
    pub fn with_time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out.min(TIME_OUT);
        self
    }

    /// Runs a request on a thread of its own. Not `spawn_blocking`: a runtime that ends waits
    /// for its blocking threads, and a hung probe must not delay the end of the process.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Network, Duration) -> T + Send + 'static,
    ) -> Option<T> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (network, time_out) = (Arc::clone(&self.network), self.time_out);
        std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || {
                let _ = sender.send(work(&network, time_out));
            })
            .ok()?;
        // The client's own time-out comes first; this one covers a resolver that hangs.
        tokio::time::timeout(self.time_out + Duration::from_millis(500), receiver).await.ok()?.ok()
    }
}

impl Look for HttpLook {
    /// Clones included.
    fn take_sent(&self) -> u32 {
        self.sent.swap(0, Ordering::Relaxed)
    }

    fn look<'a>(&'a self, endpoint: &'a Endpoint) -> Boxed<'a, Sighting> {
        Box::pin(async move {
            let asked = endpoint.clone();
            let started = Instant::now();
            let answer = self
                .on_thread(move |network, time_out| {
                    let method = match asked.ask {
                        Ask::EmptyPost => Method::POST,
                        Ask::Get => Method::GET,
                    };
                    exchange(network, time_out, &method, &asked.url, None, PROBE_CAP_BYTES)
                })
                .await
                .unwrap_or(Err((Obstacle::TimeOut, "no answer in time".to_owned())));
            sighting(endpoint, answer, started.elapsed())
        })
    }

    fn fetch<'a>(&'a self, url: &'a str, etag: Option<&'a str>, cap: u64) -> Boxed<'a, Fetched> {
        Box::pin(async move {
            let (url, etag) = (url.to_owned(), etag.map(str::to_owned));
            let answer = self
                .on_thread(move |network, time_out| {
                    exchange(network, time_out, &Method::GET, &url, etag.as_deref(), cap)
                })
                .await
                .unwrap_or(Err((Obstacle::TimeOut, "no answer in time".to_owned())));
            match answer {
                Err((obstacle, why)) => Fetched::Failed(obstacle, why),
                Ok(answer) if answer.status == 304 => Fetched::NotModified,
                Ok(answer) if answer.status != 200 => {
                    let status = answer.status;
                    Fetched::Failed(Obstacle::Status(status), format!("answered {status}"))
                }
                Ok(answer) if answer.cut => {
                    Fetched::Failed(Obstacle::Strange, format!("sent more than {cap} bytes"))
                }
                Ok(answer) => Fetched::Body {
                    text: String::from_utf8_lossy(&answer.body).into_owned(),
                    etag: answer.etag,
                },
            }
        })
    }
}

/// Reads an answer: which states of the service it proves (decision 2 of the design).
fn read_status(ask: Ask, answer: &Answer) -> (Reading, Option<Obstacle>) {
    let first = answer.body.iter().find(|byte| !byte.is_ascii_whitespace());
    let json = matches!(first, Some(b'{' | b'['));
    match answer.status {
        400 | 401 | 405 => (Reading::Up, None),
        408 | 425 | 429 | 500..=599 => (Reading::Down, Some(Obstacle::Status(answer.status))),
        // What claude itself asks for is not there: the API is routed to nowhere.
        404 if ask == Ask::EmptyPost => (Reading::Down, Some(Obstacle::Status(404))),
        407 => (Reading::Unknown, Some(Obstacle::ProxyRefused)),
        // Other refusals in the service's own language (Bedrock says 403, Vertex 404).
        200..=299 | 403..=499 if json => (Reading::Up, None),
        200..=399 | 403 => (Reading::Unknown, Some(Obstacle::Intercepted)),
        _ => (Reading::Unknown, Some(Obstacle::Strange)),
    }
}

fn sighting(
    endpoint: &Endpoint,
    answer: Result<Answer, (Obstacle, String)>,
    latency: Duration,
) -> Sighting {
    let host = endpoint.host().to_owned();
    let seen = Sighting::of(endpoint, Reading::Unknown, String::new());
    let mut seen = Sighting { latency, ..seen };
    match answer {
        Ok(answer) => {
            (seen.reading, seen.obstacle) = read_status(endpoint.ask, &answer);
            let status = answer.status;
            seen.reason = match seen.obstacle {
                None => format!("{host} answers ({status})"),
                Some(Obstacle::Intercepted) => {
                    format!("{host}: {status} is not its own answer (captive portal or filter?)")
                }
                Some(Obstacle::ProxyRefused) => {
                    format!("{host}: a proxy asks for a password ({status})")
                }
                Some(_) if seen.reading == Reading::Down => format!("{host} fails ({status})"),
                Some(_) => format!("{host}: unexpected answer {status}"),
            };
            seen.retry_after = answer.retry_after;
            seen.clock_offset_s =
                answer.date.map(|date| date.as_second() - Timestamp::now().as_second());
        }
        Err((obstacle, why)) => {
            seen.reading = match obstacle {
                // A proxy that cannot be reached keeps claude from the service as well; one
                // that refuses says nothing about the service.
                Obstacle::Certificate
                | Obstacle::ProxyRefused
                | Obstacle::ProxyUnsupported
                | Obstacle::Intercepted
                | Obstacle::Strange => Reading::Unknown,
                Obstacle::Status(_)
                | Obstacle::TimeOut
                | Obstacle::Reset
                | Obstacle::Refused
                | Obstacle::NoSuchHost
                | Obstacle::NoRoute
                | Obstacle::ProxyUnreachable => Reading::Down,
            };
            seen.obstacle = Some(obstacle);
            seen.reason = why;
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_decided() {
        use Reading::{Down, Unknown, Up};
        let json = r#" {"error":{}}"#;
        for (status, body, reading) in [
            (400, "", Up),
            (400, "<html>", Up),
            (401, "", Up),
            (405, "", Up),
            (200, json, Up),
            (200, "<html>", Unknown),
            (200, "", Unknown),
            (302, "", Unknown),
            (403, "<html>", Unknown),
            (403, json, Up),
            (404, json, Up),
            (404, "<html>", Unknown),
            (407, json, Unknown),
            (408, json, Down),
            (425, "", Down),
            (429, json, Down),
            (500, json, Down),
            (503, "<html>", Down),
            (529, json, Down),
        ] {
            let answer = Answer { status, body: body.into(), ..Answer::default() };
            assert_eq!(read_status(Ask::Get, &answer).0, reading, "{status} {body}");
            let asked = if status == 404 { Down } else { reading };
            assert_eq!(read_status(Ask::EmptyPost, &answer).0, asked, "{status} {body}");
        }
    }
}
