//! The tables of the database. In: a connection. Out: tables of the newest schema known here; a
//! newer one is refused and left as it is.

use tokio_postgres::Client;

use super::CHANNEL;
use super::link::tell;
use crate::queue::StoreError;

/// Each step leads from one schema to the next; `claude_safe.schema` counts them.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE claude_safe.task (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        version BIGINT NOT NULL DEFAULT 1,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        priority BIGINT NOT NULL,
        position DOUBLE PRECISION NOT NULL,
        token TEXT NOT NULL,
        key TEXT,
        owner TEXT,
        account TEXT NOT NULL,
        not_before BIGINT,
        added BIGINT NOT NULL,
        started BIGINT,
        ended BIGINT,
        spec TEXT NOT NULL,
        record TEXT NOT NULL
    );
    CREATE INDEX task_order ON claude_safe.task (state, priority DESC, position);
    CREATE UNIQUE INDEX task_key ON claude_safe.task (key)
        WHERE key IS NOT NULL AND state IN ('queued', 'running', 'needs_you');
    CREATE TABLE claude_safe.note (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE FUNCTION claude_safe.ring() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('CHANNEL', ''); RETURN NULL; END $$;
    CREATE TRIGGER ring AFTER INSERT OR UPDATE ON claude_safe.task
        FOR EACH STATEMENT EXECUTE FUNCTION claude_safe.ring();
    CREATE TRIGGER ring AFTER INSERT OR UPDATE OR DELETE ON claude_safe.note
        FOR EACH STATEMENT EXECUTE FUNCTION claude_safe.ring();
"];

/// Holds back others who prepare at the same time; any number that is ours.
const LOCK: i64 = 0x636c_6175_6465;

const VERSION: &str = "SELECT max(version) FROM claude_safe.schema";

/// Makes the tables, or brings them up to date.
pub(super) async fn prepare(client: &mut Client) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found(client).await? == known {
        return Ok(());
    }
    let told = |error: tokio_postgres::Error| tell(&error);
    // Before the transaction: what it knows of tables is as old as its begin. Lost with the
    // connection if a step fails.
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(told)?;
    let step = client.transaction().await.map_err(told)?;
    // Another may have been first.
    let found = found(step.client()).await?;
    if found > known {
        let place = "the queue's database".to_owned();
        return Err(StoreError::Newer { place, found, known });
    }
    if found == 0 {
        let begin = "DO $$ BEGIN IF to_regnamespace('claude_safe') IS NULL THEN
                         CREATE SCHEMA claude_safe; END IF; END $$;
                     CREATE TABLE claude_safe.schema (version BIGINT NOT NULL)";
        step.batch_execute(begin).await.map_err(told)?;
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        step.batch_execute(&migration.replace("CHANNEL", CHANNEL)).await.map_err(told)?;
    }
    step.execute("INSERT INTO claude_safe.schema VALUES ($1)", &[&known]).await.map_err(told)?;
    step.commit().await.map_err(told)?;
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.map(drop).map_err(told)
}

/// The schema that is there; 0 without one.
async fn found(client: &Client) -> Result<i64, StoreError> {
    let told = |error: tokio_postgres::Error| tell(&error);
    let there = "SELECT to_regclass('claude_safe.schema') IS NOT NULL";
    let there: bool = client.query_one(there, &[]).await.map_err(told)?.get(0);
    if !there {
        return Ok(0);
    }
    let row = client.query_one(VERSION, &[]).await.map_err(told)?;
    Ok(row.get::<_, Option<i64>>(0).unwrap_or(0))
}
