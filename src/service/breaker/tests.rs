use super::*;

#[tokio::test]
async fn a_broken_file_is_set_aside_and_a_new_one_begun() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let breaker = Breaker::open(dir.path(), "api.example:1/x");
    let long = vec![0xff; 100_000];
    for junk in [&b"{\"pace\":"[..], b"\n\n", b"\0\0\0", &long] {
        std::fs::create_dir_all(dir.path().join("breaker")).expect("writable");
        std::fs::write(&breaker.file, junk).expect("writable");
        breaker.failed(breaker.admit().await).await;
        let line = std::fs::read(&breaker.file).expect("readable");
        serde_json::from_slice::<State>(&line).expect("a whole state");
        let aside = std::fs::read(breaker.file.with_extension("broken")).expect("set aside");
        assert_eq!(aside, junk[..junk.len().min(STATE_CAP_BYTES)]);
    }
}

#[tokio::test]
async fn what_one_run_publishes_another_reads() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (one, other) = (Breaker::open(dir.path(), "k"), Breaker::open(dir.path(), "k"));
    let mut seen = Sighting {
        role: super::super::Role::Api,
        host: "h".to_owned(),
        reading: Reading::Down,
        obstacle: None,
        latency: Duration::ZERO,
        reason: "h fails (500)".to_owned(),
        retry_after: None,
        clock_offset_s: None,
    };
    one.publish(&seen).await;
    let first = other.shared("h").await.expect("shared");
    assert_eq!((first.reading, first.reason.as_str()), (Reading::Down, "h fails (500)"));
    one.publish(&seen).await;
    assert_eq!(other.shared("h").await.expect("shared").since, first.since);
    seen.reading = Reading::Up;
    one.publish(&seen).await;
    assert_eq!(other.shared("h").await.expect("shared").reading, Reading::Up);
    assert_eq!(Breaker::open(dir.path(), "other").shared("h").await, None);
}

#[tokio::test]
async fn a_look_holds_back_only_where_it_has_been_seen_to_tell() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let breaker = Breaker::open(dir.path(), "127.0.0.1:4000");
    let seen = |host: &str, reading| {
        let role = super::super::Role::Api;
        let url = format!("http://{host}/v1/messages");
        let endpoint = Endpoint { role, ask: super::super::endpoint::Ask::EmptyPost, url };
        Sighting::of(&endpoint, reading, String::new())
    };
    let verdict = async |host| breaker.shared(host).await.map(|shared| shared.verdict());
    let (gateway, other) = ("127.0.0.1:4000", "127.0.0.1:3456");
    breaker.publish(&seen(gateway, Reading::Down)).await;
    assert_eq!(verdict(gateway).await, Some(Reading::Unknown), "it may drop strangers");
    breaker.publish(&seen(other, Reading::Up)).await;
    assert_eq!(verdict(gateway).await, Some(Reading::Unknown), "another port is another");
    breaker.publish(&seen(gateway, Reading::Up)).await;
    breaker.publish(&seen(gateway, Reading::Down)).await;
    assert_eq!(verdict(gateway).await, Some(Reading::Down));
    // for another run, later
    let later = Breaker::open(dir.path(), "127.0.0.1:4000");
    assert_eq!(later.shared(gateway).await.map(|seen| seen.verdict()), Some(Reading::Down));
    // a turn that works all the same shows that it does not tell any more
    breaker.succeeded(breaker.admit().await).await;
    assert_eq!(verdict(gateway).await, Some(Reading::Unknown));
    assert_ne!(Breaker::open(dir.path(), other).file, breaker.file);
}

#[tokio::test(start_paused = true)]
async fn only_one_run_of_all_tries_a_service_that_reads_down_each_ten_minutes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let zero = tokio::time::Instant::now();
    let clock = Clock::new(move || 5000 + zero.elapsed().as_millis() as u64);
    let runs: Vec<_> =
        (0..10).map(|_| Breaker::with_clock(dir.path(), "k", clock.clone())).collect();
    let mut tries = 0;
    for _minute in 0..60 {
        for run in &runs {
            tries += usize::from(run.may_try(Reading::Down).await);
        }
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert_eq!(tries, 5);
}

#[tokio::test(start_paused = true)]
async fn the_last_try_is_of_this_outage_and_a_clock_set_back_stops_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = std::rc::Rc::new(std::cell::Cell::new(10_000_000));
    let read = std::rc::Rc::clone(&now);
    let breaker = Breaker::with_clock(dir.path(), "k", Clock::new(move || read.get()));
    let reads = |reading| Sighting {
        role: super::super::Role::Api,
        host: "h".to_owned(),
        reading,
        obstacle: None,
        latency: Duration::ZERO,
        reason: String::new(),
        retry_after: None,
        clock_offset_s: None,
    };
    assert!(breaker.may_try(Reading::Up).await);
    breaker.publish(&reads(Reading::Down)).await;
    breaker.publish(&reads(Reading::Up)).await;
    now.set(now.get() + 3_600_000);
    breaker.publish(&reads(Reading::Down)).await;
    assert!(!breaker.may_try(Reading::Down).await, "the outage is new");
    now.set(now.get() - 3_000_000);
    assert!(!breaker.may_try(Reading::Down).await);
    now.set(now.get() + 600_000);
    assert!(breaker.may_try(Reading::Down).await, "ten minutes have passed by this clock");
}

#[tokio::test(start_paused = true)]
async fn a_lock_held_by_a_stopped_process_does_not_stop_a_run() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let breaker = Breaker::open(dir.path(), "k");
    let _held = breaker.locked().await.expect("free");
    breaker.admit().await;
}

#[tokio::test]
async fn without_a_state_directory_each_run_goes_by_itself() {
    let breaker = Breaker::open(Path::new("/dev/null/nowhere"), "k");
    let endpoint = Endpoint {
        role: super::super::Role::Api,
        ask: super::super::endpoint::Ask::Get,
        url: "https://h/".to_owned(),
    };
    assert!(matches!(breaker.lease(&endpoint), Lease::Alone));
    breaker.failed(breaker.admit().await).await;
    assert!(breaker.own.borrow().pace.rate() < 2.0);
}
