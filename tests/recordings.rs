//! Every recording of the real Claude Code replayed whole, in slices and byte by byte: the screen
//! alone raises no alarm on a healthy one, tells the class where it may, and otherwise says that
//! it needs another witness. `INDEX.tsv` names the truth under `conclude`.

use std::collections::BTreeMap;
use std::path::Path;

use claude_safe::parts::claude::rules::{Classified, Observation, Place, Rules};
use claude_safe::parts::watch::{FailureKind, InputBox, Modes, Placeholder, Screen, by_screen};
use proptest::prelude::*;

struct Recording {
    name: String,
    truth: String,
    bytes: Vec<u8>,
}

fn recordings() -> Vec<Recording> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let index = std::fs::read_to_string(dir.join("INDEX.tsv")).expect("the index");
    let all: Vec<Recording> = index
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let bytes = std::fs::read(dir.join(format!("{}.ansi", fields[0]))).expect("bytes");
            Recording { name: fields[0].to_owned(), truth: fields[4].to_owned(), bytes }
        })
        .collect();
    assert_eq!(all.len(), 210);
    all
}

fn verdict(screen: &mut Screen, rules: &Rules) -> Option<FailureKind> {
    let now = "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time");
    let classify = |text: &str| -> Option<Classified> {
        rules.classify(&Observation {
            place: Place::Screen,
            text,
            errors: &[],
            status: None,
            sign_in: None,
            since: None,
            version: None,
            now: &now,
        })
    };
    by_screen(&screen.look(), classify).map(|found| found.kind)
}

/// Whether the screen's word is right, given what the service really did.
fn agrees(truth: &str, kind: FailureKind) -> bool {
    match truth {
        "transient-api" => matches!(kind, FailureKind::Api),
        "transient-auth" => matches!(kind, FailureKind::LoginService),
        "needs-login" => matches!(kind, FailureKind::SignInNeeded),
        "usage-limit" => matches!(kind, FailureKind::UsageLimit { .. }),
        "session-broken" => matches!(kind, FailureKind::SessionBroken),
        _ => false,
    }
}

