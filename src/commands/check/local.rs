//! What `check` finds on this machine: files and directories, proxy and certificates, VPN,
//! clock, a missing browser, hooks. Reads only; a test of "can it be written" asks the kernel.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use super::report::Finding;
use crate::backup::space;
use crate::claude::credentials::{PROVIDERS, SignIn, is_remote};
use crate::claude::environment::{Environment, Lookup, managed_settings, process_env};
use crate::service::{Network, Sighting};

/// With less free space (bytes) Claude loses transcripts before long.
const LOW_DISK_BYTES: u64 = 100 << 20;
/// A clock that is off by more (seconds) makes sign-ins fail.
const CLOCK_FAULT_S: i64 = 300;

/// Variables that say where Claude goes: to a gateway, or to a provider …
const GATEWAYS: [&str; 2] = ["ANTHROPIC_BASE_URL", "CLAUDE_CODE_USE_GATEWAY"];
/// … and how, and as whom.
const WAYS: [&str; 20] = [
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "AWS_REGION",
    "CLOUD_ML_REGION",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_TLS_REJECT_UNAUTHORIZED",
];

/// Which of them come from Claude's settings, and from which file: nobody looks there.
pub fn from_settings(env: &Environment) -> Vec<Finding> {
    let telling = GATEWAYS.iter().chain(&PROVIDERS).chain(&WAYS);
    let told = telling.filter_map(|name| {
        let file = env.place(name)?.display();
        Some(Finding::note(match (env.var(name), process_env.var(name)) {
            (None, _) => format!("{name} is emptied by {file}"),
            (Some(value), Some(own)) if value != own => {
                format!("{name} comes from {file}, which outranks the environment's")
            }
            (Some(_), _) => format!("{name} comes from {file}"),
        }))
    });
    told.collect()
}

/// Everything but the clock, which only a look at the service can tell.
pub fn findings(
    claude_dir: &Path,
    env: &impl Lookup,
    network: &Network,
    sign_in: SignIn,
) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(
        network
            .problems
            .iter()
            .map(|problem| Finding::fault(problem.clone(), "correct or unset that variable")),
    );
    let dir = existing(claude_dir);
    found.extend(directory(&dir, Standing::of(&dir, dir == claude_dir)));
    credentials(claude_dir, &mut found);
    hooks(claude_dir, &mut found);
    environment(env, sign_in, &mut found);
    found.extend(vpn(&tunnels(Path::new("/sys/class/net"))));
    found
}

fn vpn(tunnels: &[String]) -> Option<Finding> {
    let names = tunnels.join(", ");
    (!tunnels.is_empty()).then(|| {
        Finding::note(format!(
            "a VPN is up ({names}): it may change which network Claude sees; if the service is \
             not reached, try without it"
        ))
    })
}

