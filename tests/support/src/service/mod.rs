//! A fake of the sign-in and API service on one loopback port: an HTTP proxy that ends TLS
//! itself (for `HTTPS_PROXY`), and plain HTTP (for `ANTHROPIC_BASE_URL`).
//! In: scripts set by the test, at any time. Out: replies, and the log of what was asked.
//! Never connects anywhere itself.

mod api;
mod connection;
mod http;
pub mod log;
pub(crate) mod oauth;
mod reply;
pub mod script;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use self::log::{Log, Request, RequestKind};
use self::oauth::Tokens;
use self::script::{Answer, AnswerRule, Behaviour, Running, Script};
use self::tls::Authority;

/// What can be scripted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/v1/messages`.
    Api,
    /// `/v1/oauth/token`.
    OAuth,
    /// `/api/hello` and `/v1/oauth/hello`.
    Hello,
    /// `/api/oauth/profile` and `/api/oauth/claude_cli/roles`.
    Profile,
    /// The status page.
    Status,
    /// The `CONNECT` itself, before any TLS.
    Proxy,
    /// Everything else.
    Other,
}

/// State shared with the connections.
struct Service {
    authority: Authority,
    log: Log,
    scripts: Mutex<HashMap<Endpoint, Running>>,
    answers: Mutex<AnswerRule>,
    tokens: Mutex<Tokens>,
    strangers: Mutex<Option<Behaviour>>,
    indicator: Mutex<String>,
    open: Mutex<Vec<Weak<TcpStream>>>,
    edge_stays_up: AtomicBool,
    stopped: AtomicBool,
}

/// The fake service; it ends when dropped.
pub struct FakeService {
    service: Arc<Service>,
    port: u16,
    ca: tempfile::NamedTempFile,
    acceptor: Option<JoinHandle<()>>,
}

impl FakeService {
    /// Starts a service where everything is up, on a free loopback port.
    pub fn start() -> Self {
        Self::try_start().expect("a loopback port and a temporary file are to be had")
    }

