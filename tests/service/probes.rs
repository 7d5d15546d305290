//! One look at endpoints that misbehave.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use claude_safe::parts::service::Ask;
use claude_safe::parts::service::Fetched;
use claude_safe::parts::service::{
    Endpoint, HttpLook, Look as _, Network, Obstacle, Reading, Role, Sighting,
};

use super::fake::{Fake, wait_for_hang_up};
use super::{again, assert_success, part};

const SHORT: Duration = Duration::from_millis(700);

fn network(variables: &[(&str, &str)]) -> Network {
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Network::from_env(&move |name: &str| variables.get(name).cloned())
}

fn look_through(network: Network, url: &str) -> Sighting {
    let endpoint = Endpoint { role: Role::Api, ask: Ask::EmptyPost, url: url.to_owned() };
    block_on(async { HttpLook::new(network).with_time_out(SHORT).look(&endpoint).await })
}

fn look(url: &str) -> Sighting {
    look_through(network(&[]), url)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_refusal_in_the_services_own_words_is_up_and_nothing_but_a_user_agent_was_sent() {
    let fake = Fake::saying(
        "HTTP/1.1 401 Unauthorized\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Length: 2\r\n\r\n{}",
    );
    let seen = look(&fake.url());
    let reason = format!("127.0.0.1:{} answers (401)", fake.port);
    assert_eq!((seen.reading, seen.reason), (Reading::Up, reason));
    assert!(seen.clock_offset_s.expect("a date") < -900_000_000);
    let request = fake.requests().remove(0);
    let names: Vec<String> = request
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase()))
        .collect();
    for name in &names {
        let plain = ["host", "user-agent", "accept", "content-type", "content-length"];
        assert!(plain.contains(&name.as_str()), "{request}");
    }
    assert!(request.contains(concat!("claude-safe/", env!("CARGO_PKG_VERSION"))), "{request}");
}

#[test]
fn each_fault_is_read_for_what_it_is() {
    let silent = Fake::new(wait_for_hang_up);
    let dripping = Fake::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) && stream.write_all(b" ").is_ok() {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    });
    let closing = Fake::new(|_| {});
    let torn = Fake::saying("HTTP/1.1 2");
    let unavailable =
        Fake::saying("HTTP/1.1 503 Unavailable\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n");
    let redirecting = Fake::saying(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login\r\nContent-Length: 0\r\n\r\n",
    );
    let portal = Fake::saying(answer("200 OK", "<html>Welcome to our wifi</html>"));
    let huge = Fake::saying(answer("200 OK", &format!("{{{}", "x".repeat(10 << 20))));
    let huge_refusal = Fake::saying(answer("500 Oops", &"x".repeat(10 << 20)));
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        format!("http://{}/", listener.local_addr().expect("bound"))
    };
    for (name, url, reading, obstacle) in [
        ("silent", silent.url(), Reading::Down, Some(Obstacle::TimeOut)),
        ("dripping", dripping.url(), Reading::Down, Some(Obstacle::TimeOut)),
        ("closing", closing.url(), Reading::Down, Some(Obstacle::Reset)),
        ("torn", torn.url(), Reading::Down, Some(Obstacle::Reset)),
        ("unavailable", unavailable.url(), Reading::Down, Some(Obstacle::Status(503))),
        ("redirecting", redirecting.url(), Reading::Unknown, Some(Obstacle::Intercepted)),
        ("portal", portal.url(), Reading::Unknown, Some(Obstacle::Intercepted)),
        ("huge", huge.url(), Reading::Up, None),
        ("huge refusal", huge_refusal.url(), Reading::Down, Some(Obstacle::Status(500))),
        ("refused", refused, Reading::Down, Some(Obstacle::Refused)),
    ] {
        let seen = look(&url);
        assert_eq!((seen.reading, seen.obstacle), (reading, obstacle), "{name}: {seen:?}");
        assert!(seen.latency < Duration::from_secs(10), "{name}: {seen:?}");
    }
    assert_eq!(look(&unavailable.url()).retry_after, Some(Duration::from_secs(17)));
}

