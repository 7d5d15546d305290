//! Which modes of the user's terminal the child has switched on, and the bytes that undo them.
//!
//! In: the bytes shown on the terminal, in any slices. Out: a reset string, empty if every mode is
//! at its default, so that nothing is added after a child that cleaned up behind itself.
//! It never judges what the bytes mean beyond modes, and never changes them.

use std::fmt::Write as _;

/// Private modes (`CSI ? n h/l`) that are tracked, in the order in which they are undone, with
/// their default. The alternate screens are handled apart, since they must be left between the
/// two keyboard stacks.
const PRIVATE: [(u16, bool); 20] = [
    (2026, false), // synchronized output: first, or the terminal may show none of what follows
    (1006, false), // mouse encodings and reports
    (1015, false),
    (1016, false),
    (1005, false),
    (1003, false),
    (1002, false),
    (1001, false),
    (1000, false),
    (9, false),
    (1007, false), // the wheel sends cursor keys on the alternate screen
    (1004, false), // focus reports
    (2031, false), // colour scheme reports
    (2048, false), // in-band resize reports
    (2004, false), // bracketed paste
    (1, false),    // application cursor keys
    (6, false),    // origin mode
    (5, false),    // reverse video
    (7, true),     // auto wrap
    (25, true),    // visible cursor: last of all, once the screen is in order
];
const ALTERNATE: [u16; 3] = [1049, 1047, 47];
/// Longer parameter strings belong to no sequence tracked here.
const MAX_PARAMETERS: usize = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Ground,
    Escape,
    Csi,
}

/// The modes that differ from a fresh terminal's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes {
    scan: Scan,
    parameters: [u8; MAX_PARAMETERS],
    length: usize,
    /// Bit n: `PRIVATE[n]` is not at its default.
    changed: u32,
    /// Which of `ALTERNATE` is on.
    alternate: Option<u16>,
    /// Depth of the kitty keyboard stack on the main and on the alternate screen.
    keyboard: [u16; 2],
    /// Flags set without a push (`CSI = n u`), per screen.
    keyboard_set: [bool; 2],
    other_keys: bool,
    keypad: bool,
    region: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            scan: Scan::Ground,
            parameters: [0; MAX_PARAMETERS],
            length: 0,
            changed: 0,
            alternate: None,
            keyboard: [0; 2],
            keyboard_set: [false; 2],
            other_keys: false,
            keypad: false,
            region: false,
        }
    }
}

impl Modes {
    /// Takes note of bytes that were written to the terminal.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.scan == Scan::Ground {
                let Some(at) = memchr::memchr(0x1b, bytes) else { return };
                self.scan = Scan::Escape;
                bytes = &bytes[at + 1..];
                continue;
            }
            self.step(bytes[0]);
            bytes = &bytes[1..];
        }
    }

    /// Whether every mode is at its default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.changed == 0
            && self.alternate.is_none()
            && self.keyboard == [0; 2]
            && self.keyboard_set == [false; 2]
            && !(self.other_keys || self.keypad || self.region)
    }

    /// The bytes that bring every changed mode back to its default; empty if there is none.
    #[must_use]
    pub fn reset(&self) -> String {
        if self.is_default() {
            return String::new();
        }
        // The string terminator ends an OSC or a CSI that a killed child left half written; on a
        // terminal that waits for no such thing it does nothing.
        let mut out = String::from("\x1b\\");
        self.each_changed(&mut out, |default| default);
        if self.other_keys {
            out.push_str("\x1b[>4m");
        }
        if self.keypad {
            out.push_str("\x1b>");
        }
        if self.region {
            out.push_str("\x1b7\x1b[r\x1b8");
        }
        self.pop_keyboard(1, &mut out);
        if let Some(mode) = self.alternate {
            let _ = write!(out, "\x1b[?{mode}l");
        }
        self.pop_keyboard(0, &mut out);
        out.push_str("\x1b[m\x1b(B\x0f");
        out
    }

    /// The bytes that set every changed mode again, after a suspension during which they were
    /// reset. Keyboard stacks and the scroll region are left to the child's own repaint.
    #[must_use]
    pub fn set_again(&self) -> String {
        let mut out = String::new();
        if let Some(mode) = self.alternate {
            let _ = write!(out, "\x1b[?{mode}h");
        }
        self.each_changed(&mut out, |default| !default);
        if self.keypad {
            out.push_str("\x1b=");
        }
        out
    }

    fn each_changed(&self, out: &mut String, wanted: impl Fn(bool) -> bool) {
        for (bit, (mode, default)) in PRIVATE.iter().enumerate() {
            if self.changed & (1 << bit) != 0 {
                let _ = write!(out, "\x1b[?{mode}{}", if wanted(*default) { 'h' } else { 'l' });
            }
        }
    }

    fn pop_keyboard(&self, screen: usize, out: &mut String) {
        if self.keyboard_set[screen] {
            out.push_str("\x1b[=0u");
        }
        if self.keyboard[screen] > 0 {
            let _ = write!(out, "\x1b[<{}u", self.keyboard[screen]);
        }
    }

    fn step(&mut self, byte: u8) {
        match (self.scan, byte) {
            (_, 0x1b) => self.scan = Scan::Escape,
            (_, 0x18 | 0x1a) => self.scan = Scan::Ground,
            (Scan::Escape, b'[') => {
                self.scan = Scan::Csi;
                self.length = 0;
            }
            (Scan::Escape, _) => {
                self.scan = Scan::Ground;
                match byte {
                    b'=' => self.keypad = true,
                    b'>' => self.keypad = false,
                    b'c' => *self = Self::default(),
                    _ => {}
                }
            }
            (Scan::Csi, 0x20..=0x3f) => {
                if self.length < MAX_PARAMETERS {
                    self.parameters[self.length] = byte;
                }
                self.length += 1;
            }
            (Scan::Csi, 0x40..=0x7e) => {
                self.scan = Scan::Ground;
                if self.length <= MAX_PARAMETERS {
                    self.sequence(byte);
                }
            }
            _ => {}
        }
    }

    fn sequence(&mut self, last: u8) {
        let parameters = self.parameters;
        let parameters = &parameters[..self.length];
        let screen = usize::from(self.alternate.is_some());
        match (parameters.first(), last) {
            (Some(b'?'), b'h' | b'l') => {
                for mode in numbers(&parameters[1..]) {
                    self.private(mode, last == b'h');
                }
            }
            (Some(b'>'), b'u') => self.keyboard[screen] = self.keyboard[screen].saturating_add(1),
            (Some(b'<'), b'u') => {
                let count = numbers(&parameters[1..]).next().unwrap_or(1).max(1);
                self.keyboard[screen] = self.keyboard[screen].saturating_sub(count);
                self.keyboard_set[screen] = false;
            }
            (Some(b'='), b'u') => {
                self.keyboard_set[screen] = numbers(&parameters[1..]).next().unwrap_or(0) != 0;
            }
            (Some(b'>'), b'm') => {
                let mut values = numbers(&parameters[1..]);
                match (values.next(), values.next()) {
                    (Some(4), level) => self.other_keys = level.unwrap_or(0) != 0,
                    (None, _) => self.other_keys = false,
                    _ => {}
                }
            }
            (None, b'r') => self.region = false,
            (Some(b'0'..=b'9' | b';'), b'r') => self.region = true,
            _ => {}
        }
    }

    fn private(&mut self, mode: u16, on: bool) {
        if ALTERNATE.contains(&mode) {
            self.alternate = on.then_some(mode);
        } else if let Some(bit) = PRIVATE.iter().position(|(known, _)| *known == mode) {
            if on == PRIVATE[bit].1 {
                self.changed &= !(1 << bit);
            } else {
                self.changed |= 1 << bit;
            }
        }
    }
}

