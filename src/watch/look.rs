//! What one look at Claude's screen tells: busy or idle, what is in the input box, which dialog
//! has replaced it. In: the cells. Out: a [`Look`]. Words in the conversation are never read:
//! Claude draws quoted errors like its own.

use std::fmt::Write as _;

use super::hint::{Placeholder, hint, placeholder};
use super::spoken;

/// The rule above and below the input box is recognised by this many cells.
const RULE_CELLS: u16 = 4;

/// What the footer says of a permission mode, and its value for the flag.
const MODES: [(&str, &str); 4] = [
    ("plan mode on", "plan"),
    ("accept edits on", "acceptEdits"),
    ("auto mode on", "auto"),
    ("manual mode on", "manual"),
];

/// What the window title says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Title {
    /// `◐` or `◑`: a turn is running.
    Busy,
    /// `✳`: waiting for the user, be it at a prompt or at a dialog.
    Idle,
    /// No title was written (as under tmux), or another program's.
    #[default]
    Unknown,
}

impl Title {
    pub(super) fn of(title: &[u8]) -> Self {
        match std::str::from_utf8(title).ok().and_then(|title| title.chars().next()) {
            Some('◐' | '◑' | '◒' | '◓') => Self::Busy,
            Some('✳') => Self::Idle,
            _ => Self::Unknown,
        }
    }
}

/// The input box.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum InputBox {
    /// Nothing in it.
    Empty,
    /// Nothing in it but a dim hint.
    Placeholder(Placeholder),
    /// A hint's exact words without its dimness (`NO_COLOR`, a screen reader), the cursor before
    /// them: a hint, unless somebody typed just these words and went back to their start.
    Undimmed(Placeholder),
    /// Somebody's text.
    Draft {
        /// As it stands there: one line per row, without the indent.
        text: String,
        /// The cursor stands directly behind the last character.
        cursor_behind: bool,
    },
    /// There is none: a dialog, a pager, another program, or a version drawn otherwise.
    #[default]
    Absent,
}

/// A screen that has taken the place of the input box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Panel {
    /// `Select login method:`.
    LoginMethod,
    /// `Paste code here if prompted`.
    LoginPaste,
    /// `Finishing sign-in…`.
    LoginRunning,
    /// `✘ OAuth error: …`, un-wrapped.
    LoginFailed(String),
    /// `Login successful`.
    LoginDone,
    /// The usage limit's menu.
    LimitMenu,
    /// Claude asks whether it may use a tool. Its default is *Yes*.
    Permission,
    /// Claude asks whether the directory is trusted.
    Trust,
    /// Any other list with a marked line.
    Menu,
}

/// The row Claude shows while it retries by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retrying {
    /// Which attempt, and of how many, if it says so.
    pub attempt: Option<(u32, u32)>,
    /// The HTTP status, if it says so.
    pub status: Option<u16>,
}

/// The vim mode that the footer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VimMode {
    /// Typed text goes into the box.
    Insert,
    /// Typed text is commands.
    Other,
}

/// What a look at the screen tells. The default is that of a blind model: nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
// independent observations
#[allow(clippy::struct_excessive_bools)]
pub struct Look {
    /// The window title.
    pub title: Title,
    /// The input box.
    pub input: InputBox,
    /// What stands in its place.
    pub panel: Option<Panel>,
    /// The marked line of that screen is its first entry.
    pub first_entry: bool,
    /// Claude is retrying by itself.
    pub retrying: Option<Retrying>,
    /// The footer says `esc to interrupt`: a turn is running.
    pub interruptible: bool,
    /// The footer says that Claude continues by itself when the usage limit resets.
    pub limit_wait: bool,
    /// The footer says that messages are not saved for a resume.
    pub transcript_failing: bool,
    /// The footer says that there is no sign-in.
    pub signed_out: bool,
    /// The vim mode, if the footer names one.
    pub vim: Option<VimMode>,
    /// The permission mode, if the footer names one; never the one that asks for nothing.
    pub permission_mode: Option<&'static str>,
    /// A full-screen view is on.
    pub alternate_screen: bool,
}

impl Look {
    pub(super) fn at(screen: &vt100::Screen, title: Title) -> Self {
        let mut look =
            Self { title, alternate_screen: screen.alternate_screen(), ..Self::default() };
        let rows = Rows::of(screen);
        let Some(place) = BoxPlace::find(&rows) else {
            if let Some(input) = spoken::prompt(screen, &rows) {
                return Self { input, ..look };
            }
            look.panel = panel(&rows.text);
            look.first_entry = marked(&rows.text).is_some_and(|line| line.starts_with("1. "));
            return look;
        };
        look.input = read_box(screen, &rows, &place);
        look.retrying = retrying(&rows.text[..place.top]);
        let footer = &rows.text[place.bottom + 1..];
        let says = |words: &str| footer.iter().any(|row| row.contains(words));
        look.interruptible = says("esc to interrupt");
        look.limit_wait = says("Continuing automatically at");
        look.transcript_failing = says("Transcript writes are failing");
        look.signed_out = says("Not logged in · run /login");
        look.vim = if says("-- INSERT --") {
            Some(VimMode::Insert)
        } else if says("-- NORMAL --") || says("-- VISUAL") {
            Some(VimMode::Other)
        } else {
            None
        };
        let named = MODES.iter().find(|(words, _)| says(words));
        look.permission_mode = named.map(|(_, mode)| *mode);
        look
    }

