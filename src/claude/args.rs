//! Claude's command line as its parser reads it: which words are flags, which are their
//! values, which is the prompt. In: the user's arguments. Out: facts about them, and edited
//! copies. Nothing is reordered or rewritten that is not named.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

mod flags;
mod piece;

use flags::Arity::{Many, None as Zero, One, Optional};
use flags::{CHOOSES_SESSION, COMMANDS, FILES, PREFILL, PROTOCOL, known};
use piece::{Joined, Piece, in_one_word, is_value};

/// Where these arguments lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A conversation (terminal or headless).
    Conversation,
    /// A program talks to Claude by lines.
    Program,
    /// A sign-in: `auth login`, `setup-token`.
    SignIn,
    /// Anything else of claude's own: run plain.
    Plain,
}

/// How a headless run prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// The final answer alone.
    Text,
    /// One JSON document at the end.
    Json,
    /// JSON lines as they come.
    StreamJson,
}

/// The user's arguments for claude, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaudeArgs {
    pieces: Vec<Piece>,
}

impl ClaudeArgs {
    /// Reads the arguments as claude's own parser does (commander's rules: a value is what
    /// stands in the flag's own word, else the next word; a flag that must have one takes a
    /// word with a dash too, and `--`).
    #[must_use]
    pub fn parse(args: &[OsString]) -> Self {
        let mut pieces = Vec::new();
        let mut rest = args.iter().peekable();
        // What is left of a word like `-pc` after its first letter.
        let mut left: Option<OsString> = None;
        while let Some(word) = left.clone().or_else(|| rest.next().cloned()) {
            let clustered = left.take().is_some();
            if word == "--" && !clustered {
                pieces.push(Piece::Separator(word));
                pieces.extend(rest.map(|word| Piece::Positional(word.clone())));
                break;
            }
            if is_value(&word) {
                pieces.push(Piece::Positional(word));
                continue;
            }
            if let Some((name, arity)) = word.to_str().and_then(known) {
                let mut values: Vec<OsString> = Vec::new();
                let wants = |taken: usize, next: &OsString| match arity {
                    Zero => false,
                    One => taken == 0,
                    Optional => taken == 0 && is_value(next),
                    Many => taken == 0 || is_value(next),
                };
                while let Some(value) = rest.next_if(|next| wants(values.len(), next)) {
                    values.push(value.clone());
                }
                let words = std::iter::once(word).chain(values.iter().cloned()).collect();
                pieces.push(Piece::Flag { name, values, words, clustered, attached: false });
                continue;
            }
            match in_one_word(&word) {
                Some((name, Joined::Value(value))) => {
                    let (values, words) = (vec![value], vec![word]);
                    pieces.push(Piece::Flag { name, values, words, clustered, attached: true });
                }
                Some((name, Joined::Flags(letter, more))) => {
                    let (values, words) = (Vec::new(), vec![letter]);
                    pieces.push(Piece::Flag { name, values, words, clustered, attached: false });
                    left = Some(more);
                }
                None => {
                    let open = !word.as_bytes().contains(&b'=');
                    let mut words = vec![word];
                    words.extend(rest.next_if(|next| open && is_value(next)).cloned());
                    pieces.push(Piece::Unknown { words, clustered });
                }
            }
        }
        Self { pieces }
    }

    fn flag(&self, wanted: &str) -> Option<&[OsString]> {
        // As in claude, the last one wins.
        self.pieces.iter().rev().find_map(|piece| match piece {
            Piece::Flag { name, values, .. } if *name == wanted => Some(values.as_slice()),
            _ => None,
        })
    }