/// The nearest directory that is there.
fn existing(dir: &Path) -> PathBuf {
    dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// How a directory stands to this user.
#[derive(Debug, Clone, Copy)]
struct Standing {
    writable: Result<(), Errno>,
    /// It is another user's although it should be this one's.
    foreign: bool,
    free_bytes: Option<u64>,
}

impl Standing {
    fn of(dir: &Path, should_be_own: bool) -> Self {
        let owner = std::fs::metadata(dir).map(|meta| meta.uid());
        Self {
            writable: access(dir, AccessFlags::W_OK | AccessFlags::X_OK),
            foreign: should_be_own && owner.is_ok_and(|owner| owner != geteuid().as_raw()),
            free_bytes: space::free(dir).ok(),
        }
    }
}

fn directory(dir: &Path, standing: Standing) -> Vec<Finding> {
    let mut found = Vec::new();
    let shown = dir.display();
    if let Err(error) = standing.writable {
        let why = match error {
            Errno::EROFS => "is on a read-only file system",
            _ => "cannot be written by this user",
        };
        found.push(Finding::fault(
            format!("{shown} {why}"),
            "Claude needs it for its sign-in and history: make it writable, or name another with \
             CLAUDE_CONFIG_DIR",
        ));
    }
    if standing.foreign {
        found.push(Finding::note(format!("{shown} belongs to another user (was sudo used?)")));
    }
    if let Some(free) = standing.free_bytes.filter(|free| *free < LOW_DISK_BYTES) {
        found.push(Finding::fault(
            format!("only {} MiB are free for {shown}", free >> 20),
            "free some space: a full disk costs sign-ins and transcripts",
        ));
    }
    found
}

fn credentials(claude_dir: &Path, found: &mut Vec<Finding>) {
    let file = claude_dir.join(".credentials.json");
    let Ok(meta) = std::fs::metadata(&file) else { return };
    if meta.permissions().mode() & 0o077 != 0 {
        found.push(Finding::note(format!(
            "{} can be read by others; `chmod 600` it",
            file.display()
        )));
    }
    if access(&file, AccessFlags::W_OK).is_err() {
        found.push(Finding::fault(
            format!("{} cannot be written", file.display()),
            "a refreshed token could not be kept, and the next start would ask for a sign-in: \
             give the file to this user",
        ));
    }
}

fn hooks(claude_dir: &Path, found: &mut Vec<Finding>) {
    let files = [
        managed_settings(),
        PathBuf::from(".claude/settings.local.json"),
        PathBuf::from(".claude/settings.json"),
        claude_dir.join("settings.json"),
    ];
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        let Ok(settings) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            found.push(Finding::note(format!("{} is not valid JSON", file.display())));
            continue;
        };
        for key in ["disableAllHooks", "allowManagedHooksOnly"] {
            if settings[key] == true {
                found.push(Finding::note(format!(
                    "hooks are off ({key} in {}); failures are read from the transcript instead",
                    file.display()
                )));
            }
        }
        if settings["apiKeyHelper"].is_string() {
            found.push(Finding::note(format!(
                "apiKeyHelper in {} outranks a subscription",
                file.display()
            )));
        }
    }
}

fn environment(env: &impl Lookup, sign_in: SignIn, found: &mut Vec<Finding>) {
    if env.var("NODE_TLS_REJECT_UNAUTHORIZED").as_deref() == Some("0") {
        found.push(Finding::note(
            "NODE_TLS_REJECT_UNAUTHORIZED=0 lets anybody on the way read your sign-in".to_owned(),
        ));
    }
    if env.var("CLAUDE_CODE_CHILD_SESSION").is_some() {
        found.push(Finding::note(
            "CLAUDE_CODE_CHILD_SESSION is set (started from within Claude): no transcript is \
             written, so nothing can be resumed"
                .to_owned(),
        ));
    }
    let remote = is_remote(env);
    if remote && sign_in == SignIn::Keychain {
        found.push(Finding::note(
            "over SSH Claude says `Not logged in`, or 401, while the keychain is locked: run \
             `security unlock-keychain` first; a /login here would not be stored"
                .to_owned(),
        ));
    }
    let screen = env.var("DISPLAY").is_some() || env.var("WAYLAND_DISPLAY").is_some();
    let must_sign_in = matches!(sign_in, SignIn::Emptied | SignIn::Missing);
    if remote && !screen && must_sign_in {
        found.push(Finding::note(
            "this is an SSH session without a browser: open the sign-in address elsewhere and \
             paste the code, or use a long-lived token"
                .to_owned(),
        ));
    }
}

/// The network interfaces that are usually tunnels (Linux; macOS always has some).
fn tunnels(net: &Path) -> Vec<String> {
    let prefixes = ["tun", "tap", "wg", "ppp", "tailscale", "nordlynx", "proton", "cscotun"];
    let names = std::fs::read_dir(net).into_iter().flatten().flatten();
    let mut names: Vec<_> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        // `unl` and `tunl0` tunnels exist unasked in every namespace.
        .filter(|name| !name.starts_with("tunl"))
        .collect();
    names.sort();
    names
}

/// A clock that disagrees with the service's.
pub fn clock(seen: &Sighting) -> Option<Finding> {
    let offset = seen.clock_offset_s.filter(|offset| offset.abs() > 60)?;
    let direction = if offset > 0 { "behind" } else { "ahead" };
    let what = format!("the clock is {} s {direction} of {}", offset.abs(), seen.host);
    Some(if offset.abs() >= CLOCK_FAULT_S {
        Finding::fault(what, "set the clock (NTP): tokens count as expired, or as not yet valid")
    } else {
        Finding::note(what)
    })
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
