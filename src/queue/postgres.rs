//! The store in a `PostgreSQL`, for the runners of several hosts. In: a URL. Out: a [`Store`]: the
//! same tables as in the file, and the same statements. Two who claim a task at once do not wait
//! for each other (`SKIP LOCKED`); what one changes, the others hear (`NOTIFY`, by a trigger).

mod address;
mod link;
mod schema;

use std::path::Path;

use tokio_postgres::Row;

use super::store::{Store, StoreError};
use super::task::{Id, NewTask, State, Task, now_ms, token};
use link::Link;

/// What changes are told on.
const CHANNEL: &str = "claude_safe";

const COLUMNS: &str = "id, version, name, state, priority, position, token, owner, account, \
                       not_before, added, started, ended, spec, record";

/// The store in a database.
#[derive(Debug)]
pub struct Postgres {
    link: Link,
}

impl Postgres {
    /// Connects, and makes the tables if they are not there.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let link = Link::begin(address::read(url)?)?;
        link.call(async |_| Ok(()))?;
        Ok(Self { link })
    }
}

fn task(row: &Row) -> Result<Task, StoreError> {
    let json = |error: serde_json::Error| StoreError::Other(error.to_string());
    Ok(Task {
        id: row.get(0),
        version: row.get(1),
        name: row.get(2),
        state: State::named(row.get(3)).unwrap_or(State::NeedsYou),
        priority: row.get(4),
        position: row.get(5),
        token: row.get(6),
        owner: row.get(7),
        account: row.get(8),
        not_before: row.get(9),
        added: row.get(10),
        started: row.get(11),
        ended: row.get(12),
        spec: serde_json::from_str(row.get(13)).map_err(json)?,
        record: serde_json::from_str(row.get(14)).map_err(json)?,
    })
}

impl Store for Postgres {
    fn add(&mut self, tasks: &[NewTask]) -> Result<Vec<Id>, StoreError> {
        let tasks = tasks.to_vec();
        self.link.call(async move |client| {
            let step = client.transaction().await?;
            let insert = step
                .prepare(
                    "INSERT INTO claude_safe.task (name, state, priority, position, token, key, \
                     account, not_before, added, spec, record) VALUES ($1, 'queued', $2, \
                     (SELECT coalesce(max(position), 0) + 1 FROM claude_safe.task \
                      WHERE state = 'queued' AND priority = $2), \
                     $3, $4, $5, $6, $7, $8, '{}') \
                     ON CONFLICT (key) WHERE key IS NOT NULL \
                         AND state IN ('queued', 'running', 'needs_you') \
                     DO UPDATE SET key = task.key RETURNING id",
                )
                .await?;
            let mut ids: Vec<Id> = Vec::with_capacity(tasks.len());
            for mut new in tasks {
                new.spec.after_those_of(&ids);
                let spec = serde_json::to_string(&new.spec).unwrap_or_default();
                let row = step
                    .query_one(
                        &insert,
                        &[
                            &new.name,
                            &new.priority,
                            &token(),
                            &new.spec.key,
                            &new.account,
                            &new.not_before,
                            &now_ms(),
                            &spec,
                        ],
                    )
                    .await?;
                ids.push(row.get(0));
            }
            step.commit().await?;
            Ok(ids)
        })
    }

