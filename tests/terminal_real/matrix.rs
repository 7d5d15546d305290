//! The same on other versions: each draws, hooks and fails in its own way.

use std::time::Duration;

use claude_safe_testkit::claude::NEWEST;
use claude_safe_testkit::{Behaviour, SignIn, wait_until};

use crate::kit::{Desk, HELLO, SOON, code, submit};

fn healthy(version: &str) {
    let desk = Desk::with(SignIn::Valid, version);
    let mut terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "good day");
    terminal.wait_for_text(SOON, HELLO);
    terminal.wait_until_quiet(SOON, Duration::from_secs(3));
    desk.assert_nothing_happened();
    terminal.send("\x03");
    terminal.wait_for_text(SOON, "again to exit");
    terminal.send("\x03");
    assert_eq!(code(terminal.wait_exit(SOON)), 0);
}

fn refresh_fails(version: &str) {
    let desk = Desk::with(SignIn::Expired, version).gives_up_soon();
    desk.service.set_oauth(Behaviour::error(500));
    recovers(&desk);
}

fn api_fails(version: &str) {
    let desk = Desk::with(SignIn::Valid, version).gives_up_soon();
    desk.service.set_api(Behaviour::error(500));
    recovers(&desk);
}

fn recovers(desk: &Desk) {
    let terminal = desk.sit_down::<&str>(&[]);
    submit(&terminal, "hello");
    desk.wait_for_plan();
    desk.service_is_back();
    // 2.0 counts tokens with requests that look like turns
    let whole = || {
        let turns = desk.service.turns().into_iter();
        let ours = |text: &String| text.trim() == "hello";
        let whole = turns.filter(|turn| turn.status == Some(200));
        whole.filter(|turn| turn.user_texts.iter().any(ours)).collect::<Vec<_>>()
    };
    let answered = wait_until(SOON, || (!whole().is_empty()).then_some(()));
    assert!(answered.is_some(), "{}\n{}", terminal.screen(), desk.tells());
    terminal.wait_for_text(SOON, HELLO);
    let whole = whole();
    assert_eq!(whole.len(), 1, "{}", desk.tells());
    let asked = whole[0].user_texts.iter().filter(|text| text.trim() == "hello").count();
    assert_eq!(asked, 1, "{:?}", whole[0].user_texts);
}

macro_rules! versions {
    ($($module:ident $version:expr;)*) => {$(
        mod $module {
            #[test]
            fn a_healthy_turn() {
                super::healthy($version);
            }
            #[test]
            fn a_failing_refresh_that_comes_back_completes_the_turn() {
                super::refresh_fails($version);
            }
            #[test]
            fn a_failing_api_that_comes_back_completes_the_turn() {
                super::api_fails($version);
            }
        }
    )*};
}

versions! {
    version_2_0_30 "2.0.30";
    version_2_1_100 "2.1.100";
    version_2_1_200 "2.1.200";
    the_newest super::NEWEST;
}
