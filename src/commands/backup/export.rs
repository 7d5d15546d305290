//! `backup export`: a snapshot as one ordinary archive, whole or not at all.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::output::Bar;
use crate::backup::{Store, export, shown};
use crate::error::Usage;

pub(super) fn run(store: &Store, name: &str, file: &Path) -> anyhow::Result<ExitCode> {
    let _lock = store.lock_shared()?;
    let snapshot = store.find(name)?;
    let bar = Bar::new("exporting");
    if file == Path::new("-") {
        export::export(&snapshot, io::stdout().lock(), &bar)?;
        return Ok(ExitCode::SUCCESS);
    }
    if file.symlink_metadata().is_ok() {
        return Err(Usage(format!("{} is there already", shown(file))).into());
    }
    let mut name = file.file_name().context("failed to export: no file name")?.to_owned();
    name.push(format!(".partial{}", std::process::id()));
    let partial = file.with_file_name(name);
    let named = || format!("failed to write {}", shown(&partial));
    let mut options = std::fs::OpenOptions::new();
    let out =
        options.write(true).create_new(true).mode(0o600).open(&partial).with_context(named)?;
    let written = export::export(&snapshot, &out, &bar)
        .map_err(anyhow::Error::from)
        .and_then(|()| out.sync_all().with_context(named))
        .and_then(|()| std::fs::rename(&partial, file).with_context(named));
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written.map(|()| ExitCode::SUCCESS)
}
