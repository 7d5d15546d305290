//! What the runs of a user tell each other about turns: one has worked, one is being tried. In: a
//! directory of three empty files per service and model, with kernel locks on them. Out: the end
//! of a wait, leave to try. Nothing is written on a good day, and a process that dies leaves
//! nothing behind but its files' times; where they cannot be had, each run goes by itself.
//!
//! A turn that works is the best proof there is that the service is back: better than a probe,
//! which sees the edge alone, and it costs nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

/// How often a waiting run looks whether a turn has worked, with jitter.
const LOOK_EVERY_MS: std::ops::Range<u64> = 700..1200;

/// After a try of one run that failed, the others wait this long with theirs: together they ask
/// about as often as one would.
const SPACING: Duration = Duration::from_secs(20);

/// A try that has not ended by then is not waited for any longer: a turn may work for hours.
const LONGEST_TRY: Duration = Duration::from_secs(240);

/// The turns of all runs with one service and model.
#[derive(Debug)]
pub struct Turns {
    dir: PathBuf,
    service: String,
    model: String,
    /// This run.
    run: String,
}

/// While this lives, others know that somebody waits for a turn to work.
#[derive(Debug)]
pub struct Waits {
    _file: Option<File>,
}

/// Leave to try.
#[derive(Debug)]
pub struct Try {
    file: Option<File>,
    run: String,
}

impl Turns {
    /// Those of this service and model; `run` is this run's id.
    #[must_use]
    pub fn new(state_dir: &Path, service: &str, model: &str, run: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let plain = |text: &str| text.chars().map(plain).take(80).collect();
        let (dir, run) = (state_dir.join("turns"), run.to_owned());
        Self { dir, service: plain(service), model: plain(model), run }
    }

    /// The same service's, of another model.
    #[must_use]
    pub fn of_model(&self, model: &str, run: &str) -> Self {
        let state_dir = self.dir.parent().unwrap_or(&self.dir);
        Self::new(state_dir, &self.service, model, run)
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{} {}{ending}", self.service, self.model))
    }

    fn open(&self, ending: &str) -> io::Result<File> {
        crate::paths::private_dir(&self.dir)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(self.path(ending))
    }

    /// This run waits, as long as the value lives.
    #[must_use]
    pub fn wait(&self) -> Waits {
        let file = self.open(".waiting").and_then(|file| file.lock_shared().map(|()| file));
        Waits { _file: file.ok() }
    }

    /// A turn of this run worked: tells those that wait, if there are any.
    pub fn worked(&self) {
        // Nobody ever waited, or somebody does.
        let Ok(waiting) = File::open(self.path(".waiting")) else { return };
        if matches!(waiting.try_lock(), Err(TryLockError::WouldBlock)) {
            let now = SystemTime::now();
            let told = self.open(".worked").and_then(|file| file.set_modified(now));
            if let Err(error) = told {
                tracing::debug!(%error, "others are not told that a turn worked");
            }
        }
    }

    fn last_worked(&self) -> Option<SystemTime> {
        self.modified(".worked")
    }

    fn last_failed(&self) -> Option<SystemTime> {
        self.modified(".trying")
    }

    fn modified(&self, ending: &str) -> Option<SystemTime> {
        std::fs::metadata(self.path(ending)).and_then(|meta| meta.modified()).ok()
    }

    /// Waits until a turn works in any run, from now on.
    pub async fn until_worked(&self) {
        let before = self.last_worked();
        while self.last_worked() == before {
            sleep(Duration::from_millis(fastrand::u64(LOOK_EVERY_MS))).await;
        }
    }

