//! `claude-safe check`: what stands between this machine and a working Claude, on one screen.
//! In: the environment, files, one look at each host in use. Out: findings, a verdict in one
//! sentence, the advice that follows; exit 0, 75 or 1. Changes nothing of the user's, sends no
//! credential, prints no secret.

mod local;
mod report;
mod verdict;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use jiff::Timestamp;

use crate::claude::args::ClaudeArgs;
use crate::claude::credentials::{self, Store};
use crate::claude::environment::{Environment, Lookup as _};
use crate::claude::keychain::{self, Keychain};
use crate::claude::{locate, version};
use crate::config::{self, Config, Profile};
use crate::process;
use crate::service::{
    Breaker, Endpoints, HttpLook, Look, Network, PageSeen, Sighting, endpoint, look_once,
    status_page,
};
use report::{ClaudeFound, Page, Report, SignInSeen};

/// Options of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  claude-safe check                 what is wrong, and what to do about it
  claude-safe check --json          the same for programs
  claude-safe check && claude -p …  only if all is well

Exit codes: 0 healthy, 75 the service is down, 1 something here needs a hand.
Each host is asked once, without credentials; `service.probe = \"off\"` in the
configuration ends that.")]
pub struct Args {
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Checks, prints, and says by the exit code what it found.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the event loop")?;
    let report = runtime.block_on(gather());
    let mut out = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report).context("failed to write the report")?;
        writeln!(out)
    } else {
        write!(out, "{report}")
    }
    .context("failed to write the report")?;
    Ok(ExitCode::from(report.verdict.exit_code))
}

async fn gather() -> Report {
    let now = Timestamp::now();
    let cwd = std::env::current_dir().unwrap_or_default();
    let env = Environment::of_claude(&ClaudeArgs::parse(&[]), None, &cwd, true);
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (config, problems) = config::load(&crate::paths::config_file(), Profile::Base, variables);
    let claude_dir = crate::paths::claude_config_dir();
    let endpoints = endpoint::in_use(&env);
    let network = Network::from_env(&env);
    let look = HttpLook::new(network.clone());
    let (claude, looks, page) = tokio::join!(
        find_claude(&config),
        looks(&config, &look, &endpoints),
        page(&config, &look, &endpoints, now),
    );
    let store = Store::new(&claude_dir, Keychain::of_system(&config.values.claude.keychain));
    let look = store.look(&env, now);
    // What names the item, and nothing that would outrank it.
    let nothing = |name: &str| env.var(name).filter(|_| keychain::NAMING.contains(&name));
    let sign_in = SignInSeen {
        used: look.sign_in,
        stamp: look.stamp,
        stored: store.look(&nothing, now).sign_in,
        key_variable: credentials::key_variable(&env),
    };
    let mut findings = local::findings(&claude_dir, &env, &network, sign_in.used);
    findings.extend(local::from_settings(&env));
    findings.extend(problems.iter().map(|problem| report::Finding::note(problem.to_string())));
    findings.extend(looks.iter().filter_map(local::clock));
    Report::new(claude, sign_in, looks, page, network.proxy_shown(), findings, now)
}

async fn looks(config: &Config, look: &dyn Look, endpoints: &Endpoints) -> Vec<Sighting> {
    if !config.values.service.probe {
        return Vec::new();
    }
    let asked: Vec<_> = endpoints.iter().cloned().collect();
    let breaker = Breaker::open(&crate::paths::state_dir(), endpoints.key());
    look_once(look, &breaker, &asked).await
}

async fn page(config: &Config, look: &dyn Look, endpoints: &Endpoints, now: Timestamp) -> Page {
    if !config.values.service.status_page || !endpoints.has_status_page() {
        return Page::NotAsked;
    }
    match status_page(look, &crate::paths::state_dir(), now).await {
        PageSeen { page: Some(page), why: None, .. } => Page::Seen(page),
        PageSeen { page, why, .. } => {
            Page::Failed { last: page, why: why.unwrap_or_else(|| "never seen".to_owned()) }
        }
    }
}

async fn find_claude(config: &Config) -> Result<ClaudeFound, String> {
    let overridden = std::env::var_os("CLAUDE_SAFE_CLAUDE").filter(|path| !path.is_empty());
    let overridden: Option<PathBuf> =
        overridden.map(PathBuf::from).or_else(|| config.values.claude.path.clone());
    let search: Option<OsString> = std::env::var_os("PATH");
    let path = locate::find(overridden.as_deref(), search.as_deref())
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    let version = version(&path).await;
    Ok(ClaudeFound { path, version })
}

async fn version(claude: &Path) -> Result<String, String> {
    let mut command = tokio::process::Command::new(claude);
    command.arg("--version").env("DISABLE_AUTOUPDATER", "1");
    let output = process::output(command, version::PATIENCE)
        .await
        .map_err(|error| format!("failed to run {} --version: {error}", claude.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_whitespace().next() {
        Some(version) if output.status.success() => Ok(version.to_owned()),
        _ => Err(format!("`claude --version` failed ({})", output.status)),
    }
}
