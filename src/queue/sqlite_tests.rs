//! The store in a file: the contract, and what is true of files.

use std::fs::OpenOptions;
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
        let opened = Sqlite::open(&path).and_then(|store| store.examine().map(|()| store));
        let error = opened.expect_err("it is damaged");
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        let store = begin_anew(dir.path()).expect("a new one is begun");
        let aside = store.note(SET_ASIDE).expect("it reads").expect("it is noted");
        assert_eq!(std::fs::read(aside).expect("it is kept"), bytes);
    }
}

#[test]
fn what_was_committed_is_there_whatever_write_a_copy_was_taken_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queue.db");
    let mut store = Sqlite::open(&path).expect("it opens");
    for round in 1..=20 {
        store.add(&[new("a"), new("b")]).expect("they are added");
        // As the disk holds it when the power goes: no checkpoint, a log with a torn tail.
        let copy = tempfile::tempdir().expect("a directory");
        for end in ["", "-wal"] {
            let name = format!("queue.db{end}");
            std::fs::copy(dir.path().join(&name), copy.path().join(&name)).expect("copied");
        }
        let mut log =
            OpenOptions::new().append(true).open(copy.path().join("queue.db-wal")).expect("opens");
        std::io::Write::write_all(&mut log, &[0xff; 1000]).expect("written");
        let survivor = Sqlite::open(&copy.path().join("queue.db")).expect("it opens");
        assert_eq!(survivor.list(&[State::Queued], None).expect("it lists").len(), 2 * round);
    }
}

#[test]
fn tasks_of_one_list_may_wait_for_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Sqlite::open(&dir.path().join("queue.db")).expect("it opens");
    let mut second = new("second");
    second.spec.after = vec![-1];
    let ids = store.add(&[new("first"), second]).expect("they are added");
    let task = store.get(ids[1]).expect("it reads").expect("it is there");
    assert_eq!(task.spec.after, [ids[0]]);
}

#[test]
fn many_processes_lose_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("queue.db");
    drop(Sqlite::open(&path).expect("it opens"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut store = Sqlite::open(&path).expect("it opens");
                for _ in 0..25 {
                    store.add(&[new("x")]).expect("it is added");
                    store.add_to_note("sum", 1.0).expect("it adds");
                }
            });
        }
    });
    let store = Sqlite::open(&path).expect("it opens");
    assert_eq!(store.list(&[State::Queued], None).expect("it lists").len(), 100);
    assert_eq!(store.note("sum").expect("it reads").as_deref(), Some("100.0"));
}
