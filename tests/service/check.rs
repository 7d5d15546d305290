//! `claude-safe check` as a person runs it, against causes that it must tell apart.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::fake::{Fake, wait_for_hang_up};

/// A throw-away home with a claude that only knows its version.
struct Home {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

const KEPT: i64 = 4_000_000_000_000;

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let bin = dir.path().join("bin");
        std::fs::create_dir_all(&bin).expect("writable");
        std::fs::create_dir_all(dir.path().join(".claude")).expect("writable");
        let claude = bin.join("claude");
        std::fs::write(&claude, "#!/bin/sh\necho '2.1.330 (Claude Code)'\n").expect("writable");
        std::fs::set_permissions(&claude, PermissionsExt::from_mode(0o755)).expect("ours");
        let home = Self { dir, variables: Vec::new() };
        home.credentials("refresh", KEPT);
        home
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn claude_dir(&self) -> PathBuf {
        self.path().join(".claude")
    }

    fn credentials(&self, token: &str, expires_ms: i64) {
        let oauth = json!({"accessToken": token, "refreshToken": token, "expiresAt": expires_ms});
        let file = self.claude_dir().join(".credentials.json");
        let text = json!({ "claudeAiOauth": oauth }).to_string();
        std::fs::write(&file, text).expect("writable");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("ours");
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The service is this gateway, so that nothing but the test is asked.
    fn gateway(self, fake: &Fake) -> Self {
        self.set("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", fake.port))
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.path().join("bin").display()))
            .current_dir(self.path());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        command
    }

    fn check(&self) -> (i32, Value) {
        let mut command = self.command(env!("CARGO_BIN_EXE_claude-safe"));
        report(&command.args(["check", "--json"]).output().expect("the binary runs"))
    }
}

fn report(output: &Output) -> (i32, Value) {
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.code().expect("an exit code"), report)
}

fn up() -> Fake {
    Fake::saying("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}")
}

fn assert_verdict((code, report): &(i32, Value), expected: i32, words: &str) {
    let sentence = report["verdict"]["sentence"].as_str().expect("a sentence");
    assert!(*code == expected && sentence.contains(words), "{code}: {report:#}");
    assert!(!report["verdict"]["advice"].as_str().expect("advice").is_empty());
}

#[test]
fn a_healthy_machine_exits_0_and_names_claude_its_version_and_the_sign_in() {
    let fake = up();
    let home = Home::new().gateway(&fake);
    let (code, report) = home.check();
    assert_verdict(&(code, report.clone()), 0, "All is well");
    assert_eq!(report["claude"]["Ok"]["version"]["Ok"], "2.1.330");
    assert_eq!(report["sign_in"]["state"], "kept");
    assert_eq!(report["looks"][0]["reading"], "up");
    assert!(report["looks"][0]["latency_ms"].is_u64());
    let text = home.command(env!("CARGO_BIN_EXE_claude-safe")).arg("check").output();
    let text = String::from_utf8(text.expect("the binary runs").stdout).expect("text");
    assert!(text.lines().count() < 24 && text.contains("All is well"), "{text}");
    assert!(fake.requests().iter().all(|request| !request.contains("refresh")));
}

