//! Any file: there is always a configuration, each of whose values its key takes, and what is wrong
//! is told with lines that the file has.

#![no_main]

use std::cell::RefCell;

use claude_safe::parts::claude::rules::Rules;
use claude_safe::parts::config::keys::KEYS;
use claude_safe::parts::config::{Origin, Profile, load, profiles};
use claude_safe_fuzz::{Nameless, choices};
use libfuzzer_sys::fuzz_target;

thread_local!(static FILE: RefCell<Nameless> = RefCell::default());

fuzz_target!(|data: &[u8]| {
    let Some(([which], text)) = choices(data) else { return };
    let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
    let path = FILE.with_borrow_mut(|file| file.holding(&[text]));
    let named = profiles(&path);
    let profile = match which % 3 {
        0 => Profile::Base,
        1 => Profile::Unattended,
        _ => Profile::Named(named.first().map_or("night", String::as_str)),
    };
    let (config, mut problems) = load(&path, profile, std::iter::empty());
    for key in KEYS {
        let (value, origin) = config.shown(key);
        assert_eq!(key.kind.check(value), Ok(()), "{}", key.name);
        match origin {
            Origin::Default => {}
            Origin::File(line) | Origin::Profile(_, line) => assert!((1..=lines).contains(line)),
            other => panic!("{other:?}"),
        }
    }
    let (rules, wrong) = Rules::new(&config.rules);
    // compiling them all takes a tenth of a second, so not each time
    if which >= 0xf0 && !config.rules.is_empty() {
        assert!(rules.list().len() > config.rules.len() - wrong.len());
    }
    let of_rules = config.rule_problems(&wrong);
    assert_eq!(of_rules.len(), wrong.len());
    problems.extend(of_rules);
    for problem in problems {
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
        assert!(!problem.message.is_empty());
    }
});
