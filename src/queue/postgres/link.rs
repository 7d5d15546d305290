//! The connection to the database, on a thread of its own: the runner is one task on one thread,
//! and its statements are plain calls. In: work for a client. Out: what it brought, within a
//! time. A connection that is lost is made again by the next statement; that it is lost, and
//! what others changed, rings the runner's bell.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{CHANNEL, address, schema};
use crate::queue::{StoreError, bell};

/// A statement that takes longer has no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

type Done<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Work = Box<dyn for<'a> FnOnce(&'a mut Line) -> Done<'a> + Send>;

/// Where statements are handed in.
#[derive(Debug)]
pub(super) struct Link {
    work: UnboundedSender<Work>,
}

/// What the thread holds.
struct Line {
    config: Config,
    client: Option<Client>,
    /// The state directory whose bell is rung.
    bell: Option<PathBuf>,
}

impl Link {
    /// Begins; connects with the first statement.
    pub(super) fn begin(config: Config) -> Result<Self, StoreError> {
        let broken = |error: std::io::Error| StoreError::Other(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(broken)?;
        let (sender, work): (_, UnboundedReceiver<Work>) = unbounded_channel();
        let line = Line { config, client: None, bell: None };
        std::thread::Builder::new()
            .name("queue".to_owned())
            .spawn(move || runtime.block_on(serve(line, work)))
            .map_err(broken)?;
        Ok(Self { work: sender })
    }

    /// From now on, changes of others ring the bell of this state directory.
    pub(super) fn listen(&self, state_dir: PathBuf) -> Result<(), StoreError> {
        self.call_line(async move |line: &mut Line| {
            line.bell = Some(state_dir);
            // The next statement begins to listen.
            line.client = None;
            line.client().await.map(drop)
        })
    }

    /// Has a client do this.
    pub(super) fn call<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call_line(async move |line: &mut Line| {
            let client = line.client().await?;
            work(client).await.map_err(|error| tell(&error))
        })
    }

    fn call_line<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Line) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, answer) = mpsc::sync_channel(1);
        let work = boxed(move |line| {
            Box::pin(async move {
                let brought = tokio::time::timeout(ANSWER_WITHIN, work(&mut *line)).await;
                let brought =
                    brought.unwrap_or_else(|_| Err(StoreError::Lost("no answer".to_owned())));
                if matches!(brought, Err(StoreError::Lost(_))) {
                    line.client = None;
                }
                // Whoever asked may have left.
                let _ = sender.send(brought);
            })
        });
        let ended = || StoreError::Lost("its thread has ended".to_owned());
        self.work.send(work).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?
    }
}

fn boxed(work: impl for<'a> FnOnce(&'a mut Line) -> Done<'a> + Send + 'static) -> Work {
    Box::new(work)
}

async fn serve(mut line: Line, mut work: UnboundedReceiver<Work>) {
    while let Some(work) = work.recv().await {
        work(&mut line).await;
    }
}

impl Line {
    /// The client that lives, or a new one.
    async fn client(&mut self) -> Result<&mut Client, StoreError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = None;
            self.client = Some(connect(&self.config, self.bell.clone()).await?);
        }
        self.client.as_mut().ok_or_else(|| StoreError::Lost("no connection".to_owned()))
    }
}

async fn connect(config: &Config, bell: Option<PathBuf>) -> Result<Client, StoreError> {
    let tls = MakeRustlsConnect::new(address::tls());
    let (mut client, mut connection) = config.connect(tls).await.map_err(|error| tell(&error))?;
    let own = std::sync::Arc::new(std::sync::atomic::AtomicI32::new(0));
    let (heard, ring) = (std::sync::Arc::clone(&own), bell.clone());
    tokio::spawn(async move {
        let ring = |why: &str| {
            tracing::debug!(why, "the database rings");
            if let Some(state_dir) = &ring {
                bell::ring(state_dir);
            }
        };
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(note))) => {
                    if note.process_id() != heard.load(std::sync::atomic::Ordering::Relaxed) {
                        ring("a change");
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, "the connection to the database is lost");
                    return ring("it is lost");
                }
                None => return,
            }
        }
    });
    schema::prepare(&mut client).await?;
    if bell.is_some() {
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
        let row = row.map_err(|error| tell(&error))?;
        own.store(row.get(0), std::sync::atomic::Ordering::Relaxed);
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(|error| tell(&error))?;
    }
    Ok(client)
}

/// What a fault of the database means for the queue.
pub(super) fn tell(error: &Error) -> StoreError {
    let Some(said) = error.as_db_error() else {
        let source = std::error::Error::source(error).map(ToString::to_string);
        return StoreError::Lost(source.unwrap_or_else(|| error.to_string()));
    };
    match said.code() {
        code if *code == SqlState::DISK_FULL => StoreError::Full,
        // It starts, ends, or has no room for one more; a replica takes no changes.
        code if code.code().starts_with("57P")
            || code.code().starts_with("08")
            || *code == SqlState::TOO_MANY_CONNECTIONS
            || *code == SqlState::READ_ONLY_SQL_TRANSACTION =>
        {
            StoreError::Lost(said.message().to_owned())
        }
        _ => StoreError::Other(said.message().to_owned()),
    }
}
