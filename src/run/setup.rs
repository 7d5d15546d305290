//! From the user's arguments to a run: configuration, the real claude, which kind of launch,
//! the run's directory and settings. Management commands are handed to claude here and now.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::hook_socket::HookSocket;
use super::jobs::{self, Job};
use super::rerun::in_a_session;
use super::{
    Doing, Run, RunArgs, Service, StartsClaude, additions, circle, headless, login, program,
    terminal,
};
use crate::claude::args::{ClaudeArgs, Intent};
use crate::claude::credentials::{Store, advice};
use crate::claude::environment::{Environment, Lookup as _};
use crate::claude::keychain::Keychain;
use crate::claude::rules::Rules;
use crate::claude::settings::Given;
use crate::claude::version::EMPTIES_DEAD_SIGN_IN;
use crate::claude::{locate, status_line, version};
use crate::clock::Clock;
use crate::config::{self, Config, Origin, Profile, value};
use crate::error::exit;
use crate::journal::{Event, Journal, Mode};
use crate::launch::piped;
use crate::machine::{Case, Facts, Means, Policy};
use crate::notice::say;
use crate::notify::Notifier;
use crate::paths;
use crate::plan::{LaunchPlan, SessionPlan};
use crate::runs::{self, RunDir};
use crate::service::endpoint;
use crate::service::{Breaker, HttpLook, Network};
use crate::watch::is_typable;

/// Says `off` for plain claude.
const SWITCH: &str = "CLAUDE_SAFE";

/// Where the arguments and the terminal lead.
enum Way {
    /// Replace us by claude.
    Plain,
    /// Watch it.
    Watched(Mode),
    /// A sign-in at a terminal.
    SignIn,
}

pub(super) fn start(args: &RunArgs, starts_claude: StartsClaude) -> ExitCode {
    let given = locate::given(&args.claude_args);
    let claude_args = &args.claude_args[usize::from(given.is_some())..];
    let user = ClaudeArgs::parse(claude_args);
    let way = way(&user);
    let headless = matches!(way, Way::Watched(Mode::Headless | Mode::Program));
    let profile = Profile::of(args.profile.as_deref(), headless);
    let (mut config, mut problems) =
        config::load(&paths::config_file(), profile, config::from_environment());
    if let Err(usage) = apply_options(&mut config, args) {
        say(&usage);
        return ExitCode::from(exit::USAGE);
    }
    if let Some(bad) = args.job.as_deref().filter(|name| !jobs::is_name(name)) {
        say(&format!("--job `{bad}`: use letters, digits and . _ - @ +, not beginning with `.`"));
        return ExitCode::from(exit::USAGE);
    }
    let named = std::env::var_os("CLAUDE_SAFE_CLAUDE").filter(|path| !path.is_empty());
    let named = given.or(named.map(PathBuf::from)).or_else(|| config.values.claude.path.clone());
    let claude = match locate::find(named.as_deref(), std::env::var_os("PATH").as_deref()) {
        Ok(claude) => claude,
        Err(missing) => {
            say(&missing.to_string());
            return ExitCode::from(exit::NOT_FOUND);
        }
    };
    if circle::leads_back(&claude, starts_claude) {
        let path = claude.display();
        say(&format!(
            "failed to run {path}: it leads back to claude-safe\nhint: name the real one with CLAUDE_SAFE_CLAUDE=/path/to/claude"
        ));
        return ExitCode::from(exit::NOT_FOUND);
    }
    let (mode, signs_in) = match way {
        Way::Watched(mode) if args.dry_run => return super::foresee::print(&config, mode),
        Way::Plain | Way::SignIn if args.dry_run => return super::foresee::print_plain(),
        Way::Plain => return replace_us(&claude, claude_args),
        Way::Watched(mode) => (mode, false),
        Way::SignIn => (Mode::Terminal, true),
    };
    let state_dir = paths::usable_state_dir();
    let job = args.job.as_deref().map(|name| Job::take(&state_dir, name));
    let job = match job.transpose() {
        Ok(job) => job,
        Err(busy) => {
            say(&busy.to_string());
            return ExitCode::from(exit::TRY_LATER);
        }
    };
    let (rules, wrong) = Rules::new(&config.rules);
    problems.extend(config.rule_problems(&wrong));
    for problem in &problems {
        say(&format!("{problem} (using the default)"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut watched = false;
    let outcome = runtime.and_then(|runtime| {
        let code = runtime.block_on(async {
            let mut run = prepare(config, rules, claude.clone(), user, mode, args, state_dir);
            if let (Some(job), Some(name), true) = (&job, &args.job, args.once)
                && job.is_done(&run.state_dir, &run.claude_dir, name)
            {
                run.say("this job has ended well already");
                let end = crate::machine::End::Done(crate::failure::ExitReason::Code(0));
                return Ok(run.leave(&end, None).await);
            }
            run.take_up(job);
            let code = match mode {
                _ if signs_in => login::run(&mut run).await,
                Mode::Headless => headless::run(&mut run).await,
                Mode::Program => program::run(&mut run).await,
                Mode::Terminal => terminal::run(&mut run).await,
            };
            let cannot_run = |error: &io::Error| {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
            };
            watched = run.had_child || code.as_ref().is_err_and(cannot_run);
            finish(run).await;
            code
        });
        // A signal may have ended the run beside a fix: what it moves, it moves by renaming.
        runtime.shutdown_background();
        code
    });
    match outcome {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(exit::OURS)),
        // Whatever keeps us from watching must not keep anybody from Claude.
        Err(error) if !watched => {
            say(&format!("{error} · starting claude without us"));
            replace_us(&claude, claude_args)
        }
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(match error.kind() {
                io::ErrorKind::NotFound => exit::NOT_FOUND,
                io::ErrorKind::PermissionDenied => exit::CANNOT_RUN,
                _ => exit::OURS,
            })
        }
    }
}

fn apply_options(config: &mut Config, args: &RunArgs) -> Result<(), String> {
    for pair in &args.set {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("--set {pair}: write KEY=VALUE, as in retry.max_wait=10s"))?;
        config.set(name, value, Origin::Option).map_err(|wrong| format!("--set: {wrong}"))?;
    }
    if let Some(span) = &args.wait_for_login {
        config
            .set("headless.wait_for_login", span, Origin::Option)
            .map_err(|wrong| format!("--wait-for-login: {wrong}"))?;
    }
    Ok(())
}

