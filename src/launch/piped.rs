//! Files that are given by pipe (`--mcp-config <(…)`, a FIFO) can be read once, and another
//! attempt reads them again. In: the user's arguments. Out: the same with pipes of ours, which
//! hand on what comes through theirs, as often as it is asked for. Theirs is not opened before
//! Claude opens ours, so that nothing is read, or waited for, that Claude would not have read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::claude::args::{ClaudeArgs, names_stdin};

const CHUNK_BYTES: usize = 64 << 10;

/// The arguments with each pipe replaced by one of ours in `dir`; what is not to be had stays.
#[must_use]
pub fn replace(user: &ClaudeArgs, cwd: &Path, dir: &Path) -> ClaudeArgs {
    let mut count = 0;
    user.with_files(|value| {
        let theirs = cwd.join(value);
        // Standard input is kept where it is handed on.
        if names_stdin(value) || !fs::metadata(&theirs).ok()?.file_type().is_fifo() {
            return None;
        }
        count += 1;
        let ours = dir.join(format!("file-{count}"));
        serve(theirs, &ours)
            .inspect_err(|error| tracing::warn!(%error, "a file given by pipe is not kept"))
            .ok()?;
        Some(ours.into_os_string())
    })
}

fn serve(theirs: PathBuf, ours: &Path) -> io::Result<()> {
    make(ours)?;
    let ours = ours.to_owned();
    // It ends with the process: a pipe that nobody opens is waited at for ever.
    let thread = std::thread::Builder::new().name("piped-file".into());
    thread.spawn(move || serving(&theirs, &ours)).map(drop)
}

fn make(path: &Path) -> io::Result<()> {
    Ok(mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

fn serving(theirs: &Path, ours: &Path) -> io::Result<()> {
    let mut kept: Option<Vec<u8>> = None;
    loop {
        let mut reader = OpenOptions::new().write(true).open(ours)?;
        // The next reader gets a pipe of its own: this one's must come to its end.
        let next = ours.with_extension("next");
        make(&next)?;
        fs::rename(&next, ours)?;
        match &kept {
            // A reader that leaves early has read enough.
            Some(bytes) => drop(reader.write_all(bytes)),
            None => kept = Some(flow(theirs, &mut reader)?),
        }
    }
}

/// Hands all of it on as it comes, and keeps it in memory alone: it may hold secrets.
fn flow(theirs: &Path, reader: &mut File) -> io::Result<Vec<u8>> {
    let (mut theirs, mut kept) = (File::open(theirs)?, Vec::new());
    let (mut buffer, mut reads) = (vec![0; CHUNK_BYTES], true);
    loop {
        let read = theirs.read(&mut buffer)?;
        if read == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&buffer[..read]);
        reads = reads && reader.write_all(&buffer[..read]).is_ok();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn words(args: &ClaudeArgs) -> Vec<String> {
        args.words().iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_pipe_is_handed_on_as_often_as_it_is_read_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (theirs, unread) = (dir.path().join("theirs"), dir.path().join("unread"));
        make(&theirs).expect("made");
        make(&unread).expect("made");
        fs::write(dir.path().join("plain.json"), "{}").expect("written");
        let line =
            ["-p", "--mcp-config", "plain.json", "{}", "theirs", "--system-prompt-file=unread"];
        let line = line.map(OsString::from);
        let user = ClaudeArgs::parse(&line);
        let run = dir.path().join("run");
        fs::create_dir(&run).expect("made");
        let replaced = words(&replace(&user, dir.path(), &run));
        let ours = run.join("file-1");
        let wanted = [
            "-p",
            "--mcp-config",
            "plain.json",
            "{}",
            &ours.to_string_lossy(),
            &format!("--system-prompt-file={}", run.join("file-2").display()),
        ];
        assert_eq!(replaced, wanted);
        let content = "{\"a\":1}".repeat(100_000);
        let writer = std::thread::spawn({
            let (theirs, content) = (theirs.clone(), content.clone());
            move || fs::write(theirs, content)
        });
        for _ in 0..3 {
            assert!(fs::read_to_string(&ours).expect("read") == content);
        }
        writer.join().expect("no panic").expect("written");
    }
}
