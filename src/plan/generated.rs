//! Random command lines from Claude's own `--help`: what reaches the first child and the ones
//! after it is compared with what the user wrote, as the parser reads it that Claude has
//! (commander's rules, written down here a second time and without our table of flags).

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::*;

/// What the help names, and what it leaves out but the parser knows.
const HELP: &str = include_str!("../../tests/help/2.1.330.txt");
const HIDDEN: &str = "
  --append-system-prompt-file <file>
  --max-turns <turns>
  --permission-prompt-tool <tool>
  --prefill <text>
  --resume-session-at <id>
  --system-prompt-file <file>
  -d2e, --debug-to-stderr
";
const LINES: usize = 12_000;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Takes {
    Nothing,
    One,
    Maybe,
    Many,
}

/// Spellings, and what each takes; a flag is known by its first long one.
struct Parser {
    flags: BTreeMap<String, (String, Takes)>,
}

/// A line as Claude understands it.
#[derive(Debug, PartialEq, Default)]
struct Read {
    flags: Vec<(String, Vec<String>)>,
    operands: Vec<String>,
}

impl Parser {
    fn of(help: &str) -> Self {
        let mut flags = BTreeMap::new();
        for line in help.lines().filter(|line| line.starts_with("  -")) {
            let spec = line.trim().split("  ").next().unwrap_or_default();
            let takes = match spec {
                spec if spec.contains("...>") => Takes::Many,
                spec if spec.contains('<') => Takes::One,
                spec if spec.contains('[') => Takes::Maybe,
                _ => Takes::Nothing,
            };
            let spellings: Vec<&str> =
                spec.split([' ', ',']).filter(|word| word.starts_with('-')).collect();
            let long = spellings.iter().find(|word| word.starts_with("--"));
            let name = (*long.expect("each has a long one")).to_owned();
            for spelling in spellings {
                flags.insert(spelling.to_owned(), (name.clone(), takes));
            }
        }
        Self { flags }
    }

    fn is_flag(word: &str) -> bool {
        word.len() > 1 && word.starts_with('-')
    }

    /// `None`: Claude refuses the line.
    fn read(&self, line: &[String]) -> Option<Read> {
        let mut read = Read::default();
        let (mut at, mut left) = (0, None::<String>);
        while left.is_some() || at < line.len() {
            let word = left.take().unwrap_or_else(|| {
                at += 1;
                line[at - 1].clone()
            });
            if word == "--" {
                read.operands.extend_from_slice(&line[at..]);
                return Some(read);
            }
            if !Self::is_flag(&word) {
                read.operands.push(word);
                continue;
            }
            if let Some((name, takes)) = self.flags.get(&word) {
                let start = at;
                match takes {
                    Takes::Nothing => {}
                    Takes::One | Takes::Many if at == line.len() => return None,
                    Takes::One | Takes::Many => at += 1,
                    Takes::Maybe => {
                        at += usize::from(line.get(at).is_some_and(|w| !Self::is_flag(w)));
                    }
                }
                while *takes == Takes::Many && line.get(at).is_some_and(|w| !Self::is_flag(w)) {
                    at += 1;
                }
                read.flags.push((name.clone(), line[start..at].to_vec()));
                continue;
            }
            let long = word.starts_with("--");
            let cut = if long { word.find('=')? } else { 2 };
            let (name, takes) = self.flags.get(word.get(..cut)?)?;
            match takes {
                Takes::Nothing if long => return None,
                Takes::Nothing => {
                    read.flags.push((name.clone(), vec![]));
                    left = Some(format!("-{}", &word[2..]));
                }
                _ => {
                    let value = word[cut + usize::from(long)..].to_owned();
                    read.flags.push((name.clone(), vec![value]));
                }
            }
        }
        Some(read)
    }
}

const VALUES: [&str; 16] = [
    "x",
    "",
    "a b",
    "x=y",
    "-",
    "Bash(git *) Edit",
    "{\"a\":1}",
    "ü",
    "11111111-1111-4111-8111-111111111111",
    "./f.json",
    "/dev/fd/63",
    "say it",
    "-x",
    "--",
    "--model",
    "-c",
];

fn word(random: &mut fastrand::Rng) -> String {
    VALUES[random.usize(..VALUES.len())].to_owned()
}

