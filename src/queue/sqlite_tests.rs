//! The store in a file: the contract, and what is true of files.

use std::os::unix::fs::PermissionsExt as _;

use rusqlite::Connection;

use super::task::{NewTask, Spec, State};
use super::{SET_ASIDE, Sqlite, Store as _, StoreError, begin_anew, contract_tests};

fn new(prompt: &str) -> NewTask {
    NewTask {
        name: "x".into(),
        priority: 0,
        account: "a".into(),
        not_before: None,
        spec: Spec { prompt: prompt.into(), ..Spec::default() },
    }
}

#[test]
fn it_keeps_the_contract() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queue.db");
    contract_tests::holds(&|| Sqlite::open(&path).expect("it opens"));
}

#[test]
fn its_files_are_its_owners_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Sqlite::open(&dir.path().join("queue.db")).expect("it opens");
    store.add(&[new("x")]).expect("it is added");
    let files: Vec<_> = std::fs::read_dir(dir.path()).expect("readable").flatten().collect();
    assert!(files.len() >= 2, "the log is there too: {files:?}");
    for file in files {
        let mode = file.metadata().expect("readable").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file:?}");
    }
}

#[test]
fn a_newer_file_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queue.db");
    let newer = Connection::open(&path).expect("it opens");
    newer
        .execute_batch("PRAGMA user_version = 99; CREATE TABLE task (later TEXT);")
        .expect("it writes");
    drop(newer);
    let before = std::fs::read(&path).expect("readable");
    let error = Sqlite::open(&path).expect_err("it is newer");
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert_eq!(std::fs::read(&path).expect("readable"), before);
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
}

#[test]
fn a_damaged_file_is_set_aside_and_said_and_never_taken_for_an_empty_queue() {
    let pages = |bytes: &mut Vec<u8>| bytes[100..].fill(0xa5);
    let head = |bytes: &mut Vec<u8>| bytes[..64].fill(0);
    let short = |bytes: &mut Vec<u8>| bytes.truncate(5000);
    let text =
        |bytes: &mut Vec<u8>| *bytes = b"this was a database once, and is none any more".to_vec();
    let damages: [fn(&mut Vec<u8>); 4] = [pages, head, short, text];
    for damage in damages {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("queue.db");
        let mut store = Sqlite::open(&path).expect("it opens");
        for _ in 0..50 {
            store.add(&[new("something")]).expect("it is added");
        }
        drop(store);
        let mut bytes = std::fs::read(&path).expect("readable");
        damage(&mut bytes);
        std::fs::write(&path, &bytes).expect("written");
        let opened =
            Sqlite::open(&path).and_then(|mut store| store.attend(dir.path()).map(|()| store));
        let error = opened.expect_err("it is damaged");
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        let store = begin_anew(dir.path()).expect("a new one is begun");
        let aside = store.note(SET_ASIDE).expect("it reads").expect("it is noted");
        assert_eq!(std::fs::read(aside).expect("it is kept"), bytes);
    }
}

/// A page of the file (bytes).
const PAGE: usize = 4096;

/// How many tasks wait in a store of these bytes.
fn reopened(file: &[u8], log: &[u8]) -> Result<usize, StoreError> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queue.db");
    std::fs::write(&path, file).expect("written");
    std::fs::write(dir.path().join("queue.db-wal"), log).expect("written");
    let mut store = Sqlite::open(&path)?;
    store.attend(dir.path())?;
    Ok(store.list(&[State::Queued], None)?.len())
}

#[test]
fn wherever_the_power_goes_all_that_was_committed_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queue.db");
    let read = |end: &str| std::fs::read(dir.path().join(format!("queue.db{end}")));
    let mut store = Sqlite::open(&path).expect("it opens");
    // How long the log was when so many tasks were said to be queued.
    let mut committed = vec![(read("-wal").expect("readable").len(), 0)];
    for round in 1..=12 {
        store.add(&[new("a"), new(&"b".repeat(3000))]).expect("they are added");
        committed.push((read("-wal").expect("readable").len(), 2 * round));
    }
    let (file, log) = (read("").expect("readable"), read("-wal").expect("readable"));
    // The log ends anywhere, and what follows was never written, or is old and torn.
    for end in (0..log.len()).step_by(4099).chain([log.len()]) {
        let synced = committed.iter().filter(|(length, _)| *length <= end);
        let least = synced.map(|(_, tasks)| *tasks).max().unwrap_or(0);
        for rest in [&[][..], &[0xff; 5000]] {
            let kept = reopened(&file, &[&log[..end], rest].concat());
            let kept = kept.unwrap_or_else(|error| panic!("{end} of {}: {error}", log.len()));
            // A commit that nobody was told of may be there too, whole.
            assert!(kept >= least && kept.is_multiple_of(2), "{end}: {kept}, {least}");
        }
    }
    // The log is being written into the file, and any of its pages are there.
    drop(store);
    let checkpointed = read("").expect("readable");
    assert!(checkpointed.len() > file.len(), "it was");
    for _ in 0..20 {
        let mut half = file.clone();
        half.resize(checkpointed.len(), 0);
        for (old, new) in half.chunks_mut(PAGE).zip(checkpointed.chunks(PAGE)) {
            if fastrand::bool() {
                old.copy_from_slice(new);
            }
        }
        assert_eq!(reopened(&half, &log).expect("it opens"), 24);
    }
}
