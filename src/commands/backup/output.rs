//! What the backup commands print: one JSON document or lines, notes, a progress bar.

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::backup::manifest::Manifest;
use crate::backup::{Progress, shown};

/// Where results go: one JSON document, or lines.
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    pub(super) fn say(
        &mut self,
        value: &Value,
        lines: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let written = if self.json { writeln!(out, "{value:#}") } else { lines(&mut out) };
        match written.and_then(|()| out.flush()) {
            // The reader has seen enough (`| head`).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("failed to write to standard output"),
        }
    }
}

pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "claude-safe: {text}");
}

/// A bar on a terminal, nothing elsewhere.
pub(super) struct Bar(indicatif::ProgressBar);

impl Bar {
    pub(super) fn new(what: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(indicatif::ProgressBar::hidden());
        }
        let style = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {eta}";
        let style = indicatif::ProgressStyle::with_template(style).expect("a fixed template");
        Self(indicatif::ProgressBar::no_length().with_style(style).with_message(what))
    }
}

impl Progress for Bar {
    fn start(&self, total_bytes: u64) {
        self.0.set_length(total_bytes);
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

pub(super) fn summary(manifest: &Manifest) -> Value {
    json!({
        "id": manifest.id,
        "created": manifest.created,
        "reason": manifest.reason,
        "files": manifest.files().count(),
        "bytes": manifest.files().map(|(_, held)| held.size).sum::<u64>(),
        "torn": manifest.files().filter(|(_, held)| held.torn).count(),
        "masked_files": manifest.files().filter(|(_, held)| !held.masked.is_empty()).count(),
        "left_out": manifest.left_out.iter().map(|one| json!({
            "path": shown(one.path.as_path()), "reason": one.reason, "failed": one.failed,
        })).collect::<Vec<_>>(),
    })
}

/// What a person should know about a snapshot.
pub(super) fn remarks(out: &mut dyn Write, manifest: &Manifest) -> io::Result<()> {
    for one in &manifest.left_out {
        let what = if one.failed { "MISSING" } else { "left out" };
        writeln!(out, "  {what}: {} ({})", shown(one.path.as_path()), one.reason)?;
    }
    for (entry, held) in manifest.files() {
        let path = shown(entry.path.as_path());
        if held.torn {
            writeln!(out, "  torn: {path} (it was being written; held to its last full line)")?;
        }
        if !held.masked.is_empty() {
            writeln!(out, "  masked: {path} ({} secrets)", held.masked.len())?;
        }
    }
    Ok(())
}