    /// Whether a turn is running or Claude is about to go on by itself.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.title == Title::Busy || self.interruptible || self.retrying.is_some()
    }

    /// Whether the box holds exactly this text and the cursor stands behind it. Line breaks that
    /// come from wrapping do not count; any other difference does.
    #[must_use]
    pub fn box_holds_exactly(&self, text: &str) -> bool {
        let InputBox::Draft { text: shown, cursor_behind: true } = &self.input else {
            return false;
        };
        let mut left = text;
        for row in shown.lines() {
            match left.trim_start().strip_prefix(row.trim()) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        left.trim().is_empty() && !text.trim().is_empty()
    }

    /// Whether nobody's text is in the box.
    #[must_use]
    pub fn box_is_empty(&self) -> bool {
        matches!(self.input, InputBox::Empty | InputBox::Placeholder(_))
    }
}

/// The text of the rows, without trailing blanks.
pub(super) struct Rows {
    pub(super) text: Vec<String>,
    rules: Vec<bool>,
}

impl Rows {
    pub(super) fn of(screen: &vt100::Screen) -> Self {
        let (height, width) = screen.size();
        let mut rows = Self { text: Vec::new(), rules: Vec::new() };
        for row in 0..height.get() {
            let mut text = cells(screen, row, 0, width.get());
            text.truncate(text.trim_end_matches([' ', '\u{a0}']).len());
            let is_rule = |col| screen.cell(row, col).is_some_and(|cell| cell.contents() == "─");
            rows.rules.push((0..RULE_CELLS).all(is_rule));
            rows.text.push(text);
        }
        rows
    }
}

fn cells(screen: &vt100::Screen, row: u16, from: u16, to: u16) -> String {
    let mut text = String::new();
    for cell in (from..to).filter_map(|col| screen.cell(row, col)) {
        if cell.has_contents() {
            text.push_str(cell.contents());
        } else if !cell.is_wide_continuation() {
            text.push(' ');
        }
    }
    text
}

/// The rows of the input box: the rule above, and the rule below.
pub(super) struct BoxPlace {
    pub(super) top: usize,
    pub(super) bottom: usize,
}

impl BoxPlace {
    /// The lowest `❯` (2.0: `>`) with a no-break space in the first column between two rules.
    /// History has an ordinary space there, dialogs an indent, and prose and tool output never
    /// reach column 0.
    pub(super) fn find(rows: &Rows) -> Option<Self> {
        let prompt = rows.text.iter().rposition(|row| {
            let rest = row.strip_prefix(['❯', '>']);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('\u{a0}'))
        })?;
        let top = prompt.checked_sub(1).filter(|row| rows.rules[*row])?;
        let below = prompt + 1 + rows.rules[prompt + 1..].iter().position(|rule| *rule)?;
        Some(Self { top, bottom: below })
    }
}

fn read_box(screen: &vt100::Screen, rows: &Rows, place: &BoxPlace) -> InputBox {
    let width = screen.size().1.get();
    let first = place.top + 1;
    // the sign alone in its row is a prompt only with the no-break space behind it
    if screen.cell(first as u16, 1).is_none_or(|cell| cell.contents() != "\u{a0}") {
        return InputBox::Absent;
    }
    let (mut text, mut dim, mut bright) = (String::new(), false, false);
    let (mut cursor, mut last) = (None, None);
    for row in first..place.bottom {
        if row > first {
            text.push('\n');
        }
        let line = cells(screen, row as u16, 2, width);
        let _ = write!(text, "{}", line.trim_end_matches([' ', '\u{a0}']));
        for col in 2..width {
            let Some(cell) = screen.cell(row as u16, col) else { continue };
            let blank = matches!(cell.contents(), "" | " " | "\u{a0}");
            if cell.inverse() && cursor.is_none() {
                cursor = Some((row, col, blank));
            }
            if !blank {
                last = Some((row, col));
                match (cell.dim(), cell.inverse()) {
                    (true, _) => dim = true,
                    (false, true) => {}
                    (false, false) => bright = true,
                }
            }
        }
    }
    text.truncate(text.trim_end().len());
    let Some((last_row, last_col)) = last else { return InputBox::Empty };
    let at_start = cursor.is_none_or(|(row, col, _)| (row, col) == (first, 2));
    if dim && !bright && at_start {
        return InputBox::Placeholder(placeholder(&rows.text[first]));
    }
    let before = cursor.is_some_and(|(row, col, blank)| (row, col, blank) == (first, 2, false));
    if let Some(hint) = hint(&text).filter(|_| before) {
        return InputBox::Undimmed(hint);
    }
    // directly behind, or at the start of the next row when the text fills its row
    let cursor_behind = cursor.is_some_and(|(row, col, blank)| {
        blank && (row, col) > (last_row, last_col) && (row == last_row || col == 2)
    });
    InputBox::Draft { text, cursor_behind }
}

