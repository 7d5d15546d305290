//! `backup create` and `backup prune`: snapshots come and go.

use std::process::ExitCode;

use serde_json::json;

use super::output::{Bar, Output, remarks, summary};
use crate::backup::space::in_words as size;
use crate::backup::{Snapshot, Source, Store, prune, shown};

pub(super) fn create(
    store: &Store,
    limits: &prune::Limits,
    verify: bool,
    out: &mut Output,
) -> anyhow::Result<ExitCode> {
    let created = {
        let mut lock = store.lock_exclusive()?;
        let bar = Bar::new("backing up");
        Snapshot::create(store, &mut lock, &Source::current(), "by hand", true, &bar)?
    };
    let mut value = summary(created.snapshot.manifest());
    value["linked"] = created.linked.into();
    value["written_bytes"] = created.written.into();
    value["dir"] = shown(created.snapshot.dir()).into();
    let manifest = created.snapshot.manifest().clone();
    let verified = verify.then(|| created.snapshot.verify(&Bar::new("verifying"))).transpose()?;
    value["verified"] = verified.is_some().into();
    let pruned = prune::prune(store, limits, verified.as_ref())?;
    value["pruned"] = pruned.into();
    out.say(&value, |out| {
        writeln!(
            out,
            "snapshot {}: {} files, {} ({} unchanged, {} written)",
            manifest.id,
            value["files"],
            size(value["bytes"].as_u64().unwrap_or(0)),
            created.linked,
            size(created.written),
        )?;
        remarks(out, &manifest)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn remove(
    store: &Store,
    limits: &prune::Limits,
    dry_run: bool,
    out: &mut Output,
) -> anyhow::Result<ExitCode> {
    let pruned = if dry_run {
        let _lock = store.lock_shared()?;
        prune::beyond(store, limits, None, jiff::Timestamp::now())?
    } else {
        prune::prune(store, limits, None)?
    };
    let word = if dry_run { "would remove" } else { "removed" };
    out.say(&json!({ "pruned": pruned, "dry_run": dry_run }), |out| {
        if pruned.is_empty() {
            writeln!(out, "nothing to prune")?;
        }
        pruned.iter().try_for_each(|id| writeln!(out, "{word} {id}"))
    })?;
    Ok(ExitCode::SUCCESS)
}
