//! `--max-turns` and `--max-budget-usd` are caps over all attempts. In: what each attempt took.
//! Out: what is left for the next.

use crate::claude::args::ClaudeArgs;
use crate::claude::transcript::Own;

const TURNS: &str = "--max-turns";
const USD: &str = "--max-budget-usd";

/// What the attempts of a run took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    answers: u32,
    /// `None`: nobody told what the answers cost.
    usd: Option<f64>,
}

impl Default for Spent {
    fn default() -> Self {
        Self { answers: 0, usd: Some(0.0) }
    }
}

impl Spent {
    /// With what this attempt took.
    #[must_use]
    pub fn plus(self, own: &Own) -> Self {
        let none = (own.tail.answers == 0).then_some(0.0);
        // Older versions count from 0 when a session is resumed.
        let cost = own
            .tail
            .cost
            .map(|cost| if cost >= own.cost_before { cost - own.cost_before } else { cost });
        let usd = self.usd.zip(cost.or(none)).map(|(spent, cost)| spent + cost);
        Self { answers: self.answers.saturating_add(own.tail.answers), usd }
    }

    /// Whether the user's caps leave anything, as far as is known for certain.
    #[must_use]
    pub fn leaves_some(self, user: &ClaudeArgs) -> bool {
        let turns = user.value(TURNS).and_then(|cap| cap.trim().parse::<i64>().ok());
        let usd = user.value(USD).and_then(|cap| cap.trim().parse::<f64>().ok());
        turns.is_none_or(|cap| cap > i64::from(self.answers))
            && usd.is_none_or(|cap| self.usd.is_some_and(|spent| spent < cap))
    }

    /// The caps as they are for the next attempt; none that nothing was taken of.
    pub(super) fn left(self, user: &ClaudeArgs) -> Vec<(&'static str, String)> {
        let mut left = Vec::new();
        let turns = user.value(TURNS).and_then(|cap| cap.trim().parse::<i64>().ok());
        if let Some(cap) = turns.filter(|_| self.answers > 0) {
            left.push((TURNS, (cap - i64::from(self.answers)).max(1).to_string()));
        }
        let usd = user.value(USD).and_then(|cap| cap.trim().parse::<f64>().ok());
        if let Some((cap, spent)) = usd.zip(self.usd).filter(|(_, spent)| *spent > 0.0) {
            // Sums of prices have digits that nobody paid.
            let cap = format!("{:.9}", cap - spent);
            left.push((USD, cap.trim_end_matches('0').trim_end_matches('.').to_owned()));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claude::transcript::Tail;

    fn user(words: &[&str]) -> ClaudeArgs {
        ClaudeArgs::parse(&words.iter().map(Into::into).collect::<Vec<_>>())
    }

    fn took(answers: u32, cost: Option<f64>, cost_before: f64) -> Own {
        Own { tail: Tail { answers, cost, ..Tail::default() }, cost_before, ..Own::default() }
    }

    #[test]
    fn caps_hold_over_all_attempts() {
        let user = user(&["-p", "--max-turns=5", "--max-budget-usd", "0.02", "hi"]);
        let none = Spent::default();
        assert_eq!(none.left(&user), []);
        let one = none.plus(&took(2, Some(0.506), 0.5));
        let wanted =
            |turns: &str, usd: &str| vec![(TURNS, turns.to_owned()), (USD, usd.to_owned())];
        assert_eq!(one.left(&user), wanted("3", "0.014"));
        // a version that counts from 0, and an attempt without an answer
        let two = one.plus(&took(1, Some(0.006), 0.506)).plus(&took(0, None, 0.0));
        assert_eq!(two.left(&user), wanted("2", "0.008"));
        assert!(two.leaves_some(&user));
        assert!(!two.plus(&took(2, Some(0.0), 0.0)).leaves_some(&user));
        assert!(!two.plus(&took(1, Some(0.1), 0.0)).leaves_some(&user));
        assert!(!two.plus(&took(1, None, 0.0)).leaves_some(&user), "nobody knows the cost");
    }

    #[test]
    fn without_caps_nothing_changes() {
        let user = user(&["-p", "hi"]);
        let spent = Spent::default().plus(&took(9, None, 0.0));
        assert!(spent.leaves_some(&user) && spent.left(&user).is_empty());
    }
}
