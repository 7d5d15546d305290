//! The program's side: our standard input and output. Inherited descriptors are not made
//! non-blocking, since others share them, so each has a thread. In: chunks. Out: the same chunks,
//! a few at a time, so that whoever is slow holds up the other side as a pipe would.

use std::io::{self, Read as _, Write as _};

use tokio::sync::{mpsc, oneshot};

/// Chunks under way in each direction.
const CHUNKS: usize = 4;
const CHUNK_BYTES: usize = 64 << 10;

/// What the program writes.
#[derive(Debug)]
pub struct Program {
    chunks: mpsc::Receiver<Vec<u8>>,
}

impl Program {
    /// Reads standard input from now on.
    #[must_use]
    pub fn listen() -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS);
        // It ends with the process: a read that blocks cannot be called off.
        std::thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                match stdin.read(&mut chunk) {
                    Ok(count @ 1..) => chunk.truncate(count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(0) | Err(_) => break,
                }
                if sender.blocking_send(chunk).is_err() {
                    break;
                }
            }
        });
        Self { chunks }
    }

    /// The next chunk; `None` once the program sends nothing more.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.chunks.recv().await
    }
}

/// What the program reads.
#[derive(Debug)]
pub struct Writer {
    chunks: mpsc::Sender<Vec<u8>>,
    /// Dropped by the thread when it ends.
    ended: oneshot::Receiver<()>,
}

impl Writer {
    /// Writes to standard output from now on.
    #[must_use]
    pub fn start() -> Self {
        let (chunks, mut receiver) = mpsc::channel::<Vec<u8>>(CHUNKS);
        let (alive, ended) = oneshot::channel();
        std::thread::spawn(move || {
            let _alive: oneshot::Sender<()> = alive;
            let mut stdout = io::stdout().lock();
            while let Some(chunk) = receiver.blocking_recv() {
                if stdout.write_all(&chunk).and_then(|()| stdout.flush()).is_err() {
                    break;
                }
            }
        });
        Self { chunks, ended }
    }

    /// Takes all of `bytes` once there is room. `false`: nobody reads any more. Cancelling it
    /// takes nothing.
    pub async fn take(&self, bytes: &mut Vec<u8>) -> bool {
        let Ok(place) = self.chunks.reserve().await else { return false };
        place.send(std::mem::take(bytes));
        true
    }

    /// Writes the rest, and waits until all is written or nobody reads any more.
    pub async fn finish(self, mut rest: Vec<u8>) {
        self.take(&mut rest).await;
        drop(self.chunks);
        let _ = self.ended.await;
    }
}