fn line(parser: &Parser, random: &mut fastrand::Rng) -> Vec<String> {
    let spellings: Vec<(&String, &(String, Takes))> = parser.flags.iter().collect();
    let letters: Vec<char> = ['p', 'c', 'h', 'v', 'd', 'n', 'r', 'w'].to_vec();
    let mut line = vec![];
    for _ in 0..random.usize(..8) {
        let (spelling, (_, takes)) = spellings[random.usize(..spellings.len())];
        let short = !spelling.starts_with("--");
        match random.u8(..8) {
            0 => line.push(word(random)),
            1 if random.bool() => {
                let cluster: String = (0..random.usize(2..5))
                    .map(|_| letters[random.usize(..letters.len())])
                    .collect();
                line.push(format!("-{cluster}"));
            }
            2 if *takes != Takes::Nothing && short => {
                line.push(format!("{spelling}{}", word(random)));
            }
            2 | 3 if *takes != Takes::Nothing && !short => {
                line.push(format!("{spelling}={}", word(random)));
            }
            _ => {
                line.push(spelling.clone());
                let values = match takes {
                    Takes::Nothing => 0,
                    Takes::One => 1,
                    Takes::Maybe => random.usize(..2),
                    Takes::Many => random.usize(1..4),
                };
                line.extend((0..values).map(|_| word(random)));
            }
        }
    }
    if random.u8(..4) == 0 {
        line.push("--".to_owned());
        line.extend((0..random.usize(..3)).map(|_| word(random)));
    }
    line
}

fn words(args: &[OsString]) -> Vec<String> {
    args.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

const CHOICE: [&str; 7] = [
    "--session-id",
    "--continue",
    "--resume",
    "--resume-session-at",
    "--fork-session",
    "--worktree",
    "--from-pr",
];

#[test]
fn what_reaches_the_children_is_what_the_user_wrote() {
    let parser = Parser::of(&format!("{HELP}{HIDDEN}"));
    let seed = std::env::var("CLAUDE_SAFE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or(20_261_128);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut compared = 0;
    while compared < LINES {
        let line = line(&parser, &mut random);
        let Some(wanted) = parser.read(&line) else { continue };
        compared += 1;
        let os: Vec<OsString> = line.iter().map(Into::into).collect();
        let user = ClaudeArgs::parse(&os);
        assert_eq!(words(&user.words()), line, "seed {seed}");
        let message = "go on".to_owned();
        let mut plan = LaunchPlan::new("/bin/claude".into(), user, message.clone());
        plan.settings = Some("/run/s.json".into());
        plan.session = SessionPlan::WithId("new".into());
        let without = |left_out: &[&str]| {
            let keeps = |flag: &&(String, Vec<String>)| !left_out.contains(&flag.0.as_str());
            wanted.flags.iter().filter(keeps).cloned().collect::<Vec<_>>()
        };
        let child = |plan: &LaunchPlan, ours: usize| {
            let mut read = parser.read(&words(&plan.args())).unwrap_or_else(|| panic!("{line:?}"));
            let added: Vec<String> = read.flags.drain(..ours).map(|(name, _)| name).collect();
            (added, read)
        };
        let told = |what: &str| format!("{what}, seed {seed}: {line:?}");

        let (added, first) = child(&plan, 2);
        assert_eq!(added, ["--settings", "--session-id"]);
        let operands = wanted.operands.clone();
        assert_eq!(first, Read { flags: without(&["--settings"]), operands }, "{}", told("first"));

        let left_out = [&CHOICE[..], &["--settings", "--prefill"]].concat();
        let (added, again) = child(&plan.resume("id", Continuation::Message), 2);
        assert_eq!(added, ["--settings", "--resume"]);
        let operands = vec![message];
        assert_eq!(again, Read { flags: without(&left_out), operands }, "{}", told("message"));

        let left_out = [&CHOICE[..], &["--settings"]].concat();
        let (added, again) = child(&plan.again("id", "at"), 3);
        assert_eq!(added, ["--settings", "--resume", "--resume-session-at"]);
        let operands = wanted.operands.clone();
        assert_eq!(again, Read { flags: without(&left_out), operands }, "{}", told("prompt"));
    }
}

#[test]
fn every_flag_that_a_pinned_version_names_is_known_and_takes_what_it_says() {
    for help in [
        HELP,
        include_str!("../../tests/help/2.0.30.txt"),
        include_str!("../../tests/help/2.1.100.txt"),
        include_str!("../../tests/help/2.1.200.txt"),
        include_str!("../../tests/help/2.1.331.txt"),
    ] {
        for (spelling, (name, takes)) in Parser::of(help).flags {
            let line = |words: &[&str]| {
                let words: Vec<OsString> = words.iter().map(Into::into).collect();
                ClaudeArgs::parse(&words)
            };
            assert!(line(&[&spelling]).has_known_flags(), "{name} {spelling}");
            // one flag changed: it took all paths at once
            if name == "--plugin-dir" {
                continue;
            }
            let operands = line(&[&spelling, "a", "b"]).words_of_the_prompt();
            let wanted = match takes {
                Takes::Nothing => 2,
                Takes::One | Takes::Maybe => 1,
                Takes::Many => 0,
            };
            assert_eq!(operands, wanted, "{spelling} takes {takes:?}");
        }
    }
}
