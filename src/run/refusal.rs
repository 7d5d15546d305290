//! A start that was refused for what we had added to it: by an older claude, by a program that
//! wraps one, in a sandbox that shows it none of our files. Pure: how it ended and its first words
//! go in. That nothing had begun before (no hook, no line, no transcript, no key) is for the
//! caller to know.

use crate::failure::ExitReason;
use crate::plan::{LaunchPlan, SessionPlan};

/// Words of parsers of arguments, which may leave out what they met.
const PARSERS: [&str; 8] = [
    "unknown option",
    "unknown argument",
    "unknown flag",
    "unrecognized",
    "invalid option",
    "illegal option",
    "unexpected argument",
    "not defined",
];

/// Whether these words of a program that has ended speak of what the plan added to the user's
/// arguments.
pub(super) fn refuses_ours(plan: &LaunchPlan, exit: ExitReason, words: &str) -> bool {
    let ExitReason::Code(code) = exit else { return false };
    // 129, 130, 143: someone ended it.
    if matches!(code, 0 | 129 | 130 | 143) {
        return false;
    }
    let additions = plan.additions();
    let words = words.to_lowercase();
    let says = |text: &str| words.contains(&text.to_lowercase());
    let named = additions.iter().any(|word| {
        let word = word.to_string_lossy();
        // Some print one hyphen where they mean two.
        says(if word.starts_with("--") { &word[1..] } else { &word })
    });
    let in_a_session = matches!(plan.session, SessionPlan::WithId(_)) && says("session id");
    if additions.is_empty() || named || in_a_session {
        return !additions.is_empty();
    }
    let theirs = plan.as_written().args();
    let is_theirs = |word: &str| {
        theirs
            .iter()
            .any(|own| own.to_string_lossy().to_lowercase().split('=').next() == Some(word))
    };
    let mut refusals = words.lines().filter(|line| PARSERS.iter().any(|text| line.contains(text)));
    let flags = |line: &'_ str| {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '-');
        words.any(|word| word.starts_with('-') && is_theirs(word))
    };
    match refusals.next() {
        Some(line) => !flags(line),
        None => says("usage:"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::claude::args::ClaudeArgs;

    const ID: &str = "11111111-2222-4333-8444-555555555555";

    fn plan(user: &[&str]) -> LaunchPlan {
        let user: Vec<OsString> = user.iter().map(Into::into).collect();
        let mut plan =
            LaunchPlan::new("/bin/claude".into(), ClaudeArgs::parse(&user), String::new());
        plan.settings = Some("/state/runs/1/settings.json".into());
        plan.session = SessionPlan::WithId(ID.into());
        plan
    }

    #[test]
    fn words_about_what_we_added_are_told_from_all_others() {
        let plan = plan(&["-p", "--model", "opus", "hi"]);
        let in_use = format!("Error: Session ID {ID} is already in use.");
        for (words, ours) in [
            ("error: unknown option '--settings'\n", true),
            ("flag provided but not defined: -session-id", true),
            ("\x1b[31mError: Settings file not found: /state/runs/1/settings.json\x1b[39m", true),
            (&in_use, true),
            ("Error: --session-id with --continue or --resume also needs --fork-session.", true),
            ("Usage: claude [-p] [PROMPT]", true),
            ("error: unexpected argument '--made-up' found", true),
            ("error: unexpected argument '-p' found\n\nUsage: claude [PROMPT]", false),
            ("bwrap: Unrecognized argument", true),
            // the user's own
            ("error: unknown option '--model'", false),
            ("unrecognized arguments: --model=opus", false),
            ("API Error: 500", false),
            ("Error: MCP config file not found: /project/mcp.json", false),
            ("", false),
        ] {
            assert_eq!(refuses_ours(&plan, ExitReason::Code(1), words), ours, "{words}");
        }
        let words = "error: unknown option '--settings'";
        for exit in [ExitReason::Code(0), ExitReason::Code(143), ExitReason::Signal(9)] {
            assert!(!refuses_ours(&plan, exit, words), "{exit:?}");
        }
        assert!(!refuses_ours(&plan.as_written(), ExitReason::Code(1), words), "nothing is added");
    }

    #[test]
    fn a_file_of_ours_in_the_place_of_the_users_pipe_is_an_addition() {
        let line: Vec<OsString> = ["--mcp-config", "/dev/fd/63"].map(Into::into).to_vec();
        let mut plan = plan(&["--mcp-config", "/state/runs/1/file-1"]);
        plan.written = Some(ClaudeArgs::parse(&line));
        let words = "Error: MCP config file not found: /state/runs/1/file-1";
        assert!(refuses_ours(&plan, ExitReason::Code(1), words));
        assert_eq!(plan.as_written().args(), line);
    }
}