/// The parameters `1;2;3` as numbers; sub-parameters and anything unreadable are left out.
fn numbers(parameters: &[u8]) -> impl Iterator<Item = u16> {
    parameters
        .split(|&byte| byte == b';')
        .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &[u8] = b"\x1b7\x1b[r\x1b8\x1b[?25h\x1b[?25l\x1b[?2004h\x1b[?2031h\x1b[?1004h\
        \x1b]0;title\x07\x1b[<u\x1b[>5u\x1b[>4;2m\x1b[?1049h\x1b[?1000;1002h\x1b[?1006h";
    const RESTORE: &[u8] = b"\x1b[?1006l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1004l\x1b[>4m\
        \x1b[?1049l\x1b[<u\x1b[?2031l\x1b[?2004l\x1b(B\x0f\x1b[?7h\x1b[?25h\x1b7\x1b[r\x1b8";

    #[test]
    fn nothing_is_added_after_a_child_that_restored_every_mode() {
        let mut modes = Modes::default();
        modes.feed(START);
        modes.feed(RESTORE);
        assert_eq!(modes.reset(), "");
    }

    #[test]
    fn a_reset_undoes_every_mode_and_leaves_the_tracker_at_its_defaults() {
        let mut modes = Modes::default();
        modes.feed(START);
        let reset = modes.reset();
        for part in [
            "\x1b[?25h",
            "\x1b[?2004l",
            "\x1b[?2031l",
            "\x1b[?1004l",
            "\x1b[<1u",
            "\x1b[>4m",
            "\x1b[?1049l",
            "\x1b[?1000l",
            "\x1b[?1002l",
            "\x1b[?1006l",
        ] {
            assert!(reset.contains(part), "{part:?} is missing in {reset:?}");
        }
        modes.feed(reset.as_bytes());
        assert!(modes.is_default(), "{modes:?}");
    }

    #[test]
    fn the_alternate_screen_is_left_only_if_it_was_entered() {
        let mut modes = Modes::default();
        modes.feed(b"\x1b[?2004h");
        assert!(!modes.reset().contains("1049"));
    }

    #[test]
    fn slices_of_any_length_are_read_alike() {
        for length in 1..9 {
            let mut modes = Modes::default();
            START.chunks(length).for_each(|slice| modes.feed(slice));
            assert!(!modes.is_default());
            RESTORE.chunks(length).for_each(|slice| modes.feed(slice));
            assert!(modes.is_default(), "slices of {length}");
        }
    }

    #[test]
    fn the_keyboard_stack_of_each_screen_is_popped_on_that_screen() {
        let mut modes = Modes::default();
        modes.feed(b"\x1b[>1u\x1b[>5u\x1b[?1049h\x1b[>5u");
        let reset = modes.reset();
        let [alternate, leave, main] =
            ["\x1b[<1u", "\x1b[?1049l", "\x1b[<2u"].map(|part| reset.find(part).unwrap());
        assert!(alternate < leave && leave < main);
    }

    #[test]
    fn modes_set_again_are_those_that_were_on() {
        let mut modes = Modes::default();
        modes.feed(b"\x1b[?2004h\x1b[?25l\x1b[?1049h");
        assert_eq!(modes.set_again(), "\x1b[?1049h\x1b[?2004h\x1b[?25l");
    }
}
