//! The store in a database: the contract, and what is true of databases.

use claude_safe_testkit::PostgresServer;

use super::contract_tests;
use super::postgres::Postgres;
use super::store::{Store as _, StoreError};

#[test]
fn it_keeps_the_contract_and_refuses_a_newer_schema() {
    let server = PostgresServer::start();
    let open = || Postgres::open(&server.url());
    // All at once: one of them makes the tables.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| open().expect("it opens"));
        }
    });
    contract_tests::holds(&|| open().expect("it opens"));
    server.sql("INSERT INTO claude_safe.schema VALUES (99)");
    let error = open().expect_err("it is newer");
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
}

#[test]
fn a_server_that_is_away_is_said_and_found_again() {
    let mut server = PostgresServer::start();
    let mut store = Postgres::open(&server.url()).expect("it opens");
    store.set_note("x", Some("kept")).expect("it is noted");
    server.crash();
    let error = store.note("x").expect_err("it is away");
    assert!(matches!(error, StoreError::Lost(_)), "{error}");
    let error = store.set_note("x", None).expect_err("it is away");
    assert!(matches!(error, StoreError::Lost(_)), "{error}");
    server.start_again();
    assert_eq!(store.note("x").expect("it is back").as_deref(), Some("kept"));
}
