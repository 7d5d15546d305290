//! What we add to the user's command line, and where nothing may be added. In: their arguments,
//! what is called claude, the run's directory. Out: a value for `--settings`, an id for the
//! session, or neither: then Claude's files alone tell how a turn went.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use serde_json::Map;

use super::hook_socket::HookSocket;
use super::rerun::in_a_session;
use crate::claude::args::{ClaudeArgs, Intent};
use crate::claude::settings::{self, Given, Injection};
use crate::claude::{hooks, locate, status_line};
use crate::config::Config;
use crate::journal::Mode;
use crate::paths;
use crate::plan::{LaunchPlan, SessionPlan};

/// Adds what is ours to the first launch.
pub(super) fn add(
    plan: &mut LaunchPlan,
    given: Given,
    hooks: Option<&HookSocket>,
    mode: Mode,
    config: &Config,
    run_dir: &Path,
) {
    // It may add arguments of its own, where Claude heeds the last `--settings` alone and refuses
    // an id beside `--continue`; and claude may not see our files from where it is started.
    if locate::is_wrapper(&plan.program) {
        tracing::info!("claude is a wrapper: nothing is added to its arguments");
        return;
    }
    // A sign-in takes no settings of ours.
    if let Some(hooks) = hooks.filter(|_| plan.user.intent() == Intent::Conversation) {
        let written = settings_value(&plan.user, given, hooks.path(), mode, config, run_dir);
        let written = written.inspect_err(|error| tracing::warn!(%error, "no settings of ours"));
        plan.settings = written.ok().flatten();
    }
    let keeps_sessions = !in_a_session() && !plan.user.has("--no-session-persistence");
    if mode == Mode::Headless && !plan.user.chooses_session() && keeps_sessions {
        plan.session = SessionPlan::WithId(uuid::Uuid::new_v4().to_string());
    }
}

/// The settings with ours; `None` where the user's are left alone.
fn settings_value(
    user: &ClaudeArgs,
    given: Given,
    socket: &Path,
    mode: Mode,
    config: &Config,
    run_dir: &Path,
) -> io::Result<Option<OsString>> {
    let (own, inline) = match given {
        Given::Nothing => (Map::new(), false),
        Given::Inline(own) => (own, true),
        Given::File(_) | Given::Unreadable => return Ok(None),
    };
    if let Some(line) = own.get("statusLine") {
        let line = serde_json::to_vec(&serde_json::json!({ "statusLine": line }))?;
        paths::write_private(&run_dir.join(status_line::FLAG_FILE), &line)?;
    }
    let socket_path = socket.as_os_str().as_encoded_bytes();
    paths::write_private(&run_dir.join(status_line::SOCKET_FILE), socket_path)?;
    let pid = std::process::id().to_string();
    paths::write_private(&run_dir.join(status_line::PID_FILE), pid.as_bytes())?;
    let refresh = config.values.status_line.refresh.as_secs().max(3);
    let program = std::env::current_exe()?;
    let events = match mode {
        Mode::Terminal => hooks::EVENTS,
        // Every hook would show in the lines that the user asked for.
        Mode::Headless if user.has("--include-hook-events") => &[],
        Mode::Headless | Mode::Program => hooks::HEADLESS_EVENTS,
    };
    let status_line = (mode == Mode::Terminal).then_some((run_dir, refresh));
    let merged = settings::merge(own, Injection { program: &program, socket, events, status_line });
    if inline {
        return Ok(Some(merged.to_string().into()));
    }
    let file = run_dir.join("settings.json");
    paths::write_private(&file, &serde_json::to_vec(&merged)?)?;
    Ok(Some(file.into_os_string()))
}
