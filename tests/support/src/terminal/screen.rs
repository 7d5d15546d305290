//! The screen as a person sees it, kept by a vt100 parser.

use std::fmt;
use std::num::NonZeroU16;

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Rows, at least 1.
    pub rows: u16,
    /// Columns, at least 1.
    pub cols: u16,
}

fn non_zero(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n.max(1)).expect("at least 1")
}

/// What the parser reports besides the screen.
#[derive(Default)]
struct Reports {
    title: String,
    bells: usize,
}

impl vt100::Callbacks for Reports {
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.title = String::from_utf8_lossy(title).into_owned();
    }

    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.bells += 1;
    }
}

/// A parser fed with everything the program writes.
pub(super) struct Watcher {
    parser: vt100::Parser<Reports>,
}

impl Watcher {
    pub(super) fn new(size: Size) -> Self {
        let (rows, cols) = (non_zero(size.rows), non_zero(size.cols));
        Self { parser: vt100::Parser::new_with_callbacks(rows, cols, 0, Reports::default()) }
    }

    pub(super) fn process(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
    }

    pub(super) fn resize(&mut self, size: Size) {
        self.parser.set_size(non_zero(size.rows), non_zero(size.cols));
    }

    pub(super) fn screen(&self) -> Screen {
        let reports = self.parser.callbacks();
        Screen {
            vt: self.parser.screen().clone(),
            title: reports.title.clone(),
            bells: reports.bells,
        }
    }
}

/// A screen at one moment.
#[derive(Clone)]
pub struct Screen {
    vt: vt100::Screen,
    title: String,
    bells: usize,
}

impl Screen {
    /// The cells, for what the methods here do not say.
    pub fn vt(&self) -> &vt100::Screen {
        &self.vt
    }

    /// The window title last set.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How often the bell rang so far.
    pub fn bells(&self) -> usize {
        self.bells
    }

    /// The rows' texts, trailing blanks cut.
    pub fn rows(&self) -> Vec<String> {
        self.vt.rows(0, self.vt.size().1.get()).map(|row| row.trim_end().to_owned()).collect()
    }

    /// Whether `text` stands in one row.
    pub fn contains(&self, text: &str) -> bool {
        self.rows().iter().any(|row| row.contains(text))
    }

    /// Claude's input box: what follows `❯` and a no-break space in the last such row
    /// (2.0.30 draws `>` instead of `❯`).
    pub fn input(&self) -> Option<String> {
        let after = |row: &String| {
            let rest = row.strip_prefix(['❯', '>'])?;
            (rest.is_empty() || rest.starts_with('\u{a0}'))
                .then(|| rest.trim_matches(['\u{a0}', ' ']).to_owned())
        };
        self.rows().iter().rev().find_map(after)
    }

    /// The dim text in the input box, its first letter under the cursor included: Claude's
    /// placeholder, which typed text never looks like.
    pub fn placeholder(&self) -> Option<String> {
        let row = self.rows().iter().rposition(|row| row.starts_with("❯\u{a0}"))?;
        let row = u16::try_from(row).ok()?;
        let dim = |col| self.vt.cell(row, col).is_some_and(vt100::Cell::dim);
        dim(3).then(|| self.input()).flatten().filter(|text| !text.is_empty())
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "┌ {}", self.title)?;
        for row in self.rows() {
            writeln!(out, "│{row}")?;
        }
        write!(out, "└ cursor {:?}", self.vt.cursor_position())
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
