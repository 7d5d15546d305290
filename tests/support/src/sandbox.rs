//! A throw-away HOME in which Claude Code finds itself signed in, onboarded and trusted.
//! In: the sign-in a test wants. Out: commands whose whole environment is the sandbox's, and
//! the files they leave. When it is dropped, every process that carries its mark is killed and
//! its directory removed. Nothing of the person running the tests is read.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::oauth::{ACCOUNT, EMAIL, EXPIRED_MARK, ORGANIZATION};
use crate::{FakeService, wait_until};

/// The environment variable by which a sandbox knows its processes.
const MARK: &str = "CLAUDE_SAFE_TEST_SANDBOX";

/// An API key the fake service accepts (it refuses keys that contain `wrong`).
pub const API_KEY: &str = "sk-ant-api03-fake-key-of-the-test-sandbox-0000000000";

/// How the sandbox is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// OAuth, the access token good for hours.
    Valid,
    /// OAuth, the access token expired by the clock and for the API; the refresh token is good.
    Expired,
    /// OAuth as Claude leaves it after `invalid_grant`.
    Emptied,
    /// No credentials at all.
    None,
    /// `ANTHROPIC_API_KEY`, approved in `.claude.json`.
    ApiKey,
}

/// A throw-away HOME and the processes started in it.
pub struct Sandbox {
    root: TempDir,
    home: PathBuf,
    env: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    /// A new HOME with the given sign-in and a trusted project directory.
    pub fn new(sign_in: SignIn) -> Self {
        Self::try_new(sign_in).expect("a temporary directory can be filled")
    }

