//! Outages of real length, met by the real Claude Code with and without claude-safe:
//!
//! ```sh
//! cargo bench --bench outages -- [--seconds N] [--times N] CASE ...
//! ```
//!
//! A case is `FAULT/SIGN-IN/WAY`. The faults: `529`, `500`, `429`, `503`, `reset`, `hang`, `cut`
//! (the API fails whole), `refresh` (so does the token endpoint, and the token has expired),
//! `partial70`, `partial85` (so many per cent of the requests meet a 529, in a turn of eight tool
//! calls), `agents` (529, while two sub-agents work) and `many24` (529, met by so many runs at
//! once). The sign-ins: `oauth`, `key`. The ways: `plain` or `safe`, each followed by
//! `+NAME=VALUE` for its environment; `watchdog` and `retries15` stand for plain claude with
//! these variables. `CLAUDE_SAFE_BENCH` names another claude-safe than the one just built.
//! All cases run at once: they mostly wait. `short` runs the short outages (`short.rs`).

// A measurement fails by panicking.
#![allow(clippy::unwrap_used)]

mod case;
mod models;
mod short;

use std::io::Write as _;
use std::time::Duration;

use case::{Case, Seen};

fn say(line: &str) {
    writeln!(std::io::stdout().lock(), "{line}").unwrap();
}

fn main() {
    let mut cases: Vec<Case> = Vec::new();
    let (mut seconds, mut times) = (780, 1);
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if_eq("short").is_some() {
        return short::run(args);
    }
    while let Some(arg) = args.next() {
        let mut number = || args.next().unwrap().parse().unwrap();
        match arg.as_str() {
            "--seconds" => seconds = number(),
            "--times" => times = number(),
            // cargo's own
            "--bench" => {}
            case => cases.push(Case::parse(case)),
        }
    }
    let outage = Duration::from_secs(seconds);
    let results: Vec<(String, Vec<Seen>)> = std::thread::scope(|scope| {
        let start = |case: &Case| -> Vec<_> {
            let one = |_| {
                let case = case.clone();
                scope.spawn(move || {
                    let seen = case.run(outage);
                    say(&format!("{}: {seen}", case.name));
                    seen
                })
            };
            (0..times).map(one).collect()
        };
        let started: Vec<_> = cases.iter().map(start).collect();
        let ended = started.into_iter().zip(&cases);
        let join = |(runs, case): (Vec<std::thread::ScopedJoinHandle<'_, Seen>>, &Case)| {
            (case.name.clone(), runs.into_iter().map(|run| run.join().unwrap()).collect())
        };
        ended.map(join).collect()
    });
    say("\n| case | lag (s) | requests/min | longest gap (s) | probes/min | done |");
    say("|---|---|---|---|---|---|");
    for (name, seen) in results {
        say(&Seen::row(&name, &seen, outage));
    }
}
