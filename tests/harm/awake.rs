//! A person at the terminal in an outage who does something that types nothing, or sees no colours.

use std::time::Duration;

use claude_safe_testkit::service::Endpoint;
use claude_safe_testkit::{Behaviour, Terminal, wait_until};

use super::kit::{Live, MESSAGE, SOON, World, journal};

const SETTLED: Duration = Duration::from_millis(800);

fn failed(live: &Live<'_>) {
    let acts = || journal(live.sandbox).iter().any(|entry| entry["decision"] == "act");
    let planned = || acts().then_some(());
    assert!(wait_until(SOON, planned).is_some(), "{}", live.service.summary());
}

/// Submits a prompt that meets an outage, does this, and sees it answered once the service is back.
fn recovers(world: World, prompt: &'static str, does: fn(&mut Terminal)) {
    let safe = world
        .env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "3s")
        .at_terminal(move |terminal, live| {
            live.service.set(Endpoint::Api, Behaviour::error(500));
            let at_prompt = |text: &str, row: &String| {
                row.starts_with(prompt) && row.trim_end().ends_with(text)
            };
            terminal.wait_for_screen(SOON, "the prompt", |now| {
                now.rows().iter().any(|row| at_prompt("", row))
            });
            terminal.wait_until_quiet(SOON, SETTLED);
            terminal.send("hello");
            terminal.wait_for_screen(SOON, "the draft", |now| {
                now.rows().iter().any(|row| at_prompt("hello", row))
            });
            terminal.send("\r");
            failed(live);
            does(terminal);
            live.service.set(Endpoint::Api, Behaviour::Ok);
            let answered = || {
                let all = live.service.turns();
                all.iter().any(|one| one.asks(MESSAGE) && one.status == Some(200)).then_some(())
            };
            let seen = wait_until(SOON, answered);
            assert!(seen.is_some(), "{}\n{:#?}", terminal.screen(), journal(live.sandbox));
            terminal.wait_until_quiet(SOON, Duration::from_secs(3));
            terminal.send("\x03\x03");
        })
        .safe();
    assert_eq!(safe.code, 0, "{}", safe.log);
}

#[test]
fn without_colours() {
    recovers(World::new::<&str>(&[]).env("NO_COLOR", "1"), "❯", |_| {});
}

#[test]
fn for_a_screen_reader() {
    recovers(World::new(&["--ax-screen-reader"]), "$", |_| {});
}

#[test]
fn with_keys_that_wake_the_display() {
    recovers(World::new::<&str>(&[]), "❯", |terminal| {
        for key in ["\x1b[D", "\x1b[15~", "\x0c", "\x1b[I"] {
            terminal.send(key);
        }
    });
}

#[test]
fn with_a_draft_that_is_taken_back() {
    recovers(World::new::<&str>(&[]), "❯", |terminal| {
        terminal.send("no");
        terminal.wait_for_screen(SOON, "the draft", |now| now.input().as_deref() == Some("no"));
        terminal.send("\x7f\x7f");
    });
}