#[test]
fn a_document_that_is_too_large_or_fails_is_not_taken() {
    let fetch = |fake: &Fake, etag| {
        let url = fake.url();
        block_on(async {
            HttpLook::new(network(&[])).with_time_out(SHORT).fetch(&url, etag, 1000).await
        })
    };
    let large = Fake::saying(answer("200 OK", &"x".repeat(1001)));
    assert!(matches!(fetch(&large, None), Fetched::Failed(Obstacle::Strange, _)));
    let failing = Fake::saying(answer("502 Bad Gateway", "<html>"));
    assert!(matches!(fetch(&failing, None), Fetched::Failed(Obstacle::Status(502), _)));
    let unchanged = Fake::saying("HTTP/1.1 304 Not Modified\r\n\r\n");
    assert_eq!(fetch(&unchanged, Some("\"tag\"")), Fetched::NotModified);
    let request = unchanged.requests().remove(0).to_ascii_lowercase();
    assert!(request.contains("if-none-match: \"tag\""), "{request}");
    let fine = Fake::saying("HTTP/1.1 200 OK\r\nETag: \"n\"\r\nContent-Length: 2\r\n\r\n{}");
    let body = Fetched::Body { text: "{}".to_owned(), etag: Some("\"n\"".to_owned()) };
    assert_eq!(fetch(&fine, None), body);
}

#[test]
fn a_proxy_that_refuses_or_is_not_there_is_told_from_a_service_that_is_down() {
    let url = "https://api.anthropic.com/v1/messages";
    let through = |port: u16| {
        let proxy = format!("http://user:hunter2@127.0.0.1:{port}");
        look_through(network(&[("HTTPS_PROXY", &proxy)]), url)
    };
    let password = Fake::saying("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let seen = through(password.port);
    assert_eq!((seen.reading, seen.obstacle), (Reading::Unknown, Some(Obstacle::ProxyRefused)));
    assert!(password.requests()[0].starts_with("CONNECT api.anthropic.com:443"));
    let cannot = Fake::saying("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    let seen = through(cannot.port);
    assert_eq!((seen.reading, seen.obstacle), (Reading::Down, Some(Obstacle::Status(502))));
    let gone =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let seen = through(gone);
    assert_eq!((seen.reading, seen.obstacle), (Reading::Down, Some(Obstacle::ProxyUnreachable)));
    assert!(!format!("{seen:?}").contains("hunter2"));
}

#[test]
fn without_dns_a_host_reads_down_as_not_found() {
    const NAME: &str = "probes::without_dns_a_host_reads_down_as_not_found";
    if part().as_deref() == Some("without network") {
        let seen = look("https://api.anthropic.com/v1/messages");
        assert_eq!((seen.reading, seen.obstacle), (Reading::Down, Some(Obstacle::NoSuchHost)));
        return;
    }
    let inside = again(NAME, "without network");
    // A network namespace of its own: no interface is up, so no name resolves.
    let mut unshare = std::process::Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--net", "--"]).arg(inside.get_program()).args(inside.get_args());
    for (name, value) in inside.get_envs() {
        unshare.env(name, value.expect("set"));
    }
    assert_success(&unshare.output().expect("`unshare` (util-linux) is installed"));
}

#[test]
fn a_hung_probe_does_not_delay_the_end_of_the_process() {
    const NAME: &str = "probes::a_hung_probe_does_not_delay_the_end_of_the_process";
    if let Some(url) = part() {
        let endpoint = Endpoint { role: Role::Api, ask: Ask::Get, url };
        block_on(async {
            let looker = HttpLook::new(network(&[]));
            let gave_up =
                tokio::time::timeout(Duration::from_millis(300), looker.look(&endpoint)).await;
            assert!(gave_up.is_err());
        });
        return;
    }
    let silent = Fake::new(wait_for_hang_up);
    let begin = Instant::now();
    assert_success(&again(NAME, &silent.url()).output().expect("this binary runs"));
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    assert_eq!(silent.requests().len(), 1);
}
