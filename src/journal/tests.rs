use super::*;

#[test]
fn what_is_recorded_is_read_back_and_torn_lines_are_passed_over() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut journal = Journal::open(dir.path(), "0badcafe");
    journal.record(Event::Asked { taken: true });
    std::fs::OpenOptions::new()
        .append(true)
        .open(Journal::path(dir.path()))
        .and_then(|mut file| file.write_all(b"{\"at\":\n"))
        .expect("the journal is writable");
    journal.record(Event::Session { id: "s".into() });
    // A full disk tears a line, in the middle of a character; the next run's is whole.
    std::fs::OpenOptions::new()
        .append(true)
        .open(Journal::path(dir.path()))
        .and_then(|mut file| file.write_all(b"{\"at\":\"\xc3"))
        .expect("the journal is writable");
    Journal::open(dir.path(), "1badcafe").record(Event::Session { id: "t".into() });
    let events: Vec<Event> = read(dir.path()).into_iter().map(|entry| entry.event).collect();
    let session = |id: &str| Event::Session { id: id.into() };
    assert_eq!(events, [Event::Asked { taken: true }, session("s"), session("t")]);
}

#[test]
fn runs_that_start_at_once_move_a_long_journal_aside_once_and_no_line_is_lost() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = Journal::path(dir.path());
        let mut old = Journal::open(dir.path(), "old");
        old.record(Event::Session { id: "before".into() });
        let filler = [vec![b'-'; ROTATE_AT_BYTES as usize], b"\n".to_vec()].concat();
        append_to(&path).and_then(|mut file| file.write_all(&filler)).expect("written");
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for run in 0..8 {
                let (dir, start) = (dir.path(), &start);
                scope.spawn(move || {
                    start.wait();
                    let mut journal = Journal::open(dir, &run.to_string());
                    journal.record(Event::Session { id: run.to_string() });
                });
            }
        });
        old.record(Event::Session { id: "after".into() });
        let mut runs: Vec<String> = read(dir.path()).into_iter().map(|e| e.run).collect();
        runs.sort();
        assert_eq!(runs, ["0", "1", "2", "3", "4", "5", "6", "7", "old", "old"]);
        let newest = std::fs::read_to_string(&path).expect("there");
        assert!(newest.contains("after"), "a living run goes on in the new one");
    }
}

#[test]
fn the_runs_of_a_job_are_found_among_those_of_others() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (run, job) in [("aaaaaaaa", Some("q1-x")), ("bbbbbbbb", None), ("cccccccc", Some("q1-xy"))]
    {
        let mut journal = Journal::open(dir.path(), run);
        journal.record(Event::RunStarted {
            pid: 1,
            cwd: "/aaaaaaaa".into(),
            mode: Mode::Headless,
            claude_version: None,
            job: job.map(str::to_owned),
        });
        journal.record(Event::Session { id: run.into() });
    }
    let runs: Vec<String> = of_job(dir.path(), "q1-x").into_iter().map(|e| e.run).collect();
    assert_eq!(runs, ["aaaaaaaa", "aaaaaaaa"]);
}

#[test]
fn a_line_of_an_older_version_without_the_count_of_looks_is_read() {
    let line = r#"{"at":"2026-11-24T01:00:00Z","run":"a","event":"probed","health":{"oauth":"up","api":"up","reasons":[]}}"#;
    let entry: Entry = serde_json::from_str(line).expect("it is read");
    assert!(matches!(entry.event, Event::Probed { looks: 0, .. }));
}
