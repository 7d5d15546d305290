//! A run: the loop in which pure decisions meet the world. Here: what both kinds of run share,
//! from the user's arguments to the exit code. `headless` and `terminal` hold their loops.

mod additions;
mod args;
mod attempt;
mod circle;
mod claims;
mod doing;
mod effects;
mod fixes;
mod foresee;
mod headless;
mod hook_socket;
mod jobs;
mod login;
#[cfg(test)]
mod night;
mod program;
mod recognise;
mod refusal;
mod rerun;
mod setup;
mod signals;
mod stillness;
mod terminal;

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::claude::args::ClaudeArgs;
use crate::claude::credentials::{Look as SignInLook, SIGN_IN_AGAIN, SignIn, Store};
use crate::claude::environment::Environment;
use crate::claude::hooks::HookEvent;
use crate::claude::rules::Rules;
use crate::claude::transcript::Before;
use crate::claude::version::Version;
use crate::clock::{Clock, NETWORK_RETURNS};
use crate::config::Config;
use crate::failure::{ExitReason, FailureKind};
use crate::journal::{self, Journal, Mode};
use crate::machine::delay::Curve;
use crate::machine::{Case, End, Policy, SignInSeen};
use crate::notice::say;
use crate::notify::Notifier;
use crate::plan::LaunchPlan;
use crate::rung::Rung;
use crate::runs::RunDir;
use crate::service::{Breaker, Endpoint, Endpoints, Health, Look};
use jiff::{Timestamp, ZonedDateTime};

pub use args::RunArgs;
pub use circle::StartsClaude;
use claims::Claims;
use doing::Doing;
use hook_socket::HookSocket;

/// Starts claude and sees it through. The exit code is Claude's own, or one of `error::exit`.
/// `starts_claude` tells a run of ours among the processes above.
#[must_use]
pub fn run(args: &RunArgs, starts_claude: StartsClaude) -> ExitCode {
    setup::start(args, starts_claude)
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
    /// Where it stands: all policy is in there.
    case: Case,
    clock: Clock,
    /// What was begun for it.
    doing: Doing,
    claims: Rc<RefCell<Claims>>,
    /// When the run began: what a transcript holds from before is not ours.
    began: Timestamp,
    state_dir: PathBuf,
    claude_dir: PathBuf,
    /// As Claude sees it, its settings included.
    environment: Arc<Environment>,
    /// Where Claude keeps its sign-in.
    store: Rc<Store>,
    /// This run's own directory: settings, socket, notice.
    dir: PathBuf,
    /// Ours for as long as this run lives.
    _held: RunDir,
    /// The prompt on standard input could not be kept: it cannot be sent a second time.
    prompt_lost: bool,
    hooks: Option<HookSocket>,
    service: Rc<Service>,
    quiet: bool,
    /// Claude's version, if it is known without starting it.
    version: Option<Version>,
    /// Claude's session, once it is known.
    session: Option<String>,
    /// The transcripts as they were when the last attempt began.
    before: Option<Before>,
    job: Option<jobs::Job>,
    /// Claude was started at least once.
    had_child: bool,
    /// The transcripts that were moved away for as long as the run lasts.
    aside: Vec<rerun::Aside>,
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
    fn sign_in(&self) -> SignIn {
        self.look_at_sign_in().sign_in
    }

    fn look_at_sign_in(&self) -> SignInLook {
        look_at_sign_in(&self.store, &self.environment)
    }

    /// The sign-in, and what tells it from the next.
    fn sign_in_seen(&self) -> SignInSeen {
        let look = self.look_at_sign_in();
        SignInSeen { sign_in: look.sign_in, stamp: Some(look.stamp) }
    }

    /// Notes that a child was started.
    fn child_started(&mut self, pid: i32, resumed: bool) {
        self.had_child = true;
        let attempt = self.case.attempts();
        self.journal.record(journal::Event::AttemptStarted { attempt, pid, resumed });
    }

    fn learn_session(&mut self, id: &str) {
        if self.session.as_deref() != Some(id) {
            self.session = Some(id.to_owned());
            if let Some(job) = &mut self.job {
                job.remember(id);
            }
            self.journal.record(journal::Event::Session { id: id.to_owned() });
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
            self.journal.record(journal::Event::Probed { health: health.clone(), looks });
        }
    }

    /// Writes the end of the run down; its exit code.
    async fn leave(&mut self, end: &End, child: Option<ExitReason>) -> i32 {
        /// Others learn of it within this, or not at all.
        const TELLING: Duration = Duration::from_secs(1);
        let _ = tokio::time::timeout(TELLING, self.doing.finish()).await;
        self.aside.clear();
        self.note_looks(&Health::default());
        let (code, outcome) = (end.code(), Some(end.outcome()));
        self.journal.record(journal::Event::RunEnded { code, child, outcome });
        code
    }
}

/// How Claude is signed in, as far as can be seen.
fn look_at_sign_in(store: &Store, environment: &Environment) -> SignInLook {
    let look = store.look(environment, Timestamp::now());
    if environment.has_key_helper() { look.by_helper() } else { look }
}

/// What the configuration allows a run of this mode.
fn policy(config: &Config, mode: Mode) -> Policy {
    let horizon = match mode {
        Mode::Terminal => config.values.retry.horizon_terminal,
        Mode::Headless | Mode::Program => config.values.retry.horizon_headless,
    };
    let waits_for_limit = config.values.retry.wait_for_limit;
    Policy {
        curve: Curve { first: config.values.retry.first_wait, max: config.values.retry.max_wait },
        horizon,
        longest_limit: if waits_for_limit { horizon } else { Duration::ZERO },
        healthy_after: config.values.retry.healthy_after,
        tries: u32::try_from(config.values.rungs.tries).unwrap_or(u32::MAX),
        dead_sign_in_shows: true,
        allowed: Rung::ALL.into_iter().filter(|rung| config.allows(*rung)).collect(),
        unattended_after: config.values.watch.unattended_after,
        end_terminal: config.values.rungs.end_terminal,
        wait_for_login: config.values.headless.wait_for_login,
        after_wake: NETWORK_RETURNS,
        sign_in: SIGN_IN_AGAIN,
    }
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
