//! What is plain shell in the other files, run by the shell that would run it.

use std::fs;
use std::process::{Command, Output};

use claude_safe_testkit::{Behaviour, FakeService, Sandbox};

use crate::{DEADLINE, TASK, assert_done_once, deploy, outage};

/// An outage that ends when the script has been sent away twice: its own `sleep`, or its own
/// warning, is where the service comes back.
fn until_third_try(service: &FakeService, sandbox: &Sandbox, script: Command) -> Output {
    std::thread::scope(|scope| {
        let run = scope.spawn(|| sandbox.run(script, DEADLINE));
        let tries = sandbox.tmp().join("tries");
        let twice = || fs::read(&tries).is_ok_and(|tries| tries.len() >= 2).then_some(());
        claude_safe_testkit::wait_until(DEADLINE, || {
            run.is_finished().then_some(()).or_else(twice)
        })
        .expect("the script goes on");
        service.set_api(Behaviour::Ok);
        run.join().expect("no panic")
    })
}

/// The commands of a step of the workflow, without their indentation.
fn step(name: &str) -> String {
    let text = fs::read_to_string(deploy().join("github-actions/workflow.yml")).expect("the file");
    let (_, step) = text.split_once(&format!("- name: {name}\n")).expect("the step");
    let (_, block) = step.split_once("run: |\n").expect("its commands");
    let indent = block.len() - block.trim_start().len();
    let lines =
        block.lines().take_while(|line| line.len() > indent && line[..indent].trim().is_empty());
    lines.map(|line| &line[indent..]).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_workflow_s_step_goes_on_in_the_same_conversation_until_the_outage_is_over() {
    let (service, sandbox) = outage();
    fs::create_dir_all(sandbox.project().join(".github")).expect("a directory");
    fs::write(sandbox.project().join(".github/task.md"), TASK).expect("written");
    let tries = sandbox.tmp().join("tries");
    // each warning is noted; with the second the service comes back
    let script = format!(
        "echo() {{ printf x >>'{}'; builtin echo \"$@\"; }}\n{}",
        tries.display(),
        step("Task")
    );
    let mut shell = sandbox.command("bash");
    shell.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]);
    shell.env("GITHUB_RUN_ID", "4711");
    let output = until_third_try(&service, &sandbox, shell);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(out.matches("::warning::").count(), 2, "{out}");
    assert_done_once(&sandbox, &out);
}

#[test]
fn the_crontab_s_line_goes_on_in_the_same_conversation_until_the_outage_is_over() {
    let (service, sandbox) = outage();
    let home = sandbox.home();
    fs::create_dir_all(home.join("tasks")).expect("a directory");
    fs::write(home.join("tasks/nightly.md"), TASK).expect("written");
    fs::create_dir_all(home.join(".cargo/bin")).expect("a directory");
    let program = home.join(".cargo/bin/claude-safe");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_claude-safe"), program).expect("a link");

    let table = fs::read_to_string(deploy().join("crontab")).expect("the file");
    let line = table.lines().find(|line| !line.starts_with('#')).expect("one line");
    let command = line.splitn(6, ' ').nth(5).expect("five fields of time, and a command");
    // as cron reads it: an escaped percent sign is one; its ten minutes are none here
    let tries = sandbox.tmp().join("tries");
    let script =
        format!("sleep() {{ printf x >>'{}'; }}; {}", tries.display(), command.replace("\\%", "%"));
    let mut shell = sandbox.command("/bin/sh");
    shell.args(["-c", &script]).current_dir(home);
    shell.env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh");
    shell.env("CLAUDE_SAFE_CLAUDE_PATH", home.join(".local/bin/claude"));
    let output = until_third_try(&service, &sandbox, shell);
    let log = fs::read_to_string(home.join("nightly.log")).unwrap_or_default();
    // the loop ends with what its last test said
    assert_eq!(output.stdout, b"", "{log}");
    assert!(fs::read(&tries).is_ok_and(|tries| tries.len() == 2), "{log}");
    let proof = home.join("proof.txt");
    fs::rename(proof, sandbox.project().join("proof.txt")).expect("the tool ran at home");
    assert_done_once(&sandbox, &log);
}
