//! `queue service install|remove`: the queue runs from each boot on. In: the platform. Out: a
//! systemd user unit or a launchd agent of ours, and nothing else.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

use crate::notice::say;
use crate::paths;

const UNIT: &str = "claude-safe-queue.service";
const LABEL: &str = "claude-safe.queue";

/// Options of `queue service`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[arg(value_enum)]
    what: What,
    /// Write or remove the file alone, and start or stop nothing
    #[arg(long)]
    file_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Start the queue now and at each boot
    Install,
    /// Stop it, and start it no more; every task stays
    Remove,
}

/// Installs or removes.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = if cfg!(target_os = "macos") { agent_file() } else { unit_file() };
    match args.what {
        What::Install => install(&file, args.file_only),
        What::Remove => remove(&file, args.file_only),
    }
}

fn unit_file() -> PathBuf {
    let config = dirs::config_dir().unwrap_or_else(|| paths::home().join(".config"));
    config.join("systemd/user").join(UNIT)
}

fn agent_file() -> PathBuf {
    paths::home().join("Library/LaunchAgents").join(format!("{LABEL}.plist"))
}

/// The variables that a service of the user needs as this shell has them.
fn environment() -> Vec<(String, String)> {
    const WANTED: [&str; 4] =
        ["PATH", "CLAUDE_CONFIG_DIR", "CLAUDE_SAFE_STATE_DIR", "CLAUDE_SAFE_CONFIG"];
    WANTED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

fn unit(program: &Path, environment: &[(String, String)]) -> String {
    // systemd reads `%` and `\` and quotes itself.
    let quoted = |text: &str| {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
    };
    let lines: Vec<String> = environment
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
        .collect();
    format!(
        "# Written by `claude-safe queue service install`; `… remove` takes it away.\n\
         [Unit]\n\
         Description=Queue of Claude Code tasks\n\
         Documentation=man:claude-safe-queue-run(1)\n\
         # However long an outage lasts, it is not given up.\n\
         StartLimitIntervalSec=0\n\n\
         [Service]\n\
         Type=exec\n\
         {}\
         ExecStart={} queue run\n\
         # Tasks end with it, and go on in their conversations when it runs again.\n\
         KillSignal=SIGTERM\n\
         TimeoutStopSec=40\n\
         Restart=on-failure\n\
         RestartSec=10\n\n\
         [Install]\n\
         WantedBy=default.target\n",
        lines.concat(),
        // `$` would be a variable.
        quoted(&program.to_string_lossy()).replace('$', "$$"),
    )
}

fn agent(program: &Path, environment: &[(String, String)]) -> String {
    let xml = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut variables = String::new();
    for (name, value) in environment {
        let (name, value) = (xml(name), xml(value));
        let _ = writeln!(variables, "    <key>{name}</key><string>{value}</string>");
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key><string>{LABEL}</string>\n  \
         <key>ProgramArguments</key>\n  <array>\n    <string>{}</string>\n    \
         <string>queue</string>\n    <string>run</string>\n  </array>\n  \
         <key>EnvironmentVariables</key>\n  <dict>\n{variables}  </dict>\n  \
         <key>RunAtLoad</key><true/>\n  <key>KeepAlive</key>\n  <dict>\n    \
         <key>SuccessfulExit</key><false/>\n  </dict>\n  \
         <key>ExitTimeOut</key><integer>40</integer>\n</dict>\n</plist>\n",
        xml(&program.to_string_lossy()),
    )
}

fn install(file: &Path, file_only: bool) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("failed to find our own path")?;
    let text = if cfg!(target_os = "macos") { agent } else { unit }(&program, &environment());
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("failed to make {}", dir.display()))?;
    }
    paths::write_private(file, text.as_bytes())
        .with_context(|| format!("failed to write {}", file.display()))?;
    writeln!(std::io::stdout(), "wrote {}", file.display())?;
    if file_only {
        return Ok(ExitCode::SUCCESS);
    }
    if cfg!(target_os = "macos") {
        call("launchctl", &["bootstrap", &domain(), &file.to_string_lossy()])?;
        return Ok(ExitCode::SUCCESS);
    }
    call("systemctl", &["--user", "daemon-reload"])?;
    // A new text of a service that runs is taken up now.
    call("systemctl", &["--user", "enable", UNIT])?;
    call("systemctl", &["--user", "restart", UNIT])?;
    if !lingers() {
        say("it runs only while you are signed in; `loginctl enable-linger` keeps it running");
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(file: &Path, file_only: bool) -> anyhow::Result<ExitCode> {
    if !file.exists() {
        writeln!(std::io::stdout(), "{} is not there", file.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !file_only {
        let stopped = if cfg!(target_os = "macos") {
            call("launchctl", &["bootout", &format!("{}/{LABEL}", domain())])
        } else {
            call("systemctl", &["--user", "disable", "--now", UNIT])
        };
        if let Err(error) = stopped {
            say(&format!("{error:#}"));
        }
    }
    std::fs::remove_file(file).with_context(|| format!("failed to remove {}", file.display()))?;
    writeln!(std::io::stdout(), "removed {}; every task stays", file.display())?;
    if !file_only && !cfg!(target_os = "macos") {
        call("systemctl", &["--user", "daemon-reload"])?;
    }
    Ok(ExitCode::SUCCESS)
}

fn domain() -> String {
    format!("gui/{}", nix::unistd::geteuid())
}

fn call(program: &str, args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("the file is written, but {program} cannot be run"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("the file is written, but `{program} {}` failed: {}", args.join(" "), said.trim());
    }
    Ok(())
}

/// Whether the user's services run while they are away; where that is not known, yes.
fn lingers() -> bool {
    let user = nix::unistd::geteuid().to_string();
    let shown = Command::new("loginctl").args(["show-user", &user, "--property=Linger"]).output();
    shown.map_or(true, |output| {
        !String::from_utf8_lossy(&output.stdout).contains("Linger=no") && output.status.success()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_anything_in_it_is_one_word_of_the_file() {
        let environment = [("PATH".to_owned(), "/a b/100%:/\"x".to_owned())];
        let text = unit(Path::new("/opt/a $b%/claude-safe"), &environment);
        assert!(text.contains("ExecStart=\"/opt/a $$b%%/claude-safe\" queue run\n"), "{text}");
        assert!(text.contains("Environment=\"PATH=/a b/100%%:/\\\"x\"\n"), "{text}");
        let text = agent(Path::new("/opt/a&b/claude-safe"), &environment);
        assert!(text.contains("<string>/opt/a&amp;b/claude-safe</string>"), "{text}");
    }
}
