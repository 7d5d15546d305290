//! The files of `deploy/`, run by the real schedulers where a machine can have them: a systemd
//! user manager in a mount namespace of its own, and a Slurm cluster of one node on loopback; what
//! is plain shell, by a shell; the rest, held against its schema; and what is given to people,
//! packed and installed.

mod linters;
mod npm;
mod package;
mod slurm;
mod steps;
mod systemd;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use claude_safe::parts::exit;
use claude_safe_testkit::claude::NEWEST;
use claude_safe_testkit::{Answer, Behaviour, FakeService, Sandbox, Script, SignIn, real_claude};
use serde_json::json;

/// Starting a scheduler and three runs of Claude, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(240);

/// The task, and what the fake service answers to whoever carries on with it.
const TASK: &str = "add a line";
const ANSWER: &str = "Carried on.";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

/// A home in which the task's tool runs, and then the service is down. claude and claude-safe are
/// on PATH; claude-safe gives up after two seconds, as it would after twelve hours.
fn outage() -> (FakeService, Sandbox) {
    let service = FakeService::start();
    service.answer_with(|request| {
        if request.asks(TASK) {
            Answer::bash("echo ran >>proof.txt", "Added.")
        } else {
            Answer::text(ANSWER)
        }
    });
    service.set_api(Script::Requests(vec![Behaviour::Ok, Behaviour::error(500)]));
    let mut sandbox = Sandbox::with(SignIn::Valid, &service);
    sandbox.write_settings(&json!({ "permissions": { "defaultMode": "bypassPermissions" } }));
    let bin = sandbox.home().join(".local/bin");
    fs::create_dir_all(&bin).expect("a directory");
    symlink(real_claude(NEWEST), bin.join("claude")).expect("a link");
    symlink(env!("CARGO_BIN_EXE_claude-safe"), bin.join("claude-safe")).expect("a link");
    let path = sandbox.env_value("PATH").expect("set");
    sandbox.env("PATH", format!("{}:{}:/usr/sbin", bin.display(), path.display()));
    sandbox.env("IS_SANDBOX", "1").env("CLAUDE_CODE_MAX_RETRIES", "1");
    sandbox.env("CLAUDE_SAFE_RETRY_HORIZON_HEADLESS", "2s");
    sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
    (service, sandbox)
}

/// The task was carried on with in the end, and its tool was not run again.
#[track_caller]
fn assert_done_once(sandbox: &Sandbox, out: &str) {
    assert!(out.contains(ANSWER), "{out}");
    let proof = fs::read_to_string(sandbox.project().join("proof.txt"));
    assert_eq!(proof.expect("the tool ran"), "ran\n", "{out}");
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
        ("launchd/claude-safe.nightly.plist", "[ $? -eq 75 ]"),
    ] {
        let text = fs::read_to_string(deploy().join(file)).expect("the file");
        assert!(text.contains(&line.replace("75", &code)), "{file}: {line}");
        assert!(text.contains("run --job") || text.contains("\"run\", \"--job\""), "{file}");
    }
}
