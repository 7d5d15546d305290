//! When a failure is believed, and when nothing may be typed.

use super::*;
use crate::watch::look::VimMode;

const MESSAGE: &str = "Please carry on.";

struct Scene {
    watcher: Watcher,
    start: Instant,
    look: Look,
    read: Readings,
}

fn failure_hook() -> Hook {
    Hook::Failure { error: "server_error".into(), message: "API Error: 500".into() }
}

impl Scene {
    /// A turn that failed two seconds ago, with everything in favour of typing.
    fn failed() -> Self {
        let start = Instant::now();
        let mut watcher = Watcher::new(start, Timestamp::UNIX_EPOCH);
        watcher.hook(start, Hook::Prompt);
        watcher.hook(start, failure_hook());
        let look = Look {
            title: Title::Idle,
            input: InputBox::Placeholder(Placeholder::Resend),
            ..Look::default()
        };
        let line = ErrorLine {
            error: Some("server_error".into()),
            status: Some(500),
            text: "API Error: 500 Internal server error.".into(),
            at: Some(Timestamp::UNIX_EPOCH),
        };
        let read = Readings {
            tail: Tail { failure: Some(line), last_uuid: Some("1".into()), ..Tail::default() },
            status: Some(Status::Idle),
            ..Readings::default()
        };
        Self { watcher, start, look, read }
    }

    fn after(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn judge(&mut self, millis: u64) -> Option<FailureKind> {
        let (now, rules) = (self.after(millis), Rules::new(&[]).0);
        let wall = "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time");
        let found = self.watcher.judge(now, &self.look, &self.read, &rules, None, &wall);
        found.map(|failure| failure.kind)
    }

    fn may_type(&mut self) -> Result<(), WhyNot> {
        self.watcher.may_type(self.after(3000), &self.look, &self.read)
    }
}

#[test]
fn a_failed_turn_is_told_once_and_by_the_transcript() {
    let mut scene = Scene::failed();
    assert!(!scene.watcher.needs_look(scene.after(400)));
    assert!(scene.watcher.needs_look(scene.after(500)));
    assert_eq!(scene.judge(500), Some(FailureKind::Api));
    assert_eq!(scene.judge(3000), None);
}

#[test]
fn without_an_error_line_the_hook_alone_is_believed_after_five_seconds() {
    let mut scene = Scene::failed();
    scene.read.tail = Tail::default();
    scene.look.input = InputBox::Empty;
    assert_eq!(scene.judge(3000), None);
    assert!(scene.watcher.needs_look(scene.after(5000)));
    assert_eq!(scene.judge(5000), Some(FailureKind::Api));
}

#[test]
fn an_error_line_counts_for_nothing_after_a_turn_that_succeeded() {
    let mut scene = Scene::failed();
    scene.look.input = InputBox::Empty;
    scene.watcher.hook(scene.start, Hook::Stop);
    assert_eq!(scene.judge(9000), None);
    assert_eq!(scene.may_type(), Err(WhyNot::NotFailed));
}

#[test]
fn without_hooks_the_transcript_is_the_witness_but_not_for_an_older_attempt() {
    let mut scene = Scene::failed();
    scene.look.input = InputBox::Empty;
    scene.watcher = Watcher::new(scene.start, Timestamp::UNIX_EPOCH);
    assert_eq!(scene.judge(2000), Some(FailureKind::Api));
    scene.watcher = Watcher::new(scene.start, Timestamp::UNIX_EPOCH + Duration::from_secs(1));
    assert_eq!(scene.judge(2000), None);
    assert_eq!(scene.may_type(), Err(WhyNot::NotFailed));
}

#[test]
fn nothing_is_due_while_nothing_happens() {
    let start = Instant::now();
    let mut watcher = Watcher::new(start, Timestamp::UNIX_EPOCH);
    assert_eq!(watcher.next_deadline(), None);
    watcher.output(start);
    assert_eq!(watcher.next_deadline(), Some(start + SETTLED));
    // output that never rests, as of a clock in the status line, is looked at all the same
    for second in 1..60 {
        watcher.output(start + Duration::from_secs(second));
    }
    assert_eq!(watcher.next_deadline(), Some(start + RESTLESS));
}