    /// [`FakeService::start`] for programs that report the error.
    pub fn try_start() -> io::Result<Self> {
        let service = Arc::new(Service {
            authority: Authority::new(),
            log: Log::new(),
            scripts: Mutex::default(),
            answers: Mutex::new(Arc::new(|_| Answer::text("Hello from the fake service."))),
            tokens: Mutex::default(),
            strangers: Mutex::default(),
            indicator: Mutex::new("none".into()),
            open: Mutex::default(),
            edge_stays_up: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let ca = tempfile::Builder::new().prefix("fake-service-ca-").suffix(".pem").tempfile()?;
        std::fs::write(ca.path(), service.authority.pem())?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::clone(&service);
        let acceptor = std::thread::spawn(move || accept(&listener, &shared));
        Ok(Self { service, port, ca, acceptor: Some(acceptor) })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate authority's PEM file.
    pub fn ca(&self) -> &Path {
        self.ca.path()
    }

    /// The environment that sends a client's HTTPS through this service.
    pub fn env(&self) -> Vec<(String, String)> {
        let proxy = format!("http://127.0.0.1:{}", self.port);
        let ca = self.ca().to_string_lossy().into_owned();
        [
            ("HTTPS_PROXY", proxy.as_str()),
            ("https_proxy", proxy.as_str()),
            ("NO_PROXY", ""),
            ("no_proxy", ""),
            ("NODE_EXTRA_CA_CERTS", ca.as_str()),
            ("SSL_CERT_FILE", ca.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// The environment of a gateway instead: plain HTTP and a key, no OAuth.
    pub fn gateway_env(&self) -> Vec<(String, String)> {
        vec![
            ("ANTHROPIC_BASE_URL".into(), format!("http://127.0.0.1:{}", self.port)),
            ("ANTHROPIC_API_KEY".into(), crate::sandbox::API_KEY.into()),
        ]
    }

    /// Scripts an endpoint from now on; offsets and counts of the script start here.
    pub fn set(&self, endpoint: Endpoint, script: impl Into<Script>) {
        lock(&self.service.scripts).insert(endpoint, Running::new(script.into()));
    }

    /// Scripts the messages endpoint.
    pub fn set_api(&self, script: impl Into<Script>) {
        self.set(Endpoint::Api, script);
    }

    /// Requests of the API without credentials meet this from now on, whatever its script says.
    pub fn set_strangers(&self, behaviour: Behaviour) {
        *lock(&self.service.strangers) = Some(behaviour);
    }

    /// Scripts the token endpoint.
    pub fn set_oauth(&self, script: impl Into<Script>) {
        self.set(Endpoint::OAuth, script);
    }

    /// Scripts everything but the status page, as in an outage of the whole service.
    pub fn set_everything(&self, script: impl Into<Script>) {
        let script = script.into();
        for endpoint in [Endpoint::Api, Endpoint::OAuth, Endpoint::Hello, Endpoint::Profile] {
            self.set(endpoint, script.clone());
        }
    }

    /// What the status page says: `none`, `minor`, `major` or `critical`.
    pub fn set_indicator(&self, indicator: &str) {
        *lock(&self.service.indicator) = indicator.into();
    }

    /// Every turn gets this answer from now on.
    pub fn answer(&self, answer: Answer) {
        self.answer_with(move |_| answer.clone());
    }

    /// Every turn gets what `rule` says from now on. Tool calls are followed by their `then`
    /// by themselves: the rule sees the turn's later requests too and may answer the same.
    pub fn answer_with(&self, rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        *lock(&self.service.answers) = Arc::new(rule);
    }

    /// Every access token handed out so far (the sandbox's too) is answered 401 from now on.
    pub fn expire_tokens(&self) {
        lock(&self.service.tokens).expire_all();
    }

    /// Requests without credentials are refused as by a service that is up, whatever is
    /// scripted: so the real edge does in most outages.
    pub fn edge_stays_up(&self) {
        self.service.edge_stays_up.store(true, Ordering::SeqCst);
    }

    /// The API accepts access tokens that are expired by the clock.
    pub fn accept_expired_tokens(&self) {
        lock(&self.service.tokens).lenient = true;
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.service.log.all()
    }

    /// The requests of one kind so far, in order.
    pub fn requests_of(&self, kind: RequestKind) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.kind == kind).collect()
    }

    /// The turns' requests so far, in order.
    pub fn turns(&self) -> Vec<Request> {
        self.requests_of(RequestKind::Turn)
    }

    /// Waits until `enough` is true of all requests so far.
    pub fn wait_for(&self, deadline: Duration, what: &str, enough: impl Fn(&[Request]) -> bool) {
        assert!(
            self.service.log.wait(deadline, enough),
            "the service did not see {what} within {deadline:?}, but:\n{}",
            self.summary()
        );
    }

    /// Waits until at least `n` requests of `kind` were seen.
    pub fn wait_for_count(&self, deadline: Duration, kind: RequestKind, n: usize) {
        let enough = |all: &[Request]| all.iter().filter(|one| one.kind == kind).count() >= n;
        self.wait_for(deadline, &format!("{n} × {kind:?}"), enough);
    }

    /// One line per request, for messages of failing tests.
    pub fn summary(&self) -> String {
        let line = |one: &Request| {
            let status = one.status.map_or("–".into(), |status| status.to_string());
            let last: String = one.last_user.concat().chars().take(60).collect();
            format!(
                "{:8.3} s {:?} {} {}{} → {status} {last:?}\n",
                one.at.as_secs_f64(),
                one.kind,
                one.method,
                one.host,
                one.path
            )
        };
        self.requests().iter().map(line).collect()
    }

    /// A copy of the authority's certificate at `path`, for a client that outlives nothing.
    pub fn copy_ca(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::copy(self.ca(), path)?;
        Ok(path.to_owned())
    }
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.service.stopped.store(true, Ordering::SeqCst);
        for socket in lock(&self.service.open).drain(..).filter_map(|weak| weak.upgrade()) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        // wakes the acceptor, which then sees that it is over
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, service: &Arc<Service>) {
    while let Ok((socket, _)) = listener.accept() {
        if service.stopped.load(Ordering::SeqCst) {
            return;
        }
        let _ = socket.set_nodelay(true);
        let socket = Arc::new(socket);
        let mut open = lock(&service.open);
        open.retain(|weak| weak.strong_count() > 0);
        open.push(Arc::downgrade(&socket));
        drop(open);
        let service = Arc::clone(service);
        // a client that breaks off is none of the service's business
        std::thread::spawn(move || drop(connection::serve(&service, &socket)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
