//! One task's run: started as a process of its own, which outlives its runner, and attended to
//! its end. In: a claimed task. Out: how it ended. The prompt goes by an unlinked file, so that
//! no list of processes and no other file holds it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::ending::{self, LastRun};
use super::output;
use super::place;
use super::task::Task;
use super::verdict::Cut;
use crate::journal::Outcome;
use crate::service::{LockName, locks};

/// A run that goes on after it was asked to end is killed after this.
const KILLED_AFTER: Duration = Duration::from_secs(60);
/// How often a run is looked at that is no child of ours.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A check that runs longer has failed.
const LONGEST_CHECK: Duration = Duration::from_secs(3600);

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, if it was our child.
    pub code: Option<i32>,
    /// What the journal tells.
    pub last: Option<LastRun>,
    /// Why we ended it, if we did.
    pub cut: Option<Cut>,
    /// What its check said.
    pub check: Option<Result<(), String>>,
    /// How long it ran (milliseconds).
    pub worked_ms: u64,
}

/// What a run is attended with.
#[derive(Debug)]
pub struct Watch {
    /// The child, unless it was started by a runner before us.
    pub child: Option<Child>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The name of its runs.
    pub job: String,
    /// Where its check runs.
    pub dir: PathBuf,
    /// What must exit 0.
    pub check: Option<String>,
    /// The longest it may run from now on.
    pub limit: Duration,
    /// True when the runner leaves.
    pub leaving: watch::Receiver<bool>,
}

/// Starts the run of a task.
pub fn start(
    state_dir: &Path,
    program: &Path,
    task: &Task,
    settings: &[String],
) -> io::Result<Child> {
    let log = output::path(state_dir, &task.job());
    if let Some(dir) = log.parent() {
        crate::paths::private_dir(dir)?;
    }
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;
    let mut command = std::process::Command::new(program);
    command.args(["run", "--once", "--job", &task.job()]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.arg("--").args(claude_args(task)).current_dir(task.dir());
    command.stdin(prompt(state_dir, &task.spec.prompt)?).stdout(log.try_clone()?).stderr(log);
    let account = place::here(Path::new(&task.account));
    if account == crate::paths::home().join(".claude") {
        command.env_remove("CLAUDE_CONFIG_DIR");
    } else {
        command.env("CLAUDE_CONFIG_DIR", account);
    }
    // A runner that was started from within a session of Claude is not that session.
    for name in ["CLAUDECODE", crate::plan::CHILD_SESSION] {
        command.env_remove(name);
    }
    // Its own group: Ctrl-C in the runner's terminal is not meant for it.
    command.process_group(0);
    Command::from(command).spawn()
}

/// Claude's arguments for a task.
fn claude_args(task: &Task) -> Vec<OsString> {
    let given = |flag: &str| {
        task.spec.args.iter().any(|arg| arg == flag || arg.starts_with(&format!("{flag}=")))
    };
    let mut args: Vec<String> = vec!["-p".to_owned()];
    if !given("--output-format") {
        args.extend(["--output-format", "stream-json", "--verbose"].map(str::to_owned));
    }
    if let Some(budget) = task.spec.budget_usd.filter(|_| !given("--max-budget-usd")) {
        let left = (budget - task.record.spent_usd).max(0.01);
        args.extend(["--max-budget-usd".to_owned(), format!("{left:.2}")]);
    }
    if let Some(session) = &task.spec.resume {
        args.extend(["--resume".to_owned(), session.clone()]);
    }
    args.extend(task.spec.args.clone());
    args.into_iter().map(OsString::from).collect()
}

/// The prompt as a standard input that is in no directory.
fn prompt(state_dir: &Path, prompt: &str) -> io::Result<Stdio> {
    let path = state_dir.join(format!("queue/prompt-{:016x}", fastrand::u64(..)));
    let mut options = OpenOptions::new();
    let mut file: File = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(prompt.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

/// Sees a run to its end, and then its check.
pub async fn attend(mut watch: Watch) -> Ended {
    let began = Instant::now();
    let (mut kill_at, mut cut) = (None, None);
    let code = loop {
        let leaving = *watch.leaving.borrow();
        tokio::select! {
            code = gone(&mut watch.child, &watch.state_dir, &watch.job) => break code,
            () = sleep_until(began + watch.limit), if cut.is_none() => {
                cut = Some(Cut::TooLong);
                kill_at = Some(Instant::now() + KILLED_AFTER);
                signal(&watch, Signal::SIGTERM);
            }
            _ = watch.leaving.changed(), if !leaving => {
                cut = cut.or(Some(Cut::Leaving));
                signal(&watch, Signal::SIGTERM);
            }
            () = at(kill_at) => {
                kill_at = None;
                signal(&watch, Signal::SIGKILL);
            }
        }
    };
    let last = ending::last_run(&watch.state_dir, &watch.job);
    let done = match &last {
        Some(LastRun { ended: Some(word), .. }) => word.outcome == Outcome::Done,
        _ => code == Some(0),
    };
    let check = match &watch.check {
        Some(command) if done => Some(check(&watch, command).await),
        _ => None,
    };
    let worked_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ended { code, last, cut, check, worked_ms }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Ends with the run; its exit code, if it is our child.
async fn gone(child: &mut Option<Child>, state_dir: &Path, job: &str) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    match child {
        Some(child) => {
            let status = child.wait().await.ok()?;
            status.code().or_else(|| status.signal().map(|signal| 128 + signal))
        }
        None => {
            while ending::is_at_work(state_dir, job) {
                sleep(LOOK_EVERY).await;
            }
            None
        }
    }
}

fn signal(watch: &Watch, signal: Signal) {
    let pid = match &watch.child {
        Some(child) => child.id(),
        None => locks::holder(&watch.state_dir, LockName::Job(&watch.job)),
    };
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0) {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Asks a run that holds its job's lock to end.
pub fn end(state_dir: &Path, job: &str) {
    // The lock is held, so the number is a living run's.
    if matches!(locks::try_lock(state_dir, LockName::Job(job)), Ok(Some(_))) {
        return;
    }
    let holder = locks::holder(state_dir, LockName::Job(job));
    if let Some(pid) = holder.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0) {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

async fn check(watch: &Watch, command: &str) -> Result<(), String> {
    let log = OpenOptions::new().append(true).open(output::path(&watch.state_dir, &watch.job));
    let both = log.and_then(|log| Ok((Stdio::from(log.try_clone()?), Stdio::from(log))));
    let (out, err) = both.unwrap_or_else(|_| (Stdio::null(), Stdio::null()));
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(&watch.dir).kill_on_drop(true);
    let status = shell.stdin(Stdio::null()).stdout(out).stderr(err).status();
    match tokio::time::timeout(LONGEST_CHECK, status).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(status.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it took longer than an hour".to_owned()),
    }
}
