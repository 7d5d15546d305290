//! Whole nights of the headless loop in milliseconds: a scripted child, a scripted service, and
//! tokio's paused clock, in which the machine may sleep.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::attempt::Ended;
use super::headless::{Attempts, drive};
use super::signals::Signals;
use super::*;
use crate::claude::environment::process_env;
use crate::config::Origin;
use crate::launch::headless::Output;
use crate::machine::{Facts, Means};
use crate::service::endpoint;
use crate::service::schedule::WHILE_UP;
use crate::service::{Clock as SharedClock, Reading, ScriptedLook, Sighting};

const FAULT: &[u8] = b"Failed to authenticate. API Error: 401 OAuth token has expired. Please \
    obtain a new token or refresh your existing token.";
const HOUR: Duration = Duration::from_secs(3_600);

/// A child that fails as Claude does while the sign-in service is down, and then answers.
struct Night {
    dawn: Instant,
    fault: &'static [u8],
    /// An earlier run saw that a look can tell.
    looks_tell: bool,
    /// How long each attempt takes.
    attempt: Duration,
    started: Vec<Duration>,
    zero: Instant,
    /// How long the machine has slept: it does at a time, once.
    asleep: Rc<Cell<Duration>>,
    sleeps: Option<(Duration, Duration)>,
}

impl Attempts for Night {
    async fn next(
        &mut self,
        run: &mut Run,
        _signals: &mut Signals,
        output: &mut Output,
    ) -> io::Result<Ended> {
        let session = run.session.clone().expect("it has one");
        run.before = Some(Before::look(&run.claude_dir, Some(&session)));
        let project = run.claude_dir.join("projects/-night");
        std::fs::create_dir_all(&project)?;
        let prompt = r#"{"type":"user","uuid":"u","message":{"content":"hi"}}"#;
        std::fs::write(project.join(format!("{session}.jsonl")), format!("{prompt}\n"))?;
        self.started.push(self.zero.elapsed());
        let healthy = Instant::now() >= self.dawn;
        sleep(self.attempt).await;
        let (text, code) = if healthy { (&b"the answer"[..], 0) } else { (self.fault, 1) };
        output.take(text, &mut Vec::new())?;
        Ok(Ended { exit: ExitReason::Code(code), hook: None, first_words: None, may_refuse: false })
    }
}

/// A run whose sign-in could be refreshed, in directories of its own.
fn run_in(dir: &std::path::Path, night: &Night, horizon: &str) -> Run {
    let claude_dir = dir.join(".claude");
    std::fs::create_dir_all(&claude_dir).expect("made");
    let credentials = r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1}}"#;
    std::fs::write(claude_dir.join(".credentials.json"), credentials).expect("written");
    let mut config = Config::default();
    config.set("retry.horizon_headless", horizon, Origin::Option).expect("a duration");
    config.set("service.status_page", "off", Origin::Option).expect("a switch");
    let (zero, dawn) = (night.zero, night.dawn);
    let shared = SharedClock::new(move || 1_000_000 + zero.elapsed().as_millis() as u64);
    let look =
        ScriptedLook::new(move |_| if Instant::now() < dawn { Reading::Down } else { Reading::Up });
    let args: Vec<std::ffi::OsString> = vec!["-p".into(), "hi".into()];
    let user = ClaudeArgs::parse(&args);
    let id = uuid::Uuid::new_v4().to_string();
    let mut plan = LaunchPlan::new("/bin/false".into(), user.clone(), "go on".into());
    plan.session = crate::plan::SessionPlan::WithId(id.clone());
    let asleep = Rc::clone(&night.asleep);
    let mode = Mode::Headless;
    Run {
        _held: RunDir::make(dir, "night"),
        prompt_lost: false,
        rules: Rules::default(),
        journal: Journal::open(dir, "night"),
        notifier: Notifier::new(&config, "night", false),
        plan,
        user,
        mode,
        case: Case::new(policy(&config, mode), Means::HEADLESS, Facts::default(), 7),
        clock: Clock::new(move || asleep.get(), Timestamp::now),
        doing: Doing::default(),
        claims: Rc::default(),
        began: Timestamp::now(),
        state_dir: dir.to_owned(),
        store: Rc::new(Store::new(&claude_dir, None)),
        claude_dir,
        environment: std::sync::Arc::default(),
        dir: dir.to_owned(),
        hooks: None,
        service: Rc::new(Service {
            look: Box::new(look),
            breaker: Breaker::with_clock(dir, "night", shared),
            endpoints: endpoint::in_use(&process_env),
            probes: true,
            page: false,
        }),
        quiet: true,
        version: None,
        session: Some(id),
        before: None,
        job: None,
        aside: Vec::new(),
        had_child: false,
        config,
    }
}

