//! Two runs side by side. In: what was seen of plain claude and of claude-safe. Out: every
//! difference that a user could notice, as one message.

use super::MESSAGE;
use super::seen::Seen;

/// What can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    Code,
    Stdout,
    /// Compared on good days alone: in an outage claude-safe says what it waits for.
    Stderr,
    Files,
    Tools,
    Answers,
    /// Without claude-safe's own message.
    Conversation,
    Left,
    Terminal,
}

use Aspect::{Answers, Code, Conversation, Files, Left, Stderr, Stdout, Terminal, Tools};

const ALL: [Aspect; 9] =
    [Code, Stdout, Stderr, Files, Tools, Answers, Conversation, Left, Terminal];

/// Plain claude and claude-safe in the same world.
#[derive(Debug)]
pub struct Pair {
    pub plain: Seen,
    pub safe: Seen,
    pub(super) outage: bool,
}

impl Pair {
    /// Panics, with all that differs, unless nothing does.
    pub fn same(self) -> Self {
        self.same_but(&[])
    }

    /// As [`Pair::same`]; these may differ.
    pub fn same_but(self, except: &[Aspect]) -> Self {
        let found: Vec<String> = self
            .differences()
            .into_iter()
            .filter(|(aspect, _)| !except.contains(aspect))
            .map(|(_, text)| text)
            .collect();
        assert!(found.is_empty(), "{}\n{}", found.join("\n"), self.tells());
        self
    }

    /// All that differs.
    pub fn differences(&self) -> Vec<(Aspect, String)> {
        let each = ALL.into_iter().filter(|aspect| *aspect != Stderr || !self.outage);
        each.filter_map(|aspect| {
            let (plain, safe) = (self.of(aspect, &self.plain), self.of(aspect, &self.safe));
            let text = || format!("{aspect:?} differs\n  plain: {plain}\n  safe:  {safe}");
            (plain != safe).then(|| (aspect, text()))
        })
        .collect()
    }

    fn of(&self, aspect: Aspect, seen: &Seen) -> String {
        match aspect {
            Code => seen.code.to_string(),
            Stdout => format!("{:?}", seen.stdout),
            Stderr => format!("{:?}", seen.stderr),
            Files => format!("{:#?}", seen.files),
            Tools => format!("{:#?}", seen.tools),
            Answers => format!("{:?}", seen.answers),
            Conversation => format!("{:#?}", self.heard(seen)),
            Left => format!("{:?}", seen.left),
            Terminal => seen.restored.to_string(),
        }
    }

    fn heard(&self, seen: &Seen) -> Vec<String> {
        let ours = |entry: &&String| self.outage && entry.ends_with(MESSAGE);
        seen.conversation.iter().filter(|entry| !ours(entry)).cloned().collect()
    }

    /// Everything that explains a failing test.
    pub fn tells(&self) -> String {
        let requests = |seen: &Seen| {
            let line = |one: &claude_safe_testkit::Request| {
                let last: String = one.last_user.concat().chars().take(80).collect();
                format!("  {:7.2} s {:?} {:?} {last:?}", one.at.as_secs_f64(), one.kind, one.status)
            };
            seen.requests.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        let Self { plain, safe, .. } = self;
        let journal: Vec<String> = safe.journal.iter().map(ToString::to_string).collect();
        format!(
            "plain said: {:?}\nsafe said: {:?}\nplain asked:\n{}\nsafe asked:\n{}\njournal:\n{}\nlog:\n{}",
            plain.stderr,
            safe.stderr,
            requests(plain),
            requests(safe),
            journal.join("\n"),
            safe.log
        )
    }
}
