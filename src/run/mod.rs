//! A run: the loop in which pure decisions meet the world. Here: what both kinds of run share,
//! from the user's arguments to the exit code. `headless` and `terminal` hold their loops.

mod attempt;
mod clock;
mod fixes;
mod foresee;
mod headless;
mod hook_socket;
mod jobs;
mod login;
#[cfg(test)]
mod night;
mod recognise;
mod rerun;
mod setup;
mod signals;
mod stillness;
mod terminal;
mod waiting;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::claude::args::ClaudeArgs;
use crate::claude::credentials::{self, SignIn};
use crate::claude::environment::Environment;
use crate::claude::hooks::HookEvent;
use crate::claude::rules::Rules;
use crate::claude::version::{EMPTIES_DEAD_SIGN_IN, Version};
use crate::cli::RunArgs;
use crate::clock::{Moment, NETWORK_RETURNS};
use crate::config::Config;
use crate::journal::{Event, Journal, Mode, Outcome};
use crate::machine::delay::Curve;
use crate::machine::table::{self, Decision, Reason, Standing};
use crate::machine::{Policy, Rung, Streak};
use crate::notice::say;
use crate::notify::Notifier;
use crate::plan::LaunchPlan;
use crate::service::{Breaker, Endpoint, Endpoints, Health, Look, look_again, status_page};
use crate::watch::{ExitReason, Failure, FailureKind};
use jiff::{Timestamp, ZonedDateTime};

use hook_socket::HookSocket;

/// Starts claude and sees it through. The exit code is Claude's own, or one of `error::exit`.
#[must_use]
pub fn run(args: &RunArgs) -> ExitCode {
    setup::start(args)
}

/// What lasts from the first attempt to the last.
struct Run {
    config: Config,
    rules: Rules,
    journal: Journal,
    notifier: Notifier,
    plan: LaunchPlan,
    user: ClaudeArgs,
    mode: Mode,
    history: Streak,
    /// By the clock that counts the machine's sleep.
    started: Duration,
    /// The same moment on the calendar: what a transcript holds from before is not ours.
    began: Timestamp,
    random: fastrand::Rng,
    state_dir: PathBuf,
    claude_dir: PathBuf,
    /// As Claude sees it, its settings included.
    environment: Arc<Environment>,
    /// This run's own directory: settings, socket, notice.
    dir: PathBuf,
    hooks: Option<HookSocket>,
    service: Rc<Service>,
    quiet: bool,
    wait_for_login: Duration,
    /// Claude's version, if it is known without starting it.
    version: Option<Version>,
    /// Claude's session, once it is known.
    session: Option<String>,
    attempts: u32,
    job: Option<jobs::Job>,
}

/// How the service is looked at.
struct Service {
    look: Box<dyn Look>,
    breaker: Breaker,
    endpoints: Endpoints,
    probes: bool,
    page: bool,
}

impl Service {
    /// The hosts that this kind of failure waits for.
    fn facing(&self, kind: FailureKind) -> Vec<Endpoint> {
        let host = match kind {
            _ if !self.probes => None,
            // It lifts by the clock, whatever the service says to a stranger.
            FailureKind::UsageLimit { .. } => None,
            FailureKind::AuthRefresh | FailureKind::LoginService => self.endpoints.oauth.clone(),
            _ => self.endpoints.api.clone(),
        };
        host.into_iter().collect()
    }
}

impl Run {
    fn elapsed(&self) -> Duration {
        clock::now().saturating_sub(self.started)
    }

    fn sign_in(&self) -> SignIn {
        if self.environment.has_key_helper() {
            return SignIn::Helper;
        }
        credentials::read(&self.claude_dir, &*self.environment, Timestamp::now())
    }

    fn horizon(&self) -> Duration {
        horizon(&self.config, self.mode)
    }

    fn policy(&self) -> Policy {
        Policy {
            dead_sign_in_shows: self.version.is_none_or(|version| version >= EMPTIES_DEAD_SIGN_IN),
            ..policy(&self.config, self.mode)
        }
    }

    fn curve(&self) -> Curve {
        curve(&self.config)
    }

    /// Takes a failure in: looks at the service, decides, and writes both down. The wait of the
    /// decision is jittered.
    async fn consider(&mut self, failure: &Failure, standing: Standing) -> (Decision, Health) {
        let health = self.health(failure).await;
        (self.decide(failure, standing, &health), health)
    }

