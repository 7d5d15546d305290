//! Full disks and read-only places, in mount and process namespaces of
//! the test's own (processes outside could not be looked at from there). A system that
//! does not allow one fails these tests; they are never passed over.

use std::fs;
use std::process::Command;

use crate::{Home, text};

/// Runs a shell script as root of a fresh user and mount namespace; `$BACKUP` is ours.
fn in_namespace(home: &Home, script: &str) -> String {
    let mut command = Command::new("unshare");
    home.dress(&mut command);
    let output = command
        .args(["-rmpf", "--mount-proc", "sh", "-euc", script])
        .env("BACKUP", env!("CARGO_BIN_EXE_claude-safe"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

fn noise(home: &Home, mib: usize) {
    let mut bytes = vec![0; mib << 20];
    fastrand::fill(&mut bytes);
    home.write("projects/-w/noise.jsonl", bytes);
}

#[test]
fn a_disk_that_is_too_small_is_seen_before_anything_is_written() {
    let home = Home::new();
    noise(&home, 12);
    let said = in_namespace(
        &home,
        "mkdir -p state/backups; mount -t tmpfs -o size=20m none state/backups
         $BACKUP backup create && exit 9; echo code $?; ls -A state/backups",
    );
    assert!(said.contains("not enough free space"), "{said}");
    assert!(said.contains("code 125") && !said.contains("0001-"), "{said}");
}

#[test]
fn a_disk_that_fills_up_meanwhile_ends_the_backup_and_leaves_nothing_behind() {
    let home = Home::new();
    noise(&home, 44);
    let said = in_namespace(
        &home,
        "mkdir -p state/backups; mount -t tmpfs -o size=40m none state/backups
         $BACKUP backup create && exit 9; echo code $?; ls -A state/backups",
    );
    assert!(said.to_lowercase().contains("no space left"), "{said}");
    assert!(said.contains("code 125"), "{said}");
    assert!(!said.contains("0001-") && !said.contains(".partial-"), "{said}");
}

#[test]
fn a_read_only_home_can_be_backed_up_elsewhere_and_is_not_restored_into() {
    let home = Home::new();
    home.write("projects/-w/a.jsonl", "{}\n");
    let said = in_namespace(
        &home,
        "mount --bind .claude .claude; mount -o remount,bind,ro .claude
         $BACKUP backup create; $BACKUP backup restore --path history.jsonl || echo code $?
         $BACKUP backup restore || echo refused",
    );
    assert!(said.contains("snapshot 0001-") && said.contains("code 2"), "{said}");
    assert!(said.contains("failed to make"), "{said}");
}

#[test]
fn a_read_only_backup_directory_ends_the_backup_but_can_be_restored_from() {
    let home = Home::new();
    let path = home.write("projects/-w/a.jsonl", "{\"n\":1}\n");
    home.backup(&["create"]);
    fs::remove_file(&path).unwrap();
    let said = in_namespace(
        &home,
        "mount --bind state/backups state/backups; mount -o remount,bind,ro state/backups
         $BACKUP backup create && exit 9; echo code $?; $BACKUP backup restore",
    );
    assert!(said.contains("code 125"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), b"{\"n\":1}\n");
}

#[test]
fn a_cache_on_another_file_system_is_copied_compared_and_only_then_removed() {
    let home = Home::new();
    home.write("projects/-w/a.jsonl", "{\"n\":1}\n");
    home.write("cache/deep/changelog.md", "news");
    let child = std::env::current_exe().unwrap();
    in_namespace(
        &home,
        &format!(
            "mkdir -p state/backups; mount -t tmpfs -o size=64m none state/backups
             export CLAUDE_SAFE_TEST_CLEARS_IN=\"$HOME\"
             '{}' --exact kills::the_child_that_clears >/dev/null
             grep -qx news state/backups/0001-*/moved/cache/deep/changelog.md
             ! test -e .claude/cache; test -e .claude/projects/-w/a.jsonl",
            child.display()
        ),
    );
}
