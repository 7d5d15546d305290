//! Any text around a secret: no rule's evidence, no excerpt and no kept text holds it, nor control
//! characters, nor more than its cap.

#![no_main]

use std::sync::LazyLock;

use claude_safe::parts::claude::rules::{Observation, Place, Rules, excerpt, redact};
use claude_safe_fuzz::choices;
use libfuzzer_sys::fuzz_target;

/// As written, and the part that must not be left.
const SECRETS: &[(&str, &str)] = &[
    ("sk-ant-oat01-Qz7xKpLm", "Qz7xKpLm"),
    (" Bearer Qz7xKpLm", "Qz7xKpLm"),
    (" Basic Qz7xKpLm==", "Qz7xKpLm"),
    (" access_token=Qz7xKpLm", "Qz7xKpLm"),
    ("someone@example.com", "someone@example.com"),
];
const PLACES: &[Place] =
    &[Place::Result, Place::Transcript, Place::Hook, Place::Output, Place::StartUp, Place::Screen];
const CAP: usize = 4096;

fuzz_target!(|data: &[u8]| {
    static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::new(&[]).0);
    static NOW: LazyLock<jiff::ZonedDateTime> =
        LazyLock::new(|| "2026-11-24T21:00:00+00:00[UTC]".parse().expect("a zoned time"));
    let Some(([secret, place, at], text)) = choices(data) else { return };
    let text = String::from_utf8_lossy(text);
    let mut middle = text.len() * usize::from(at) / 255;
    while !text.is_char_boundary(middle) {
        middle -= 1;
    }
    let (before, after) = text.split_at(middle);
    let (secret, part) = SECRETS[usize::from(secret) % SECRETS.len()];
    if text.contains(part) {
        return;
    }
    let told = format!("{before}{secret}{after}");
    let kept = redact(&told, CAP);
    assert!(!kept.contains(part), "{kept:?}");
    assert!(kept.len() <= CAP);
    assert!(!kept.contains(|c: char| c.is_control() && !"\n\t".contains(c)), "{kept:?}");
    let short = excerpt(&told);
    assert!(!short.contains(part), "{short:?}");
    assert!(short.chars().count() <= 200);
    let found = RULES.classify(&Observation {
        place: PLACES[usize::from(place) % PLACES.len()],
        text: &told,
        errors: &[],
        status: None,
        sign_in: None,
        since: None,
        version: None,
        now: &NOW,
    });
    if let Some(found) = found {
        assert!(!found.evidence.excerpt.contains(part), "{:?}", found.evidence);
        assert!(found.evidence.excerpt.chars().count() <= 200);
    }
});
