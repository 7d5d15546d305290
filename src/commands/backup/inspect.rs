//! `backup list`, `show`, `verify` and `diff`: what the snapshots hold, and whether it is whole.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::{Bar, Output, remarks, summary};
use crate::backup::compare::{self, Change};
use crate::backup::manifest::Kind;
use crate::backup::space::in_words as size;
use crate::backup::{Error, Snapshot, Source, Store, prune, shown};

pub(super) fn list(store: &Store, out: &mut Output) -> anyhow::Result<ExitCode> {
    let _lock = store.lock_shared()?;
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for id in store.ids()? {
        let adds = prune::disk_size(&store.dir().join(&id), &mut seen);
        let mut row = match Snapshot::open(store, &id) {
            Ok(snapshot) => summary(snapshot.manifest()),
            Err(error) => json!({ "id": id, "error": error.to_string() }),
        };
        row["disk_bytes"] = adds.into();
        rows.push(row);
    }
    out.say(&Value::from(rows.clone()), |out| {
        if rows.is_empty() {
            return writeln!(out, "no snapshot yet in {}", shown(store.dir()));
        }
        for row in &rows {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let bytes = |name: &str| size(row[name].as_u64().unwrap_or(0));
            match row["error"].as_str() {
                Some(error) => writeln!(out, "{}  {error}", text("id"))?,
                None => writeln!(
                    out,
                    "{}  {:>6} files  {:>11}  +{:>11} on disk  {}",
                    text("id"),
                    row["files"],
                    bytes("bytes"),
                    bytes("disk_bytes"),
                    text("reason"),
                )?,
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(store: &Store, name: &str, out: &mut Output) -> anyhow::Result<ExitCode> {
    let _lock = store.lock_shared()?;
    let snapshot = store.find(name)?;
    let manifest = snapshot.manifest();
    out.say(&serde_json::to_value(manifest)?, |out| {
        writeln!(out, "{}  {}  {}", manifest.id, manifest.created, manifest.reason)?;
        writeln!(out, "of {} and {}", shown(&manifest.claude_dir), shown(&manifest.claude_json))?;
        for entry in &manifest.entries {
            let path = shown(entry.path.as_path());
            match &entry.kind {
                Kind::File(held) => writeln!(out, "{:>12}  {path}", size(held.size))?,
                Kind::Directory => writeln!(out, "{:>12}  {path}/", "")?,
                Kind::Link { target } => writeln!(out, "{:>12}  {path} -> {}", "", shown(target))?,
            }
        }
        let moved = snapshot.dir().join("moved");
        if moved.is_dir() {
            writeln!(out, "a fix moved files aside into {}", shown(&moved))?;
        }
        remarks(out, manifest)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn verify(
    store: &Store,
    name: &str,
    all: bool,
    out: &mut Output,
) -> anyhow::Result<ExitCode> {
    let _lock = store.lock_shared()?;
    let ids = if all { store.ids()? } else { vec![name.to_owned()] };
    let mut results = Vec::new();
    for id in ids {
        let checked = store.find(&id).and_then(|snapshot| snapshot.verify(&Bar::new("verifying")));
        results.push(match checked {
            Ok(verified) => json!({ "id": verified.manifest().id, "good": true }),
            Err(Error::Damaged { id, problems }) => {
                json!({ "id": id, "good": false, "problems": problems })
            }
            Err(error) => return Err(error.into()),
        });
    }
    let good = results.iter().all(|result| result["good"] == true);
    out.say(&Value::from(results.clone()), |out| {
        for result in &results {
            let id = result["id"].as_str().unwrap_or_default();
            writeln!(out, "{id}: {}", if result["good"] == true { "good" } else { "DAMAGED" })?;
            for problem in result["problems"].as_array().into_iter().flatten() {
                writeln!(out, "  {}", problem.as_str().unwrap_or_default())?;
            }
        }
        Ok(())
    })?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn diff(
    store: &Store,
    old: &str,
    new: Option<&str>,
    out: &mut Output,
) -> anyhow::Result<ExitCode> {
    let _lock = store.lock_shared()?;
    let old = store.find(old)?;
    let changes = match new {
        Some(new) => compare::between(&old, &store.find(new)?),
        None => compare::with_live(store, &old, &Source::current())?,
    };
    let value: Vec<_> = changes
        .iter()
        .map(|(path, change)| json!({ "path": shown(path.as_path()), "change": change }))
        .collect();
    out.say(&value.into(), |out| {
        for (path, change) in &changes {
            let sign = match change {
                Change::Added => '+',
                Change::Removed => '-',
                Change::Changed => '~',
            };
            writeln!(out, "{sign} {}", shown(path.as_path()))?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
