//! Each finding by what is put before it: whether it is a fault, its cause and its cure in words.

use std::time::Duration;

use super::*;
use crate::service::{Reading, Role};

/// Whether it is a fault, what was found, and the cure.
fn told(found: &[Finding]) -> Vec<(bool, &str, &str)> {
    found
        .iter()
        .map(|one| (one.fault, one.what.as_str(), one.advice.as_deref().unwrap_or_default()))
        .collect()
}

#[test]
fn a_directory_that_cannot_be_written_and_a_full_disk_are_faults_with_a_cure() {
    let fine = Standing { writable: Ok(()), foreign: false, free_bytes: Some(u64::MAX) };
    let (mib, writable) = (1 << 20, "make it writable, or name another with CLAUDE_CONFIG_DIR");
    for (standing, fault, cause, cure) in [
        (
            Standing { writable: Err(Errno::EROFS), ..fine },
            true,
            "/h/.claude is on a read-only file system",
            writable,
        ),
        (
            Standing { writable: Err(Errno::EACCES), ..fine },
            true,
            "/h/.claude cannot be written by this user",
            writable,
        ),
        (
            Standing { free_bytes: Some(0), ..fine },
            true,
            "only 0 MiB are free for /h/.claude",
            "free some space",
        ),
        (
            Standing { free_bytes: Some(99 * mib), ..fine },
            true,
            "only 99 MiB are free for /h/.claude",
            "free some space",
        ),
        (
            Standing { foreign: true, ..fine },
            false,
            "/h/.claude belongs to another user (was sudo used?)",
            "",
        ),
    ] {
        let found = directory(Path::new("/h/.claude"), standing);
        let [(is_fault, what, advice)] = told(&found)[..] else { panic!("{found:?}") };
        assert_eq!((is_fault, what), (fault, cause), "{standing:?}");
        assert!(advice.contains(cure), "{standing:?}: {advice}");
    }
    let enough = Standing { free_bytes: Some(100 * mib), ..fine };
    let unknown = Standing { free_bytes: None, ..fine };
    for standing in [fine, enough, unknown] {
        assert!(directory(Path::new("/h"), standing).is_empty(), "{standing:?}");
    }
}

#[test]
fn a_vpn_is_a_note_that_says_what_to_try() {
    let net = tempfile::tempdir().expect("a temporary directory");
    let found = || {
        for name in ["lo", "eth0", "tunl0", "docker0"] {
            let _ = std::fs::create_dir(net.path().join(name));
        }
        vpn(&tunnels(net.path()))
    };
    assert!(found().is_none());
    for name in ["wg0", "tun1", "tailscale0"] {
        std::fs::create_dir(net.path().join(name)).expect("made");
    }
    let note = found().expect("a VPN");
    assert!(!note.fault);
    assert!(note.what.starts_with("a VPN is up (tailscale0, tun1, wg0): "), "{}", note.what);
    assert!(note.what.ends_with("try without it"), "{}", note.what);
    assert!(tunnels(Path::new("/nowhere")).is_empty());
}

#[test]
fn a_clock_is_a_note_from_a_minute_and_a_fault_from_five() {
    let seen = |clock_offset_s| Sighting {
        role: Role::Api,
        host: "api.example".to_owned(),
        reading: Reading::Up,
        obstacle: None,
        latency: Duration::ZERO,
        reason: String::new(),
        retry_after: None,
        clock_offset_s,
    };
    for (offset, fault, cause) in [
        (61, false, "the clock is 61 s behind of api.example"),
        (-299, false, "the clock is 299 s ahead of api.example"),
        (300, true, "the clock is 300 s behind of api.example"),
        (-90_000, true, "the clock is 90000 s ahead of api.example"),
    ] {
        let found = [clock(&seen(Some(offset))).expect("a finding")];
        let [(is_fault, what, advice)] = told(&found)[..] else { panic!("one") };
        assert_eq!((is_fault, what), (fault, cause));
        assert_eq!(advice.contains("set the clock (NTP)"), fault, "{advice}");
    }
    for fine in [None, Some(0), Some(60), Some(-60)] {
        assert!(clock(&seen(fine)).is_none(), "{fine:?}");
    }
}

#[test]
fn a_missing_browser_is_told_only_to_someone_who_must_sign_in_from_afar() {
    let ssh = ("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22");
    let tty = ("SSH_TTY", "/dev/pts/1");
    for (variables, sign_in, expected) in [
        (&[ssh][..], SignIn::Missing, true),
        (&[tty], SignIn::Emptied, true),
        (&[ssh], SignIn::Expired, false),
        (&[ssh], SignIn::ApiKey, false),
        (&[ssh, ("DISPLAY", ":10")], SignIn::Missing, false),
        (&[ssh, ("WAYLAND_DISPLAY", "wayland-0")], SignIn::Missing, false),
        (&[], SignIn::Missing, false),
    ] {
        let env = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let mut found = Vec::new();
        environment(&env, sign_in, &mut found);
        assert_eq!(!found.is_empty(), expected, "{variables:?} {sign_in:?}");
        for note in found {
            assert!(!note.fault && note.what.starts_with("this is an SSH session"), "{note:?}");
            let cure = "open the sign-in address elsewhere and paste the code";
            assert!(note.what.contains(cure), "{note:?}");
        }
    }
}

#[test]
fn over_ssh_a_sign_in_in_the_keychain_may_be_out_of_reach() {
    let ssh = |name: &str| (name == "SSH_CONNECTION").then(|| "10.0.0.1 1 10.0.0.2 22".to_owned());
    let told = |env: &dyn Fn(&str) -> Option<String>| {
        let mut found = Vec::new();
        environment(&|name: &str| env(name), SignIn::Keychain, &mut found);
        found.iter().any(|note| note.what.contains("unlock-keychain"))
    };
    assert!(told(&ssh));
    assert!(!told(&|_| None));
}

#[test]
fn what_the_environment_weakens_is_told() {
    let unsafe_tls = "NODE_TLS_REJECT_UNAUTHORIZED";
    for (name, value, cause) in [
        (unsafe_tls, "0", Some("lets anybody on the way read your sign-in")),
        (unsafe_tls, "1", None),
        ("CLAUDE_CODE_CHILD_SESSION", "1", Some("nothing can be resumed")),
    ] {
        let env = |asked: &str| (asked == name).then(|| value.to_owned());
        let mut found = Vec::new();
        environment(&env, SignIn::Expired, &mut found);
        let told = found.first().map(|note| note.what.as_str());
        assert_eq!(told.is_some(), cause.is_some(), "{name}={value}: {told:?}");
        assert!(told.unwrap_or_default().contains(cause.unwrap_or_default()), "{told:?}");
    }
}