impl Night {
    fn of(length: Duration) -> Self {
        let zero = Instant::now() + WHILE_UP;
        Self {
            dawn: zero + length,
            fault: FAULT,
            looks_tell: true,
            attempt: Duration::from_secs(4),
            started: Vec::new(),
            zero,
            asleep: Rc::default(),
            sleeps: None,
        }
    }

    /// Sees it through: the exit code, and how long it took, sleep included.
    async fn passes(&mut self, horizon: &str) -> (i32, Duration) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut run = run_in(dir.path(), self, horizon);
        for endpoint in run.service.endpoints.iter().filter(|_| self.looks_tell) {
            let seen = Sighting::of(endpoint, Reading::Up, String::new());
            run.service.breaker.publish(&seen).await;
        }
        sleep_until(self.zero).await;
        let (asleep, sleeps) = (Rc::clone(&self.asleep), self.sleeps);
        let sleeping = async {
            if let Some((at, span)) = sleeps {
                sleep(at).await;
                asleep.set(span);
            }
            std::future::pending::<()>().await;
        };
        let zero = self.zero;
        let code = tokio::select! {
            code = drive(&mut run, self) => code.expect("the loop ends"),
            () = sleeping => unreachable!("it never ends"),
        };
        (code, zero.elapsed() + self.asleep.get())
    }
}

#[tokio::test(start_paused = true)]
async fn eight_hours_of_outage_end_within_seconds_of_the_service() {
    let mut night = Night::of(8 * HOUR);
    let (code, took) = night.passes("12h").await;
    assert_eq!(code, 0);
    let late = took.checked_sub(8 * HOUR).expect("not before the service is back");
    assert!(late < Duration::from_secs(30), "answered {late:?} after it was back");
    // One to learn of it, one in ten minutes in case the probe is wrong, one that succeeds.
    assert!((3..=56).contains(&night.started.len()), "{} starts", night.started.len());
    let closest = night.started.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min();
    assert!(closest > Some(Duration::from_secs(5)), "{:?}", night.started);
}

#[tokio::test(start_paused = true)]
async fn a_night_longer_than_the_horizon_ends_with_75() {
    let (code, took) = Night::of(20 * HOUR).passes("2h").await;
    assert_eq!(code, 75);
    assert!(took <= 2 * HOUR + Duration::from_secs(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn attempts_that_last_eleven_minutes_end_by_the_horizon_too() {
    let mut night = Night::of(20 * HOUR);
    night.attempt = Duration::from_secs(660);
    let (code, took) = night.passes("2h").await;
    assert_eq!(code, 75);
    assert!(took <= 2 * HOUR + 2 * night.attempt, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_sleep_is_no_horizon_of_twelve() {
    let mut night = Night::of(3 * HOUR);
    night.sleeps = Some((HOUR, HOUR));
    let (code, took) = night.passes("12h").await;
    assert_eq!(code, 0);
    assert!(took < 4 * HOUR + Duration::from_secs(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_beyond_the_horizon_is() {
    let mut night = Night::of(20 * HOUR);
    night.sleeps = Some((HOUR, 5 * HOUR));
    let (code, took) = night.passes("2h").await;
    assert_eq!(code, 75);
    assert!(took < 6 * HOUR + Duration::from_secs(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_morning_without_trouble_is_one_attempt() {
    let mut night = Night::of(Duration::ZERO);
    let (code, _) = night.passes("12h").await;
    assert_eq!((code, night.started.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_without_having_worked_is_tried_some_times_over_minutes() {
    let fault: &[u8] = b"Invalid API key \xc2\xb7 Fix external API key";
    let refused = |length| Night { fault, looks_tell: false, ..Night::of(length) };
    let mut night = refused(8 * HOUR);
    let (code, took) = night.passes("12h").await;
    assert_eq!((code, night.started.len()), (1, 7), "{:?}", night.started);
    let minutes = Duration::from_secs(90)..Duration::from_secs(300);
    assert!(minutes.contains(&took), "{took:?}");
    let (code, took) = refused(Duration::from_secs(25)).passes("12h").await;
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(75), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_drops_strangers_is_tried_by_the_timer() {
    let mut night = Night { looks_tell: false, ..Night::of(HOUR) };
    let (code, took) = night.passes("12h").await;
    assert_eq!(code, 0);
    let late = took.checked_sub(HOUR).expect("not before the service is back");
    assert!(late < Duration::from_secs(120), "answered {late:?} after it was back");
    assert!(night.started.len() > 40, "{} starts", night.started.len());
}
