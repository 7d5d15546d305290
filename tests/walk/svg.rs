//! A terminal's screen as a picture: one self-contained SVG of monospaced text on a ground of its
//! own, so that it is readable on light and on dark pages. In: a screen. Out: markup, a line for
//! each row, and from such markup its rows as text. Loads and runs nothing.

use std::fmt::Write as _;

use claude_safe_testkit::terminal::Screen;
use vt100::{Cell, Color};

/// Of a cell, in the picture's own units.
const WIDTH: f32 = 8.4;
const HEIGHT: f32 = 19.0;
const MARGIN: f32 = 16.0;

const GROUND: &str = "#14161b";
const TEXT: &str = "#e6e6e6";

/// The sixteen named colours, bright enough on [`GROUND`].
const NAMED: [&str; 16] = [
    "#4d5566", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d0d7de",
    "#8b949e", "#ffa198", "#a5f0ab", "#f0d080", "#a5d6ff", "#e2c5ff", "#8ae9f0", "#ffffff",
];

/// What makes neighbouring cells differ.
#[derive(Clone, PartialEq, Eq)]
struct Look {
    text: String,
    ground: Option<String>,
    /// The style sheet's names: bold, faint, italic, underlined.
    classes: Vec<&'static str>,
}

/// The rows `from..to` of a screen; `title` says what they show.
pub fn picture(screen: &Screen, rows: std::ops::Range<u16>, title: &str) -> String {
    let columns = screen.vt().size().1.get();
    let width = 2.0 * MARGIN + f32::from(columns) * WIDTH;
    let height = 2.0 * MARGIN + f32::from(rows.end - rows.start) * HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">{}</title>\n\
         <style>text {{ font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; \
         fill: {TEXT}; white-space: pre }} .b {{ font-weight: bold }} .f {{ opacity: .8 }} \
         .i {{ font-style: italic }} .u {{ text-decoration: underline }}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\" stroke=\"#444c56\"/>\n",
        escaped(title)
    );
    for row in rows.clone() {
        let top = MARGIN + f32::from(row - rows.start) * HEIGHT;
        line(&mut svg, screen.vt(), row, columns, top);
    }
    svg.push_str("</svg>\n");
    svg
}

/// One row: the grounds behind it, then its text in stretches of one look.
fn line(svg: &mut String, screen: &vt100::Screen, row: u16, columns: u16, top: f32) {
    let mut stretches: Vec<(u16, u16, String, Look)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation())
        else {
            continue;
        };
        let (look, wide) = (look(cell), 1 + u16::from(cell.is_wide()));
        let sign = if cell.contents().is_empty() { " " } else { cell.contents() };
        match stretches.last_mut().filter(|last| last.3 == look) {
            Some(last) => {
                last.1 += wide;
                last.2.push_str(sign);
            }
            None => stretches.push((column, wide, sign.to_owned(), look)),
        }
    }
    for (column, wide, _, look) in &stretches {
        if let Some(ground) = &look.ground {
            let (x, width) = (MARGIN + f32::from(*column) * WIDTH, f32::from(*wide) * WIDTH);
            let _ = write!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" \
                 fill=\"{ground}\"/>"
            );
        }
    }
    let _ = write!(svg, "<text y=\"{:.1}\">", top + 14.0);
    for (column, wide, text, look) in &stretches {
        // what is told by its place needs no blanks at the end
        let kept = text.trim_end_matches(' ');
        if kept.is_empty() {
            // so that the rows can be read again
            let _ = write!(svg, "<tspan>{text}</tspan>");
            continue;
        }
        let wide = wide - (text.len() - kept.len()) as u16;
        let (x, length) = (MARGIN + f32::from(*column) * WIDTH, f32::from(wide) * WIDTH);
        let _ = write!(
            svg,
            "<tspan x=\"{x:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\"{}\
             >{}</tspan>{}",
            attributes(look),
            escaped(kept),
            &text[kept.len()..],
        );
    }
    svg.push_str("</text>\n");
}

fn attributes(look: &Look) -> String {
    let mut text = String::new();
    if !look.classes.is_empty() {
        let _ = write!(text, " class=\"{}\"", look.classes.join(" "));
    }
    if look.text != TEXT {
        let _ = write!(text, " fill=\"{}\"", look.text);
    }
    text
}

fn look(cell: &Cell) -> Look {
    let (mut text, mut ground) = (colour(cell.fgcolor()), colour(cell.bgcolor()));
    if cell.inverse() {
        (text, ground) =
            (ground.or(Some(GROUND.to_owned())), text.or_else(|| Some(TEXT.to_owned())));
    }
    let styles =
        [(cell.bold(), "b"), (cell.dim(), "f"), (cell.italic(), "i"), (cell.underline(), "u")];
    let classes = styles.iter().filter(|(is, _)| *is).map(|(_, class)| *class).collect();
    Look { text: text.unwrap_or_else(|| TEXT.to_owned()), ground, classes }
}

fn colour(colour: Color) -> Option<String> {
    /// The steps of the colour cube.
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let hex = |[red, green, blue]: [u8; 3]| Some(format!("#{red:02x}{green:02x}{blue:02x}"));
    match colour {
        Color::Default => None,
        Color::Rgb(red, green, blue) => hex([red, green, blue]),
        Color::Idx(index @ 0..16) => Some(NAMED[usize::from(index)].to_owned()),
        Color::Idx(index @ 16..232) => {
            let index = index - 16;
            hex([index / 36, index / 6 % 6, index % 6].map(|step| STEPS[usize::from(step)]))
        }
        Color::Idx(index) => hex([8 + 10 * (index - 232); 3]),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The rows of a picture, as text.
pub fn rows(svg: &str) -> Vec<String> {
    let row = |line: &str| {
        let (_, text) = line.split_once("<text ")?;
        let (_, text) = text.split_once('>')?;
        let mut plain = String::new();
        for piece in text.split('<') {
            plain.push_str(piece.split_once('>').map_or(piece, |(_, after)| after));
        }
        let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        Some(plain.trim_end().to_owned())
    };
    svg.lines().filter_map(row).collect()
}
