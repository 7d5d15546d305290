//! The prompt as Claude draws it for screen readers (`--ax-screen-reader`): a `$` in the first
//! column of the last row, what was typed behind a no-break space, a hint in the row above. In: the cells. Out:
//! what is in it. Only the row where the cursor stands counts; the conversation may quote others.

use super::hint::hint;
use super::look::{InputBox, Rows};

/// What stands at the prompt; `None` if this screen is drawn otherwise.
pub(super) fn prompt(screen: &vt100::Screen, rows: &Rows) -> Option<InputBox> {
    let (row, col) = screen.cursor_position();
    let (row, col) = (usize::from(row), usize::from(col));
    let last = rows.text.iter().rposition(|text| !text.is_empty())?;
    let is_prompt = |text: &String| text == "$" || text.starts_with("$\u{a0}");
    let first = rows.text[..=last].iter().rposition(is_prompt)?;
    if row != last || col == 0 {
        return None;
    }
    if rows.text[first] == "$" && first == last {
        let above = first.checked_sub(1).and_then(|above| hint(&rows.text[above]));
        return Some(above.map_or(InputBox::Empty, InputBox::Undimmed));
    }
    let typed = rows.text[first..=last].join("\n");
    let text = typed.trim_start_matches(['$', '\u{a0}', ' ']).to_owned();
    let width = u16::try_from(col).unwrap_or(u16::MAX);
    let behind = (width..screen.size().1.get())
        .filter_map(|col| screen.cell(u16::try_from(last).ok()?, col))
        .all(|cell| matches!(cell.contents(), "" | " " | "\u{a0}"));
    Some(InputBox::Draft { text, cursor_behind: behind })
}

#[cfg(test)]
mod tests {
    use crate::watch::{InputBox, Placeholder, Screen};

    fn input(text: &str) -> InputBox {
        let mut screen = Screen::new(10, 40);
        screen.feed(text.replace('\n', "\r\n").as_bytes());
        screen.look().input
    }

    #[test]
    fn a_prompt_for_screen_readers_is_told_empty_hinting_and_drafted() {
        let failed = "error: API Error: 500\nauto mode on (shift+tab to cycle)\n";
        let hint = "Resend your message to try again\n";
        assert_eq!(input(&format!("{failed}$")), InputBox::Empty);
        let hinted = input(&format!("{failed}{hint}$"));
        assert_eq!(hinted, InputBox::Undimmed(Placeholder::Resend));
        let draft =
            |text: &str, cursor_behind| InputBox::Draft { text: text.into(), cursor_behind };
        assert_eq!(input(&format!("{failed}$\u{a0} carry on")), draft("carry on", true));
        assert_eq!(input(&format!("{failed}$\u{a0} carry on\x1b[3D")), draft("carry on", false));
        let wrapped = input(&format!("{failed}$\u{a0} one two\nthree"));
        assert_eq!(wrapped, draft("one two\nthree", true));
    }

    #[test]
    fn a_dollar_that_the_conversation_shows_is_no_prompt() {
        for text in ["$\u{a0} make\nall: done\n\x1b[2A", "a\n$\nb\n\n", "costs $  5", "$  make"] {
            assert_eq!(input(text), InputBox::Absent, "{text:?}");
        }
    }
}
