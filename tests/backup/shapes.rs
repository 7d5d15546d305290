//! Names, links, sizes and times that a backup must cope with.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::{Home, text, transcript};

#[test]
fn hostile_names_come_back_as_they_were() {
    let home = Home::new();
    let long = "x".repeat(255);
    let names: Vec<&[u8]> = vec![
        b"new\nline",
        b"\xff\xfenot utf-8",
        b"-rf",
        b"*",
        b"a",
        b"$(touch x)",
        b"\x1b[2J",
        long.as_bytes(),
        b"manifest.json",
        b"  ",
    ];
    for name in &names {
        home.write(std::path::Path::new("projects").join(OsStr::from_bytes(name)), name);
    }
    home.write("projects/a.zst/inner", "the directory that could meet `a`");
    home.backup(&["create", "--verify"]);
    let to = home.path().join("elsewhere");
    home.backup(&["restore", "--to", to.to_str().unwrap()]);
    for name in &names {
        let path = to.join(".claude/projects").join(OsStr::from_bytes(name));
        assert_eq!(fs::read(&path).unwrap(), *name, "{path:?}");
    }
    assert!(to.join(".claude/projects/a.zst/inner").is_file());
    assert!(!home.backup(&["show"]).contains('\x1b'));
}

#[test]
fn links_are_held_as_links_and_never_followed() {
    let home = Home::new();
    let outside = home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("private"), "do not copy").unwrap();
    home.write("projects/-w/a.jsonl", "{}\n");
    symlink(&outside, home.claude().join("projects/link")).unwrap();
    symlink(&outside, home.claude().join("skills")).unwrap();
    symlink(outside.join("private"), home.claude().join("settings.json")).unwrap();
    let socket = home.claude().join("projects/socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket());
    home.backup(&["create", "--verify"]);
    let snapshot = home.store().find("latest").unwrap();
    let found = Command::new("grep").arg("-r").arg("private").arg(snapshot.dir()).output().unwrap();
    assert!(!text(&found).contains(".zst"), "{}", text(&found));
    let to = home.path().join("elsewhere");
    home.backup(&["restore", "--to", to.to_str().unwrap()]);
    assert_eq!(fs::read_link(to.join(".claude/projects/link")).unwrap(), outside);
    // A restore does not write through a link that has taken a directory's place.
    fs::remove_dir_all(home.claude().join("projects")).unwrap();
    symlink(&outside, home.claude().join("projects")).unwrap();
    let output = home.command(&["restore"]).output().unwrap();
    assert!(!output.status.success(), "{}", text(&output));
    assert!(!outside.join("-w").exists());
}

#[test]
fn a_sparse_file_of_5_gb_is_held_quickly_and_stays_sparse() {
    let home = Home::new();
    let path = home.write("projects/-w/big.jsonl", "{}\n");
    File::options().write(true).open(&path).unwrap().set_len(5_000_000_000).unwrap();
    home.backup(&["create"]);
    let disk = claude_safe::parts::backup::prune::disk_size(
        home.store().dir(),
        &mut std::collections::BTreeSet::new(),
    );
    assert!(disk < 8 << 20, "{disk} bytes");
    fs::remove_file(&path).unwrap();
    home.backup(&["restore"]);
    let meta = fs::metadata(&path).unwrap();
    assert_eq!(meta.len(), 5_000_000_000);
    assert!(meta.blocks() * 512 < 8 << 20, "{} blocks", meta.blocks());
}

#[test]
fn ten_thousand_files_are_held_and_linked_the_next_time() {
    let home = Home::new();
    for number in 0..10_000 {
        let past = SystemTime::now() - Duration::from_secs(100);
        let path = home.write(format!("projects/-w{}/{number}.jsonl", number % 50), "{}\n");
        File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
    }
    let created: serde_json::Value =
        serde_json::from_str(&home.backup(&["create", "--json", "--verify"])).unwrap();
    assert_eq!(created["files"], 10_001);
    home.backup(&["create"]);
    assert_eq!(home.backup(&["diff", "1", "2"]), "");
    assert_eq!(home.backup(&["diff"]), "");
}

#[test]
fn a_clock_set_back_does_not_change_the_order_nor_lose_a_change() {
    let home = Home::new();
    let path = home.write("projects/-w/a.jsonl", transcript(1, 1000));
    let future = SystemTime::now() + Duration::from_secs(3 * 86_400);
    File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
    home.backup(&["create"]);
    let store = home.store();
    let first = store.ids().unwrap()[0].clone();
    // As if it had been made before the clock was set back.
    fs::rename(store.dir().join(&first), store.dir().join("0001-20991231T000000Z")).unwrap();
    // Same length, same time: only the kernel's own time tells.
    let mut changed = transcript(1, 1000);
    let last = changed.len() - 4;
    changed[last] ^= 1;
    fs::write(&path, &changed).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
    home.backup(&["create"]);
    let ids = store.ids().unwrap();
    assert!(ids[0].starts_with("0001-2099") && ids[1].starts_with("0002-"), "{ids:?}");
    assert_eq!(home.backup(&["diff", "1", "2"]), "~ .claude/projects/-w/a.jsonl\n");
    home.backup(&["prune"]);
}

#[test]
fn zstd_and_cp_alone_restore_a_snapshot_and_the_export_is_an_ordinary_archive() {
    let home = Home::new();
    let content = transcript(3, 100_000);
    home.write("projects/-w/a.jsonl", &content);
    home.backup(&["create"]);
    let snapshot = home.store().find("latest").unwrap();
    let stored = snapshot.dir().join(".claude/projects/-w/a.jsonl.zst");
    let output = Command::new("zstd").arg("-dc").arg(&stored).output().unwrap();
    assert!(output.stdout == content);
    let readme = fs::read_to_string(home.store().dir().join("README.txt")).unwrap();
    assert!(readme.contains("zstd -d") && readme.contains("cp -a"));
    home.backup(&["export", "latest", "history.tar.zst"]);
    let tar = Command::new("tar")
        .args(["--zstd", "-xOf", "history.tar.zst", ".claude/projects/-w/a.jsonl"])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(tar.stdout == content, "{}", text(&tar));
}
