//! Whether anything may be typed into Claude, and what. In: what a look and the files tell. Out:
//! yes, or the reason why not; a key pressed blind could approve a command.

use std::time::Instant;

use super::{Hook, Readings, Watcher};
use crate::claude::session_file::Status;
use crate::watch::hint::Placeholder;
use crate::watch::look::{InputBox, Look, Title, VimMode};

/// Why nothing may be typed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WhyNot {
    /// The newest hook does not say that the turn failed.
    #[error("the turn has not failed")]
    NotFailed,
    /// A key or paste since the box was last seen empty.
    #[error("the user has typed")]
    UserTyped,
    /// A turn is running or Claude retries.
    #[error("claude is working")]
    Busy,
    /// Something stands in the input box's place; Enter would answer it.
    #[error("a dialog is open")]
    Dialog,
    /// The screen has not been still for long enough.
    #[error("the screen has not settled")]
    NotSettled,
    /// There is a draft.
    #[error("there is a draft in the input box")]
    Draft,
    /// No dim placeholder of a failed turn.
    #[error("claude does not offer to resend")]
    NoPlaceholder,
    /// Keys would be commands.
    #[error("the input box is in vim's normal mode")]
    Vim,
    /// Another process writes to the session.
    #[error("another process uses the session")]
    ForeignWriter,
    /// The box does not hold exactly our text with the cursor behind it.
    #[error("the input box does not hold exactly the message")]
    NotOurText,
}

impl Watcher {
    /// Whether the message may be pasted now.
    pub fn may_type(&mut self, now: Instant, look: &Look, read: &Readings) -> Result<(), WhyNot> {
        // an arrow may draw nothing, and then nothing else makes a look due
        self.forget_typing(now, look, read);
        let failed = match &self.hook {
            Some((_, Hook::Failure { .. })) => true,
            Some((_, Hook::Prompt | Hook::Stop)) => false,
            None | Some((_, Hook::SessionStart)) => self.error_line(read).is_some(),
        };
        if !failed {
            return Err(WhyNot::NotFailed);
        }
        self.may_touch(look, read)?;
        // for a screen reader there is no title, and our own line ticks
        let hinted = matches!(look.input, InputBox::Undimmed(_)) && self.box_is_empty(look, read);
        if !hinted && !self.settled(now) && look.title != Title::Idle {
            return Err(WhyNot::NotSettled);
        }
        match look.input {
            InputBox::Undimmed(_) if !self.box_is_empty(look, read) => Err(WhyNot::Draft),
            InputBox::Placeholder(Placeholder::Resend | Placeholder::OnceFixed)
            | InputBox::Undimmed(Placeholder::Resend | Placeholder::OnceFixed) => Ok(()),
            InputBox::Draft { .. } => Err(WhyNot::Draft),
            InputBox::Absent => Err(WhyNot::Dialog),
            InputBox::Empty | InputBox::Placeholder(_) | InputBox::Undimmed(_) => {
                Err(WhyNot::NoPlaceholder)
            }
        }
    }

    /// Whether Enter may follow the pasted message.
    pub fn may_enter(&self, look: &Look, read: &Readings, message: &str) -> Result<(), WhyNot> {
        self.may_touch(look, read)?;
        if look.box_holds_exactly(message) { Ok(()) } else { Err(WhyNot::NotOurText) }
    }

    fn may_touch(&self, look: &Look, read: &Readings) -> Result<(), WhyNot> {
        if look.panel.is_some() || read.status == Some(Status::Waiting) {
            return Err(WhyNot::Dialog);
        }
        if look.is_busy() || read.status == Some(Status::Busy) || look.limit_wait {
            return Err(WhyNot::Busy);
        }
        if self.typed.is_some() {
            return Err(WhyNot::UserTyped);
        }
        if read.foreign_writer {
            return Err(WhyNot::ForeignWriter);
        }
        if read.vim_commands || look.vim == Some(VimMode::Other) {
            return Err(WhyNot::Vim);
        }
        Ok(())
    }
}

/// Whether a message may be typed at all: it must not be a command, a menu's choice or more than
/// one line.
pub fn is_typable(message: &str) -> Result<(), &'static str> {
    match message.chars().next() {
        None => Err("is empty"),
        Some('/' | '!' | '#' | '@') => Err("begins with one of / ! # @"),
        Some(first) if first.is_ascii_digit() => Err("begins with a digit"),
        Some(_) if message.chars().any(char::is_control) => Err("holds a control character"),
        Some(_) => Ok(()),
    }
}
