//! The journal: what every run did, as append-only JSON lines in the state directory.
//! In: events of a run. Out: lines that `status`, `report`, `log` and `explain` read.
//! Never holds a prompt, an argument's value, a token or a key; a journal that cannot be
//! written never stops a run.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::exit;
use crate::failure::{ExitReason, Failure};
use crate::rung::Rung;
use crate::service::{Health, LockName, locks};

/// A journal larger than this is moved to `journal.1.jsonl` at the next run's start (bytes).
const ROTATE_AT_BYTES: u64 = 8 << 20;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Which run (8 hexadecimal digits).
    pub run: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// How a run is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In a pseudo-terminal.
    Terminal,
    /// `-p`, or without a terminal.
    Headless,
    /// Talked to by a program, line by line.
    Program,
}

/// What a run came to, beyond its exit code. A program that may be asked again reads it here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Claude ended well.
    Done,
    /// It failed, and neither time nor a person was found to cure it.
    Failed,
    /// It may be gone on with.
    Later {
        /// Not before this, if that is known.
        not_before: Option<Timestamp>,
    },
    /// Only a person can go on.
    Person {
        /// What they have to do or look at.
        why: String,
    },
}

impl Outcome {
    /// What an exit code alone tells.
    #[must_use]
    pub fn of(code: i32) -> Self {
        const TRY_LATER: i32 = exit::TRY_LATER as i32;
        match code {
            0 => Self::Done,
            // A signal cut it off; its conversation stays.
            TRY_LATER | 129..=143 => Self::Later { not_before: None },
            _ => Self::Failed,
        }
    }
}

/// What a run can do. Closed: a new event must be given a meaning everywhere it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run began.
    RunStarted {
        /// Our process.
        pid: i32,
        /// Its working directory.
        cwd: PathBuf,
        /// Terminal or headless.
        mode: Mode,
        /// Claude's version, if it was learned.
        claude_version: Option<String>,
        /// The job's name, with `run --job`.
        job: Option<String>,
    },
    /// A child was started.
    AttemptStarted {
        /// Counts from 1.
        attempt: u32,
        /// The child's process.
        pid: i32,
        /// Whether it resumes a session.
        resumed: bool,
    },
    /// Claude named its session.
    Session {
        /// The session's id.
        id: String,
    },
    /// A failure was recognised.
    Failed {
        /// With its evidence.
        failure: Failure,
        /// What was known of the service.
        health: Health,
    },
    /// What was decided about it.
    Decided {
        /// `act`, `wait_for_person`, `stand_aside` or `give_up`.
        decision: String,
        /// The rung, for `act`.
        rung: Option<Rung>,
        /// The wait before it (milliseconds).
        after_ms: Option<u64>,
        /// Why, for people.
        why: String,
    },
    /// A wait ended: `timer`, `probe`, `turn`, `enter`, `user`, `signal`, `credentials`.
    WaitEnded {
        /// What ended it.
        by: String,
        /// How long it took (milliseconds).
        waited_ms: u64,
    },
    /// A message was typed into the living terminal UI; `taken` tells whether Claude accepted it.
    Asked {
        /// Claude began a turn with it.
        taken: bool,
    },
    /// A fix ended.
    Fixed {
        /// Which.
        rung: Rung,
        /// What it did, or why it failed.
        outcome: Result<String, String>,
    },
    /// A person refused a fix: `no`, `silence` (nobody answered), `typing` (at a living Claude).
    Declined {
        /// Which.
        rung: Rung,
        /// What their refusal was.
        by: String,
    },
    /// A turn ended in which Claude itself had repeated failed requests.
    Retried {
        /// How many.
        requests: u32,
        /// How long it waited before them, in all (milliseconds).
        waited_ms: u64,
        /// The last one's HTTP status, if there was an answer.
        status: Option<u16>,
    },
    /// A turn succeeded after a failure.
    Recovered {
        /// From the first failure of the streak to the success (milliseconds).
        after_ms: u64,
    },
    /// Probes sent since the last such line.
    Probed {
        /// What is known now.
        health: Health,
        /// How many requests were sent (0 in journals of older versions).
        #[serde(default)]
        looks: u32,
    },
    /// The run ended.
    RunEnded {
        /// Our exit code.
        code: i32,
        /// How the last child ended.
        child: Option<ExitReason>,
        /// What it came to (not in journals of older versions).
        #[serde(default)]
        outcome: Option<Outcome>,
    },
}

