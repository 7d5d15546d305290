//! Any lines, torn anywhere: a torn line tells nothing, a line of garbage changes nothing, and what
//! lies before the last prompt changes nothing, wherever the window that is read begins.

#![no_main]

use std::cell::RefCell;

use claude_safe::parts::claude::{Tail, tail};
use claude_safe_fuzz::{Nameless, choices};
use libfuzzer_sys::fuzz_target;

/// Lines that a byte stands for: mutation alone seldom makes JSON.
const LINES: &[&str] = &[
    r#"{"type":"user","uuid":"u","timestamp":"2026-11-25T00:34:10Z","message":{"content":"do"}}"#,
    r#"{"type":"user","isMeta":true,"message":{"content":"note"}}"#,
    r#"{"type":"user","isCompactSummary":true,"message":{"content":"so far"}}"#,
    r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t"}]}}"#,
    r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t"}]}}"#,
    r#"{"type":"assistant","uuid":"a","message":{"content":[],"stop_reason":"end_turn"}}"#,
    r#"{"type":"assistant","uuid":"e","isApiErrorMessage":true,"error":"server_error","apiErrorStatus":500,"message":{"content":[{"type":"text","text":"API Error: 500"}]}}"#,
    r#"{"type":"system","subtype":"api_error","error":{"status":429,"rateLimits":{"resetsAt":1795710848}}}"#,
    r#"{"type":"user","isSidechain":true,"message":{"content":"an agent's"}}"#,
];
const PROMPT: usize = 0;

thread_local!(static FILE: RefCell<Nameless> = RefCell::default());

/// What the end of these parts tells; their size apart, which the caller knows.
fn told(parts: &[&[u8]]) -> Tail {
    FILE.with_borrow_mut(|file| {
        let found = tail(&file.holding(parts)).expect("it can be read");
        assert_eq!(found.size, parts.iter().map(|part| part.len() as u64).sum::<u64>());
        Tail { size: 0, ..found }
    })
}

fuzz_target!(|data: &[u8]| {
    let Some(([tear, filler], rest)) = choices(data) else { return };
    let mut lines: Vec<u8> = Vec::new();
    for line in rest.split(|byte| *byte == b'\n') {
        match line {
            [short] => lines.extend(LINES[usize::from(*short) % LINES.len()].as_bytes()),
            line => lines.extend(line),
        }
        lines.push(b'\n');
    }
    let all = told(&[&lines]);
    assert_eq!(told(&[&lines, b"{\"type\":\"user\",\xff\n\n", b"{\"type\":"]), all);

    let torn = &lines[..lines.len() * usize::from(tear) / 256];
    let (full, line) = torn.split_at(torn.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1));
    if serde_json::from_slice::<serde_json::Value>(line).is_err() {
        assert_eq!(told(&[torn]), told(&[full]));
    }

    // an earlier turn, so that the window of 256 KiB begins before, in or behind the last prompt
    if filler % 8 == 0 {
        let prompt = [LINES[PROMPT].as_bytes(), b"\n"].concat();
        let alone = told(&[&prompt, &lines]);
        let earlier = LINES[6].as_bytes();
        let long = vec![b'x'; (256 << 10) - 64 * usize::from(filler)];
        assert_eq!(told(&[earlier, b"\n", &long, b"\n", &prompt, &lines]), alone);
        assert_eq!(told(&[earlier, b"\n", &prompt, &long, b"\n", &lines]), alone);
    }
});
