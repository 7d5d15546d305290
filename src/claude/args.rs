//! Claude's command line as its parser reads it: which words are flags, which are their
//! values, which is the prompt. In: the user's arguments. Out: facts about them, and edited
//! copies. Nothing is reordered or rewritten that is not named.

use std::ffi::OsString;

mod flags;

use flags::Arity::{Many, None as Zero, One, Optional};
use flags::{COMMANDS, NOT_AGAIN, PROTOCOL, known};

/// One piece of the command line, with the words it was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// A known flag by its first spelling, with its values.
    Flag { name: &'static str, values: Vec<OsString>, words: Vec<OsString> },
    /// `-pc`: short flags without values written together, each by its letter and first spelling.
    Cluster(Vec<(char, &'static str)>),
    /// A flag we do not know; a bare word after it may be its value or the prompt.
    Unknown { words: Vec<OsString> },
    /// A word that is no flag.
    Positional(OsString),
    /// `--`.
    Separator,
}

/// Where these arguments lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A conversation (terminal or headless).
    Conversation,
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
    /// Reads the arguments as claude's own parser does.
    #[must_use]
    pub fn parse(args: &[OsString]) -> Self {
        let mut pieces = Vec::new();
        let mut rest = args.iter().peekable();
        let mut only_positionals = false;
        while let Some(word) = rest.next() {
            let text = word.to_string_lossy();
            if only_positionals || !text.starts_with('-') || text == "-" {
                pieces.push(Piece::Positional(word.clone()));
                continue;
            }
            if text == "--" {
                only_positionals = true;
                pieces.push(Piece::Separator);
                continue;
            }
            let (spelling, attached) = split_flag(&text);
            let Some((name, arity)) = known(spelling) else {
                pieces.push(cluster(&text).unwrap_or_else(|| {
                    let mut words = vec![word.clone()];
                    if attached.is_none() {
                        words.extend(rest.next_if(|next| is_value(next)).cloned());
                    }
                    Piece::Unknown { words }
                }));
                continue;
            };
            let mut words = vec![word.clone()];
            let mut values: Vec<OsString> = attached.map(OsString::from).into_iter().collect();
            let wants = |taken: usize, next: &OsString| match arity {
                Zero => false,
                One => taken == 0,
                Optional => taken == 0 && is_value(next),
                Many => is_value(next),
            };
            while let Some(value) = rest.next_if(|next| wants(values.len(), next)) {
                values.push(value.clone());
                words.push(value.clone());
            }
            pieces.push(Piece::Flag { name, values, words });
        }
        Self { pieces }
    }

    fn flag(&self, wanted: &str) -> Option<&[OsString]> {
        // As in claude, the last one wins.
        self.pieces.iter().rev().find_map(|piece| match piece {
            Piece::Flag { name, values, .. } if *name == wanted => Some(values.as_slice()),
            Piece::Cluster(flags) if flags.iter().any(|(_, name)| *name == wanted) => Some(&[]),
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
        let positionals: Vec<_> = self.positionals().map(|word| word.to_string_lossy()).collect();
        let separated = self.pieces.first() == Some(&Piece::Separator);
        match positionals.first().map(AsRef::as_ref) {
            Some("setup-token") if !separated => return Intent::SignIn,
            Some("auth")
                if !separated && positionals.get(1).is_some_and(|word| word == "login") =>
            {
                return if self.has("--help") { Intent::Plain } else { Intent::SignIn };
            }
            Some(word) if !separated && COMMANDS.contains(&word) => return Intent::Plain,
            _ => {}
        }
        let streams = self.value("--input-format").is_some_and(|format| format == "stream-json");
        let leaves = ["--version", "--help"].iter().any(|flag| self.has(flag));
        if streams || leaves || PROTOCOL.iter().any(|flag| self.has(flag)) {
            return Intent::Plain;
        }
        Intent::Conversation
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
        self.pieces.iter().any(|piece| matches!(piece, Piece::Unknown { words } if words.len() > 1))
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
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Flag { name, .. } if !wanted(name) => {}
                Piece::Cluster(flags) if !flags.iter().all(|(_, name)| wanted(name)) => {
                    let left = flags.iter().filter(|(_, name)| wanted(name));
                    pieces.extend(left.map(|(letter, name)| Piece::Flag {
                        name,
                        values: Vec::new(),
                        words: vec![format!("-{letter}").into()],
                    }));
                }
                // without the flag that stood between, the word would be taken for a value
                Piece::Positional(_) => {
                    let takers = pieces.iter().rev().take_while(|piece| takes_more(piece)).count();
                    pieces.insert(pieces.len() - takers, piece.clone());
                }
                piece => pieces.push(piece.clone()),
            }
        }
        Self { pieces }
    }

    /// What a relaunch that resumes a session keeps: no prompt, nothing that chose the session
    /// or that the user may have changed since.
    #[must_use]
    pub fn for_resume(&self) -> Self {
        self.without_prompt().with_flags(|name| !NOT_AGAIN.contains(&name))
    }

    /// The flags alone, as they were written: without prompt.
    #[must_use]
    pub fn without_prompt(&self) -> Self {
        let keep = |piece: &&Piece| !matches!(piece, Piece::Positional(_) | Piece::Separator);
        Self { pieces: self.pieces.iter().filter(keep).cloned().collect() }
    }

    /// The words, as the user wrote them.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Flag { words: own, .. } | Piece::Unknown { words: own } => {
                    words.extend(own.iter().cloned());
                }
                Piece::Cluster(flags) => {
                    let letters: String = flags.iter().map(|(letter, _)| letter).collect();
                    words.push(format!("-{letters}").into());
                }
                Piece::Positional(word) => words.push(word.clone()),
                Piece::Separator => words.push("--".into()),
            }
        }
        words
    }

    /// Flags and their words, for the resume hint.
    pub(super) fn launch_flags(&self) -> impl Iterator<Item = (Option<&'static str>, &[OsString])> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Flag { name, words, .. } => Some((Some(*name), words.as_slice())),
            Piece::Unknown { words } => Some((None, words.as_slice())),
            // Claude repeats none of the flags that have a letter and no value
            Piece::Cluster(_) => Some((None, &[][..])),
            Piece::Positional(_) | Piece::Separator => None,
        })
    }
}

/// `--flag=value` in its two parts.
fn split_flag(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((flag, value)) if text.starts_with("--") => (flag, Some(value)),
        _ => (text, None),
    }
}

/// `-pc`: short flags without values written together.
fn cluster(text: &str) -> Option<Piece> {
    let letters = text.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let flag = |letter| {
        let (name, arity) = known(&format!("-{letter}"))?;
        (arity == Zero).then_some((letter, name))
    };
    Some(Piece::Cluster(letters.chars().map(flag).collect::<Option<_>>()?))
}

/// Whether a bare word behind this would be one of its values.
fn takes_more(piece: &Piece) -> bool {
    match piece {
        Piece::Flag { name, values, .. } => match known(name) {
            Some((_, Many)) => true,
            Some((_, One | Optional)) => values.is_empty(),
            _ => false,
        },
        Piece::Unknown { words } => {
            words.len() == 1 && split_flag(&words[0].to_string_lossy()).1.is_none()
        }
        _ => false,
    }
}

fn is_value(word: &OsString) -> bool {
    let text = word.to_string_lossy();
    !text.starts_with('-') || text == "-"
}

#[cfg(test)]
mod tests;
