//! Claude's last words, "Resume this session with: claude FLAGS --resume ID", repeat its launch
//! flags, and so would name the settings we added. This puts the line back to what plain
//! claude prints. In: the bytes of one chunk. Out: the same bytes, or that one line rewritten.

use std::ffi::OsString;

use memchr::memmem::find;

use super::args::ClaudeArgs;

/// What stands before the command, as Claude writes it.
const MARK: &[u8] = b"Resume this session with:\x1b[22m\r\n\x1b[2m";
const END: &[u8] = b"\x1b[22m";

/// Flags that Claude repeats (measured on 2.1.330). One other flag, and it repeats none.
const REPEATED: &[&str] = &[
    "--agent",
    "--allowedTools",
    "--dangerously-skip-permissions",
    "--debug-file",
    "--disallowedTools",
    "--effort",
    "--model",
    "--permission-mode",
    "--setting-sources",
    "--settings",
    "--strict-mcp-config",
    "--verbose",
];
/// Flags that choose the session, which the line does by itself.
const PASSED_OVER: &[&str] = &["--session-id", "--resume", "--continue"];

/// The rewrite for one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeHint {
    flags: String,
}

impl ResumeHint {
    /// From the user's own arguments.
    #[must_use]
    pub fn of(user: &ClaudeArgs) -> Self {
        let mut flags = String::new();
        for (name, words) in user.launch_flags() {
            match name {
                Some(name) if PASSED_OVER.contains(&name) => continue,
                Some(name) if REPEATED.contains(&name) && words.iter().all(is_plain) => {}
                _ => return Self { flags: String::new() },
            }
            for word in words {
                flags.push_str(&word.to_string_lossy());
                flags.push(' ');
            }
        }
        Self { flags }
    }

    /// The chunk with the line put right, or `None` when there is nothing to put right.
    /// `columns` is the terminal's width: a line that does not fit is printed without flags.
    #[must_use]
    pub fn rewrite(&self, chunk: &[u8], columns: u16) -> Option<Vec<u8>> {
        let start = find(chunk, MARK)? + MARK.len();
        let end = start + find(&chunk[start..], END)?;
        let line = std::str::from_utf8(&chunk[start..end]).ok()?;
        // more than one line, or colours within it: Claude writes neither
        if line.contains(char::is_control) {
            return None;
        }
        let id = line.strip_prefix("claude ")?.rsplit_once("--resume ")?.1;
        let full = format!("claude {}--resume {id}", self.flags);
        let plain =
            if full.len() <= usize::from(columns) { full } else { format!("claude --resume {id}") };
        if plain == line {
            return None;
        }
        Some([&chunk[..start], plain.as_bytes(), &chunk[end..]].concat())
    }

    /// Whether the chunk ends within the line, as far as can be seen.
    #[must_use]
    pub fn is_cut(chunk: &[u8]) -> bool {
        // A line longer than this is no hint: Claude leaves the flags out of one that is too wide.
        let tail = &chunk[chunk.len().saturating_sub(1024)..];
        match find(tail, MARK) {
            Some(at) => find(&tail[at + MARK.len()..], END).is_none(),
            None => (1..MARK.len()).any(|length| tail.ends_with(&MARK[..length])),
        }
    }
}

fn is_plain(word: &OsString) -> bool {
    word.to_str().is_some_and(|text| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./,:=@+%".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6ae3a401-398e-4d22-87db-b05516017d66";

    fn printed(user: &[&str], line: &str, columns: u16) -> String {
        let args = ClaudeArgs::parse(&user.iter().map(OsString::from).collect::<Vec<_>>());
        let text = |line: &str| {
            format!("\x1b[2mResume this session with:\x1b[22m\r\n\x1b[2mclaude {line}\x1b[22m\r\n")
        };
        let chunk = text(line).into_bytes();
        let out = ResumeHint::of(&args).rewrite(&chunk, columns).unwrap_or(chunk);
        let out = String::from_utf8(out).expect("text");
        out.split("\x1b[2mclaude ").nth(1).expect("the line").replace("\x1b[22m\r\n", "")
    }

    #[test]
    fn a_chunk_that_ends_anywhere_within_the_line_is_cut() {
        let whole =
            format!("\x1b[2mResume this session with:\x1b[22m\r\n\x1b[2mclaude --resume {ID}");
        let start = whole.find("Resume").expect("it is there");
        for end in start + 1..=whole.len() {
            assert!(ResumeHint::is_cut(&whole.as_bytes()[..end]), "at {end}");
        }
        for whole in [format!("{whole}\x1b[22m\r\n"), "an answer".into(), String::new()] {
            assert!(!ResumeHint::is_cut(whole.as_bytes()), "{whole:?}");
        }
    }

    #[test]
    fn the_line_is_what_plain_claude_prints() {
        let ours = format!("--settings /state/s.json --verbose --resume {ID}");
        let bare = format!("--resume {ID}");
        assert_eq!(printed(&["--verbose", "hi"], &ours, 120), format!("--verbose {bare}"));
        assert_eq!(printed(&[], &ours, 120), bare);
        assert_eq!(printed(&["--verbose"], &bare, 120), format!("--verbose {bare}"));
        assert_eq!(printed(&["--verbose"], &bare, 50), bare);
        assert_eq!(printed(&["-n", "my name", "--verbose"], &ours, 120), bare);
        assert_eq!(
            printed(&["--resume", ID, "--model", "opus"], &bare, 90),
            format!("--model opus {bare}")
        );
    }

    #[test]
    fn other_bytes_are_left_alone() {
        let hint = ResumeHint { flags: "--verbose ".into() };
        for chunk in [&b"Resume this session with: x"[..], b"", b"\xff\x1b[2mclaude --resume"] {
            assert_eq!(hint.rewrite(chunk, 80), None);
        }
    }

    #[test]
    fn what_reaches_over_more_than_the_line_is_left_alone() {
        let hint = ResumeHint { flags: "--verbose ".into() };
        for between in ["\r\n\x1b[1mmore\x1b[0m ", "\x0e"] {
            let chunk = [MARK, b"claude ", between.as_bytes(), b"--resume 6a", END].concat();
            assert_eq!(hint.rewrite(&chunk, 80), None, "{between:?}");
        }
    }
}
