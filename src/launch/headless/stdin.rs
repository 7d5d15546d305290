//! Standard input of a headless run: handed to the child while it flows, kept for a rerun.
//! In: our stdin. Out: the same bytes, as often as the prompt is sent. Up to 1 MiB stays in
//! memory, more in a private temporary file. One reader for the whole process, so that no
//! byte is lost between attempts.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::{SFlag, fstat};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::sync::mpsc;

/// More than this is kept in a file (bytes).
const MEMORY_CAP_BYTES: usize = 1 << 20;
const CHUNK_BYTES: usize = 64 << 10;

/// What our standard input is.
#[derive(Debug)]
pub enum Stdin {
    /// A terminal, `/dev/null` or closed: the child inherits it.
    Inherited,
    /// A pipe, socket or file: kept as it flows.
    Taped(Tape),
}

impl Stdin {
    /// Looks at descriptor 0; nothing is read yet.
    #[must_use]
    pub fn open(spill_dir: &Path) -> Self {
        let kind = fstat(io::stdin().as_fd())
            .map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT);
        match kind {
            Ok(kind) if [SFlag::S_IFIFO, SFlag::S_IFSOCK, SFlag::S_IFREG].contains(&kind) => {
                Self::Taped(Tape::new(spill_dir.join("stdin")))
            }
            _ => Self::Inherited,
        }
    }
}

/// What has been read so far, and what is still to come.
#[derive(Debug)]
pub struct Tape {
    memory: Vec<u8>,
    spilled: Option<File>,
    spill_path: PathBuf,
    more: Option<mpsc::Receiver<Vec<u8>>>,
    ended: bool,
}

impl Tape {
    fn new(spill_path: PathBuf) -> Self {
        Self { memory: Vec::new(), spilled: None, spill_path, more: None, ended: false }
    }

    /// Writes all of it to a child: first what is kept, then the rest as it arrives. Ends when
    /// our stdin ended or the child closed its own.
    ///
    /// Cancelling it loses nothing: a chunk is kept before it is passed on.
    pub async fn feed(&mut self, mut child: ChildStdin) -> io::Result<()> {
        self.replay(&mut child).await?;
        while !self.ended {
            match self.receiver().recv().await {
                Some(chunk) => {
                    self.keep(&chunk)?;
                    child.write_all(&chunk).await?;
                }
                None => self.ended = true,
            }
        }
        child.shutdown().await
    }

    async fn replay(&mut self, child: &mut ChildStdin) -> io::Result<()> {
        if let Some(file) = &mut self.spilled {
            file.seek(SeekFrom::Start(0))?;
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                child.write_all(&buffer[..read]).await?;
            }
        }
        child.write_all(&self.memory).await
    }

    fn keep(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.spilled.is_none() && self.memory.len() + chunk.len() > MEMORY_CAP_BYTES {
            let mut file = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&self.spill_path)?;
            // Nameless from now on: it is gone when we are.
            std::fs::remove_file(&self.spill_path)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.spilled = Some(file);
        }
        match &mut self.spilled {
            Some(file) => {
                file.seek(SeekFrom::End(0))?;
                file.write_all(chunk)
            }
            None => {
                self.memory.extend_from_slice(chunk);
                Ok(())
            }
        }
    }

    /// The reader's thread is started when the first child is there to read. It ends with the
    /// process: a blocking read of a silent pipe cannot be called off.
    fn receiver(&mut self) -> &mut mpsc::Receiver<Vec<u8>> {
        self.more.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(4);
            std::thread::spawn(move || {
                let mut stdin = io::stdin().lock();
                loop {
                    let mut chunk = vec![0; CHUNK_BYTES];
                    match stdin.read(&mut chunk) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => chunk.truncate(read),
                    }
                    if sender.blocking_send(chunk).is_err() {
                        break;
                    }
                }
            });
            receiver
        })
    }
}
