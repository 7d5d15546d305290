//! Standard input of a headless run: handed to the child while it flows, kept for a rerun.
//! In: our stdin. Out: the same bytes, as often as the prompt is sent. Up to 1 MiB stays in
//! memory, more in a private temporary file. One reader for the whole process, so that no
//! byte is lost between attempts.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout};
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
    kept: Kept,
    spill_path: PathBuf,
    more: Option<mpsc::Receiver<Vec<u8>>>,
    ended: bool,
}

/// Where what has been read lies.
#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    File(File),
    /// It could not be kept (a full disk): it was passed on once, and that is all.
    Lost,
}

impl Tape {
    fn new(spill_path: PathBuf) -> Self {
        Self { kept: Kept::Memory(Vec::new()), spill_path, more: None, ended: false }
    }

    /// Writes all of it to a child: first what is kept, then the rest as it arrives. Ends when
    /// our stdin ended or the child closed its own. What cannot be kept is passed on all the
    /// same: `lost` hears why it cannot be given to another child.
    ///
    /// Cancelling it loses nothing: a chunk is kept before it is passed on.
    pub async fn feed(
        &mut self,
        mut child: ChildStdin,
        mut lost: impl FnMut(&io::Error),
    ) -> io::Result<()> {
        self.replay(&mut child).await?;
        while !self.ended {
            match self.receiver().recv().await {
                Some(chunk) => {
                    if let Err(error) = self.keep(&chunk) {
                        self.kept = Kept::Lost;
                        lost(&error);
                    }
                    child.write_all(&chunk).await?;
                }
                None => self.ended = true,
            }
        }
        child.shutdown().await
    }

    async fn replay(&mut self, child: &mut ChildStdin) -> io::Result<()> {
        match &mut self.kept {
            Kept::Memory(bytes) => child.write_all(bytes).await,
            Kept::File(file) => {
                file.seek(SeekFrom::Start(0))?;
                let mut buffer = vec![0; CHUNK_BYTES];
                loop {
                    let read = file.read(&mut buffer)?;
                    if read == 0 {
                        return Ok(());
                    }
                    child.write_all(&buffer[..read]).await?;
                }
            }
            // Whoever launches asks first; half a prompt is worse than none.
            Kept::Lost => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn keep(&mut self, chunk: &[u8]) -> io::Result<()> {
        if let Kept::Memory(bytes) = &mut self.kept {
            if bytes.len() + chunk.len() <= MEMORY_CAP_BYTES {
                bytes.extend_from_slice(chunk);
                return Ok(());
            }
            let mut file = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&self.spill_path)?;
            // Nameless from now on: it is gone when we are.
            std::fs::remove_file(&self.spill_path)?;
            file.write_all(bytes)?;
            self.kept = Kept::File(file);
        }
        match &mut self.kept {
            Kept::File(file) => {
                file.seek(SeekFrom::End(0))?;
                file.write_all(chunk)
            }
            Kept::Memory(_) | Kept::Lost => Ok(()),
        }
    }

    /// The reader's thread is started when the first child is there to read. It ends with the
    /// process: a blocking read of a silent pipe cannot be called off.
    fn receiver(&mut self) -> &mut mpsc::Receiver<Vec<u8>> {
        self.more.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(4);
            std::thread::spawn(move || {
                let (fd, mut stdin) = (io::stdin(), io::stdin().lock());
                loop {
                    let mut chunk = vec![0; CHUNK_BYTES];
                    match stdin.read(&mut chunk) {
                        Ok(0) => break,
                        Ok(read) => chunk.truncate(read),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        // Whoever shares it with us may have made it so.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            let mut more = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
                            let _ = nix::poll::poll(&mut more, PollTimeout::NONE);
                            continue;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "standard input cannot be read on");
                            break;
                        }
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

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// What a child reads of three megabytes, and how often the loss was told.
    async fn fed(tape: &mut Tape) -> (String, u32) {
        let mut counter = tokio::process::Command::new("cksum")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let pipe = counter.stdin.take().expect("piped");
        let mut told = 0;
        let _ = tape.feed(pipe, |_| told += 1).await;
        let output = counter.wait_with_output().await.expect("it ends");
        (String::from_utf8(output.stdout).expect("text"), told)
    }

    fn tape(spill_path: PathBuf) -> Tape {
        let (sender, receiver) = mpsc::channel(64);
        for part in 0..48 {
            sender.try_send(vec![part; CHUNK_BYTES]).expect("room");
        }
        Tape { more: Some(receiver), ..Tape::new(spill_path) }
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_passed_on_whole_and_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut kept = tape(dir.path().join("stdin"));
        let (whole, told) = fed(&mut kept).await;
        assert!(whole.contains(&(48 * CHUNK_BYTES).to_string()) && told == 0, "{whole}");
        assert_eq!(fed(&mut kept).await, (whole.clone(), 0), "as often as it is asked for");
        // As where the disk is full.
        let mut lost = tape(dir.path().join("missing/stdin"));
        assert_eq!(fed(&mut lost).await, (whole, 1));
        assert!(fed(&mut lost).await.0.contains(" 0"), "never a part of it");
    }
}
