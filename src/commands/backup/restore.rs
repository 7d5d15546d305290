//! `backup restore`: files come back, and nothing newer or different is lost by it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::output::Output;
use crate::backup::restore::{self, Action, Done, Scope, Step};
use crate::backup::{self, Source, Store, shown, users};

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The snapshot's name or number
    #[arg(default_value = "latest")]
    snapshot: String,
    /// Only this conversation
    #[arg(long, value_name = "ID", group = "scope")]
    session: Option<String>,
    /// Only the conversations of this working directory
    #[arg(long, value_name = "DIR", group = "scope")]
    project: Option<PathBuf>,
    /// Only this file or directory, below Claude's directory
    #[arg(long, value_name = "PATH", group = "scope")]
    path: Option<PathBuf>,
    /// Restore below this directory (as `.claude` and `.claude.json`) instead of into place
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Replace what is newer or different, after taking a snapshot of it
    #[arg(long)]
    force: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(store: &Store, args: &RestoreArgs, out: &mut Output) -> anyhow::Result<ExitCode> {
    let lock = store.lock_shared()?;
    let snapshot = store.find(&args.snapshot)?;
    let target = args.to.as_ref().map_or_else(
        || Ok(Source::current()),
        |dir| {
            std::path::absolute(dir).map(|dir| Source::below(&dir)).context("failed to find --to")
        },
    )?;
    let scope = match (&args.session, &args.project, &args.path) {
        (Some(id), _, _) => Scope::Session(id.clone()),
        (_, Some(dir), _) => Scope::Project(dir.clone()),
        (_, _, Some(path)) => Scope::Path(path.clone()),
        _ => Scope::Whole,
    };
    let steps = restore::plan(&snapshot, &scope, &target)?;
    let differs = |step: &Step| matches!(step.action, Action::Newer | Action::Different);
    let listing: Vec<_> = steps.iter().filter(|step| step.action != Action::Same).collect();
    let listed = json!(
        listing
            .iter()
            .map(|step| json!({
                "path": shown(step.entry.path.as_path()), "action": step.action,
            }))
            .collect::<Vec<_>>()
    );
    if args.dry_run || !out.json {
        out.say(&listed, |out| {
            writeln!(out, "from {} into {}:", snapshot.manifest().id, shown(&target.claude_dir))?;
            for step in &listing {
                let what = match (step.action, args.force) {
                    (Action::Create, _) => "bring back",
                    (Action::Newer | Action::Different, true) => "replace",
                    (Action::Newer, false) => "keep, it is newer",
                    _ => "keep, it is different",
                };
                writeln!(out, "  {what}: {}", shown(step.entry.path.as_path()))?;
            }
            writeln!(out, "  {} already the same", steps.len() - listing.len())
        })?;
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    users::prove_unused(&target.claude_dir, &[])?;
    let before = if args.force && steps.iter().any(differs) {
        // Making a snapshot excludes readers, this one too.
        drop(lock);
        Some(backup::verified_snapshot(store, &target, "before restore")?)
    } else {
        None
    };
    let _lock = store.lock_shared()?;
    // Again: the snapshot may have taken a while.
    let unused = users::prove_unused(&target.claude_dir, &[])?;
    let done = restore::apply(&snapshot, &steps, &target, before.as_ref(), &unused)?;
    out.say(&json!({ "steps": listed, "done": done }), |out| {
        let Done { created, replaced, kept, .. } = &done;
        writeln!(out, "{created} brought back, {replaced} replaced, {kept} kept as they are")?;
        for secret in &done.missing_secrets {
            writeln!(out, "  put in again yourself, secrets are not in backups: {secret}")?;
        }
        for path in &done.set_aside {
            writeln!(out, "  the replaced file, with its secrets, is {}", shown(path))?;
        }
        Ok(())
    })?;
    Ok(if done.kept == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
