//! The files of `deploy/`, run by the real schedulers where a machine can have them: a systemd
//! user manager in a mount namespace of its own, and a Slurm cluster of one node on loopback. The
//! others are held to the program's exit code.

mod slurm;
mod systemd;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use claude_safe::error::exit;
use claude_safe_testkit::claude::NEWEST;
use claude_safe_testkit::{Behaviour, FakeService, Sandbox, SignIn, real_claude};

/// Starting a scheduler and three runs of Claude, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// What the fake service answers.
const ANSWER: &str = "Hello from the fake service.";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// A home whose sign-in cannot be refreshed, with claude and claude-safe on PATH. claude-safe
/// gives up after two seconds, as it would after twelve hours.
fn outage() -> (FakeService, Sandbox) {
    let service = FakeService::start();
    service.set_oauth(Behaviour::error(500));
    let mut sandbox = Sandbox::with(SignIn::Expired, &service);
    let bin = sandbox.home().join("bin");
    fs::create_dir(&bin).expect("a directory");
    symlink(real_claude(NEWEST), bin.join("claude")).expect("a link");
    symlink(env!("CARGO_BIN_EXE_claude-safe"), bin.join("claude-safe")).expect("a link");
    let path = sandbox.env_value("PATH").expect("set");
    sandbox.env("PATH", format!("{}:{}:/usr/sbin", bin.display(), path.display()));
    sandbox.env("CLAUDE_SAFE_RETRY_HORIZON_HEADLESS", "2s");
    sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
    (service, sandbox)
}

#[test]
fn every_file_waits_for_the_exit_code_that_the_program_gives() {
    let code = exit::TRY_LATER.to_string();
    for (file, line) in [
        ("systemd/claude-safe@.service", "RestartForceExitStatus=75"),
        ("slurm/claude-safe.sbatch", "if [ \"$code\" -eq 75 ]"),
        ("kubernetes/job.yaml", "values: [75]"),
        ("github-actions/workflow.yml", "[ \"$code\" -eq 75 ]"),
        ("crontab", "[ $? -eq 75 ]"),
    ] {
        let text = fs::read_to_string(deploy().join(file)).expect("the file");
        assert!(text.contains(&line.replace("75", &code)), "{file}: {line}");
        assert!(text.contains("run --job") || text.contains("\"run\", \"--job\""), "{file}");
    }
}
