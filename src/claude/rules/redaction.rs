//! What is left of Claude's words before they are written down: no token, key, address, request
//! body or page. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use super::fold;

/// An excerpt is at most this long (characters).
pub(super) const EXCERPT: usize = 200;

/// A text without tokens, keys, addresses and request bodies.
fn redacted(text: &str) -> Cow<'_, str> {
    static SECRET: LazyLock<Regex> = LazyLock::new(|| {
        // a body in braces, however torn; a page; keys; addresses; what follows a label, or labels
        // ("token: Bearer …"); long opaque words
        let pattern = r#"(?is)(\{.*)|(<(?:!doctype|html|head|body)\b.*)|sk-[a-z0-9_-]{6,}|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:(?:\bBearer|\bBasic)\s+|\b(?:[a-z]{0,8}_?token|key|secret|password)\s*[=:]\s*)+[^\s"',;]+|\b[a-z0-9_+/=-]{40,}"#;
        Regex::new(pattern).expect("the pattern is constant")
    });
    SECRET.replace_all(text, |found: &regex::Captures<'_>| match (found.get(1), found.get(2)) {
        (Some(_), _) => "{…}",
        (_, Some(_)) => "<…>",
        _ => "[redacted]",
    })
}

/// The first 200 characters of a text, redacted.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let folded = fold(text);
    let clean = redacted(&folded);
    let mut characters = clean.chars();
    let short: String = characters.by_ref().take(EXCERPT).collect();
    match characters.next() {
        Some(_) => short.chars().take(EXCERPT - 1).chain(['…']).collect(),
        None => short,
    }
}

/// A whole text without tokens, keys, addresses, request bodies, pages and control characters,
/// line by line, at most `cap` bytes. A body in braces may span lines: it is left out up to its
/// closing brace.
#[must_use]
pub fn redact(text: &str, cap: usize) -> String {
    let mut kept = String::new();
    let mut depth = 0_usize;
    for line in text.lines() {
        let outside = outside_of_braces(line, &mut depth);
        let clean = redacted(&outside);
        let line = clean.trim_end();
        let mut shown = String::new();
        for character in line.chars() {
            match character {
                '\t' => shown.push('\t'),
                character if character.is_control() => {
                    let _ = write!(shown, "{}", character.escape_default());
                }
                character => shown.push(character),
            }
        }
        if kept.len() + shown.len() + 1 > cap {
            break;
        }
        kept.push_str(&shown);
        kept.push('\n');
    }
    kept
}

/// What of a line stands outside of braces; `depth` is carried from line to line.
fn outside_of_braces(line: &str, depth: &mut usize) -> String {
    let mut outside = String::new();
    for character in line.chars() {
        match character {
            '{' => {
                if *depth == 0 {
                    outside.push('\u{2983}');
                }
                *depth += 1;
            }
            '}' => *depth = depth.saturating_sub(1),
            character if *depth == 0 => outside.push(character),
            _ => {}
        }
    }
    outside.replace('\u{2983}', "(body left out)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_text_has_no_key_address_body_or_control_character_and_keeps_its_lines() {
        let text = "first\n{\"prompt\":\n \"my secret plan\"} after sk-ant-api03-abcdef\n\
                    me@example.com \u{1b}[31mred\nlast";
        let kept = redact(text, 1000);
        assert_eq!(
            kept,
            "first\n(body left out)\n after [redacted]\n[redacted] \\u{1b}[31mred\nlast\n"
        );
        assert_eq!(redact("12345\n67890\n", 8), "12345\n");
    }

    #[test]
    fn a_label_behind_a_label_does_not_pass_for_the_secret() {
        for text in [
            "token: Bearer Qz7x",
            "Basic Bearer Qz7x",
            "auth_token=Basic key: Qz7x",
            "x key= Bearer\u{a0}Qz7x",
            "Bearer Basic\tBearer Qz7x",
        ] {
            assert!(!redact(text, 100).contains("Qz7x"), "{text}");
            assert!(!excerpt(text).contains("Qz7x"), "{text}");
        }
        assert_eq!(excerpt("Bearer Basic"), "[redacted]");
    }
}