#[test]
fn every_reason_not_to_type_is_heeded() {
    assert_eq!(Scene::failed().may_type(), Ok(()));
    let with = |change: fn(&mut Scene)| {
        let mut scene = Scene::failed();
        change(&mut scene);
        scene.may_type()
    };
    for (change, why) in [
        ((|s| s.watcher.hook(s.start, Hook::Prompt)) as fn(&mut Scene), WhyNot::NotFailed),
        (|s| s.watcher.input(s.after(2000), Input::Text), WhyNot::UserTyped),
        (|s| s.watcher.input(s.after(2000), Input::Paste), WhyNot::UserTyped),
        (|s| s.look.title = Title::Busy, WhyNot::Busy),
        (|s| s.look.interruptible = true, WhyNot::Busy),
        (|s| s.look.limit_wait = true, WhyNot::Busy),
        (|s| s.read.status = Some(Status::Busy), WhyNot::Busy),
        (|s| s.read.status = Some(Status::Waiting), WhyNot::Dialog),
        (|s| s.look.panel = Some(Panel::Permission), WhyNot::Dialog),
        (|s| s.look.input = InputBox::Absent, WhyNot::Dialog),
        (|s| s.look.input = InputBox::Empty, WhyNot::NoPlaceholder),
        (|s| s.read.vim_commands = true, WhyNot::Vim),
        (|s| s.look.vim = Some(VimMode::Other), WhyNot::Vim),
        (|s| s.read.foreign_writer = true, WhyNot::ForeignWriter),
        (
            |s| s.look.input = InputBox::Draft { text: "x".into(), cursor_behind: true },
            WhyNot::Draft,
        ),
        (
            |s| {
                s.look.title = Title::Unknown;
                s.watcher.output(s.start + Duration::from_millis(2500));
            },
            WhyNot::NotSettled,
        ),
    ] {
        assert_eq!(with(change), Err(why));
    }
    assert_eq!(with(|s| s.watcher.input(s.start, Input::Report)), Ok(()));
}

#[test]
fn a_box_seen_empty_after_the_last_key_forgets_the_typing() {
    let mut scene = Scene::failed();
    scene.watcher.input(scene.after(1500), Input::Text);
    scene.judge(2000);
    assert_eq!(scene.may_type(), Err(WhyNot::UserTyped));
    scene.judge(3500);
    assert_eq!(scene.may_type(), Ok(()));
}

#[test]
fn enter_follows_only_behind_exactly_our_text() {
    let mut scene = Scene::failed();
    let holds = |scene: &mut Scene, text: &str, cursor_behind| {
        scene.look.input = InputBox::Draft { text: text.into(), cursor_behind };
        scene.watcher.may_enter(&scene.look, &scene.read, MESSAGE)
    };
    assert_eq!(holds(&mut scene, "Please carry\non.", true), Ok(()));
    assert_eq!(holds(&mut scene, MESSAGE, false), Err(WhyNot::NotOurText));
    assert_eq!(holds(&mut scene, "x Please carry on.", true), Err(WhyNot::NotOurText));
    assert_eq!(holds(&mut scene, "Please carry on. x", true), Err(WhyNot::NotOurText));
    scene.read.status = Some(Status::Waiting);
    assert_eq!(holds(&mut scene, MESSAGE, true), Err(WhyNot::Dialog));
}

#[test]
fn a_message_is_no_command_and_one_line() {
    assert_eq!(is_typable(crate::config::keys::DEFAULT_MESSAGE), Ok(()));
    for message in ["", "/x", "!x", "#x", "@x", "1", "a\nb", "a\u{1b}"] {
        assert!(is_typable(message).is_err(), "{message:?}");
    }
}