    /// Whether a flag is there, by its first spelling in claude's help.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flag(flag).is_some()
    }

    /// The (last) value of a flag, as text.
    #[must_use]
    pub fn value(&self, flag: &str) -> Option<String> {
        self.flag(flag)?.last().map(|value| value.to_string_lossy().into_owned())
    }

    /// What the arguments ask claude for.
    #[must_use]
    pub fn intent(&self) -> Intent {
        let mut words = self.positionals().map(|word| word.to_string_lossy());
        let first = words.next();
        match first.as_deref() {
            // With `-p`, claude has no commands: `-p doctor` asks a model.
            _ if self.prints_alone() => {}
            Some("setup-token") => return Intent::SignIn,
            Some("auth") if words.next().is_some_and(|word| word == "login") => {
                return if self.has("--help") { Intent::Plain } else { Intent::SignIn };
            }
            Some(word) if COMMANDS.contains(&word) => return Intent::Plain,
            _ => {}
        }
        let talks = self.value("--input-format").is_some_and(|format| format == "stream-json");
        let leaves = ["--version", "--help"].iter().any(|flag| self.has(flag));
        if leaves || PROTOCOL.iter().any(|flag| self.has(flag)) {
            return Intent::Plain;
        }
        if talks {
            return Intent::Program;
        }
        Intent::Conversation
    }

    /// Whether `-p` or `--print` is a word of its own.
    fn prints_alone(&self) -> bool {
        let next = self.pieces.iter().skip(1).map(Some).chain([None]);
        self.pieces.iter().zip(next).any(|(piece, next)| {
            let print = matches!(piece, Piece::Flag { name: "--print", .. });
            print && !piece.clustered() && !next.is_some_and(Piece::clustered)
        })
    }

    fn positionals(&self) -> impl Iterator<Item = &OsString> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Positional(word) => Some(word),
            _ => None,
        })
    }

    /// Whether a prompt stands in the arguments.
    #[must_use]
    pub fn has_prompt(&self) -> bool {
        self.positionals().next().is_some()
    }

    /// Whether a word after an unknown flag could be the prompt, so that it cannot be left
    /// out of a relaunch with certainty.
    #[must_use]
    pub fn prompt_is_uncertain(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Unknown { words, .. } if words.len() > 1))
    }

    /// Whether `-p` is given.
    #[must_use]
    pub fn print(&self) -> bool {
        self.has("--print")
    }

    /// How a headless run prints; unknown formats are claude's to refuse.
    #[must_use]
    pub fn output_format(&self) -> OutputFormat {
        match self.value("--output-format").as_deref() {
            Some("stream-json") => OutputFormat::StreamJson,
            Some("json") => OutputFormat::Json,
            _ => OutputFormat::Text,
        }
    }

    /// Whether the user chose the session: by id, or by asking for an earlier one.
    #[must_use]
    pub fn chooses_session(&self) -> bool {
        ["--session-id", "--resume", "--continue", "--from-pr", "--fork-session"]
            .iter()
            .any(|flag| self.has(flag))
    }

    /// The session the arguments name by its id, if Claude will continue in that very one.
    #[must_use]
    pub fn named_session(&self) -> Option<String> {
        let named = if self.has("--fork-session") { None } else { self.value("--resume") };
        self.value("--session-id").or(named).filter(|id| uuid::Uuid::try_parse(id).is_ok())
    }

    /// The arguments without one flag. A prompt that would come to stand behind a flag with values
    /// (`--add-dir a --verbose hi` without `--verbose`) is written before that flag.
    #[must_use]
    pub fn without(&self, flag: &str) -> Self {
        self.with_flags(|name| name != flag)
    }

    /// The arguments with the known flags that are wanted; one of a cluster leaves it alone.
    fn with_flags(&self, wanted: impl Fn(&str) -> bool) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        // The piece before is gone, and with it the word that a clustered one stood in.
        let mut alone = false;
        for piece in &self.pieces {
            let mut piece = piece.clone();
            match &mut piece {
                Piece::Flag { name, .. } if !wanted(name) => {
                    alone = true;
                    continue;
                }
                Piece::Flag { clustered, .. } | Piece::Unknown { clustered, .. } => {
                    *clustered &= !alone;
                }
                // without the flag that stood between, the word would be taken for a value
                Piece::Positional(_) => {
                    let mut at = pieces.len();
                    while at > 0
                        && (pieces[at - 1].takes_more()
                            || pieces.get(at).is_some_and(Piece::clustered))
                    {
                        at -= 1;
                    }
                    pieces.insert(at, piece);
                    continue;
                }
                Piece::Separator(_) => {}
            }
            alone = false;
            pieces.push(piece);
        }
        Self { pieces }
    }

    /// What a relaunch that resumes a session keeps: no prompt, nothing that chose the session.
    #[must_use]
    pub fn for_resume(&self) -> Self {
        self.without_prompt()
            .with_flags(|name| !CHOOSES_SESSION.contains(&name) && !PREFILL.contains(&name))
    }

    /// What a fresh conversation for the same prompt keeps: all but the choice of session.
    #[must_use]
    pub fn for_fresh_session(&self) -> Self {
        self.with_flags(|name| name == "--worktree" || !CHOOSES_SESSION.contains(&name))
    }

    /// The arguments with other names for some of the files that claude is to read.
    #[must_use]
    pub(crate) fn with_files(&self, mut name: impl FnMut(&OsStr) -> Option<OsString>) -> Self {
        let mut pieces = self.pieces.clone();
        for piece in &mut pieces {
            let Piece::Flag { name: flag, values, words, attached, .. } = piece else { continue };
            if !FILES.contains(flag) {
                continue;
            }
            let from = words.len() - values.len();
            for (at, value) in values.iter_mut().enumerate() {
                let Some(other) = name(value) else { continue };
                if *attached {
                    words[0] = format!("{flag}=").into();
                    words[0].push(&other);
                } else {
                    words[from + at].clone_from(&other);
                }
                *value = other;
            }
        }
        Self { pieces }
    }

    /// Whether standard input is one of the files that claude is to read.
    #[must_use]
    pub fn reads_stdin_as_file(&self) -> bool {
        let mut found = false;
        let _ = self.with_files(|value| {
            found |= names_stdin(value);
            None
        });
        found
    }

    /// The flags alone, as they were written: without prompt.
    #[must_use]
    pub fn without_prompt(&self) -> Self {
        let keep = |piece: &&Piece| !matches!(piece, Piece::Positional(_) | Piece::Separator(_));
        Self { pieces: self.pieces.iter().filter(keep).cloned().collect() }
    }

    /// The words, as the user wrote them.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        for piece in &self.pieces {
            let own = piece.words();
            let own = match (words.last_mut(), own) {
                (Some(word), [first, own @ ..]) if piece.clustered() => {
                    word.push(OsStr::from_bytes(&first.as_bytes()[1..]));
                    own
                }
                _ => own,
            };
            words.extend(own.iter().cloned());
        }
        words
    }

    /// Flags and their words, for the resume hint.
    pub(super) fn launch_flags(&self) -> impl Iterator<Item = (Option<&'static str>, &[OsString])> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Flag { name, .. } => Some((Some(*name), piece.words())),
            Piece::Unknown { .. } => Some((None, piece.words())),
            Piece::Positional(_) | Piece::Separator(_) => None,
        })
    }
}

/// Whether a file is standard input by another name.
pub(crate) fn names_stdin(file: &OsStr) -> bool {
    ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| file == OsStr::new(name))
}

#[cfg(test)]
impl ClaudeArgs {
    pub(crate) fn has_known_flags(&self) -> bool {
        self.pieces.iter().all(|piece| matches!(piece, Piece::Flag { .. }))
    }

    pub(crate) fn words_of_the_prompt(&self) -> usize {
        self.positionals().count()
    }
}

#[cfg(test)]
mod tests;
