//! Whole nights of the headless loop in milliseconds: a scripted child, a scripted service, and
//! tokio's paused clock.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::attempt::Ended;
use super::headless::{Attempts, drive};
use super::rerun::Turn;
use super::signals::Signals;
use super::*;
use crate::config::Origin;
use crate::launch::headless::Output;
use crate::service::endpoint::{self, process_env};
use crate::service::schedule::WHILE_UP;
use crate::service::{Clock, Reading, ScriptedLook, Sighting};

const FAULT: &[u8] = b"Failed to authenticate. API Error: 401 OAuth token has expired. Please \
    obtain a new token or refresh your existing token.";
const HOUR: Duration = Duration::from_secs(3_600);

/// A child that fails as Claude does while the sign-in service is down, and then answers.
struct Night {
    dawn: Instant,
    fault: &'static [u8],
    started: Vec<Duration>,
    zero: Instant,
}

impl Attempts for Night {
    async fn next(
        &mut self,
        run: &mut Run,
        _signals: &mut Signals,
        output: &mut Output,
        _turn: Turn,
    ) -> io::Result<Ended> {
        run.attempts += 1;
        self.started.push(self.zero.elapsed());
        let healthy = Instant::now() >= self.dawn;
        sleep(Duration::from_secs(4)).await;
        let (text, code) = if healthy { (&b"the answer"[..], 0) } else { (self.fault, 1) };
        output.take(text, &mut Vec::new())?;
        let exit = ExitReason::Code(code);
        Ok(Ended { exit, hook: None, signal: None, cut: None, retried: false })
    }
}

/// A run whose sign-in could be refreshed, in directories of its own.
fn run_in(dir: &std::path::Path, dawn: Instant, horizon: &str) -> Run {
    let claude_dir = dir.join(".claude");
    std::fs::create_dir_all(&claude_dir).expect("made");
    let credentials = r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1}}"#;
    std::fs::write(claude_dir.join(".credentials.json"), credentials).expect("written");
    let mut config = Config::default();
    config.set("retry.horizon_headless", horizon, Origin::Option).expect("a duration");
    config.set("service.status_page", "off", Origin::Option).expect("a switch");
    let zero = Instant::now();
    let clock = Clock::new(move || 1_000_000 + zero.elapsed().as_millis() as u64);
    let look =
        ScriptedLook::new(move |_| if Instant::now() < dawn { Reading::Down } else { Reading::Up });
    let args: Vec<std::ffi::OsString> = vec!["-p".into(), "hi".into()];
    let user = ClaudeArgs::parse(&args);
    let id = uuid::Uuid::new_v4().to_string();
    let mut plan = LaunchPlan::new("/bin/false".into(), user.clone(), "go on".into());
    plan.session = crate::plan::SessionPlan::WithId(id.clone());
    Run {
        rules: Rules::default(),
        journal: Journal::open(dir, "night"),
        notifier: Notifier::new(&config, "night", false),
        plan,
        user,
        mode: Mode::Headless,
        history: Streak::default(),
        started: clock::now(),
        began: Timestamp::now(),
        random: fastrand::Rng::with_seed(7),
        state_dir: dir.to_owned(),
        claude_dir,
        environment: std::sync::Arc::default(),
        dir: dir.to_owned(),
        hooks: None,
        service: Rc::new(Service {
            look: Box::new(look),
            breaker: Breaker::with_clock(dir, "night", clock),
            endpoints: endpoint::in_use(&process_env),
            probes: true,
            page: false,
        }),
        quiet: true,
        wait_for_login: Duration::ZERO,
        version: None,
        session: Some(id),
        attempts: 0,
        job: None,
        config,
    }
}

async fn night(length: Duration, horizon: &str) -> (i32, Night, Duration) {
    night_of(FAULT, true, length, horizon).await
}

async fn night_of(
    fault: &'static [u8],
    looks_tell: bool,
    length: Duration,
    horizon: &str,
) -> (i32, Night, Duration) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let zero = Instant::now() + WHILE_UP;
    let dawn = zero + length;
    let mut run = run_in(dir.path(), dawn, horizon);
    // an earlier run saw that a look can tell
    for endpoint in run.service.endpoints.iter().filter(|_| looks_tell) {
        let seen = Sighting::of(endpoint, Reading::Up, String::new());
        run.service.breaker.publish(&seen).await;
    }
    sleep_until(zero).await;
    let mut night = Night { dawn, fault, started: Vec::new(), zero };
    let code = drive(&mut run, &mut night).await.expect("the loop ends");
    (code, night, zero.elapsed())
}

#[tokio::test(start_paused = true)]
async fn eight_hours_of_outage_end_within_seconds_of_the_service() {
    let (code, night, took) = night(8 * HOUR, "12h").await;
    assert_eq!(code, 0);
    let late = took.checked_sub(8 * HOUR).expect("not before the service is back");
    assert!(late < Duration::from_secs(30), "answered {late:?} after it was back");
    // One to learn of it, one in ten minutes in case the probe is wrong, one that succeeds.
    assert!((3..=52).contains(&night.started.len()), "{} starts", night.started.len());
    let closest = night.started.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min();
    assert!(closest > Some(Duration::from_secs(5)), "{:?}", night.started);
}

#[tokio::test(start_paused = true)]
async fn a_night_longer_than_the_horizon_ends_with_75() {
    let (code, _, took) = night(20 * HOUR, "2h").await;
    assert_eq!(code, 75);
    assert!(took <= 2 * HOUR + Duration::from_secs(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_morning_without_trouble_is_one_attempt() {
    let (code, night, _) = night(Duration::ZERO, "12h").await;
    assert_eq!((code, night.started.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_without_having_worked_is_tried_some_times_over_minutes() {
    let fault: &[u8] = b"Invalid API key \xc2\xb7 Fix external API key";
    let (code, night, took) = night_of(fault, false, 8 * HOUR, "12h").await;
    assert_eq!((code, night.started.len()), (1, 7), "{:?}", night.started);
    let minutes = Duration::from_secs(90)..Duration::from_secs(300);
    assert!(minutes.contains(&took), "{took:?}");
    let (code, _, took) = night_of(fault, false, Duration::from_secs(25), "12h").await;
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(75), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_drops_strangers_is_tried_by_the_timer() {
    let (code, night, took) = night_of(FAULT, false, HOUR, "12h").await;
    assert_eq!(code, 0);
    let late = took.checked_sub(HOUR).expect("not before the service is back");
    assert!(late < Duration::from_secs(120), "answered {late:?} after it was back");
    assert!(night.started.len() > 40, "{} starts", night.started.len());
}
