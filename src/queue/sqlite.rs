//! The store in one `SQLite` file, for any number of processes of one machine. In: a path.
//! Out: a [`Store`]. Write-ahead log and a full sync at each commit: what was said to be queued
//! is on the disk. A file of a newer schema is refused; one that is damaged is set aside and
//! said, never taken for an empty queue.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{
    Connection, ErrorCode, OptionalExtension as _, Row, Transaction, TransactionBehavior, params,
};

use super::store::{Store, StoreError};
use super::task::{Id, NewTask, State, Task, now_ms, token};

/// Each step leads from one schema to the next; the file's `user_version` counts them.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE task (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        version INTEGER NOT NULL DEFAULT 1,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        priority INTEGER NOT NULL,
        position REAL NOT NULL,
        token TEXT NOT NULL,
        key TEXT,
        owner TEXT,
        account TEXT NOT NULL,
        not_before INTEGER,
        added INTEGER NOT NULL,
        started INTEGER,
        ended INTEGER,
        spec TEXT NOT NULL,
        record TEXT NOT NULL
    );
    CREATE INDEX task_order ON task (state, priority DESC, position);
    CREATE UNIQUE INDEX task_key ON task (key)
        WHERE key IS NOT NULL AND state IN ('queued', 'running', 'needs_you');
    CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"];

/// A writer waits this long for the others; each of their transactions takes milliseconds.
const BUSY_FOR: Duration = Duration::from_secs(15);

const COLUMNS: &str = "id, version, name, state, priority, position, token, owner, account, \
                       not_before, added, started, ended, spec, record";

/// The store in a file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// Which file it was when it was opened.
    file: Option<(u64, u64)>,
}

impl Sqlite {
    /// Opens the file, and makes it if it is not there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let other = |error: std::io::Error| StoreError::Other(error.to_string());
        if let Some(dir) = path.parent() {
            crate::paths::private_dir(dir).map_err(other)?;
        }
        // SQLite gives its own files the mode of this one.
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).open(path).map_err(other)?;
        let connection = Connection::open(path)
            .map_err(|error| StoreError::Other(format!("{}: {error}", path.display())))?;
        let mut store = Self { connection, path: path.to_owned(), file: inode(path) };
        store.prepare()?;
        Ok(store)
    }

    fn prepare(&mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let told = |error| tell(&path, &error);
        self.connection.busy_timeout(BUSY_FOR).map_err(told)?;
        // Before anything is written: a newer file must stay as it is.
        let found = version(&self.connection).map_err(told)?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if found > known {
            return Err(StoreError::Newer { place: path.display().to_string(), found, known });
        }
        let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
        self.connection.execute_batch(pragmas).map_err(told)?;
        if found == known {
            return Ok(());
        }
        let step = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let step = step.map_err(told)?;
        // Another process may have been first.
        let found = version(&step).map_err(told)?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
            step.execute_batch(migration).map_err(told)?;
        }
        step.pragma_update(None, "user_version", known).map_err(told)?;
        step.commit().map_err(told)
    }

    fn tell(&self, error: &rusqlite::Error) -> StoreError {
        tell(&self.path, error)
    }

    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let path = self.path.clone();
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| tell(&path, &error))
    }
}

/// Moves a damaged file out of the way, with what belongs to it. Where it is now.
pub fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let aside = path.with_extension(format!("db.damaged-{stamp}"));
    std::fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        let with = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        // Not there is as good.
        let _ = std::fs::rename(with(path), with(&aside));
    }
    Ok(aside)
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn tell(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged(path.display().to_string())
        }
        Some(ErrorCode::DiskFull) => StoreError::Full,
        // Its files beside the database cannot be made on a full disk, which it says so.
        Some(ErrorCode::SystemIoFailure) if is_full(path) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Other(format!("another process has {} to itself", path.display()))
        }
        _ => StoreError::Other(format!("{}: {error}", path.display())),
    }
}

/// Whether the disk that this lies on has no room.
fn is_full(path: &Path) -> bool {
    let dir = path.parent().unwrap_or(path);
    nix::sys::statvfs::statvfs(dir).is_ok_and(|disk| disk.blocks_available() == 0)
}

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    let json = |column: usize, error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    };
    let state: String = row.get(3)?;
    let (spec, record): (String, String) = (row.get(13)?, row.get(14)?);
    Ok(Task {
        id: row.get(0)?,
        version: row.get(1)?,
        name: row.get(2)?,
        state: State::named(&state).unwrap_or(State::NeedsYou),
        priority: row.get(4)?,
        position: row.get(5)?,
        token: row.get(6)?,
        owner: row.get(7)?,
        account: row.get(8)?,
        not_before: row.get(9)?,
        added: row.get(10)?,
        started: row.get(11)?,
        ended: row.get(12)?,
        spec: serde_json::from_str(&spec).map_err(|error| json(13, error))?,
        record: serde_json::from_str(&record).map_err(|error| json(14, error))?,
    })
}

fn text(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Other(error.to_string()))
}

