//! Which modes the child has switched on in the user's terminal, and the bytes that switch them
//! off again. In: what the screen model noticed. Out: a reset for the case that the child died
//! without one. Never asks the terminal anything.

/// Modes that outlive a child that was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
// each is an independent switch of the terminal, not a state of ours
#[allow(clippy::struct_excessive_bools)]
pub struct Modes {
    /// `?1049` or `?47`.
    pub alternate_screen: bool,
    /// `?25l`.
    pub cursor_hidden: bool,
    /// `?2004`.
    pub bracketed_paste: bool,
    /// `?1004`.
    pub focus: bool,
    /// Any of `?9 ?1000 ?1002 ?1003`, or an encoding of them.
    pub mouse: bool,
    /// `?2031`: reports of light and dark.
    pub colour_scheme: bool,
    /// `?2026`: a frame was begun and not ended.
    pub synchronized: bool,
    /// `?1` and `ESC =`.
    pub application_keys: bool,
    /// Pushes of the kitty keyboard protocol not yet popped.
    pub kitty: u8,
    /// `CSI > 4 ; n m`.
    pub modify_other_keys: bool,
}

impl Modes {
    /// All of them, for when the model does not know.
    #[must_use]
    pub fn all() -> Self {
        Self {
            alternate_screen: true,
            cursor_hidden: true,
            bracketed_paste: true,
            focus: true,
            mouse: true,
            colour_scheme: true,
            synchronized: true,
            application_keys: true,
            kitty: 1,
            modify_other_keys: true,
        }
    }

    /// The bytes that switch off what is on, colours and scroll region included; empty when
    /// nothing is on. The alternate screen is left last, so that the rest applies to it too.
    #[must_use]
    pub fn reset(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut off = |on: bool, sequence: &[u8]| {
            if on {
                bytes.extend_from_slice(sequence);
            }
        };
        off(self.synchronized, b"\x1b[?2026l");
        off(self.mouse, b"\x1b[?1006l\x1b[?1005l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?9l");
        off(self.focus, b"\x1b[?1004l");
        off(self.modify_other_keys, b"\x1b[>4m");
        for _ in 0..self.kitty {
            off(true, b"\x1b[<u");
        }
        off(self.colour_scheme, b"\x1b[?2031l");
        off(self.bracketed_paste, b"\x1b[?2004l");
        off(self.application_keys, b"\x1b[?1l\x1b>");
        off(self.cursor_hidden, b"\x1b[?25h");
        off(self.alternate_screen, b"\x1b[?1049l");
        if !bytes.is_empty() {
            // SGR, character set, scroll region (which moves the cursor, hence save and restore)
            bytes.extend_from_slice(b"\x1b[m\x1b(B\x0f\x1b7\x1b[r\x1b8");
        }
        bytes
    }

    /// A private mode (`CSI ? n h` or `l`) that the screen model leaves to us.
    pub(super) fn private(&mut self, mode: u16, on: bool) {
        match mode {
            1004 => self.focus = on,
            2026 => self.synchronized = on,
            2031 => self.colour_scheme = on,
            _ => {}
        }
    }

    /// `CSI > … u` pushes, `CSI < n u` pops.
    pub(super) fn kitty(&mut self, intermediate: u8, count: u16) {
        match intermediate {
            // terminals keep few levels; a runaway child must not make us write for ever
            b'>' => self.kitty = self.kitty.saturating_add(1).min(16),
            b'<' => {
                let count = u8::try_from(count.max(1)).unwrap_or(u8::MAX);
                self.kitty = self.kitty.saturating_sub(count);
            }
            _ => {}
        }
    }
}