    /// Decides with the health that was looked up, and writes both down.
    fn decide(&mut self, failure: &Failure, standing: Standing, health: &Health) -> Decision {
        let at = self.elapsed();
        let healthy_after = self.config.duration("retry.healthy_after");
        self.history.failed(at, failure.kind == FailureKind::Crash, healthy_after);
        self.journal.record(Event::Failed { failure: failure.clone(), health: health.clone() });
        self.note_looks(health);
        let now = Moment { at, wall: Timestamp::now() };
        let policy = self.policy();
        let mut decision = table::decide(&policy, standing, &self.history, failure, health, now);
        if let Decision::Act { rung, after } = &mut decision {
            let waits_for_reset = matches!(failure.kind, FailureKind::UsageLimit { .. });
            if !waits_for_reset {
                *after = self.curve().jittered(*after, &mut self.random);
            }
            self.history.tried(*rung, at, table::reading(failure, health));
        }
        self.journal.record(decided(&decision, health));
        decision
    }

    /// What is known of the service now, with one look at the hosts that the failure concerns.
    /// The future borrows nothing, so that a living terminal goes on meanwhile.
    fn health(&self, failure: &Failure) -> impl Future<Output = Health> + use<> {
        let waits = !matches!(
            failure.kind,
            FailureKind::SignInNeeded | FailureKind::Refused | FailureKind::UsageLimit { .. }
        );
        let service = Rc::clone(&self.service);
        let (failure, state_dir) = (failure.clone(), self.state_dir.clone());
        async move {
            let endpoints = if waits { service.facing(failure.kind) } else { Vec::new() };
            let sightings = look_again(&*service.look, &service.breaker, &endpoints).await;
            let page = if waits && service.page && service.endpoints.has_status_page() {
                status_page(&*service.look, &state_dir, Timestamp::now()).await.page
            } else {
                None
            };
            Health::assess(Some(&failure), &sightings, page.as_ref(), Timestamp::now())
        }
    }

    /// A turn worked: the streak is over.
    fn recovered(&mut self) -> bool {
        self.history.worked();
        let Some(since) = self.history.failing_since() else { return false };
        let after_ms = millis(self.elapsed().saturating_sub(since));
        self.history.recovered();
        self.journal.record(Event::Recovered { after_ms });
        true
    }

    fn learn_session(&mut self, id: &str) {
        if self.session.as_deref() != Some(id) {
            self.session = Some(id.to_owned());
            if let Some(job) = &mut self.job {
                job.remember(id);
            }
            self.journal.record(Event::Session { id: id.to_owned() });
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Writes down how many requests we sent to learn how the service is.
    fn note_looks(&mut self, health: &Health) {
        let looks = self.service.look.take_sent();
        if looks > 0 {
            self.journal.record(Event::Probed { health: health.clone(), looks });
        }
    }

    /// The end of the run.
    fn end(&mut self, code: i32, child: Option<ExitReason>) -> i32 {
        self.end_as(Outcome::of(code), code, child)
    }

    /// The end of a run of which more is known than its code says.
    fn end_as(&mut self, outcome: Outcome, code: i32, child: Option<ExitReason>) -> i32 {
        self.note_looks(&Health::default());
        self.journal.record(Event::RunEnded { code, child, outcome: Some(outcome) });
        code
    }
}

/// What the configuration allows a run of this mode.
fn horizon(config: &Config, mode: Mode) -> Duration {
    config.duration(match mode {
        Mode::Terminal => "retry.horizon_terminal",
        Mode::Headless => "retry.horizon_headless",
    })
}

fn policy(config: &Config, mode: Mode) -> Policy {
    Policy {
        curve: curve(config),
        horizon: horizon(config, mode),
        healthy_after: config.duration("retry.healthy_after"),
        tries: u32::try_from(config.integer("rungs.tries")).unwrap_or(u32::MAX),
        dead_sign_in_shows: true,
        allowed: Rung::ALL.into_iter().filter(|rung| config.allows(*rung)).collect(),
        unattended_after: config.duration("watch.unattended_after"),
        end_terminal: config.switch("rungs.end_terminal"),
        wait_for_login: config.duration("headless.wait_for_login"),
        after_wake: NETWORK_RETURNS,
    }
}

fn curve(config: &Config) -> Curve {
    Curve { first: config.duration("retry.first_wait"), max: config.duration("retry.max_wait") }
}

fn decided(decision: &Decision, health: &Health) -> Event {
    let (name, rung, after_ms, why) = match decision {
        Decision::Act { rung, after } => {
            ("act", Some(*rung), Some(millis(*after)), health.reasons.join("; "))
        }
        Decision::WaitForPerson(Reason(why)) => ("wait_for_person", None, None, why.clone()),
        Decision::StandAside(Reason(why)) => ("stand_aside", None, None, why.clone()),
        Decision::GiveUp(Reason(why)) => ("give_up", None, None, why.clone()),
    };
    Event::Decided { decision: name.to_owned(), rung, after_ms, why }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn now_here() -> ZonedDateTime {
    ZonedDateTime::now()
}

/// The next hook event; never without a socket.
async fn next_hook(hooks: Option<&HookSocket>) -> HookEvent {
    match hooks {
        Some(hooks) => hooks.next().await,
        None => std::future::pending().await,
    }
}
