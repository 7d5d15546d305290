//! The shells' own linters read every script of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

#[track_caller]
fn passes(program: &str, args: &[&str], files: &[PathBuf]) {
    let output = Command::new(program)
        .args(args)
        .args(files)
        .output()
        .unwrap_or_else(|error| panic!("{program} (see tests/install): {error}"));
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} {files:?}\n{out}{err}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files git knows or could know, which are scripts of a shell.
fn scripts() -> Vec<PathBuf> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .output()
        .expect("git");
    let names = String::from_utf8(output.stdout).expect("text");
    let files = names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name));
    let scripts: Vec<PathBuf> = files
        .filter(|file| {
            let text = std::fs::read(file).unwrap_or_default();
            let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let shebang = [&b"#!/bin/sh"[..], b"#!/bin/bash", b"#!/usr/bin/env bash"];
            shebang.contains(&first)
                || file.extension().is_some_and(|ending| ending == "bash" || ending == "sh")
        })
        .collect();
    assert!(scripts.len() > 3, "{scripts:?}");
    scripts
}

#[test]
fn shellcheck_and_shfmt_find_nothing() {
    passes("shellcheck", &["--external-sources"], &scripts());
    passes("shfmt", &["-d", "-i", "4"], &scripts());
}

#[test]
fn zsh_and_fish_can_read_their_templates() {
    let shell = root().join("shell");
    passes("zsh", &["-n"], &[shell.join("claude-safe.zsh")]);
    passes("fish", &["--no-execute"], &[shell.join("claude-safe.fish")]);
    passes("fish_indent", &["--check"], &[shell.join("claude-safe.fish")]);
}

#[test]
fn every_shell_can_read_its_completions() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (shell, option) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let output = Command::new(env!("CARGO_BIN_EXE_claude-safe"))
            .args(["completions", shell])
            .output()
            .expect("claude-safe runs");
        let file = dir.path().join(shell);
        std::fs::write(&file, &output.stdout).expect("written");
        assert!(String::from_utf8_lossy(&output.stdout).contains("shim"), "{shell}");
        passes(shell, &[option], &[file]);
    }
}
