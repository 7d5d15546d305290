//! Any command line, one word a line: it is written back as it came; an edited one is read as what
//! it was meant to be; what a relaunch keeps holds neither prompt nor session, and prints where the
//! first launch did; a flag left out does not take the prompt with it.

#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use claude_safe::parts::claude::ClaudeArgs;
use libfuzzer_sys::fuzz_target;

const PROMPT: &str = "the prompt 7f3a";
const GONE: &[&str] = &["--continue", "--resume", "--session-id", "--model", "--worktree"];

fuzz_target!(|data: &[u8]| {
    let lines = data.split(|byte| *byte == b'\n');
    let user: Vec<OsString> = lines.map(|word| OsString::from_vec(word.to_vec())).collect();
    for args in [user.clone(), [vec![PROMPT.into()], user.clone()].concat(), {
        [user, vec!["--".into(), PROMPT.into()]].concat()
    }] {
        let parsed = ClaudeArgs::parse(&args);
        assert_eq!(parsed.words(), args);
        let resumed = parsed.for_resume();
        assert_eq!(ClaudeArgs::parse(&resumed.words()), resumed, "{:?}", resumed.words());
        assert_eq!(resumed.for_resume(), resumed);
        assert!(!resumed.has_prompt() && !resumed.words().contains(&PROMPT.into()));
        assert!(GONE.iter().all(|flag| !resumed.has(flag)) && !resumed.chooses_session());
        assert_eq!(resumed.print(), parsed.print());
        assert!(!parsed.without_prompt().words().contains(&PROMPT.into()));
        for flag in ["--continue", "--settings"] {
            let without = parsed.without(flag);
            assert_eq!(ClaudeArgs::parse(&without.words()), without, "{:?}", without.words());
            assert_eq!(without.has_prompt(), parsed.has_prompt());
            assert!(!without.has(flag));
        }
    }
});