    fn try_new(sign_in: SignIn) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("claude-safe-").tempdir()?;
        // Claude names projects by the resolved path
        let home = root.path().canonicalize()?.join("home");
        let mut sandbox = Self { root, home, env: BTreeMap::new() };
        for dir in [&sandbox.home, &sandbox.project(), &sandbox.config_dir(), &sandbox.tmp()] {
            fs::create_dir_all(dir)?;
        }
        sandbox.fill_env();
        sandbox.write_claude_json()?;
        sandbox.sign_in(sign_in)?;
        Ok(sandbox)
    }

    /// [`Sandbox::new`] whose HTTPS goes to `service`.
    pub fn with(sign_in: SignIn, service: &FakeService) -> Self {
        let mut sandbox = Self::new(sign_in);
        sandbox.use_service(service);
        sandbox
    }

    /// Sends the HTTPS of commands made from now on to `service`.
    pub fn use_service(&mut self, service: &FakeService) {
        for (name, value) in service.env() {
            self.env(name, value);
        }
    }

    /// Sets a variable for commands made from now on.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.insert(name.as_ref().into(), value.as_ref().into());
        self
    }

    /// The value commands made from now on get for a variable.
    pub fn env_value(&self, name: impl AsRef<OsStr>) -> Option<OsString> {
        self.env.get(name.as_ref()).cloned()
    }

    /// Removes a variable for commands made from now on.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.env.remove(name.as_ref());
        self
    }

    /// `program` with the sandbox's environment and nothing else, in the project directory.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).current_dir(self.project());
        command
    }

    /// Runs a command without input to its end. Panics, with what it printed, if it lives
    /// longer than `deadline`; a descendant that keeps its output open is not waited for.
    pub fn run(&self, mut command: Command, deadline: Duration) -> Output {
        let file = || tempfile::tempfile_in(self.tmp()).expect("the sandbox is writable");
        let (mut out, mut err) = (file(), file());
        let copy = |file: &File| file.try_clone().expect("a descriptor is free");
        command.stdin(Stdio::null()).stdout(copy(&out)).stderr(copy(&err));
        let started = command.spawn();
        let mut child = started.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let status = wait_until(deadline, || child.try_wait().expect("the child is ours"));
        let whole = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("it was written");
            bytes
        };
        let (stdout, stderr) = (whole(&mut out), whole(&mut err));
        let Some(status) = status else {
            let _ = child.kill();
            let _ = child.wait();
            let text = String::from_utf8_lossy;
            panic!("lives after {deadline:?}, printed {:?}, {:?}", text(&stdout), text(&stderr))
        };
        Output { status, stdout, stderr }
    }

    /// HOME.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory commands start in; Claude trusts it.
    pub fn project(&self) -> PathBuf {
        self.home.join("project")
    }

    /// Claude's configuration directory.
    pub fn config_dir(&self) -> PathBuf {
        self.home.join(".claude")
    }

    /// A place for files of the test, outside HOME.
    pub fn tmp(&self) -> PathBuf {
        self.home.with_file_name("tmp")
    }

    /// Where the launcher keeps journal, logs and backups on this platform.
    pub fn state_dir(&self) -> PathBuf {
        if cfg!(target_os = "macos") {
            self.home.join("Library/Application Support/claude-safe")
        } else {
            self.home.join(".local/state/claude-safe")
        }
    }

    /// The credentials file.
    pub fn credentials(&self) -> PathBuf {
        self.config_dir().join(".credentials.json")
    }

    /// The OAuth part of the credentials file; null when it is not there.
    pub fn oauth(&self) -> Value {
        let text = fs::read(self.credentials()).unwrap_or_default();
        let all: Value = serde_json::from_slice(&text).unwrap_or_default();
        all["claudeAiOauth"].clone()
    }

    /// Writes the credentials of `sign_in`, as a person who signs in anew does.
    pub fn sign_in(&mut self, sign_in: SignIn) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = u64::try_from(now).expect("milliseconds since 1970 fit");
        let hour = 3_600_000;
        let (access, refresh, expires) = match sign_in {
            SignIn::Valid => ("sk-ant-oat01-fake-valid-0".into(), "fake-valid-0", now + 8 * hour),
            SignIn::Expired => {
                (format!("sk-ant-oat01-fake{EXPIRED_MARK}0"), "fake-stale-0", now - hour)
            }
            SignIn::Emptied => (String::new(), "", 0),
            SignIn::ApiKey => {
                self.env("ANTHROPIC_API_KEY", API_KEY);
                return Ok(());
            }
            SignIn::None => return Ok(()),
        };
        let refresh =
            if refresh.is_empty() { String::new() } else { format!("sk-ant-ort01-{refresh}") };
        let credentials = json!({ "claudeAiOauth": {
            "accessToken": access, "refreshToken": refresh, "expiresAt": expires,
            "scopes": ["user:inference", "user:profile", "user:sessions:claude_code"],
            "subscriptionType": "max", "rateLimitTier": "default_claude_max_5x",
        }});
        fs::write(self.credentials(), credentials.to_string())?;
        fs::set_permissions(self.credentials(), fs::Permissions::from_mode(0o600))
    }

    /// Makes the sign-in look as if it lay in the Keychain of macOS: a `security` of ours stands
    /// first on `PATH` and tells of an item that was written when the file was. Claude itself
    /// reads the file on.
    pub fn keep_in_keychain(&mut self) -> io::Result<()> {
        let bin = self.tmp().join("keychain");
        fs::create_dir_all(&bin)?;
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = find-generic-password ] || exit 2\n\
             case \" $* \" in *' -w '* | *' -g '*) exit 2 ;; esac\n\
             mdat=$(date -u -r '{}' +%Y%m%d%H%M%S 2>/dev/null) || exit 44\n\
             printf '    \"mdat\"<timedate>=0x00  \"%sZ\\\\000\"\\n' \"$mdat\"\n",
            self.credentials().display()
        );
        let security = bin.join("security");
        fs::write(&security, script)?;
        fs::set_permissions(&security, fs::Permissions::from_mode(0o755))?;
        let path = self.env_value("PATH").unwrap_or_default();
        let dirs = std::iter::once(bin).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(dirs).map_err(io::Error::other)?;
        self.env("PATH", path).env("CLAUDE_SAFE_CLAUDE_KEYCHAIN", "on");
        Ok(())
    }

    /// Writes Claude's user settings.
    pub fn write_settings(&self, settings: &Value) {
        let path = self.config_dir().join("settings.json");
        fs::write(path, settings.to_string()).expect("the sandbox is writable");
    }

    /// Every transcript, in no order.
    pub fn transcripts(&self) -> Vec<PathBuf> {
        let projects = entries(&self.config_dir().join("projects"));
        let files = projects.iter().flat_map(|project| entries(project));
        files.filter(|file| file.extension() == Some(OsStr::new("jsonl"))).collect()
    }

    /// All lines of all transcripts.
    pub fn transcript_lines(&self) -> Vec<Value> {
        let texts = self.transcripts().into_iter().filter_map(|path| fs::read_to_string(path).ok());
        texts.flat_map(|text| parse_lines(&text)).collect()
    }

    /// The processes that carry the sandbox's mark: id and command line.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("{MARK}={}", self.home.display());
        marked_processes(&mark)
    }

    /// Panics if a process started in the sandbox still lives at the end of `deadline`.
    pub fn assert_no_leftovers(&self, deadline: Duration) {
        let gone = wait_until(deadline, || self.processes().is_empty().then_some(()));
        assert!(gone.is_some(), "left behind: {:#?}", self.processes());
    }

    /// Keeps the directory for a look after the test; its path.
    pub fn keep(&mut self) -> &Path {
        self.root.disable_cleanup(true);
        self.root.path()
    }

    fn fill_env(&mut self) {
        let home = self.home.clone();
        let tmp = self.tmp();
        self.env("HOME", &home).env(MARK, &home).env("TMPDIR", tmp);
        for (name, dir) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_CACHE_HOME", ".cache"),
        ] {
            self.env(name, home.join(dir));
        }
        let path = search_path();
        self.env("PATH", path).env("SHELL", "/bin/bash").env("USER", "person");
        self.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env("TZ", "UTC");
        self.env("DISABLE_AUTOUPDATER", "1");
        // a coverage run wants the children's counts where it looks for them
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            self.env("LLVM_PROFILE_FILE", profile);
        }
    }

    fn write_claude_json(&self) -> io::Result<()> {
        let project = self.project().to_string_lossy().into_owned();
        let approved = &API_KEY[API_KEY.len() - 20..];
        let state = json!({
            "numStartups": 3, "hasCompletedOnboarding": true, "theme": "dark",
            "lastOnboardingVersion": "2.1.330", "autoUpdates": false,
            "oauthAccount": {
                "accountUuid": ACCOUNT, "emailAddress": EMAIL, "organizationUuid": ORGANIZATION,
                "organizationName": "Fake organization", "displayName": "Fake",
            },
            "customApiKeyResponses": { "approved": [approved], "rejected": [] },
            "projects": { project: {
                "allowedTools": [], "hasTrustDialogAccepted": true,
                "hasCompletedProjectOnboarding": true, "projectOnboardingSeenCount": 1,
            }},
        });
        fs::write(self.home.join(".claude.json"), state.to_string())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // what is killed may have a child on the way: look until nothing is left
        wait_until(Duration::from_secs(10), || {
            let left = self.processes();
            for (pid, _) in &left {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            left.is_empty().then_some(())
        });
    }
}

