//! Decides when to look, what a look means and whether typing is safe. In: events with their
//! instants, and what the caller read (screen, transcript, credentials, `sessions/<pid>.json`).
//! Out: a [`Failure`], or why nothing may be typed. Never reads a clock or a file, and in doubt
//! says nothing: text on the screen alone never makes a failure.

mod typing;

use std::time::{Duration, Instant};

use jiff::{Timestamp, ZonedDateTime};

use super::by_screen::by_screen;
use super::hint::Placeholder;
use super::input::{Input, Key};
use super::look::{InputBox, Look, Panel, Title};
use crate::claude::credentials::SignIn;
use crate::claude::rules::{Classified, Observation, Place, Rules};
use crate::claude::session_file::Status;
use crate::claude::transcript::{ErrorLine, Tail};
use crate::claude::version::Version;
use crate::failure::{Evidence, ExitReason, Failure, FailureKind, Source, TurnState, Verdict};

pub use typing::{WhyNot, is_typable};

/// The screen counts as settled when nothing was written for this long.
const SETTLED: Duration = Duration::from_secs(2);
/// A status line that ticks keeps the output from ever resting: then a look is due this often.
const RESTLESS: Duration = Duration::from_secs(15);
/// The transcript's error line follows the hook by 15 to 290 ms; this long it is waited for.
const LINE_AFTER_HOOK: Duration = Duration::from_secs(5);
/// How soon after a hook, and how often until the line is there, a look is due.
const HOOK_LOOK: Duration = Duration::from_millis(500);
/// An end this soon after Ctrl-C or Ctrl-D is the user's.
const USER_ENDED: Duration = Duration::from_secs(10);

/// A hook event of the main session; a sub-agent's never comes here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// `SessionStart`.
    SessionStart,
    /// `UserPromptSubmit`.
    Prompt,
    /// `Stop`: the turn succeeded.
    Stop,
    /// `StopFailure`: the turn failed.
    Failure {
        /// `error`.
        error: String,
        /// `last_assistant_message`.
        message: String,
    },
}

/// What the caller read for a look.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// The end of the transcript.
    pub tail: Tail,
    /// A foreign process wrote to the transcript, or another live one has the session.
    pub foreign_writer: bool,
    /// The sign-in.
    pub sign_in: Option<SignIn>,
    /// `sessions/<pid>.json`.
    pub status: Option<Status>,
    /// `vim.mode` of the last status line call is there and not `INSERT`.
    pub vim_commands: bool,
    /// Claude's session id.
    pub session: Option<String>,
}

/// Watches one attempt at a terminal.
#[derive(Debug)]
// independent observations
#[allow(clippy::struct_excessive_bools)]
pub struct Watcher {
    launched: Timestamp,
    last_output: Instant,
    hook: Option<(Instant, Hook)>,
    typed: Option<Instant>,
    /// The last of it was Enter: nothing was begun since.
    typed_enter: bool,
    /// A key that may leave a text in the box, since the last prompt.
    written: bool,
    ending_key: Option<Instant>,
    /// The last typing of the user, whatever became of it.
    last_key: Option<Instant>,
    looked: Option<Instant>,
    /// Since when there is output that no look has seen at rest.
    dirty: Option<Instant>,
    reported: bool,
    reported_line: Option<String>,
    /// This failed sign-in was reported; the next one is another.
    reported_login: bool,
    prompt_seen: bool,
    unknown: Unknown,
}

/// A failure that no rule knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    /// There is none.
    No,
    /// It was seen.
    Seen,
    /// It was seen and told.
    Told,
}

impl Watcher {
    /// A watcher of a child started now, which is `launched` by the calendar: failures that the
    /// transcript records for before are old.
    #[must_use]
    pub fn new(now: Instant, launched: Timestamp) -> Self {
        Self {
            launched,
            last_output: now,
            hook: None,
            typed: None,
            typed_enter: false,
            written: false,
            ending_key: None,
            last_key: None,
            looked: None,
            dirty: None,
            reported: false,
            reported_line: None,
            reported_login: false,
            prompt_seen: false,
            unknown: Unknown::No,
        }
    }

    /// The child wrote something.
    pub fn output(&mut self, now: Instant) {
        self.last_output = now;
        self.dirty.get_or_insert(now);
    }