#[test]
fn an_end_by_the_user_or_by_a_polite_signal_is_done_and_a_fault_is_a_crash() {
    let start = Instant::now();
    let (rules, read) = (Rules::new(&[]).0, Readings::default());
    let wall: ZonedDateTime = "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time");
    let mut watcher = Watcher::new(start, Timestamp::UNIX_EPOCH);
    let end = |watcher: &mut Watcher, exit, words| match watcher
        .exited(start, exit, words, &read, &rules, &wall)
    {
        Verdict::Done(_) => None,
        Verdict::Failed(failure) => Some(failure.kind),
    };
    for code in [0, 1, 129, 130, 143] {
        assert_eq!(end(&mut watcher, ExitReason::Code(code), None), None);
    }
    assert_eq!(end(&mut watcher, ExitReason::Signal(9), None), Some(FailureKind::Crash));
    assert_eq!(end(&mut watcher, ExitReason::Signal(15), None), None);
    assert_eq!(end(&mut watcher, ExitReason::Signal(6), Some("")), Some(FailureKind::StartUp));
    let words = Some("No conversation found with session ID: x");
    assert_eq!(end(&mut watcher, ExitReason::Code(1), words), Some(FailureKind::SessionBroken));
    watcher.input(start, Input::Key(Key::Interrupt));
    assert_eq!(end(&mut watcher, ExitReason::Signal(9), None), None);
}

#[test]
fn a_session_counts_as_never_prompted_only_while_hooks_run() {
    let start = Instant::now();
    let (rules, read) = (Rules::new(&[]).0, Readings::default());
    let wall: ZonedDateTime = "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time");
    let mut watcher = Watcher::new(start, Timestamp::UNIX_EPOCH);
    let turn = |watcher: &mut Watcher| match watcher.exited(
        start,
        ExitReason::Signal(9),
        None,
        &read,
        &rules,
        &wall,
    ) {
        Verdict::Failed(failure) => failure.turn,
        Verdict::Done(_) => panic!("a kill is a crash"),
    };
    assert_eq!(turn(&mut watcher), TurnState::Unknown);
    watcher.hook(start, Hook::SessionStart);
    assert_eq!(turn(&mut watcher), TurnState::NotPrompted);
    watcher.hook(start, Hook::Prompt);
    assert_eq!(turn(&mut watcher), TurnState::Unknown);
}

#[test]
fn without_hooks_the_turn_we_asked_for_is_watched_like_the_first() {
    let mut scene = Scene::failed();
    scene.watcher = Watcher::new(scene.start, Timestamp::UNIX_EPOCH);
    scene.look.input = InputBox::Empty;
    assert_eq!(scene.judge(2000), Some(FailureKind::Api));
    scene.watcher.turn_seen();
    assert_eq!(scene.judge(4000), None);
    scene.read.tail.last_uuid = Some("2".into());
    assert_eq!(scene.judge(6000), Some(FailureKind::Api));
    assert!(!scene.watcher.hooks_run());
}

#[test]
fn a_turn_that_fails_right_after_enter_is_not_taken_for_typing() {
    let mut scene = Scene::failed();
    scene.watcher.input(scene.start, Input::Text);
    scene.watcher.input(scene.start, Input::Key(Key::Enter));
    assert_eq!(scene.judge(500), Some(FailureKind::Api));
    assert_eq!(scene.may_type(), Ok(()));
    // a letter that is not shown yet is typing all the same
    let mut scene = Scene::failed();
    scene.watcher.input(scene.after(1500), Input::Key(Key::Enter));
    scene.watcher.input(scene.after(1500), Input::Text);
    scene.judge(2000);
    assert_eq!(scene.may_type(), Err(WhyNot::UserTyped));
}

#[test]
fn every_failed_sign_in_is_told_and_each_once() {
    let mut scene = Scene::failed();
    scene.watcher = Watcher::new(scene.start, Timestamp::UNIX_EPOCH);
    scene.read = Readings::default();
    scene.look = Look { panel: Some(Panel::LoginMethod), ..Look::default() };
    assert_eq!(scene.judge(3000), Some(FailureKind::SignInNeeded));
    let failed = "✘ OAuth error: The sign-in service couldn't finish signing you in (HTTP 500).";
    scene.look.panel = Some(Panel::LoginFailed(failed.into()));
    assert_eq!(scene.judge(6000), Some(FailureKind::LoginService));
    assert_eq!(scene.judge(9000), None);
    // back to the paste and failed again before anybody looked
    scene.watcher.input(scene.after(9500), Input::Key(Key::Enter));
    assert_eq!(scene.judge(12_000), Some(FailureKind::LoginService));
}

