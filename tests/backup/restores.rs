//! What comes back, what is kept, what is refused; secrets; the sign-in reset.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use claude_safe::parts::backup::users;
use claude_safe::parts::fix::{KEPT_FOR, prune_aside, sign_in_reset};
use jiff::Timestamp;

use crate::{Home, text, transcript};

#[test]
fn a_deleted_session_comes_back_with_what_belongs_to_it_and_nothing_else() {
    let home = Home::new();
    let id = "0b4f2b9e-0000-4000-8000-000000000001";
    let session = home.write(format!("projects/-w/{id}.jsonl"), transcript(1, 5000));
    let agent = home.write(format!("projects/-w/{id}/subagents/a.jsonl"), "{}\n");
    let todo = home.write(format!("todos/{id}-agent-{id}.json"), "[]");
    let edits = home.write(format!("file-history/{id}/x@v1"), "old");
    let other = home.write("projects/-w/other.jsonl", "{}\n");
    home.backup(&["create"]);
    for path in [&session, &agent, &todo, &edits, &other] {
        fs::remove_file(path).unwrap();
    }
    let dry = home.backup(&["restore", "--session", id, "--dry-run"]);
    assert!(dry.contains(&format!("bring back: .claude/projects/-w/{id}.jsonl")), "{dry}");
    assert!(!session.exists());
    home.backup(&["restore", "--session", id]);
    assert_eq!(fs::read(&session).unwrap(), transcript(1, 5000));
    assert!(agent.exists() && todo.exists() && edits.exists() && !other.exists());
    home.backup(&["restore", "--project", "/w"]);
    assert!(other.exists());
    assert!(!home.claude().join(".claude-safe-restore").exists());
}

#[test]
fn what_is_newer_or_different_stays_unless_forced_and_then_is_in_a_snapshot() {
    let home = Home::new();
    let path = home.write("projects/-w/a.jsonl", "{\"n\":1}\n");
    home.backup(&["create"]);
    fs::write(&path, "{\"n\":1}\n{\"n\":2}\n").unwrap();
    let output = home.command(&["restore"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("keep, it is newer: .claude/projects/-w/a.jsonl"));
    assert_eq!(fs::read(&path).unwrap(), b"{\"n\":1}\n{\"n\":2}\n");
    home.backup(&["restore", "1", "--force"]);
    assert_eq!(fs::read(&path).unwrap(), b"{\"n\":1}\n");
    assert!(home.backup(&["list"]).contains("before restore"));
    home.backup(&["restore", "2", "--force"]);
    assert_eq!(fs::read(&path).unwrap(), b"{\"n\":1}\n{\"n\":2}\n");
}

#[test]
fn secrets_never_enter_a_backup_and_masks_never_leave_it() {
    let home = Home::new();
    let settings = |model: &str, key: &str| {
        format!("{{\"model\": \"{model}\", \"env\": {{\"MY_KEY\": \"{key}\", \"N\": \"5\"}}}}")
    };
    let path = home.write("settings.json", settings("old", "s3cret-one"));
    let json = home.path().join(".claude.json");
    fs::write(&json, "{\"primaryApiKey\": \"s3cret-two\", \"numStartups\": 7}").unwrap();
    home.write(".credentials.json", "{\"accessToken\": \"s3cret-three\"}");
    home.backup(&["create", "--verify"]);
    home.backup(&["export", "latest", "all.tar.zst"]);
    let everything = Command::new("sh")
        .args([
            "-c",
            "find state -type f -name '*.zst' -exec zstd -dc {} +; zstd -dc all.tar.zst; \
            cat state/backups/*/manifest.json",
        ])
        .current_dir(home.path())
        .output()
        .unwrap();
    assert!(text(&everything).contains("masked by claude-safe"));
    assert!(!text(&everything).contains("s3cret"), "a secret is in the backup");
    fs::write(&path, settings("new", "s3cret-four")).unwrap();
    let said = home.backup(&["restore", "1", "--path", "settings.json", "--force"]);
    let now = fs::read_to_string(&path).unwrap();
    assert!(now.contains("\"old\"") && now.contains("s3cret-four"), "{now}\n{said}");
    // No snapshot holds the replaced file's secrets: it is kept beside.
    assert!(said.contains("settings.json.before-restore-"), "{said}");
    fs::remove_file(&path).unwrap();
    let said = home.backup(&["restore", "1", "--path", "settings.json"]);
    assert!(said.contains("/env/MY_KEY"), "{said}");
    assert!(!fs::read_to_string(&path).unwrap().contains("masked"));
}

#[test]
fn a_restore_is_refused_while_claude_runs_there() {
    let home = Home::new();
    let path = home.write("projects/-w/a.jsonl", "{}\n");
    home.backup(&["create"]);
    fs::remove_file(&path).unwrap();
    let claude = home.path().join("claude");
    fs::write(&claude, "#!/bin/sh\necho up\nread line\n").unwrap();
    fs::set_permissions(&claude, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&claude);
    home.dress(&mut command);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut up = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
    let output = home.command(&["restore"]).output().unwrap();
    let elsewhere = home.command(&["restore", "--to", "copy"]).output().unwrap();
    let own = [i32::try_from(child.id()).unwrap()];
    let ours = users::prove_unused(&home.claude(), &own);
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("claude runs there"), "{}", text(&output));
    assert!(!path.exists() && elsewhere.status.success() && ours.is_ok());
    home.backup(&["restore"]);
    assert!(path.exists());
}