    /// The user's terminal sent something.
    pub fn input(&mut self, now: Instant, input: Input) {
        if input.is_typing() {
            self.typed = Some(now);
            self.last_key = Some(now);
            self.typed_enter = input == Input::Key(Key::Enter);
            self.written |= input.may_write();
            let ending = matches!(input, Input::Key(Key::Interrupt | Key::EndOfFile));
            self.ending_key = ending.then_some(now);
            self.reported_login &= input != Input::Key(Key::Enter);
        }
    }

    /// A hook of the main session arrived.
    pub fn hook(&mut self, now: Instant, hook: Hook) {
        self.reported = false;
        self.unknown = Unknown::No;
        self.looked = None;
        self.prompt_seen |= hook == Hook::Prompt;
        self.written &= hook != Hook::Prompt;
        self.hook = Some((now, hook));
    }

    /// A turn began, but no hook said so: where hooks do not run, none will say how it ends.
    pub fn turn_seen(&mut self) {
        self.reported = false;
        self.unknown = Unknown::No;
        self.looked = None;
        self.prompt_seen = true;
    }

    /// Whether hooks tell how turns end.
    #[must_use]
    pub fn hooks_run(&self) -> bool {
        matches!(self.hook, Some((_, Hook::Prompt | Hook::Stop | Hook::Failure { .. })))
    }

