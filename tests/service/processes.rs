//! What all runs share, with runs that are killed at any moment.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use claude_safe::parts::service::Ask;
use claude_safe::parts::service::{
    Breaker, Endpoint, HttpLook, Lease, LockName, Network, Reading, Role, Sighting, locks, until_up,
};

use super::fake::Fake;
use super::{again, part};

/// A child that is killed when the test ends, whatever its outcome.
struct Killed(Child);

impl Killed {
    fn start(command: &mut Command, dir: &Path) -> Self {
        let child = command.env("DIR", dir).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Self(child.expect("this binary runs"))
    }

    fn wait_for_line(&mut self, wanted: &str) {
        let stdout = self.0.stdout.as_mut().expect("piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(wanted)), "the child says `{wanted}`");
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

fn dir_of_part() -> std::path::PathBuf {
    std::env::var_os("DIR").expect("set by the parent").into()
}

fn endpoint() -> Endpoint {
    Endpoint { role: Role::Oauth, ask: Ask::Get, url: "https://sign.in/".to_owned() }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn a_killed_holder_frees_its_place_within_a_second() {
    const NAME: &str = "processes::a_killed_holder_frees_its_place_within_a_second";
    if part().is_some() {
        let dir = dir_of_part();
        let _probe = Breaker::open(&dir, "k").lease(&endpoint());
        let _update = locks::try_lock(&dir, LockName::Update).expect("writable").expect("free");
        let _session =
            locks::try_lock(&dir, LockName::Session("s")).expect("writable").expect("free");
        eprintln!("held");
        print_line("held");
        loop {
            std::thread::park();
        }
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut holder = Killed::start(&mut again(NAME, "holder"), dir.path());
    holder.wait_for_line("held");
    let breaker = Breaker::open(dir.path(), "k");
    assert!(matches!(breaker.lease(&endpoint()), Lease::Theirs));
    for name in [LockName::Update, LockName::Session("s")] {
        assert!(locks::try_lock(dir.path(), name).expect("writable").is_none());
        assert_eq!(locks::holder(dir.path(), name), Some(holder.0.id()));
    }
    holder.kill();
    let begin = Instant::now();
    block_on(async {
        let wait = locks::lock(dir.path(), LockName::Update);
        let _lock = tokio::time::timeout(Duration::from_secs(1), wait).await.expect("in time");
    });
    eprintln!("free {:?} after the holder was reaped", begin.elapsed());
    assert!(matches!(breaker.lease(&endpoint()), Lease::Ours(_)));
    assert!(locks::try_lock(dir.path(), LockName::Session("s")).expect("writable").is_some());
}

/// The harness of a test swallows `print!` of threads; the child speaks to its parent directly.
fn print_line(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent reads");
}

#[test]
fn runs_killed_at_any_moment_leave_a_state_that_the_others_can_read() {
    const NAME: &str =
        "processes::runs_killed_at_any_moment_leave_a_state_that_the_others_can_read";
    if part().is_some() {
        let breaker = Breaker::open(&dir_of_part(), "k");
        print_line("works");
        block_on(async {
            let mut seen = Sighting {
                role: Role::Oauth,
                host: "sign.in".to_owned(),
                reading: Reading::Down,
                obstacle: None,
                latency: Duration::ZERO,
                reason: String::new(),
                retry_after: None,
                clock_offset_s: None,
            };
            for round in 0.. {
                // Lines of all lengths, so that a torn write would show.
                seen.reason = "x".repeat(round * 37 % 3000);
                breaker.publish(&seen).await;
                breaker.may_try(Reading::Down).await;
            }
        });
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let breaker = Breaker::open(dir.path(), "k");
    let mut chance = fastrand::Rng::with_seed(7);
    let mut kills = 0;
    for _ in 0..15 {
        let mut runs: Vec<_> =
            (0..3).map(|_| Killed::start(&mut again(NAME, "worker"), dir.path())).collect();
        for run in &mut runs {
            run.wait_for_line("works");
        }
        for run in &mut runs {
            let moment = Instant::now() + Duration::from_micros(chance.u64(0..5000));
            while Instant::now() < moment {
                std::hint::spin_loop();
            }
            run.kill();
            kills += 1;
            let shared = block_on(breaker.shared("sign.in"));
            assert_eq!(shared.map(|shared| shared.reading), Some(Reading::Down));
        }
    }
    let broken = dir.path().join("breaker/k.broken");
    assert!(!broken.exists(), "a kill tore the state file after {kills} kills");
    eprintln!("{kills} kills, no torn state");
}

#[test]
fn one_run_probes_for_all_another_takes_over_when_it_is_killed_and_all_wake() {
    const NAME: &str =
        "processes::one_run_probes_for_all_another_takes_over_when_it_is_killed_and_all_wake";
    const RUNS: usize = 8;
    if let Some(url) = part() {
        let endpoint = Endpoint { role: Role::Oauth, ask: Ask::Get, url };
        let breaker = Breaker::open(&dir_of_part(), "k");
        let look = HttpLook::new(Network::default());
        print_line("waits");
        block_on(until_up(&look, &breaker, &[endpoint], |_| {}));
        print_line("up");
        return;
    }
    let up = Arc::new(AtomicBool::new(false));
    let answers_up = Arc::clone(&up);
    let fake = Fake::new(move |stream| {
        use std::io::Write as _;
        let status = if answers_up.load(Ordering::SeqCst) { 400 } else { 503 };
        let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    });
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut runs: Vec<_> =
        (0..RUNS).map(|_| Killed::start(&mut again(NAME, &fake.url()), dir.path())).collect();
    for run in &mut runs {
        run.wait_for_line("waits");
    }
    let wait_for_requests = |count: usize| {
        let begin = Instant::now();
        while fake.requests().len() < count {
            assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", fake.requests().len());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    };
    wait_for_requests(2);
    let host = format!("127.0.0.1:{}", fake.port);
    let prober = locks::holder(dir.path(), LockName::Probe(&host)).expect("someone probes");
    let index = runs.iter().position(|run| run.0.id() == prober).expect("one of ours");
    runs.swap_remove(index).kill();
    wait_for_requests(fake.requests().len() + 1);
    let while_down = fake.requests().len();
    up.store(true, Ordering::SeqCst);
    let begin = Instant::now();
    for run in &mut runs {
        run.wait_for_line("up");
    }
    let after = begin.elapsed();
    eprintln!("{RUNS} runs, {while_down} probes while down, all awake {after:?} after it was up");
    assert!(while_down < RUNS, "{while_down} probes");
    assert!(after < Duration::from_secs(15), "{after:?}");
}
