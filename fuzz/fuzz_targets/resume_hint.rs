//! Any output: without Claude's line it is left alone; with it, nothing but that one line changes,
//! to the user's own flags, and a second pass changes nothing more.

#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use claude_safe::parts::claude::ClaudeArgs;
use claude_safe::parts::claude::ResumeHint;
use claude_safe_fuzz::choices;
use libfuzzer_sys::fuzz_target;

const MARK: &[u8] = b"Resume this session with:\x1b[22m\r\n\x1b[2m";
const END: &[u8] = b"\x1b[22m";

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fuzz_target!(|data: &[u8]| {
    let Some(([columns, planted], rest)) = choices(data) else { return };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let words = line().split(|byte| *byte == b' ');
    let user: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    let (own, around) = (line(), line());
    let hint = ResumeHint::of(&ClaudeArgs::parse(&user));
    let chunk = if planted % 2 == 0 {
        [own, b"\n", around].concat()
    } else {
        let (before, after) = around.split_at(around.len() / 2);
        [before, MARK, b"claude ", own, END, after].concat()
    };
    let columns = u16::from(columns);
    let Some(out) = hint.rewrite(&chunk, columns) else { return };

    let start = find(&chunk, MARK).expect("no line was there") + MARK.len();
    let end = start + find(&chunk[start..], END).expect("the line had no end");
    assert_eq!(out[..start], chunk[..start]);
    let new_end = out.len() - (chunk.len() - end);
    assert_eq!(out[new_end..], chunk[end..]);
    let old = std::str::from_utf8(&chunk[start..end]).expect("no text was there");
    let new = std::str::from_utf8(&out[start..new_end]).expect("it is text");
    assert!(!old.contains(char::is_control), "more than a line was taken: {old:?}");
    let (flags, id) = new.rsplit_once("--resume ").expect("the line names its session");
    assert!(flags.starts_with("claude ") && old.ends_with(&format!("--resume {id}")));
    assert!(flags == "claude " || new.len() <= usize::from(columns));
    assert!(!new.contains(char::is_control));
    assert_eq!(hint.rewrite(&out, columns), None);
});