#[test]
fn a_service_that_fails_exits_75_and_a_hung_one_within_seconds() {
    let failing = Fake::saying("HTTP/1.1 529 Overloaded\r\nContent-Length: 0\r\n\r\n");
    assert_verdict(&Home::new().gateway(&failing).check(), 75, "The service is down");
    let begin = std::time::Instant::now();
    let hung = Fake::new(wait_for_hang_up);
    assert_verdict(&Home::new().gateway(&hung).check(), 75, "no answer in time");
    assert!(begin.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let home = Home::new().set("HTTPS_PROXY", format!("http://user:hunter2@{gone}"));
    let checked = home.check();
    assert_verdict(&checked, 1, &format!("The proxy {gone} cannot be reached"));
    assert!(!checked.1.to_string().contains("hunter2"));
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let home = Home::new().gateway(&up()).set("NODE_EXTRA_CA_CERTS", "/nowhere/ca.pem");
    assert_verdict(&home.check(), 1, "NODE_EXTRA_CA_CERTS: /nowhere/ca.pem");
}

#[test]
fn a_dead_sign_in_and_none_are_told_apart() {
    let fake = up();
    let home = Home::new().gateway(&fake);
    home.credentials("", 0);
    assert_verdict(&home.check(), 1, "The sign-in is dead");
    std::fs::remove_file(home.claude_dir().join(".credentials.json")).expect("there");
    assert_verdict(&home.check(), 1, "Nobody is signed in");
}

#[test]
fn a_key_that_outranks_the_subscription_is_named_and_never_shown() {
    let home = Home::new().gateway(&up()).set("ANTHROPIC_API_KEY", "sk-ant-hunter2");
    let checked = home.check();
    assert_verdict(&checked, 1, "ANTHROPIC_API_KEY silently outranks");
    assert!(!checked.1.to_string().contains("hunter2"));
}

#[test]
fn claudes_settings_outrank_the_environment_and_are_named_as_its_source() {
    let (asked, passed_over) = (up(), up());
    let home = Home::new().gateway(&passed_over);
    let file = home.claude_dir().join("settings.json");
    let url = format!("http://127.0.0.1:{}", asked.port);
    let settings = json!({ "env": { "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "hunter2" } });
    std::fs::write(&file, settings.to_string()).expect("writable");
    let checked = home.check();
    assert_verdict(&checked, 1, "ANTHROPIC_API_KEY silently outranks");
    assert_eq!(checked.1["looks"][0]["reading"], "up");
    assert!(!asked.requests().is_empty() && passed_over.requests().is_empty());
    let findings = checked.1["findings"].to_string();
    let origin = format!("ANTHROPIC_BASE_URL comes from {}, which outranks", file.display());
    assert!(findings.contains(&origin), "{findings}");
    assert!(!checked.1.to_string().contains("hunter2"));
}

#[test]
fn a_projects_settings_count_once_it_is_trusted() {
    let (named, own) = (up(), up());
    let home = Home::new().gateway(&own);
    let dir = home.path().canonicalize().expect("there");
    std::fs::create_dir_all(dir.join("p/.claude")).expect("writable");
    let url = format!("http://127.0.0.1:{}", named.port);
    let settings = json!({ "env": { "ANTHROPIC_BASE_URL": url } }).to_string();
    std::fs::write(dir.join("p/.claude/settings.json"), settings).expect("writable");
    let check = || {
        let mut command = home.command(env!("CARGO_BIN_EXE_claude-safe"));
        command.current_dir(dir.join("p")).args(["check", "--json"]);
        report(&command.output().expect("the binary runs"))
    };
    check();
    assert_eq!((named.requests().len(), own.requests().len()), (0, 1));
    let trusted = json!({ "projects": { dir.join("p").display().to_string(): {
        "hasTrustDialogAccepted": true,
    }}});
    std::fs::write(dir.join(".claude.json"), trusted.to_string()).expect("writable");
    check();
    assert_eq!((named.requests().len(), own.requests().len()), (1, 1));
}

#[test]
fn a_socks_proxy_is_named_as_what_claude_cannot_use() {
    let home = Home::new().set("HTTPS_PROXY", "socks5://user:hunter2@127.0.0.1:9");
    let checked = home.check();
    assert_verdict(&checked, 1, "HTTPS_PROXY names a SOCKS proxy");
    assert!(checked.1["verdict"]["advice"].as_str().expect("advice").contains("HTTP proxy"));
    assert!(!checked.1.to_string().contains("hunter2"));
}

#[test]
fn a_read_only_home_is_named() {
    let fake = up();
    let home = Home::new().gateway(&fake);
    let dir = home.path().display();
    // In a mount namespace of its own, so that nothing is left mounted.
    let script = format!(
        "mount --bind '{dir}' '{dir}' && mount -o remount,ro,bind '{dir}' && exec '{}' check --json",
        env!("CARGO_BIN_EXE_claude-safe")
    );
    let mut unshare = home.command("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare.args(["--mount", "--", "/bin/sh", "-c", &script]).output();
    let checked = report(&output.expect("`unshare` (util-linux) is installed"));
    assert_verdict(&checked, 1, "read-only file system");
}

#[test]
fn hooks_that_are_disabled_are_told_without_being_a_fault() {
    let home = Home::new().gateway(&up());
    let settings = home.claude_dir().join("settings.json");
    std::fs::write(settings, r#"{"disableAllHooks": true}"#).expect("writable");
    let (code, report) = home.check();
    assert_eq!(code, 0);
    assert!(
        report["findings"].to_string().contains("hooks are off (disableAllHooks"),
        "{report:#}"
    );
}

#[test]
fn without_claude_the_first_advice_is_to_install_it() {
    let home = Home::new().gateway(&up());
    std::fs::remove_file(home.path().join("bin/claude")).expect("there");
    assert_verdict(&home.check(), 1, "Failed to find `claude` on PATH");
}

#[test]
fn with_probes_switched_off_nothing_is_asked() {
    let fake = up();
    let home = Home::new().gateway(&fake).set("CLAUDE_SAFE_SERVICE_PROBE", "off");
    assert_verdict(&home.check(), 0, "the service was not looked at");
    assert!(fake.requests().is_empty());
}

#[test]
fn a_certificate_of_an_unknown_authority_is_named_and_a_known_one_trusted() {
    use claude_safe_testkit::FakeService;
    let service = FakeService::start();
    let proxy = format!("http://127.0.0.1:{}", service.port());
    let ca = service.ca().display().to_string();
    let wrong = Home::new().set("HTTPS_PROXY", &proxy);
    assert_verdict(&wrong.check(), 1, "The certificate shown for platform.claude.com");
    let right = Home::new().set("HTTPS_PROXY", &proxy).set("NODE_EXTRA_CA_CERTS", &ca);
    let (code, report) = right.check();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["looks"][0]["host"], "platform.claude.com");
    assert_eq!(report["looks"][1]["host"], "api.anthropic.com");
    assert!(report["status_page"]["components"].is_array(), "{report:#}");
    let system = Home::new().set("HTTPS_PROXY", &proxy).set("SSL_CERT_FILE", &ca);
    assert_verdict(&system.check(), 0, "All is well");
}