fn way(user: &ClaudeArgs) -> Way {
    let off = std::env::var(SWITCH).is_ok_and(|value| value::switch(&value) == Ok(false));
    if off {
        return Way::Plain;
    }
    match user.intent() {
        Intent::SignIn if io::stdin().is_terminal() && io::stdout().is_terminal() => {
            return Way::SignIn;
        }
        Intent::Plain | Intent::SignIn => return Way::Plain,
        Intent::Program => return Way::Watched(Mode::Program),
        Intent::Conversation => {}
    }
    if user.print() || !io::stdout().is_terminal() {
        return Way::Watched(Mode::Headless);
    }
    if !io::stdin().is_terminal() {
        return Way::Plain;
    }
    Way::Watched(Mode::Terminal)
}

/// Becomes plain claude: same process, arguments, environment.
pub(super) fn replace_us(claude: &Path, args: &[OsString]) -> ExitCode {
    circle::note_replacement(claude);
    let error = Command::new(claude).args(args).exec();
    say(&format!("failed to run {}: {error}", claude.display()));
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => exit::NOT_FOUND,
        _ => exit::CANNOT_RUN,
    })
}

fn prepare(
    config: Config,
    rules: Rules,
    claude: PathBuf,
    user: ClaudeArgs,
    mode: Mode,
    args: &RunArgs,
    state_dir: PathBuf,
) -> Run {
    let id = format!("{:08x}", fastrand::u32(..));
    crate::logging::start(&state_dir, &config.values.log.level);
    let run_dir = RunDir::make(&state_dir, &id);
    let cwd = std::env::current_dir().unwrap_or_default();
    let version = version::at_hand(&claude, &state_dir);
    let mut journal = Journal::open(&state_dir, &id);
    journal.record(Event::RunStarted {
        pid: std::process::id().cast_signed(),
        cwd: cwd.clone(),
        mode,
        claude_version: version.map(|version| version.to_string()),
        job: args.job.clone(),
    });
    let claude_dir = paths::claude_config_dir();
    let message = config.values.retry.message.clone();
    let kept = piped::replace(&user, &cwd, run_dir.path());
    let written = (kept != user).then(|| user.clone());
    let mut plan = LaunchPlan { written, ..LaunchPlan::new(claude, kept, message) };
    let given = user.value("--settings");
    let given = given.map_or(Given::Nothing, |value| Given::read(&value, &cwd));
    let environment = Environment::of_claude(&user, given.settings(), &cwd, mode == Mode::Terminal);
    let keychain = Keychain::of_system(&config.values.claude.keychain);
    let store = Store::new(&claude_dir, keychain);
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let hooks = HookSocket::bind(run_dir.path(), &id)
        .inspect_err(|error| tracing::warn!(%error, "no hooks in this run"))
        .ok();
    additions::add(&mut plan, given, hooks.as_ref(), mode, &config, run_dir.path());
    let environment = Arc::new(environment);
    let endpoints = endpoint::in_use(&*environment);
    let network = Arc::clone(&environment);
    let model = user.value("--model").or_else(|| environment.var("ANTHROPIC_MODEL"));
    let model = model.unwrap_or_default();
    let service = Service {
        look: Box::new(HttpLook::on_demand(move || Network::from_env(&*network))),
        breaker: Breaker::open(&state_dir, endpoints.key()).with_model(&model, &id),
        endpoints,
        probes: config.values.service.probe,
        page: config.values.service.status_page,
    };
    let signs_in = user.intent() == Intent::SignIn;
    let means = match mode {
        Mode::Headless => Means::HEADLESS,
        Mode::Program => Means::PROGRAM,
        Mode::Terminal if signs_in => Means::SIGN_IN,
        Mode::Terminal => Means::TERMINAL,
    };
    let policy = Policy {
        dead_sign_in_shows: version.is_none_or(|version| version >= EMPTIES_DEAD_SIGN_IN),
        sign_in: advice(super::look_at_sign_in(&store, &environment).sign_in, &*environment),
        ..super::policy(&config, mode)
    };
    let facts = Facts {
        prompt: user.has_prompt(),
        prompt_uncertain: user.prompt_is_uncertain(),
        child_session: in_a_session(),
        typable: is_typable(&plan.message).is_ok(),
    };
    let case = Case::new(policy, means, facts, fastrand::u64(..));
    Run {
        // A program reads what claude writes there, not what we do.
        quiet: args.quiet || mode == Mode::Program || config.values.headless.quiet,
        notifier: Notifier::new(&config, &id, set("TMUX")),
        config,
        rules,
        journal,
        mode,
        case,
        clock: Clock::system(),
        doing: Doing::default(),
        claims: Rc::default(),
        began: jiff::Timestamp::now(),
        state_dir,
        claude_dir,
        environment,
        store: Rc::new(store),
        dir: run_dir.path().to_owned(),
        _held: run_dir,
        prompt_lost: false,
        hooks,
        service: Rc::new(service),
        version,
        session: None,
        before: None,
        job: None,
        aside: Vec::new(),
        had_child: false,
        plan,
        user,
    }
}

impl Run {
    /// Goes on with what an earlier run of this job left, and learns which session that is.
    fn take_up(&mut self, job: Option<Job>) {
        self.job = job;
        let left = self.job.as_ref().and_then(|job| job.unfinished(&self.claude_dir));
        if let Some((session, _)) = left {
            self.plan = self.plan.resume(&session, crate::plan::Continuation::Message);
        }
        let named = match &self.plan.session {
            SessionPlan::WithId(id) | SessionPlan::Resume(id) => Some(id.clone()),
            _ => self.user.named_session(),
        };
        if let Some(id) = named {
            self.learn_session(&id);
        }
    }
}

async fn finish(run: Run) {
    /// What is still telling someone gets this long.
    const NOTIFIERS: Duration = Duration::from_secs(2);
    run.notifier.finish(NOTIFIERS).await;
    status_line::end(&run.dir);
    runs::prune(&run.state_dir);
}
