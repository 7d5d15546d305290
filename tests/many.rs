//! Many runs of one user at once, through an outage that they all meet: real processes of
//! claude-safe and of Claude Code. Prints how many starts were wasted and how long it took.

// A test fails by panicking.
#![allow(clippy::unwrap_used)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{
    Behaviour, FakeService, RequestKind, Sandbox, SignIn, real_claude, wait_until,
};

const RUNS: usize = 24;

/// Each start of Claude Code takes a second of a quiet machine's CPU.
const DEADLINE: Duration = Duration::from_secs(300);

#[test]
fn many_runs_pass_an_outage_with_few_wasted_starts() {
    let service = FakeService::start();
    service.set_oauth(Behaviour::error(500));
    let mut sandbox = Sandbox::with(SignIn::Expired, &service);
    sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(MEASURED));
    let began = Instant::now();
    let runs: Vec<_> = (0..RUNS)
        .map(|_| {
            let mut command = sandbox.command(env!("CARGO_BIN_EXE_claude-safe"));
            command.args(["-p", "hi"]).stdin(Stdio::null());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let journal = || {
        let text = std::fs::read_to_string(sandbox.state_dir().join("journal.jsonl"));
        text.unwrap_or_default()
    };
    let count = |event: &str| journal().matches(&format!(r#""event":"{event}""#)).count();
    // The outage lasts until someone met it, and for as long again as others would need.
    assert!(wait_until(DEADLINE, || (count("decided") > 0).then_some(())).is_some());
    let met = began.elapsed();
    let least = met + Duration::from_secs(15);
    wait_until(least, || (began.elapsed() >= least).then_some(()));
    let wasted_before = count("attempt_started");
    service.set_oauth(Behaviour::Ok);
    let back = Instant::now();
    let mut answered = Vec::new();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(answer, "Hello from the fake service.\n", "{said}\n{}", service.summary());
        answered.push(back.elapsed());
    }
    let (starts, asked) = (count("attempt_started"), service.requests_of(RequestKind::Token));
    let refused = asked.iter().filter(|request| request.status == Some(500)).count();
    let good = asked.iter().filter(|request| request.status == Some(200)).count();
    let probes = service.requests_of(RequestKind::Probe).len();
    let wasted = starts - RUNS;
    eprintln!(
        "{RUNS} runs, outage of {:?}: {wasted} wasted starts ({wasted_before} before it ended), \
         {refused} refused and {good} good refreshes, {probes} probes; all answered {:?} after \
         the service was back",
        back - began,
        answered.iter().max().unwrap()
    );
    assert!(wasted <= 8, "{wasted} wasted starts");
    assert_eq!(good, 1, "one refresh for all:\n{}", service.summary());
    sandbox.assert_no_leftovers(DEADLINE);
}
