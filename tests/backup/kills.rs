//! SIGKILL at random points of a backup, a cache clear and a restore, while a writer appends:
//! after each, every history file exists whole, in place or in a verified snapshot.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use claude_safe::parts::backup::manifest::Kind;
use claude_safe::parts::backup::prune::{Limits, prune};
use claude_safe::parts::backup::{HeldPath, Snapshot, users};
use claude_safe::parts::fix::clear_cache;

use crate::{Home, transcript};

/// Per operation; three operations make at least 200 kills.
const KILLS: usize = 70;
const CHILD: &str = "CLAUDE_SAFE_TEST_CLEARS_IN";

struct History {
    home: Home,
    whole: BTreeMap<PathBuf, Vec<u8>>,
    grown: AtomicU64,
    stop: AtomicBool,
}

impl History {
    fn new() -> Self {
        let home = Home::new();
        let mut whole = BTreeMap::new();
        for number in 0..24 {
            let name = format!("projects/-work/{number}.jsonl");
            let content = transcript(number, 40_000);
            home.write(&name, &content);
            whole.insert(PathBuf::from(name), content);
        }
        home.write("projects/-live/grows.jsonl", "");
        Self { home, whole, grown: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    fn write_on(&self) {
        let path = self.home.claude().join("projects/-live/grows.jsonl");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        while !self.stop.load(Ordering::Relaxed) {
            let line = b"{\"type\":\"user\",\"message\":\"one more line\"}\n";
            file.write_all(line).unwrap();
            self.grown.fetch_add(line.len() as u64, Ordering::SeqCst);
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Whatever was killed: nothing is lost, nothing is half there, no snapshot lies.
    fn check(&self) {
        let written = self.grown.load(Ordering::SeqCst);
        let grows = self.home.claude().join("projects/-live/grows.jsonl");
        assert!(fs::metadata(grows).unwrap().len() >= written);
        let store = self.home.store();
        let snapshots: Vec<_> = store
            .ids()
            .unwrap()
            .iter()
            .map(|id| Snapshot::open(&store, id).unwrap().verify(&()).unwrap())
            .collect();
        for (name, content) in &self.whole {
            match fs::read(self.home.claude().join(name)) {
                Ok(found) => assert!(found == *content, "{} is not whole", name.display()),
                Err(_) => {
                    let hash = blake3::hash(content).to_hex().to_string();
                    let path = HeldPath::in_claude_dir(name).unwrap();
                    let held = snapshots.iter().any(|snapshot| {
                        let entry = snapshot.manifest().get(&path);
                        entry.is_some_and(
                            |entry| matches!(&entry.kind, Kind::File(held) if held.blake3 == hash),
                        )
                    });
                    assert!(held, "{} is lost", name.display());
                }
            }
        }
    }

    fn tidy(&self) {
        let limits = Limits { keep: 3, max_age: Duration::MAX, max_size: u64::MAX };
        prune(&self.home.store(), &limits, None).unwrap();
    }

    /// Kills the operation at random points of the time it takes; how many were.
    fn kill(&self, prepare: impl Fn(), command: impl Fn() -> Command) -> usize {
        prepare();
        let start = Instant::now();
        let output = command().output().unwrap();
        assert!(output.status.success(), "{}", crate::text(&output));
        let mut within = start.elapsed();
        let (mut killed, mut round) = (0, 0);
        while killed < KILLS {
            round += 1;
            assert!(round < KILLS * 5, "only {killed} of {round} met a living process");
            if round % 8 == 0 {
                self.tidy();
            }
            prepare();
            let mut command = command();
            let start = Instant::now();
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let delay = within.mul_f64(fastrand::f64());
            while start.elapsed() < delay {
                std::thread::yield_now();
            }
            child.kill().unwrap();
            // The span follows the time it really takes, its very end included.
            if child.wait().unwrap().code().is_none() {
                killed += 1;
                within = within.mul_f64(1.03);
            } else {
                within = within.mul_f64(0.9);
            }
            self.check();
        }
        killed
    }
}

#[test]
fn a_kill_at_any_point_loses_no_history() {
    let history = History::new();
    let home = &history.home;
    let names: Vec<_> = history.whole.keys().map(|name| home.claude().join(name)).collect();
    let touch = |count: usize| {
        for (index, name) in names.iter().enumerate().take(count) {
            let content = &history.whole[name.strip_prefix(home.claude()).unwrap()];
            if fs::read(name).ok().as_deref() != Some(content) || index < count / 2 {
                fs::create_dir_all(name.parent().unwrap()).unwrap();
                fs::write(name, content).unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| history.write_on());
        let stop = Stop(&history.stop);
        let mut killed = history.kill(|| touch(names.len()), || home.command(&["create"]));
        killed += history.kill(
            || {
                home.write("cache/changelog.md", transcript(99, 400_000));
            },
            || {
                let mut command = Command::new(std::env::current_exe().unwrap());
                home.dress(&mut command);
                command.args(["--exact", "kills::the_child_that_clears", "--nocapture"]);
                command.env(CHILD, home.path());
                command
            },
        );
        touch(names.len());
        home.backup(&["create", "--verify"]);
        killed += history.kill(
            || {
                for name in &names {
                    if fastrand::bool() {
                        let _ = fs::remove_file(name);
                    }
                }
            },
            || home.command(&["restore", "--project", "/work"]),
        );
        drop(stop);
        // Only those that met a living process count.
        assert!(killed >= 200, "{killed}");
    });
    history.check();
    let leftovers = |dir: PathBuf| {
        let names = fs::read_dir(dir).unwrap().map(|child| child.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().contains("partial-")).count()
    };
    home.backup(&["create"]);
    assert_eq!(leftovers(home.store().dir().to_owned()), 0, "the next run cleans up");
}

/// Ends the writer on every path, a failed assertion too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Not a test of its own: the process that [`a_kill_at_any_point_loses_no_history`] kills.
#[test]
fn the_child_that_clears() {
    let Some(home) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let source = claude_safe::parts::backup::Source::below(&home);
    let store = claude_safe::parts::backup::Store::new(home.join("state/backups"));
    let proof =
        claude_safe::parts::backup::verified_snapshot(&store, &source, "before clear_cache");
    let unused = users::prove_unused(&source.claude_dir, &[]).unwrap();
    let paths = [PathBuf::from("cache")];
    let moved = clear_cache(&source.claude_dir, &paths, &proof.unwrap(), &unused).unwrap();
    assert_eq!(moved.len(), 1);
}