    /// Takes the one try there is at a time, if nobody has it: `None` while somebody has.
    #[must_use]
    pub fn take_try(&self) -> Option<Try> {
        let run = self.run.clone();
        let Ok(file) = self.open(".trying") else { return Some(Try { file: None, run }) };
        match file.try_lock() {
            Ok(()) => Some(Try { file: Some(file), run }),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(_)) => Some(Try { file: None, run }),
        }
    }

    /// Waits for leave to try: until no other run tries, and none has just failed; or until a
    /// turn works, when all may go.
    pub async fn leave_to_try(&self) -> Option<Try> {
        let before = self.last_worked();
        let (mut began, mut failed_at) = (Instant::now(), self.last_failed());
        while self.last_worked() == before && began.elapsed() < LONGEST_TRY {
            if let Some(mine) = self.take_try().filter(|_| !self.just_failed()) {
                return Some(mine);
            }
            // Another has failed meanwhile, so that the try under way is a new one.
            let failed = self.last_failed();
            if failed != failed_at {
                (began, failed_at) = (Instant::now(), failed);
            }
            sleep(Duration::from_millis(fastrand::u64(LOOK_EVERY_MS))).await;
        }
        None
    }

    /// Whether another run's try has failed within the spacing.
    fn just_failed(&self) -> bool {
        // A clock that was set back holds nobody up.
        let passed = self.last_failed().and_then(|at| at.elapsed().ok());
        let recent = passed.is_some_and(|passed| passed < SPACING);
        let by = std::fs::read_to_string(self.path(".trying")).unwrap_or_default();
        recent && !by.is_empty() && by != self.run
    }
}

impl Try {
    /// The try failed on the service: the others wait a while with theirs.
    pub fn failed(self) {
        use std::os::unix::fs::FileExt as _;
        let Some(file) = &self.file else { return };
        let written = file.set_len(0).and_then(|()| file.write_all_at(self.run.as_bytes(), 0));
        if let Err(error) = written {
            tracing::debug!(%error, "others are not told that a try failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(dir: &Path, run: &str) -> Turns {
        Turns::new(dir, "api.example", "opus[1m]", run)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_turn_that_works_wakes_all_that_wait_within_two_seconds() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let local = tokio::task::LocalSet::new();
        let woken: Vec<_> = (0..20)
            .map(|run| {
                let turns = turns(dir.path(), &run.to_string());
                local.spawn_local(async move {
                    let _waits = turns.wait();
                    turns.until_worked().await;
                    Instant::now()
                })
            })
            .collect();
        local
            .run_until(async {
                sleep(Duration::from_secs(600)).await;
                turns(dir.path(), "other").worked();
                let worked = Instant::now();
                for run in woken {
                    let after = run.await.expect("the run ends") - worked;
                    assert!(after <= Duration::from_secs(2), "{after:?}");
                }
            })
            .await;
    }

    #[test]
    fn nothing_is_written_while_nobody_waits_and_other_models_are_not_told() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let one = turns(dir.path(), "1");
        one.worked();
        assert!(!dir.path().join("turns").exists());
        let waits = one.wait();
        let haiku = Turns::new(dir.path(), "api.example", "haiku", "2");
        haiku.worked();
        assert_eq!((one.last_worked(), haiku.last_worked()), (None, None));
        drop(waits);
        one.worked();
        assert_eq!(one.last_worked(), None);
        let _waits = one.wait();
        turns(dir.path(), "3").worked();
        assert!(one.last_worked().is_some());
    }

    #[test]
    fn one_run_tries_at_a_time_and_its_failure_holds_the_others_back_but_not_itself() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (one, other) = (turns(dir.path(), "1"), turns(dir.path(), "2"));
        let first = one.take_try().expect("free");
        assert!(other.take_try().is_none());
        drop(first);
        assert!(!other.just_failed(), "it did not fail");
        one.take_try().expect("free").failed();
        assert!(other.just_failed() && !one.just_failed());
        let long_ago = SystemTime::now() - 2 * SPACING;
        let file = one.open(".trying").expect("there");
        file.set_modified(long_ago).expect("ours");
        assert!(!other.just_failed());
    }

    #[tokio::test]
    async fn without_a_state_directory_each_run_goes_by_itself() {
        let turns = turns(Path::new("/dev/null/nowhere"), "1");
        let _waits = turns.wait();
        turns.worked();
        turns.leave_to_try().await.expect("nobody is in the way").failed();
    }
}
