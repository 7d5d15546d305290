//! `cargo bench --bench outages -- short [COUNT [AT_ONCE]]`: the sign-in service is down for random
//! 20–90 s, COUNT times (20). In each outage one `claude-safe -p hi` runs, and beside it, with a
//! service of its own, plain claude started again after exponential waits (3 s to 60 s). Prints
//! how soon after the service's return each answered, and how much each asked of it while down.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{
    Behaviour, FakeService, RequestKind, Sandbox, Script, SignIn, real_claude,
};

use crate::say;

const OUTAGE_SECONDS: std::ops::Range<f64> = 20.0..90.0;
const FIRST_WAIT: Duration = Duration::from_secs(3);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One way through one outage.
#[derive(Debug, Clone, Copy)]
struct Through {
    /// From the service's return to the last start of claude.
    next_try: Duration,
    /// From the service's return to the answer.
    late: Duration,
    /// Requests while it was down.
    asked: usize,
}

fn through(outage: Duration, answer: impl Fn(&Sandbox)) -> Through {
    let service = FakeService::start();
    let mut sandbox = Sandbox::with(SignIn::Expired, &service);
    sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(MEASURED));
    service.set_oauth(Script::down_for(outage, Behaviour::error(500)));
    let back = Instant::now() + outage;
    answer(&sandbox);
    let late = back.elapsed();
    let counts = [RequestKind::Token, RequestKind::Turn, RequestKind::Probe];
    let all = service.requests();
    let asked = all.iter().filter(|one| one.at < outage && counts.contains(&one.kind)).count();
    let first = all.iter().find(|one| one.at >= outage && one.kind == RequestKind::Token);
    let next_try = first.map_or(late, |one| one.at.saturating_sub(outage));
    Through { next_try, late, asked }
}

fn succeeds(command: &mut Command) -> bool {
    let output = command.args(["-p", "hi"]).stdin(Stdio::null()).output().unwrap();
    output.status.success()
}

fn with_claude_safe(sandbox: &Sandbox) {
    assert!(succeeds(&mut sandbox.command(env!("CARGO_BIN_EXE_claude-safe"))));
}

fn with_plain_backoff(sandbox: &Sandbox) {
    let mut wait = FIRST_WAIT;
    while !succeeds(&mut sandbox.command(real_claude(MEASURED))) {
        std::thread::park_timeout(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

fn take_one(left: &Mutex<usize>) -> bool {
    let mut left = left.lock().unwrap();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

fn median_seconds(values: impl Iterator<Item = Duration>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort();
    values[values.len() / 2].as_secs_f64()
}

fn summary(name: &str, ways: &[Through]) -> String {
    format!(
        "{name}: next try {:.1} s after the return, answer {:.1} s (medians); {} requests while \
         down",
        median_seconds(ways.iter().map(|way| way.next_try)),
        median_seconds(ways.iter().map(|way| way.late)),
        ways.iter().map(|way| way.asked).sum::<usize>()
    )
}

/// Runs them; the arguments are how many there are, and how many at once.
pub fn run(args: impl Iterator<Item = String>) {
    let mut numbers = args.filter_map(|arg| arg.parse::<usize>().ok());
    let count = numbers.next().unwrap_or(20);
    let at_once = numbers.next().unwrap_or(2);
    let left = Mutex::new(count);
    let results = Mutex::new((Vec::new(), Vec::new()));
    let one = || {
        let span = OUTAGE_SECONDS.end - OUTAGE_SECONDS.start;
        let outage = Duration::from_secs_f64(OUTAGE_SECONDS.start + fastrand::f64() * span);
        let (safe, plain) = std::thread::scope(|pair| {
            let safe = pair.spawn(|| through(outage, with_claude_safe));
            let plain = through(outage, with_plain_backoff);
            (safe.join().unwrap(), plain)
        });
        say(&format!("down {outage:5.1?}: {safe:?} · plain backoff: {plain:?}"));
        let mut results = results.lock().unwrap();
        results.0.push(safe);
        results.1.push(plain);
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while take_one(&left) {
                    one();
                }
            });
        }
    });
    let (safe, plain) = results.into_inner().unwrap();
    say(&summary("claude-safe", &safe));
    say(&summary("plain backoff", &plain));
}
