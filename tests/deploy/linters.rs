//! The Kubernetes and GitHub files, held against the schemas of those who read them: there is
//! neither a cluster nor a runner here. A typed-wrong copy shows that the linters look.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::deploy;

fn linters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/linters")
}

/// A file of `deploy/` is accepted, and no longer when `right` in it is `wrong`, which is named.
#[track_caller]
fn assert_held(file: &str, right: &str, wrong: &str, lint: impl Fn(&Path) -> Output) {
    let said = |output: &Output| {
        let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        String::from_utf8_lossy(&both).into_owned()
    };
    let output = lint(&deploy().join(file));
    assert!(output.status.success(), "{}", said(&output));

    let text = fs::read_to_string(deploy().join(file)).expect("the file");
    assert!(text.contains(right), "{file} has no {right}");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let copy = dir.path().join("copy.yaml");
    fs::write(&copy, text.replace(right, wrong)).expect("written");
    let output = lint(&copy);
    assert!(!output.status.success(), "{wrong} was accepted: {}", said(&output));
    assert!(said(&output).contains(wrong.trim_end_matches(':')), "{}", said(&output));
}

#[test]
fn kubernetes_schema_accepts_the_job() {
    assert_held("kubernetes/job.yaml", "onExitCodes:", "onExitCode:", |file| {
        Command::new(linters().join("venv/bin/kubernetes-validate"))
            .args(["--strict", "-k", "1.37"])
            .arg(file)
            .output()
            .expect("kubernetes-validate (see tests/install)")
    });
}

#[test]
fn github_s_rules_accept_the_workflow() {
    assert_held("github-actions/workflow.yml", "timeout-minutes:", "timeout-minute:", |file| {
        Command::new("node")
            .arg(linters().join("workflow.mjs"))
            .arg(file)
            .output()
            .expect("node (see tests/install)")
    });
}
