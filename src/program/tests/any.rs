//! Any lines, in any order, cut anywhere.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A result as Claude ends a turn with it: how many follow, and how many there were.
fn numbered(result: &str, queued: usize, ended: usize) -> String {
    let queued = format!(r#""queued_turn_count":{queued}"#);
    let result = result.replace(r#""queued_turn_count":0"#, &queued);
    result.replace(r#""result_index":0"#, &format!(r#""result_index":{ended}"#))
}

fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(INIT.to_owned()),
        Just(RUNNING.to_owned()),
        Just(IDLE.to_owned()),
        Just(ANSWER.to_owned()),
        Just(ERROR.to_owned()),
        Just(INITIALIZE.to_owned()),
        Just(r#"{"type":"control_request"}"#.to_owned()),
        Just(r#"{"type":"user","message":7}"#.to_owned()),
        Just(r#"{"type":["result"]}"#.to_owned()),
        Just(r#"{"type":"result","num_turns":"many"}"#.to_owned()),
        "[ -~]{0,40}",
    ]
}

proptest! {
    #[test]
    fn without_a_failure_every_line_passes_in_its_order(
        said in vec((any::<bool>(), any_line()), 0..60),
    ) {
        let mut talk = Talk::default();
        let (mut program, mut claude) = (String::new(), String::new());
        for (by_program, line) in said {
            // One `init` a turn is the rule that is kept; error messages wait for what follows.
            let (from, to) = if by_program { ("p", &mut claude) } else { ("c", &mut program) };
            if from == "c" && (line == INIT || line == ERROR || line == INITIALIZE) {
                continue;
            }
            to.push_str(&line);
            to.push('\n');
            if by_program { talk.program(&[&line]) } else { talk.claude(&[&line]) }
        }
        prop_assert_eq!(talk.seen_by_program(), program);
        prop_assert_eq!(talk.seen_by_claude(), claude);
    }

    #[test]
    fn every_message_has_one_result_in_the_end(said in vec(0..9_u8, 0..80)) {
        let mut claude = Model::default();
        let mut sent = 0;
        for step in said {
            let may_ask = claude.talk.conversation.may_ask();
            match step {
                0 | 1 => {
                    claude.talk.program(&[HELLO]);
                    sent += 1;
                }
                2 if may_ask => claude.talk.ask(),
                3 if may_ask => claude.talk.conversation.give_up(&mut claude.talk.sent),
                4 => claude.begin(),
                5 => claude.end(GOOD),
                6 | 7 => claude.end(BAD),
                8 if claude.talk.conversation.in_turn() => claude.die(),
                _ => {}
            }
        }
        // The service is back for good.
        for _ in 0..200 {
            if claude.talk.conversation.may_ask() {
                claude.talk.ask();
            }
            claude.end(GOOD);
        }
        let results = results(&claude.talk.seen_by_program());
        prop_assert_eq!(results.len(), sent);
        for (number, result) in results.iter().enumerate() {
            prop_assert_eq!(result["result_index"].as_u64(), Some(number as u64));
        }
    }
}

/// A Claude that takes up what it is sent, one after another.
#[derive(Default)]
struct Model {
    talk: Talk,
    /// What it was sent and has not ended; whether that came from the program.
    inbox: Vec<bool>,
    /// It works at the first of them.
    begun: bool,
    ended: usize,
}

impl Model {
    fn read(&mut self) {
        let told = self.talk.seen_by_claude();
        self.inbox.extend(told.lines().map(|line| !line.contains("isSynthetic")));
    }

    fn begin(&mut self) {
        self.read();
        if !self.inbox.is_empty() && !std::mem::replace(&mut self.begun, true) {
            self.talk.claude(&[RUNNING, INIT]);
        }
    }

    fn end(&mut self, result: &str) {
        self.begin();
        if !std::mem::take(&mut self.begun) {
            return;
        }
        self.inbox.remove(0);
        let result = numbered(result, self.inbox.len(), self.ended);
        self.ended += 1;
        let before = if result.contains(r#""is_error":true"#) { ERROR } else { ANSWER };
        self.talk.claude(&[before, &result]);
        self.read();
        if self.inbox.is_empty() {
            self.talk.claude(&[IDLE]);
        }
    }

    fn die(&mut self) {
        self.read();
        let unanswered = self.talk.conversation.unanswered().expect("they are short").len();
        let mut taken = vec![false; unanswered];
        if self.begun && self.inbox.first() == Some(&true) {
            taken[0] = true;
        }
        self.talk.conversation.claude_ended(&mut self.talk.sent);
        let takes_up = self.talk.relaunch(&taken).takes_up;
        self.inbox.clear();
        self.inbox.extend(takes_up.then_some(true));
        (self.begun, self.ended) = (false, 0);
        self.read();
    }
}
