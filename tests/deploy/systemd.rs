//! The user service and its timer.

use std::fs;
use std::process::Command;

use claude_safe_testkit::{Behaviour, wait_until};

use crate::{DEADLINE, TASK, assert_done_once, deploy, outage};

/// A user manager that believes in a booted system only inside of its mount namespace.
const MANAGER: &str = r#"
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system
exec "$(command -v systemd || echo /lib/systemd/systemd)" --user --log-target=console
"#;

#[test]
fn systemd_verifies_the_units() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let units = ["claude-safe@.service", "claude-safe@.timer"];
    let output = Command::new("systemd-analyze")
        .args(["--user", "--man=no", "verify"])
        .args(units.map(|unit| deploy().join("systemd").join(unit)))
        .env("XDG_RUNTIME_DIR", dir.path())
        .output()
        .expect("systemd-analyze (see tests/install)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_service_is_started_again_until_the_outage_is_over() {
    let (service, mut sandbox) = outage();
    let runtime = sandbox.tmp().join("run");
    let units = sandbox.home().join(".config/systemd/user");
    fs::create_dir_all(runtime.join("systemd")).expect("a directory");
    fs::create_dir_all(units.join("claude-safe@.service.d")).expect("a directory");
    for unit in ["claude-safe@.service", "claude-safe@.timer"] {
        fs::copy(deploy().join("systemd").join(unit), units.join(unit)).expect("copied");
    }
    let out = sandbox.tmp().join("out");
    let drop_in = format!(
        "[Service]\nRestartSec=1s\nStandardOutput=append:{0}\nStandardError=append:{0}\n",
        out.display()
    );
    fs::write(units.join("claude-safe@.service.d/test.conf"), drop_in).expect("written");
    fs::create_dir(sandbox.home().join("tasks")).expect("a directory");
    fs::write(sandbox.home().join("tasks/nightly.md"), TASK).expect("written");
    let env = format!("TASK_DIR={}\n", sandbox.project().display());
    fs::write(sandbox.home().join("tasks/nightly.env"), env).expect("written");

    sandbox.env("XDG_RUNTIME_DIR", &runtime);
    let log = fs::File::create(sandbox.tmp().join("manager.log")).expect("a file");
    let mut manager = sandbox.command("unshare");
    let mut manager = manager
        .args(["--mount", "sh", "-c", MANAGER])
        .stdout(log.try_clone().expect("a descriptor"))
        .stderr(log)
        .spawn()
        .expect("unshare (see tests/install)");
    let control = |words: &[&str]| {
        let mut command = sandbox.command("systemctl");
        command.arg("--user").args(words);
        String::from_utf8_lossy(&sandbox.run(command, DEADLINE).stdout).trim().to_owned()
    };
    let said = || {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        read(sandbox.tmp().join("manager.log")) + &read(out.clone())
    };
    wait_until(DEADLINE, || runtime.join("systemd/private").exists().then_some(()))
        .unwrap_or_else(|| panic!("the manager did not start: {}", said()));
    let unit = "claude-safe@nightly.service";
    control(&["start", "--no-block", unit]);
    let restarts = || control(&["show", "--value", "--property=NRestarts", unit]);
    wait_until(DEADLINE, || (restarts() == "2").then_some(()))
        .unwrap_or_else(|| panic!("{} restarts: {}", restarts(), said()));
    service.set_api(Behaviour::Ok);
    let state = || control(&["show", "--value", "--property=ActiveState", unit]);
    wait_until(DEADLINE, || (state() == "inactive").then_some(()))
        .unwrap_or_else(|| panic!("{}: {}", state(), said()));
    let result = control(&["show", "--value", "--property=Result", unit]);
    assert_eq!(result, "success", "{}", said());
    assert_done_once(&sandbox, &fs::read_to_string(&out).expect("the output"));
    manager.kill().and_then(|()| manager.wait()).expect("the manager ends");
}