/// The system's directories, and Node's if it is elsewhere (old versions of Claude need it).
fn search_path() -> OsString {
    let mut dirs: Vec<PathBuf> = ["/usr/local/bin", "/usr/bin", "/bin"].map(Into::into).into();
    let all = std::env::var_os("PATH").unwrap_or_default();
    let node = std::env::split_paths(&all).find(|dir| dir.join("node").is_file());
    dirs.extend(node.filter(|dir| !dirs.contains(dir)));
    std::env::join_paths(dirs).expect("the directories hold no colon")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).into_iter().flatten();
    found.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn parse_lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(target_os = "linux")]
fn marked_processes(mark: &str) -> Vec<(i32, String)> {
    let contains = |all: &[u8]| all.split(|byte| *byte == 0).any(|one| one == mark.as_bytes());
    let of = |dir: PathBuf| {
        let pid = dir.file_name()?.to_str()?.parse().ok()?;
        contains(&fs::read(dir.join("environ")).ok()?).then_some(())?;
        let line = fs::read(dir.join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&line).replace('\0', " ")))
    };
    entries(Path::new("/proc")).into_iter().filter_map(of).collect()
}

#[cfg(not(target_os = "linux"))]
fn marked_processes(mark: &str) -> Vec<(i32, String)> {
    let listed = Command::new("ps").args(["-axEww", "-o", "pid=,command="]).output();
    let listed = listed.map(|output| output.stdout).unwrap_or_default();
    let of = |line: &str| {
        let (pid, rest) = line.trim_start().split_once(' ')?;
        rest.contains(mark).then(|| pid.parse().ok().map(|pid| (pid, rest.to_owned())))?
    };
    String::from_utf8_lossy(&listed).lines().filter_map(of).collect()
}