#[test]
fn the_screen_is_right_or_silent_on_every_recording() {
    let rules = Rules::new(&[]).0;
    let mut table: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for recording in recordings() {
        let mut screen = Screen::new(24, 80);
        screen.feed(&recording.bytes);
        let kind = verdict(&mut screen, &rules);
        let word = kind.map_or("(needs another witness)", FailureKind::name);
        *table.entry((recording.truth.clone(), word)).or_default() += 1;
        if kind.is_some_and(|kind| !agrees(&recording.truth, kind)) {
            wrong.push(format!("{}: {} read as {word}", recording.name, recording.truth));
        }
    }
    for ((truth, word), count) in &table {
        eprintln!("{truth:16} {word:24} {count:4}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = |truth: &str, word| table.get(&(truth.to_owned(), word)).copied().unwrap_or(0);
    // a lower figure here means that a witness was lost
    assert_eq!(count("transient-api", "api"), 32);
    assert_eq!(count("transient-auth", "login_service"), 10);
    assert_eq!(count("usage-limit", "usage_limit"), 3);
    assert_eq!(count("session-broken", "session_broken"), 2);
    assert_eq!(count("needs-login", "sign_in_needed"), 11);
}

#[test]
fn slices_and_single_bytes_lead_to_the_same_look_and_modes() {
    for recording in recordings() {
        let mut whole = Screen::new(24, 80);
        whole.feed(&recording.bytes);
        let whole_modes = modes(&recording.bytes);
        for size in [1, 7, 200, 4096] {
            let mut sliced = Screen::new(24, 80);
            let mut sliced_modes = Modes::default();
            for slice in recording.bytes.chunks(size) {
                sliced.feed(slice);
                sliced_modes.feed(slice);
                // looking parses, so that every slice is a chunk of its own to the parser; for the
                // many short ones it is a resize to the same size, for the suite's time
                if size > 7 {
                    sliced.look();
                } else {
                    sliced.resize(24, 80);
                }
            }
            assert_eq!(sliced.look(), whole.look(), "{} by {size}", recording.name);
            assert_eq!(sliced_modes, whole_modes, "{} by {size}", recording.name);
        }
    }
}

/// Torn frames may show a real earlier state for an instant, so only recordings in which no login,
/// limit or failed turn ever stood on the screen must stay silent throughout.
#[test]
fn quoted_errors_raise_no_alarm_at_any_instant() {
    let rules = Rules::new(&[]).0;
    let quoting = |recording: &Recording| {
        let name = &recording.name;
        recording.truth == "healthy"
            && (name.starts_with("fp-") || name.starts_with("dlg-") || name.starts_with("resume-"))
            && !name.contains("recovered")
    };
    let mut replayed = 0;
    for recording in recordings().iter().filter(|recording| quoting(recording)) {
        let mut screen = Screen::new(24, 80);
        for (index, slice) in recording.bytes.chunks(100).enumerate() {
            screen.feed(slice);
            let kind = verdict(&mut screen, &rules);
            assert_eq!(kind, None, "{} in slice {index}", recording.name);
        }
        replayed += 1;
    }
    assert!(replayed > 50, "{replayed}");
}

fn modes(bytes: &[u8]) -> Modes {
    let mut modes = Modes::default();
    modes.feed(bytes);
    modes
}

#[test]
fn after_a_kill_the_modes_left_on_are_known_and_after_an_exit_there_are_none() {
    let all = recordings();
    let of =
        |name: &str| modes(&all.iter().find(|recording| recording.name == name).expect(name).bytes);
    let mut left = of("crash-sigkill-80x24");
    let reset = left.reset();
    for off in ["\x1b[?2004l", "\x1b[?1004l", "\x1b[?2031l", "\x1b[?25h"] {
        assert!(reset.contains(off), "{off:?} is missing in {reset:?}");
    }
    left.feed(reset.as_bytes());
    assert!(left.is_default(), "{left:?}");
    let exit = of("exit-normal-80x24");
    assert_eq!(exit.reset(), "", "{exit:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_chunks_and_sizes_are_survived(
        steps in prop::collection::vec((
            prop::collection::vec(prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                prop::sample::select(vec![
                    "\x1b[", "\x1b]0;✳\x07", "❯\u{a0}", "────────", "\r\n", "\x1b[2J", "\x1b[H",
                    "\x1b[?1049h", "\x1b[7m", "\x1b[2m", "漢字", "✘ OAuth error:", "  Login",
                    "Welcome to Claude Code", "\x1b[99999;99999H", "\x1b[65535b", "1. Yes",
                ]).prop_map(|text| text.as_bytes().to_vec()),
            ], 0..60),
            0u16..60, 0u16..200, any::<bool>(),
        ), 0..8),
    ) {
        let mut screen = Screen::new(24, 80);
        let mut modes = Modes::default();
        for (pieces, rows, cols, resize) in steps {
            let bytes = pieces.concat();
            screen.feed(&bytes);
            modes.feed(&bytes);
            let look = screen.look();
            let _ = look.box_holds_exactly("carry on");
            if resize {
                screen.resize(rows, cols);
            }
            screen.look();
            let _ = modes.reset();
            screen.text();
        }
    }
}

#[test]
fn a_hint_is_known_by_its_words_where_colours_are_off() {
    let all = recordings();
    for name in ["dumb-err-80x24", "nocolor-err-80x24"] {
        let recording = all.iter().find(|recording| recording.name == name).expect(name);
        let mut screen = Screen::new(24, 80);
        screen.feed(&recording.bytes);
        assert_eq!(screen.look().input, InputBox::Undimmed(Placeholder::Resend), "{name}");
    }
}
