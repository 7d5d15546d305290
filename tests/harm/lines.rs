//! Random command lines from Claude's own `--help`, as processes: what reaches a stand-in that
//! writes down its arguments, environment, directory and open files, at first and in the second
//! attempt; and what the real Claude makes of them. `CLAUDE_SAFE_LINES` is how many, of each.

use claude_safe_testkit::{FakeService, Sandbox, SignIn, StandIn};
use serde_json::{Value, json};

use super::kit::{MESSAGE, World};

const HELP: &str = include_str!("../help/2.1.330.txt");
/// Flags that choose another kind of run, or the session, or are counted over attempts; they are
/// compared in process (`src/plan/generated.rs`).
const OTHERS: [&str; 21] = [
    "--bg",
    "--cloud",
    "--continue",
    "--desktop",
    "--environment",
    "--file",
    "--fork-session",
    "--from-pr",
    "--help",
    "--input-format",
    "--max-budget-usd",
    "--no-session-persistence",
    "--output-format",
    "--print",
    "--resume",
    "--session-id",
    "--settings",
    "--teleport",
    "--tmux",
    "--version",
    "--worktree",
];

/// A spelling, what it takes as the help writes it, and plausible values for that.
type Flag = (String, String, Vec<&'static str>);

fn flags() -> Vec<Flag> {
    let lines = HELP.lines().filter(|line| line.starts_with("  -"));
    let specs = lines.map(|line| line.trim().split("  ").next().unwrap_or_default());
    let specs = specs.filter(|spec| !OTHERS.iter().any(|flag| spec.contains(flag)));
    specs
        .flat_map(|spec| {
            let takes = spec.find(['<', '[']).map_or("", |at| &spec[at..]);
            let spellings = spec.split([' ', ',']).filter(|word| word.starts_with('-'));
            spellings.map(move |spelling| (spelling.into(), takes.into(), values(spelling, takes)))
        })
        .collect()
}

fn values(flag: &str, takes: &str) -> Vec<&'static str> {
    match (flag, takes.trim_matches(['<', '>', '[', ']', '.'])) {
        (_, "model") => vec!["haiku", "sonnet"],
        (_, "mode") => vec!["plan", "acceptEdits", "default", "bypassPermissions", "no-mode"],
        (_, "tools") => vec!["Bash(git *)", "Read", "Bash,Edit", ""],
        (_, "directories" | "path") => vec![".", "/tmp", "nowhere"],
        (_, "json-or-file" | "configs") => vec!["{}", "{\"mcpServers\":{}}", "missing.json"],
        (_, "schema") => vec!["{\"type\":\"object\"}"],
        (_, "sources") => vec!["user", "user,project,local"],
        (_, "level") => vec!["low", "high"],
        (_, "on|off") => vec!["on", "off"],
        _ => vec!["x", "a b", "x=y", "ü"],
    }
}

/// Flags in both forms, in any order.
fn line(flags: &[Flag], random: &mut fastrand::Rng) -> Vec<String> {
    let mut line = Vec::new();
    for _ in 0..random.usize(0..5) {
        let (flag, takes, values) = &flags[random.usize(..flags.len())];
        let attached = random.bool();
        let mut value = || values[random.usize(..values.len())].to_owned();
        match (takes.starts_with('<'), takes.ends_with("...>")) {
            (false, _) => line.push(flag.clone()),
            (true, _) if attached && flag.starts_with("--") => {
                line.push(format!("{flag}={}", value()));
            }
            (true, many) => {
                line.push(flag.clone());
                line.push(value());
                line.extend(many.then(value));
            }
        }
    }
    line
}

