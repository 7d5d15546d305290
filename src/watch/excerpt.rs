//! What of a screen is kept when Claude failed and no rule knew why. In: the rows. Out: the last
//! rows of what Claude said. Never the input box, the user's prompts or a sign-in's code.

use super::look::{BoxPlace, Panel, Rows, panel};

/// So many rows say why something failed; more would be the conversation.
const MOST_ROWS: usize = 40;

/// The rows worth keeping, without runs of blank ones; empty where there are none.
pub(super) fn excerpt(rows: &Rows) -> String {
    let place = BoxPlace::find(rows);
    if place.is_none() && matches!(panel(&rows.text), Some(Panel::LoginPaste | Panel::LoginRunning))
    {
        return String::new();
    }
    let (above, below) = match place {
        Some(place) => (&rows.text[..place.top], &rows.text[place.bottom + 1..]),
        None => (&rows.text[..], &[][..]),
    };
    let mut kept: Vec<&str> = Vec::new();
    for row in last_said(above).into_iter().chain(below.iter().map(String::as_str)) {
        let blank_again = row.is_empty() && kept.last().is_none_or(|last| last.is_empty());
        if !blank_again {
            kept.push(row);
        }
    }
    while kept.last().is_some_and(|last| last.is_empty()) {
        kept.pop();
    }
    kept[kept.len().saturating_sub(MOST_ROWS)..].join("\n")
}

/// What Claude said after the last prompt; after an earlier one if nothing follows the last, as
/// where messages are queued. A prompt reaches as far as the next blank row or Claude's next block.
fn last_said(rows: &[String]) -> Vec<&str> {
    let (mut said, mut current) = (Vec::new(), Vec::new());
    let mut in_prompt = false;
    for row in rows {
        if row.starts_with(['❯', '>']) {
            in_prompt = true;
            if has_words(&current) {
                said = std::mem::take(&mut current);
            }
            continue;
        }
        let block = row.trim_start().starts_with(['●', '⎿', '✻', '─']);
        in_prompt &= !row.is_empty() && !block;
        if !in_prompt {
            current.push(row.as_str());
        }
    }
    if has_words(&current) { current } else { said }
}

fn has_words(rows: &[&str]) -> bool {
    rows.iter().any(|row| row.chars().any(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use crate::watch::Screen;

    fn excerpt(rows: &[&str]) -> String {
        let mut screen = Screen::new(60, 60);
        screen.feed(rows.join("\r\n").as_bytes());
        screen.excerpt()
    }

    const RULE: &str = "────────────────────────────────────────";

    #[test]
    fn what_claude_said_last_is_kept_without_box_draft_and_prompts() {
        let kept = excerpt(&[
            "❯ an earlier secret",
            "",
            "● an earlier answer",
            "",
            "❯ a secret prompt",
            "  that goes on",
            "",
            "",
            "● Flux capacitor overheated",
            "",
            RULE,
            "❯\u{a0}a secret draft",
            "  of two rows",
            RULE,
            "  ? for shortcuts",
        ]);
        assert_eq!(kept, "● Flux capacitor overheated\n\n  ? for shortcuts");
    }

    #[test]
    fn queued_prompts_and_a_box_without_its_frame_are_left_out_too() {
        let kept = excerpt(&["❯ first", "  ⎿ Flux overheated", "", "❯ queued secret", "  more"]);
        assert_eq!(kept, "  ⎿ Flux overheated");
        assert_eq!(excerpt(&["Flux overheated", "❯\u{a0}a secret draft"]), "Flux overheated");
    }

    #[test]
    fn only_the_last_forty_rows_are_kept_and_a_sign_in_with_its_code_is_not() {
        let many: Vec<String> = (0..55).map(|number| format!("row {number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = excerpt(&many);
        assert!(kept.starts_with("row 15\n") && kept.ends_with("row 54"), "{kept}");
        let paste = [RULE, "  Login", "", "  Paste code here if prompted > secret-code#state"];
        assert_eq!(excerpt(&paste), "");
    }
}