    /// When [`Self::needs_look`] may turn true without another event; `None`: never.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if let Some(at) = self.waiting_for_line() {
            return Some(self.looked.unwrap_or(at) + HOOK_LOOK);
        }
        self.dirty.map(|since| (self.last_output + SETTLED).min(since + RESTLESS))
    }

    /// Whether the screen, the transcript, the credentials and the sessions file are worth
    /// reading now.
    #[must_use]
    pub fn needs_look(&self, now: Instant) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When the failure hook came whose failure was not reported yet.
    fn waiting_for_line(&self) -> Option<Instant> {
        match &self.hook {
            Some((at, Hook::Failure { .. })) if !self.reported && self.unknown == Unknown::No => {
                Some(*at)
            }
            _ => None,
        }
    }

    /// The error that the transcript ends in, if this attempt made it.
    fn error_line<'a>(&self, read: &'a Readings) -> Option<&'a ErrorLine> {
        read.tail.failure.as_ref().filter(|line| line.at.is_some_and(|at| at >= self.launched))
    }

    /// Keys need a moment to show, so an empty box before that proves nothing; but after Enter,
    /// once the turn is over, there is nothing left to show.
    fn forget_typing(&mut self, now: Instant, look: &Look, read: &Readings) {
        let busy = look.is_busy() || read.status == Some(Status::Busy);
        let shown = self.typed.is_some_and(|at| now.saturating_duration_since(at) >= SETTLED);
        if (shown || (self.typed_enter && !busy)) && self.box_is_empty(look, read) {
            self.typed = None;
        }
    }

    /// Whether nobody's text is in the box. A hint without its dimness counts after a failure
    /// that the hook told, while Claude says that it is idle, if nothing was typed since.
    fn box_is_empty(&self, look: &Look, read: &Readings) -> bool {
        let failed = matches!(self.hook, Some((_, Hook::Failure { .. })));
        let sure = failed && read.status == Some(Status::Idle) && !self.written;
        look.box_is_empty() || (sure && matches!(look.input, InputBox::Undimmed(_)))
    }

    fn settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_output) >= SETTLED
    }

    /// Says what a look means. `None`: no failure, one already reported, or nothing certain.
    pub fn judge(
        &mut self,
        now: Instant,
        look: &Look,
        read: &Readings,
        rules: &Rules,
        version: Option<Version>,
        wall: &ZonedDateTime,
    ) -> Option<Failure> {
        self.looked = Some(now);
        self.dirty = (!self.settled(now)).then_some(now);
        let busy = look.is_busy() || read.status == Some(Status::Busy);
        self.forget_typing(now, look, read);
        if busy {
            return None;
        }
        let mut strange = false;
        let mut seen = |place: Place, text: &str, error: Option<&str>, status: Option<u16>| {
            let observation = Observation {
                place,
                text,
                errors: error.as_slice(),
                status,
                sign_in: read.sign_in,
                since: read.tail.prompted_at.or(Some(self.launched)),
                version,
                now: wall,
            };
            let found = rules.classify(&observation);
            strange = found.is_none() && !rules.know(&observation);
            found
        };
        let told = self.reported_line.is_some() && self.reported_line == read.tail.last_uuid;
        let line = self.error_line(read).filter(|_| !told);
        let found = match (&self.hook, line) {
            (Some((_, Hook::Failure { .. })), Some(line)) if !self.reported => {
                seen(Place::Transcript, &line.text, line.error.as_deref(), line.status)
            }
            (Some((at, Hook::Failure { error, message })), None)
                if !self.reported && now.saturating_duration_since(*at) >= LINE_AFTER_HOOK =>
            {
                seen(Place::Hook, message, Some(error), None)
            }
            // hooks do not run (old versions, `disableAllHooks`): the transcript is the witness
            (None | Some((_, Hook::SessionStart)), Some(line))
                if self.settled(now) || look.title == Title::Idle =>
            {
                seen(Place::Transcript, &line.text, line.error.as_deref(), line.status)
            }
            // a turn that runs or succeeded, a line still to come, or nothing at all
            _ => None,
        };
        let login_failed = matches!(look.panel, Some(Panel::LoginFailed(_)));
        self.reported_login &= login_failed;
        let by_screen = || {
            let told = if login_failed { self.reported_login } else { self.reported };
            let ready = self.settled(now) && !told;
            ready.then(|| by_screen(look, |text| seen(Place::Screen, text, None, None))).flatten()
        };
        let Some(Classified { kind, status, evidence, .. }) = found.or_else(by_screen) else {
            // Claude's own hint to resend says that a turn failed, whatever else is silent.
            let hint = InputBox::Placeholder(Placeholder::OnceFixed);
            let silent = !matches!(self.hook, Some((_, Hook::Failure { .. }))) && line.is_none();
            let hinted = look.input == hint && silent && !self.reported;
            if (strange || hinted) && self.settled(now) && self.unknown == Unknown::No {
                self.unknown = Unknown::Seen;
            }
            return None;
        };
        self.reported = true;
        self.reported_login = login_failed;
        self.reported_line.clone_from(&read.tail.last_uuid);
        let evidence = vec![evidence];
        Some(Failure {
            kind,
            status,
            evidence,
            session: read.session.clone(),
            turn: read.tail.turn,
        })
    }

    /// Whether a failure was seen that no rule knows; each is told once.
    pub fn take_unknown(&mut self) -> bool {
        let seen = self.unknown == Unknown::Seen;
        if seen {
            self.unknown = Unknown::Told;
        }
        seen
    }

    /// What the end of the child means. `last_words` is what it printed, if it left before its
    /// first prompt.
    #[must_use]
    pub fn exited(
        &mut self,
        now: Instant,
        exit: ExitReason,
        last_words: Option<&str>,
        read: &Readings,
        rules: &Rules,
        wall: &ZonedDateTime,
    ) -> Verdict {
        use nix::libc::{SIGABRT, SIGBUS, SIGKILL, SIGSEGV};
        let user = self.ending_key.is_some_and(|at| now.duration_since(at) < USER_ENDED);
        let failure = |kind, status, evidence| {
            let session = read.session.clone();
            // only hooks that are known to run can prove that no prompt was submitted
            let unprompted = self.hook.is_some() && !self.prompt_seen;
            let turn = match read.tail.turn {
                TurnState::Unknown if unprompted => TurnState::NotPrompted,
                turn => turn,
            };
            Verdict::Failed(Failure { kind, status, evidence: vec![evidence], session, turn })
        };
        match exit {
            ExitReason::Signal(signal @ (SIGKILL | SIGSEGV | SIGABRT | SIGBUS)) if !user => {
                let kind = match last_words {
                    Some(_) => FailureKind::StartUp,
                    None => FailureKind::Crash,
                };
                let excerpt = format!("killed by signal {signal}");
                let rule = "exit-signal".to_owned();
                failure(kind, None, Evidence { rule, source: Source::Exit, excerpt })
            }
            ExitReason::Code(code) if !matches!(code, 0 | 129 | 130 | 143) && !user => {
                let observation = last_words.map(|text| Observation {
                    place: Place::StartUp,
                    text,
                    errors: &[],
                    status: None,
                    sign_in: read.sign_in,
                    since: None,
                    version: None,
                    now: wall,
                });
                if let Some(found) = observation.as_ref().and_then(|seen| rules.classify(seen)) {
                    return failure(found.kind, found.status, found.evidence);
                }
                // what no rule knows is the user's to read: Claude's text and code pass through
                let known = observation.is_some_and(|seen| rules.know(&seen));
                let chosen = self.last_key.is_some_and(|at| now.duration_since(at) < USER_ENDED);
                if !known && !chosen {
                    self.unknown = Unknown::Seen;
                }
                Verdict::Done(exit)
            }
            _ => Verdict::Done(exit),
        }
    }
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