fn count(usual: usize) -> usize {
    let wanted = std::env::var("CLAUDE_SAFE_LINES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Does it for each of so many lines, some at a time.
fn each(count: usize, seed: u64, does: impl Fn(Vec<String>) + Sync) {
    const AT_ONCE: usize = 6;
    let flags = flags();
    let lines: Vec<_> = {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..count).map(|_| line(&flags, &mut random)).collect()
    };
    std::thread::scope(|scope| {
        for part in lines.chunks(count.div_ceil(AT_ONCE)) {
            scope.spawn(|| part.iter().for_each(|line| does(line.clone())));
        }
    });
}

/// The first attempt fails after this, the second works.
fn outage(after: &[Value]) -> Value {
    let text = "API Error: 500 Internal server error";
    let prompt = json!({ "type": "user", "uuid": "u", "message": { "content": "say it" } });
    let failure = json!({
        "type": "assistant", "uuid": "e", "isApiErrorMessage": true, "apiErrorStatus": 500,
        "error": "server_error", "message": { "content": [{ "type": "text", "text": text }] },
    });
    let lines = [&[prompt], after, &[failure]].concat();
    let mut steps: Vec<Value> = lines.iter().map(|line| json!({ "transcript": line })).collect();
    steps.extend([json!({ "print": format!("{text}\n") }), json!({ "exit": 1 })]);
    json!([steps, [{ "print": "It.\n" }, { "exit": 0 }]])
}

/// A tool call with its result.
fn worked() -> [Value; 2] {
    let call = json!({ "type": "tool_use", "id": "t", "name": "Read", "input": {} });
    let result = json!({ "type": "tool_result", "tool_use_id": "t", "content": "ok" });
    [
        json!({ "type": "assistant", "uuid": "a", "message": {
            "id": "m", "stop_reason": "tool_use", "content": [call],
        }}),
        json!({ "type": "user", "uuid": "r", "message": { "content": [result] } }),
    ]
}

/// All launches of a stand-in by this program, arguments apart.
fn launches(
    service: &FakeService,
    program: Option<&str>,
    line: &[String],
    script: &Value,
) -> Vec<(Vec<String>, Value)> {
    let mut sandbox = Sandbox::with(SignIn::Valid, service);
    let stand_in = StandIn::install(&mut sandbox, script);
    sandbox.env("CLAUDE_SAFE_CLAUDE", stand_in.path());
    sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s").env("CLAUDE_SAFE_RETRY_MESSAGE", MESSAGE);
    let mut command = match program {
        Some(program) => {
            let mut command = sandbox.command(program);
            command.args(["run", "--"]);
            command
        }
        None => sandbox.command(stand_in.path()),
    };
    let out = command.arg("-p").args(line).args(["--", "say it"]).output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    let place = sandbox.home().parent().unwrap().to_string_lossy().into_owned();
    let alike = |value: &Value| value.to_string().replace(&place, "~~");
    let all = stand_in.launches().into_iter().map(|launch| {
        let argv = serde_json::from_value(launch["argv"].clone()).unwrap();
        let rest = json!([launch["env"], launch["cwd"], launch["fds"]]);
        (argv, alike(&rest).into())
    });
    let all: Vec<_> = all.collect();
    assert!(program.is_none() || all.len() == 2, "{line:?}: {told}\n{all:#?}");
    all
}

#[test]
fn what_reaches_a_stand_in_is_what_the_user_wrote() {
    const SAFE: &str = env!("CARGO_BIN_EXE_claude-safe");
    let service = FakeService::start();
    each(count(48), 20_261_128, |line| {
        let (untouched, partial) = (outage(&[]), outage(&worked()));
        let plain = launches(&service, None, &line, &untouched);
        let words =
            [&["-p".to_owned()], &line[..], &["--".to_owned(), "say it".to_owned()]].concat();
        let without_prompt = &words[..words.len() - 1];
        for (script, again) in [(&untouched, &words[..]), (&partial, without_prompt)] {
            let safe = launches(&service, Some(SAFE), &line, script);
            for (launch, at) in safe.iter().zip(["first", "again"]) {
                assert_eq!(launch.1, plain[0].1, "{at}: {line:?}");
            }
            let (first, second) = (&safe[0].0, &safe[1].0);
            assert_eq!((&first[1][..], &first[3][..]), ("--settings", "--session-id"));
            assert_eq!(first[5..], words, "{line:?}");
            assert_eq!((&second[1][..], &second[2]), ("--settings", &first[2]), "{line:?}");
            assert_eq!(second[4], first[4], "the same session: {line:?}");
            if script == &untouched {
                assert_eq!(second[5..], *again, "{line:?}");
            } else {
                assert_eq!(second[3], "--resume", "{line:?}");
                let wanted = [again, &[MESSAGE.to_owned()]].concat();
                assert_eq!(second[5..], wanted, "{line:?}");
            }
        }
    });
}

#[test]
fn what_the_real_claude_makes_of_a_line_is_the_same() {
    each(count(6), 7, |line| {
        let words =
            [&["-p".to_owned()], &line[..], &["--".to_owned(), "say it".to_owned()]].concat();
        let found = World::new(&words).both().differences();
        assert!(found.is_empty(), "{line:?}: {found:#?}");
    });
}