    fn get(&self, id: Id) -> Result<Option<Task>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM claude_safe.task WHERE id = $1");
        let row = self.link.call(async move |client| client.query_opt(&sql, &[&id]).await)?;
        row.as_ref().map(task).transpose()
    }

    fn list(&self, states: &[State], most: Option<u32>) -> Result<Vec<Task>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM claude_safe.task WHERE state = ANY($1) \
             ORDER BY priority DESC, position, id LIMIT $2"
        );
        let states: Vec<&str> = states.iter().map(|state| state.name()).collect();
        let most = most.map(i64::from);
        let rows =
            self.link.call(async move |client| client.query(&sql, &[&states, &most]).await)?;
        rows.iter().map(task).collect()
    }

    fn save(&mut self, task: &mut Task) -> Result<bool, StoreError> {
        let json = |error: serde_json::Error| StoreError::Other(error.to_string());
        let spec = serde_json::to_string(&task.spec).map_err(json)?;
        let record = serde_json::to_string(&task.record).map_err(json)?;
        let new = task.clone();
        let changed = self.link.call(async move |client| {
            let sql = "UPDATE claude_safe.task SET version = version + 1, name = $3, state = $4, \
                       priority = $5, position = $6, token = $7, key = $8, owner = $9, \
                       account = $10, not_before = $11, started = $12, ended = $13, spec = $14, \
                       record = $15 WHERE id = (SELECT id FROM claude_safe.task \
                       WHERE id = $1 AND version = $2 FOR UPDATE SKIP LOCKED)";
            client
                .execute(
                    sql,
                    &[
                        &new.id,
                        &new.version,
                        &new.name,
                        &new.state.name(),
                        &new.priority,
                        &new.position,
                        &new.token,
                        &new.spec.key,
                        &new.owner,
                        &new.account,
                        &new.not_before,
                        &new.started,
                        &new.ended,
                        &spec,
                        &record,
                    ],
                )
                .await
        })?;
        if changed == 1 {
            task.version += 1;
        }
        Ok(changed == 1)
    }

    fn forget(&mut self, before: i64) -> Result<usize, StoreError> {
        let forgotten = self.link.call(async move |client| {
            let sql = "DELETE FROM claude_safe.task WHERE ended < $1 \
                       AND state IN ('done', 'failed', 'removed') \
                       AND record NOT LIKE '%\"worktree\":\"%'";
            client.execute(sql, &[&before]).await
        })?;
        Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
    }

    fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        let row = self.link.call(async move |client| {
            client.query_opt("SELECT value FROM claude_safe.note WHERE name = $1", &[&name]).await
        })?;
        Ok(row.map(|row| row.get(0)))
    }

    fn set_note(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.map(str::to_owned));
        self.link.call(async move |client| {
            match value {
                Some(value) => {
                    let sql = "INSERT INTO claude_safe.note VALUES ($1, $2) \
                               ON CONFLICT (name) DO UPDATE SET value = $2";
                    client.execute(sql, &[&name, &value]).await
                }
                None => {
                    client.execute("DELETE FROM claude_safe.note WHERE name = $1", &[&name]).await
                }
            }
            .map(drop)
        })
    }

    fn swap_note(
        &mut self,
        name: &str,
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let (old, new) = (old.map(str::to_owned), new.map(str::to_owned));
        let rows = self.link.call(async move |client| match (&old, &new) {
            (None, None) => {
                let sql = "SELECT 1 FROM claude_safe.note WHERE name = $1";
                client.query(sql, &[&name]).await.map(|rows| u64::from(rows.is_empty()))
            }
            (None, Some(new)) => {
                let sql = "INSERT INTO claude_safe.note VALUES ($1, $2) ON CONFLICT DO NOTHING";
                client.execute(sql, &[&name, new]).await
            }
            (Some(old), None) => {
                let sql = "DELETE FROM claude_safe.note WHERE name = $1 AND value = $2";
                client.execute(sql, &[&name, old]).await
            }
            (Some(old), Some(new)) => {
                let sql = "UPDATE claude_safe.note SET value = $3 WHERE name = $1 AND value = $2";
                client.execute(sql, &[&name, old, new]).await
            }
        })?;
        Ok(rows == 1)
    }

    fn add_to_note(&mut self, name: &str, more: f64) -> Result<f64, StoreError> {
        let name = name.to_owned();
        let row = self.link.call(async move |client| {
            let sql = "INSERT INTO claude_safe.note VALUES ($1, $2::float8::text) \
                       ON CONFLICT (name) DO UPDATE \
                       SET value = (note.value::float8 + $2::float8)::text \
                       RETURNING value::float8";
            client.query_one(sql, &[&name, &more]).await
        })?;
        Ok(row.get(0))
    }

    fn attend(&mut self, state_dir: &Path) -> Result<(), StoreError> {
        self.link.listen(state_dir.to_owned())
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn is_replaced(&self) -> bool {
        false
    }
}