impl Store for Sqlite {
    fn add(&mut self, tasks: &[NewTask]) -> Result<Vec<Id>, StoreError> {
        let path = self.path.clone();
        let told = |error| tell(&path, &error);
        let step = self.begin()?;
        let mut ids = Vec::with_capacity(tasks.len());
        for new in tasks {
            let living: Option<Id> = step
                .query_row(
                    "SELECT id FROM task WHERE key = ?1 AND state IN ('queued', 'running', 'needs_you')",
                    [&new.spec.key],
                    |row| row.get(0),
                )
                .optional()
                .map_err(told)?;
            if let Some(id) = living {
                ids.push(id);
                continue;
            }
            step.prepare_cached(
                "INSERT INTO task (name, state, priority, position, token, key, account, \
                 not_before, added, spec, record) VALUES (?1, 'queued', ?2, \
                 (SELECT coalesce(max(position), 0) + 1 FROM task WHERE state = 'queued' AND priority = ?2), \
                 ?3, ?4, ?5, ?6, ?7, ?8, '{}')",
            )
            .and_then(|mut insert| {
                let mut spec = new.spec.clone();
                spec.after_those_of(&ids);
                let spec = serde_json::to_string(&spec)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                insert.execute(params![
                    new.name, new.priority, token(), new.spec.key, new.account, new.not_before,
                    now_ms(), spec
                ])
            })
            .map_err(told)?;
            ids.push(step.last_insert_rowid());
        }
        step.commit().map_err(told)?;
        Ok(ids)
    }

    fn get(&self, id: Id) -> Result<Option<Task>, StoreError> {
        self.connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM task WHERE id = ?1"))
            .and_then(|mut query| query.query_row([id], task).optional())
            .map_err(|error| self.tell(&error))
    }

    fn list(&self, states: &[State], most: Option<u32>) -> Result<Vec<Task>, StoreError> {
        let names: Vec<String> = states.iter().map(|state| format!("'{}'", state.name())).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM task WHERE state IN ({}) \
             ORDER BY priority DESC, position, id LIMIT {}",
            names.join(", "),
            most.map_or(-1, i64::from)
        );
        self.connection
            .prepare_cached(&sql)
            .and_then(|mut query| query.query_map([], task)?.collect())
            .map_err(|error| self.tell(&error))
    }

    fn save(&mut self, task: &mut Task) -> Result<bool, StoreError> {
        let (spec, record) = (text(&task.spec)?, text(&task.record)?);
        let path = self.path.clone();
        let told = |error| tell(&path, &error);
        let step = self.begin()?;
        let changed = step
            .prepare_cached(
                "UPDATE task SET version = version + 1, name = ?3, state = ?4, priority = ?5, \
                 position = ?6, token = ?7, key = ?8, owner = ?9, account = ?10, not_before = ?11, \
                 started = ?12, ended = ?13, spec = ?14, record = ?15 WHERE id = ?1 AND version = ?2",
            )
            .and_then(|mut update| {
                update.execute(params![
                    task.id, task.version, task.name, task.state.name(), task.priority,
                    task.position, task.token, task.spec.key, task.owner, task.account,
                    task.not_before, task.started, task.ended, spec, record
                ])
            })
            .map_err(told)?;
        step.commit().map_err(told)?;
        if changed == 1 {
            task.version += 1;
        }
        Ok(changed == 1)
    }

    fn forget(&mut self, before: i64) -> Result<usize, StoreError> {
        self.connection
            .execute(
                "DELETE FROM task WHERE ended < ?1 AND state IN ('done', 'failed', 'removed') \
                 AND record NOT LIKE '%\"worktree\":\"%'",
                [before],
            )
            .map_err(|error| self.tell(&error))
    }

    fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.connection
            .prepare_cached("SELECT value FROM note WHERE name = ?1")
            .and_then(|mut query| query.query_row([name], |row| row.get(0)).optional())
            .map_err(|error| self.tell(&error))
    }

    fn set_note(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        let done = match value {
            Some(value) => self.connection.execute(
                "INSERT INTO note VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                [name, value],
            ),
            None => self.connection.execute("DELETE FROM note WHERE name = ?1", [name]),
        };
        done.map(drop).map_err(|error| self.tell(&error))
    }

    fn swap_note(
        &mut self,
        name: &str,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<bool, StoreError> {
        let swapped = match (old, new) {
            (None, None) => return Ok(self.note(name)?.is_none()),
            (None, Some(new)) => {
                self.connection.execute("INSERT OR IGNORE INTO note VALUES (?1, ?2)", [name, new])
            }
            (Some(old), None) => self
                .connection
                .execute("DELETE FROM note WHERE name = ?1 AND value = ?2", [name, old]),
            (Some(old), Some(new)) => self.connection.execute(
                "UPDATE note SET value = ?3 WHERE name = ?1 AND value = ?2",
                [name, old, new],
            ),
        };
        swapped.map(|rows| rows == 1).map_err(|error| self.tell(&error))
    }

    fn add_to_note(&mut self, name: &str, more: f64) -> Result<f64, StoreError> {
        self.connection
            .query_row(
                "INSERT INTO note VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE \
                 SET value = CAST(value AS REAL) + ?2 RETURNING CAST(value AS REAL)",
                params![name, more],
                |row| row.get(0),
            )
            .map_err(|error| self.tell(&error))
    }

    fn attend(&mut self, _: &Path) -> Result<(), StoreError> {
        let found: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|error| self.tell(&error))?;
        if found == "ok" {
            Ok(())
        } else {
            Err(StoreError::Damaged(self.path.display().to_string()))
        }
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn is_replaced(&self) -> bool {
        self.file.is_none() || inode(&self.path) != self.file
    }
}
