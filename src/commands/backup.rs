//! `claude-safe backup`: snapshots of Claude's history and settings by hand.
//! In: arguments, the configuration. Out: text or JSON on standard output, notes on standard
//! error. Exit 0 done, 1 damaged, refused or something was kept back, 2 bad usage.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::backup::compare::{self, Change};
use crate::backup::manifest::{Kind, Manifest};
use crate::backup::restore::{self, Action, Done, Scope, Step};
use crate::backup::{self, Error, Progress, Snapshot, Source, Store, export, prune, shown, users};
use crate::error::Usage;

/// `backup COMMAND`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    claude-safe backup create\n  \
    claude-safe backup restore --session 0b4f… --dry-run\n  \
    claude-safe backup export latest history.tar.zst")]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    command: BackupCommand,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Take a snapshot of the history and settings
    #[command(after_help = "Examples:
  claude-safe backup create
  claude-safe backup create --verify")]
    Create {
        /// Read everything back from the disk afterwards
        #[arg(long)]
        verify: bool,
    },
    /// List the snapshots
    #[command(after_help = "Examples:
  claude-safe backup list
  claude-safe backup list --json")]
    List,
    /// Show what a snapshot holds
    #[command(after_help = "Examples:
  claude-safe backup show
  claude-safe backup show 3")]
    Show {
        /// Its name or number
        #[arg(default_value = "latest")]
        snapshot: String,
    },
    /// Read a snapshot back from the disk and compare it with its manifest
    #[command(after_help = "Examples:
  claude-safe backup verify
  claude-safe backup verify --all")]
    Verify {
        /// Its name or number
        #[arg(default_value = "latest")]
        snapshot: String,
        /// Every snapshot
        #[arg(long, conflicts_with = "snapshot")]
        all: bool,
    },
    /// Bring files back; nothing newer or different is overwritten without --force
    #[command(after_help = "Examples:
  claude-safe backup restore --dry-run
  claude-safe backup restore --session 0b4f…
  claude-safe backup restore 3 --to /tmp/look")]
    Restore(RestoreArgs),
    /// Show what changed since a snapshot, or between two
    #[command(after_help = "Examples:
  claude-safe backup diff
  claude-safe backup diff 3 latest")]
    Diff {
        /// The earlier one
        #[arg(default_value = "latest")]
        old: String,
        /// The later one; without it, the live files
        new: Option<String>,
    },
    /// Remove snapshots beyond the configured number, age and size, never the last good one
    #[command(after_help = "Examples:
  claude-safe backup prune --dry-run
  claude-safe backup prune")]
    Prune {
        /// Only show what would go
        #[arg(long)]
        dry_run: bool,
    },
    /// Write a snapshot as one ordinary .tar.zst
    #[command(after_help = "Examples:
  claude-safe backup export latest history.tar.zst
  claude-safe backup export latest - | tar --zstd -t")]
    Export {
        /// Its name or number
        snapshot: String,
        /// Where to; `-` is standard output
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RestoreArgs {
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

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (config, problems) = crate::config::load(
        &crate::paths::config_file(),
        crate::config::Profile::Base,
        environment,
    );
    for problem in problems {
        note(&problem.to_string());
    }
    let store = backup::store(&config);
    let limits = prune::Limits::of(&config);
    let mut out = Output { json: args.json };
    let done = match args.command {
        BackupCommand::Create { verify } => create(&store, &limits, verify, &mut out),
        BackupCommand::List => list(&store, &mut out),
        BackupCommand::Show { snapshot } => show(&store, &snapshot, &mut out),
        BackupCommand::Verify { snapshot, all } => verify(&store, &snapshot, all, &mut out),
        BackupCommand::Restore(restore) => run_restore(&store, &restore, &mut out),
        BackupCommand::Diff { old, new } => diff(&store, &old, new.as_deref(), &mut out),
        BackupCommand::Prune { dry_run } => run_prune(&store, &limits, dry_run, &mut out),
        BackupCommand::Export { snapshot, file } => run_export(&store, &snapshot, &file),
    };
    done.or_else(|error| match error.downcast_ref::<Error>() {
        Some(Error::NoSuchSnapshot(text)) => Err(Usage(text.clone()).into()),
        Some(Error::Damaged { .. } | Error::InUse { .. } | Error::Refused(_)) => {
            note(&error.to_string());
            Ok(ExitCode::FAILURE)
        }
        _ => Err(error),
    })
}

/// Where results go: one JSON document, or lines.
struct Output {
    json: bool,
}

impl Output {
    fn say(
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

fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "claude-safe: {text}");
}

/// A bar on a terminal, nothing elsewhere.
struct Bar(indicatif::ProgressBar);

impl Bar {
    fn new(what: &'static str) -> Self {
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

fn summary(manifest: &Manifest) -> Value {
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

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

fn create(
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

/// What a person should know about a snapshot.
fn remarks(out: &mut dyn Write, manifest: &Manifest) -> io::Result<()> {
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

fn list(store: &Store, out: &mut Output) -> anyhow::Result<ExitCode> {
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

fn show(store: &Store, name: &str, out: &mut Output) -> anyhow::Result<ExitCode> {
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

fn verify(store: &Store, name: &str, all: bool, out: &mut Output) -> anyhow::Result<ExitCode> {
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

fn run_restore(store: &Store, args: &RestoreArgs, out: &mut Output) -> anyhow::Result<ExitCode> {
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

fn diff(store: &Store, old: &str, new: Option<&str>, out: &mut Output) -> anyhow::Result<ExitCode> {
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

fn run_prune(
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

fn run_export(store: &Store, name: &str, file: &Path) -> anyhow::Result<ExitCode> {
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