#[test]
fn damage_is_found_and_the_last_good_snapshot_is_never_pruned() {
    let home = Home::new();
    home.write("projects/-w/a.jsonl", transcript(1, 5000));
    home.backup(&["create"]);
    home.write("projects/-w/a.jsonl", transcript(2, 5000));
    home.backup(&["create"]);
    let store = home.store();
    let stored = store.find("2").unwrap().dir().join(".claude/projects/-w/a.jsonl.zst");
    let mut bytes = fs::read(&stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&stored, bytes).unwrap();
    let output = home.command(&["verify", "--all"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("DAMAGED"));
    let limits = claude_safe::parts::backup::prune::Limits {
        keep: 1,
        max_age: Duration::MAX,
        max_size: u64::MAX,
    };
    assert!(claude_safe::parts::backup::prune::prune(&store, &limits, None).unwrap().is_empty());
    home.backup(&["verify", "1"]);
    home.backup(&["create"]);
    let gone = claude_safe::parts::backup::prune::prune(&store, &limits, None).unwrap();
    assert!(!gone.is_empty(), "a good third one lets the others go");
}

#[test]
fn bad_input_is_exit_2_and_names_what_there_is() {
    let home = Home::new();
    for args in [&["show"][..], &["restore", "77"], &["nonsense"], &["export", "1"]] {
        let output = home.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output));
    }
}

#[test]
fn a_sign_in_reset_moves_the_credentials_alone_and_keeps_them_seven_days() {
    let home = Home::new();
    let credentials = home.write(".credentials.json", "secret");
    let settings = home.write("settings.json", "{}");
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o644)).unwrap();
    let state = home.path().join("state");
    let now = Timestamp::now();
    let unused = users::prove_unused(&home.claude(), &[]).unwrap();
    let aside = sign_in_reset(&home.claude(), &state, &unused, now).unwrap().unwrap();
    assert!(!credentials.exists() && settings.exists());
    assert_eq!(fs::read(&aside).unwrap(), b"secret");
    assert_eq!(fs::metadata(&aside).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(sign_in_reset(&home.claude(), &state, &unused, now).unwrap(), None);
    assert_eq!(prune_aside(&state, now).unwrap(), 0);
    let later = now + KEPT_FOR + Duration::from_secs(1);
    assert_eq!(prune_aside(&state, later).unwrap(), 1);
    assert!(!aside.exists());
}