/// A turn that failed in words that no rule knows.
fn strange() -> Scene {
    let mut scene = Scene::failed();
    let message = "Flux capacitor overheated".to_owned();
    scene.watcher.hook(scene.start, Hook::Failure { error: "unknown".into(), message });
    scene.look.input = InputBox::Empty;
    scene.read.tail = Tail::default();
    scene
}

#[test]
fn a_failure_that_no_rule_knows_is_noted_once_and_not_looked_at_for_ever() {
    let mut scene = strange();
    assert_eq!(scene.judge(3000), None);
    assert!(!scene.watcher.take_unknown(), "the line may still come");
    assert_eq!(scene.judge(5000), None);
    assert!(scene.watcher.take_unknown());
    assert_eq!(scene.judge(5600), None);
    assert!(!scene.watcher.take_unknown());
    assert_eq!(scene.watcher.next_deadline(), None, "nothing is left to look for");
    // a later hint of Claude's own is still believed
    scene.look.input = InputBox::Placeholder(Placeholder::Resend);
    assert_eq!(scene.judge(9000), Some(FailureKind::Api));
}

#[test]
fn what_a_rule_knows_is_not_noted_even_if_it_is_no_failure() {
    let mut scene = strange();
    let message = "Agent terminated early due to an API error".to_owned();
    scene.watcher.hook(scene.start, Hook::Failure { error: "unknown".into(), message });
    assert_eq!(scene.judge(5000), None);
    assert!(!scene.watcher.take_unknown());
    let mut scene = Scene::failed();
    assert_eq!(scene.judge(3000), Some(FailureKind::Api));
    assert!(!scene.watcher.take_unknown());
}

#[test]
fn a_hint_that_something_must_be_fixed_and_no_other_word_of_it_is_noted() {
    let mut scene = Scene::failed();
    scene.watcher = Watcher::new(scene.start, Timestamp::UNIX_EPOCH);
    scene.read.tail = Tail::default();
    scene.look.input = InputBox::Placeholder(Placeholder::OnceFixed);
    assert_eq!(scene.judge(3000), None);
    assert!(scene.watcher.take_unknown());
}

#[test]
fn an_end_is_noted_if_it_failed_in_words_that_no_rule_knows_and_the_user_did_not_choose_it() {
    for (code, words, typed, noted) in [
        (1, Some("Flux capacitor overheated"), None, true),
        (70, None, None, true),
        (0, Some("Bye"), None, false),
        (143, Some("Bye"), None, false),
        (1, Some("error: unknown option '--nope'"), None, false),
        (1, Some("Do you trust this folder? No, exit"), Some(9_000), false),
    ] {
        let mut scene = strange();
        let key = |at: u64| scene.start + Duration::from_millis(at);
        if let Some(at) = typed {
            scene.watcher.input(key(at), Input::Key(Key::Enter));
        }
        let (now, rules) = (scene.after(10_000), Rules::new(&[]).0);
        let wall = "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time");
        let exit = ExitReason::Code(code);
        let _ = scene.watcher.exited(now, exit, words, &scene.read, &rules, &wall);
        assert_eq!(scene.watcher.take_unknown(), noted, "{code} {words:?} {typed:?}");
    }
}

#[test]
fn a_hint_without_its_dimness_counts_beside_the_hook_claudes_word_and_an_untouched_box() {
    let undimmed = || {
        let mut scene = Scene::failed();
        scene.look.input = InputBox::Undimmed(Placeholder::Resend);
        scene
    };
    let mut scene = undimmed();
    assert_eq!(scene.may_type(), Ok(()));
    scene.read.status = None;
    assert_eq!(scene.may_type(), Err(WhyNot::Draft));
    // the same words typed by hand, the cursor back at their start
    let mut scene = undimmed();
    scene.watcher.input(scene.start, Input::Text);
    scene.watcher.input(scene.start, Input::Key(Key::Move));
    scene.judge(9000);
    assert_eq!(scene.may_type(), Err(WhyNot::UserTyped));
    // a key that types nothing is waited for, and no more
    let mut scene = undimmed();
    scene.watcher.input(scene.after(2000), Input::Key(Key::Move));
    assert_eq!(scene.may_type(), Err(WhyNot::UserTyped));
    scene.watcher.input(scene.start, Input::Key(Key::Move));
    assert_eq!(scene.may_type(), Ok(()));
}
