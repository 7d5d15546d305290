//! Ctrl-Z and `fg`, which a PTY of our own takes from the child.
//!
//! The child is the leader of its own session, so its process group is orphaned and the kernel
//! drops the SIGTSTP it sends itself: it would look frozen. Therefore the key is seen in the input,
//! the child's own suspension is recognised by its terminal settings, and we stop in its place.

use std::time::Duration;

use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::termios::{LocalFlags, Termios};
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::launch::is_ignored;

/// How long after the key the child may take to suspend itself, on a loaded machine.
const WINDOW: Duration = Duration::from_secs(5);
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Whether user input holds Ctrl-Z: as a byte, in the kitty protocol, or as modifyOtherKeys.
/// A false positive (in a paste) is harmless: the child's terminal settings decide.
#[must_use]
pub fn holds_suspend_key(input: &[u8]) -> bool {
    input.contains(&0x1a) || escape_keys(input).any(|key| key == (122, true))
}

/// Whether input could make the child leave (Enter, Ctrl-C, Ctrl-D): leaving restores the
/// terminal settings too, and must not be taken for a suspension.
pub(super) fn holds_leaving_key(input: &[u8]) -> bool {
    input.iter().any(|byte| matches!(byte, b'\r' | 0x03 | 0x04))
        || escape_keys(input)
            .any(|(key, control)| key == 13 || (control && matches!(key, 99 | 100)))
}

/// The keys written as `CSI key ; modifiers u` or `CSI 27 ; modifiers ; key ~`, with whether Ctrl
/// is among the modifiers.
fn escape_keys(input: &[u8]) -> impl Iterator<Item = (u32, bool)> + '_ {
    input.split(|&byte| byte == 0x1b).skip(1).filter_map(|rest| {
        let body = rest.strip_prefix(b"[")?;
        let end = body.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
        let text = std::str::from_utf8(&body[..end]).ok()?;
        // Sub-parameters (alternate keys, press or release) follow a colon.
        let mut fields =
            text.split(';').map(|field| field.split(':').next().and_then(|n| n.parse().ok()));
        let (key, modifiers): (u32, u32) = match body[end] {
            b'u' => (fields.next()??, fields.next().flatten().unwrap_or(1)),
            b'~' if fields.next()? == Some(27) => {
                let modifiers = fields.next()??;
                (fields.next()??, modifiers)
            }
            _ => return None,
        };
        Some((key, modifiers.saturating_sub(1) & 0b100 != 0))
    })
}

/// What the terminal settings of the child say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineMode {
    /// The child reads keys as they come.
    Raw,
    /// The kernel edits lines and turns Ctrl-Z into a signal.
    Cooked,
}

impl LineMode {
    pub(super) fn of(termios: &Termios) -> Self {
        if termios.local_flags.contains(LocalFlags::ICANON | LocalFlags::ISIG) {
            Self::Cooked
        } else {
            Self::Raw
        }
    }
}

/// Watches for the child's suspension after the key was passed on, and only then: an idle terminal
/// costs no wake-up.
#[derive(Debug)]
pub(super) struct SuspensionWatch {
    since: Instant,
}

impl SuspensionWatch {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now }
    }

    /// When to look next; `None` once the window is over.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let elapsed = now.duration_since(self.since);
        (elapsed < WINDOW).then(|| now + (FIRST_LOOK + elapsed / 2).min(LONGEST_PAUSE))
    }
}

/// Which processes a stop is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Our whole process group, as the key does.
    Group,
    /// This process: whoever sent us SIGTSTP chose the others.
    Process,
}

/// Stops as a plain child would, and returns after SIGCONT. `back` runs before our signal handlers
/// return, so that claiming a terminal that is not ours yet (`bg`) stops us once more.
///
/// Returns at once if the kernel drops the signal (an orphaned group) or SIGTSTP is ignored.
pub(super) fn stop(scope: Scope, back: impl FnOnce()) {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let replaced = if is_ignored(Signal::SIGTSTP) {
        Vec::new()
    } else {
        // SIGCONT too: its handler would report a continuation that this call already reports.
        [Signal::SIGTSTP, Signal::SIGCONT]
            .into_iter()
            .filter_map(|number| {
                // SAFETY: the default disposition runs no code of ours.
                let old = unsafe { signal::sigaction(number, &default) }.ok()?;
                Some((number, old))
            })
            .collect()
    };
    let _ = match scope {
        Scope::Group => signal::kill(Pid::from_raw(0), Signal::SIGTSTP),
        Scope::Process => signal::raise(Signal::SIGTSTP),
    };
    back();
    for (number, old) in replaced {
        // SAFETY: puts back the action that was installed before, whose handler is still valid.
        let _ = unsafe { signal::sigaction(number, &old) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_z_is_seen_in_every_encoding() {
        for keys in [
            "\x1a",
            "abc\x1a",
            "\x1b[122;5u",
            "\x1b[122;5:1u",
            "\x1b[122;133u",
            "\x1b[27;5;122~",
            "\x1b[I\x1b[122;5u",
        ] {
            assert!(holds_suspend_key(keys.as_bytes()), "{keys:?}");
        }
    }

    #[test]
    fn other_keys_are_not_ctrl_z() {
        for keys in ["z", "\x1b[122u", "\x1b[122;3u", "\x1b[99;5u", "\x1b[27;5;99~", "\x1b[1;5C"] {
            assert!(!holds_suspend_key(keys.as_bytes()), "{keys:?}");
        }
    }

    #[test]
    fn keys_that_may_end_the_child_are_told_apart() {
        for keys in ["/exit\r", "\x03", "\x04", "\x1b[99;5u", "\x1b[13u"] {
            assert!(holds_leaving_key(keys.as_bytes()), "{keys:?}");
        }
        assert!(!holds_leaving_key(b"cd\x1a\x1b[122;5u"));
    }
}