/// Appends the events of one run.
#[derive(Debug)]
pub struct Journal {
    run: String,
    file: Option<File>,
    path: PathBuf,
}

impl Journal {
    /// Where the journal lies below the state directory.
    #[must_use]
    pub fn path(state_dir: &Path) -> PathBuf {
        state_dir.join("journal.jsonl")
    }

    /// Opens the journal for a new run; on any fault the run goes on without one.
    #[must_use]
    pub fn open(state_dir: &Path, run: &str) -> Self {
        let path = Self::path(state_dir);
        let open = || -> io::Result<File> {
            crate::paths::private_dir(state_dir)?;
            if let Err(error) = rotate(state_dir, &path) {
                tracing::warn!(%error, "the journal grows on");
            }
            let mut file = append_to(&path)?;
            if is_torn(&path) {
                // A full disk cut the last line; ours must not become its end.
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        let file = open().inspect_err(|error| tracing::warn!(%error, "no journal")).ok();
        Self { run: run.to_owned(), file, path }
    }

    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Appends one event. The line is written in a single call, so that runs do not interleave.
    pub fn record(&mut self, event: Event) {
        tracing::info!(?event, "journal");
        self.follow();
        let Some(file) = &mut self.file else { return };
        let entry = Entry { at: Timestamp::now(), run: self.run.clone(), event };
        let Ok(mut line) = serde_json::to_vec(&entry) else { return };
        line.push(b'\n');
        if let Err(error) = file.write_all(&line) {
            tracing::warn!(%error, "journal not written");
            self.file = None;
        }
    }

    /// Goes on in the new journal when another run has moved this one aside: what is moved
    /// aside is dropped by the next move.
    fn follow(&mut self) {
        let Some(file) = &self.file else { return };
        let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let named = std::fs::metadata(&self.path).map(id).ok();
        if named != file.metadata().map(id).ok()
            && let Ok(new) = append_to(&self.path)
        {
            self.file = Some(new);
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Moves a journal that has grown too long aside: once, however many runs start at this moment,
/// since a second move would drop what the first has kept.
fn rotate(state_dir: &Path, path: &Path) -> io::Result<()> {
    let is_long = || std::fs::metadata(path).is_ok_and(|meta| meta.len() > ROTATE_AT_BYTES);
    if !is_long() {
        return Ok(());
    }
    let Some(_lock) = locks::try_lock(state_dir, LockName::Journal)? else { return Ok(()) };
    // Another may have done it before we had the lock.
    if is_long() { std::fs::rename(path, state_dir.join("journal.1.jsonl")) } else { Ok(()) }
}

fn is_torn(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

/// Reads all entries, oldest first. Lines that are torn or unknown are passed over.
#[must_use]
pub fn read(state_dir: &Path) -> Vec<Entry> {
    ["journal.1.jsonl", "journal.jsonl"]
        .iter()
        .filter_map(|name| File::open(state_dir.join(name)).ok())
        .flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok))
        .filter_map(|line| serde_json::from_slice(&line).ok())
        .collect()
}

/// The entries of a job's runs, oldest first. Only their lines are taken apart: a journal may be
/// long, and this is asked at each end of a task.
#[must_use]
pub fn of_job(state_dir: &Path, job: &str) -> Vec<Entry> {
    let named = format!("\"job\":{}", serde_json::Value::from(job));
    let mut runs: Vec<String> = Vec::new();
    let mut entries = Vec::new();
    for name in ["journal.1.jsonl", "journal.jsonl"] {
        let text = std::fs::read(state_dir.join(name)).unwrap_or_default();
        for line in String::from_utf8_lossy(&text).lines() {
            let ours = line.contains(&named) || runs.iter().any(|run| line.contains(run.as_str()));
            let Some(entry) = ours.then(|| serde_json::from_str::<Entry>(line).ok()).flatten()
            else {
                continue;
            };
            match &entry.event {
                Event::RunStarted { job: Some(of), .. } if of == job => {
                    runs.push(entry.run.clone());
                }
                _ if runs.contains(&entry.run) => {}
                _ => continue,
            }
            entries.push(entry);
        }
    }
    entries
}

#[cfg(test)]
mod tests;
