//! One HTTP exchange, blocking: the machinery of a look. In: an address, the way there, limits.
//! Out: the answer as far as it was read, or what stood in the way. Sends no credential but a
//! proxy's own, follows no redirect, keeps no connection.

use std::io::{self, Read as _};
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::Obstacle;
use super::network::Network;

/// Says who asks, and nothing about the person or the machine.
const USER_AGENT: &str = concat!("claude-safe/", env!("CARGO_PKG_VERSION"));

/// An answer, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The body was longer than the cap.
    pub(super) cut: bool,
    pub(super) etag: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) date: Option<Timestamp>,
}

/// One request and its answer, or the obstacle and one line for people. Blocks.
pub(super) fn exchange(
    network: &Network,
    time_out: Duration,
    method: &Method,
    url: &str,
    etag: Option<&str>,
    cap: u64,
) -> Result<Answer, (Obstacle, String)> {
    let shown = super::endpoint::authority_of(url);
    if let Some(why) = network.barred(url) {
        return Err((Obstacle::ProxyUnsupported, why.to_owned()));
    }
    let proxy = network.proxy_for(url);
    let through_proxy = proxy.is_some();
    let roots = RootCerts::new_with_certs(network.roots());
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(time_out))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(USER_AGENT)
        .max_idle_connections(0)
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .build()
        .into();
    let mut request = Request::builder().method(method).uri(url);
    if let Some(etag) = etag {
        request = request.header("If-None-Match", etag);
    }
    let answer = if method == Method::POST {
        request.header("Content-Type", "application/json").body(&[][..]).map(|r| agent.run(r))
    } else {
        request.body(()).map(|request| agent.run(request))
    };
    let failed = |error| obstacle(&error, shown, through_proxy);
    let response = answer.map_err(|error| failed(error.into()))?.map_err(failed)?;
    read(response, cap).map_err(failed)
}

fn read(mut response: Response<Body>, cap: u64) -> Result<Answer, ureq::Error> {
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let mut answer = Answer {
        status: response.status().as_u16(),
        etag: header("etag"),
        retry_after: header("retry-after")
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs),
        date: header("date")
            .and_then(|date| jiff::fmt::rfc2822::parse(&date).ok())
            .map(|date| date.timestamp()),
        ..Answer::default()
    };
    let mut reader = response.body_mut().as_reader().take(cap + 1);
    match reader.read_to_end(&mut answer.body) {
        Ok(_) => {}
        // The status came through; a body that breaks off later leaves it standing.
        Err(error) if answer.status != StatusCode::OK.as_u16() => {
            tracing::debug!(%error, "answer cut short");
        }
        Err(error) => return Err(error.into()),
    }
    answer.cut = answer.body.len() as u64 > cap;
    Ok(answer)
}

fn obstacle(error: &ureq::Error, host: &str, through_proxy: bool) -> (Obstacle, String) {
    let text = error.to_string();
    let on_the_way = |obstacle, what: &str| {
        if through_proxy {
            (Obstacle::ProxyUnreachable, format!("the proxy could not be reached: {what}"))
        } else {
            (obstacle, format!("{host}: {what}"))
        }
    };
    match error {
        ureq::Error::Timeout(_) => (Obstacle::TimeOut, format!("{host}: no answer in time")),
        ureq::Error::HostNotFound => on_the_way(Obstacle::NoSuchHost, "no such host"),
        ureq::Error::ConnectProxyFailed(why) => {
            // A proxy that reports a gateway fault cannot reach the service; others refuse us.
            let fault = ["502", "503", "504"].iter().find(|code| why.contains(*code));
            match fault.and_then(|code| code.parse().ok()) {
                Some(code) => (
                    Obstacle::Status(code),
                    format!("{host}: the proxy answers {code}, it does not reach the service"),
                ),
                None => (Obstacle::ProxyRefused, format!("the proxy refuses: {why}")),
            }
        }
        ureq::Error::InvalidProxyUrl => {
            (Obstacle::ProxyRefused, "the proxy's address is wrong".to_owned())
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
            (Obstacle::Certificate, format!("{host}: {text}"))
        }
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut => (Obstacle::TimeOut, format!("{host}: no answer in time")),
            io::ErrorKind::ConnectionRefused => on_the_way(Obstacle::Refused, "connection refused"),
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => on_the_way(Obstacle::NoRoute, "no route"),
            io::ErrorKind::InvalidData if text.contains("certificate") => {
                (Obstacle::Certificate, format!("{host}: {error}"))
            }
            // Name resolution reports its own kind of error, which std keeps private.
            _ if text.contains("failed to lookup address") => {
                on_the_way(Obstacle::NoSuchHost, "no such host")
            }
            _ => (Obstacle::Reset, format!("{host}: connection broken ({error})")),
        },
        ureq::Error::ConnectionFailed => on_the_way(Obstacle::Refused, "connection failed"),
        _ => (Obstacle::Strange, format!("{host}: {text}")),
    }
}