/// The last spinner row above the box that speaks of a retry. Only Claude's own rows begin in
/// column 0 with a spinner's glyph.
fn retrying(rows: &[String]) -> Option<Retrying> {
    // the row may be followed by a hint (`⎿  If it persists, …`), the task list and blank rows,
    // but never by a later message
    for row in rows.iter().rev() {
        let Some(glyph) = row.chars().next() else { continue };
        if "✻✽✶✳✢·*".contains(glyph) && row[glyph.len_utf8()..].starts_with(' ') {
            if !["· retrying", "· will retry in"].iter().any(|words| row.contains(words)) {
                return None;
            }
            let attempt = row.rsplit_once("attempt ").and_then(|(_, count)| {
                let (nth, of) = count.split_once('/')?;
                Some((nth.trim().parse().ok()?, of.trim().parse().ok()?))
            });
            let status = row.split(' ').nth(1).and_then(|word| word.parse().ok());
            return Some(Retrying { attempt, status });
        }
        if matches!(glyph, '●' | '❯' | '!') {
            return None;
        }
    }
    None
}

/// The marked line of a list.
fn marked(rows: &[String]) -> Option<&str> {
    rows.iter().rev().find_map(|row| row.trim_start().strip_prefix("❯ "))
}

/// Names the dialog. Asked only when there is no input box.
pub(super) fn panel(rows: &[String]) -> Option<Panel> {
    let any = |words: &str| rows.iter().any(|row| row.trim() == words);
    let begins = |words: &str| rows.iter().any(|row| row.trim_start().starts_with(words));
    let marked = marked(rows);
    let keys = begins("Esc to cancel") || begins("Enter to confirm") || begins("Enter to select");
    // a menu is looked for first: a dialog that quotes a login screen is still a dialog
    if let Some(marked) = marked {
        let claude_account = marked.starts_with("1. Claude account") || begins("1. Claude account");
        if any("Select login method:") && (claude_account || begins("2. Anthropic Console")) {
            return Some(Panel::LoginMethod);
        }
        if keys && any("Accessing workspace:") {
            return Some(Panel::Trust);
        }
        if keys && (begins("Do you want to") && !marked.starts_with("No")) && begins_yes(rows) {
            return Some(Panel::Permission);
        }
        if keys && rows.iter().any(|row| row.contains("Stop and wait for limit to reset")) {
            return Some(Panel::LimitMenu);
        }
    }
    let login = login_region(rows);
    if let Some(region) = login.filter(|region| !region.iter().any(|row| is_option(row))) {
        let shows = |words: &str| region.iter().any(|row| row.contains(words));
        if shows("Press Enter to retry") && shows("✘ OAuth error:") {
            return Some(Panel::LoginFailed(login_error(region)));
        }
        if shows("Paste code here if prompted") {
            return Some(Panel::LoginPaste);
        }
        if shows("Finishing sign-in") {
            return Some(Panel::LoginRunning);
        }
        if shows("Login successful") || shows("Long-lived authentication token created") {
            return Some(Panel::LoginDone);
        }
    }
    (marked.is_some() && keys).then_some(Panel::Menu)
}

fn is_option(row: &str) -> bool {
    row.trim_start().starts_with("❯ ") && !row.starts_with("❯ ")
}

fn begins_yes(rows: &[String]) -> bool {
    rows.iter().any(|row| row.trim_start().trim_start_matches("❯ ").starts_with("1. Yes"))
}

/// The part of the screen below a login's heading: `Login` under a rule, or the welcome row. Both
/// stand where prose and tool output cannot.
fn login_region(rows: &[String]) -> Option<&[String]> {
    let heading = rows.iter().enumerate().rev().find(|(index, row)| {
        row.starts_with("Welcome to Claude Code")
            || (row.as_str() == "  Login"
                && index.checked_sub(1).is_some_and(|above| rows[above].starts_with("────")))
    });
    heading.map(|(index, _)| &rows[index + 1..])
}

/// The error of a failed login, its rows joined.
fn login_error(region: &[String]) -> String {
    let block = region.iter().skip_while(|row| !row.contains("✘ OAuth error:"));
    let lines: Vec<&str> =
        block.take_while(|row| !row.trim().is_empty()).map(|row| row.trim()).collect();
    lines.join(" ")
}
