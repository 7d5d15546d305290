//! Programs on the real Agent SDKs, which talk to the real Claude Code through claude-safe: what
//! they print on a good day, they print through an outage. Each scenario is one run of a small
//! program (`sdks/client.py`, `sdks/client.mjs`) against the fake service, judged from its side.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::service::log::Request;
use claude_safe_testkit::{
    Answer, Behaviour, FakeService, Sandbox, Script, SignIn, real_claude, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SAFE: &str = env!("CARGO_BIN_EXE_claude-safe");
const SOON: Duration = Duration::from_secs(120);
/// An outage that claude does not outlast by itself: two requests are one failed turn.
const OUTAGE_REQUESTS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sdk {
    Python,
    TypeScript,
}

use Sdk::{Python, TypeScript};

/// A machine with a program on it.
struct Desk {
    service: FakeService,
    sandbox: Sandbox,
}

impl Desk {
    fn new(sign_in: SignIn) -> Self {
        let service = FakeService::start();
        service.answer_with(answer);
        let mut sandbox = Sandbox::with(sign_in, &service);
        sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(MEASURED));
        sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1");
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
        sandbox.env("CLAUDE_SAFE_RETRY_MAX_WAIT", "2s");
        Self { service, sandbox }
    }

    fn command(&self, sdk: Sdk, scenario: &str, claude: &Path) -> Command {
        let sdks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/sdks");
        let (program, script) = match sdk {
            Python => (sdks.join("venv/bin/python"), "client.py"),
            TypeScript => (PathBuf::from("node"), "client.mjs"),
        };
        let mut command = self.sandbox.command(program);
        command.arg(sdks.join(script)).arg(scenario).env("CLIENT_CLAUDE", claude);
        command.env("CLIENT_STOP", self.sandbox.tmp().join("stop"));
        command
    }

    fn run(&self, sdk: Sdk, scenario: &str, claude: &Path) -> String {
        text(self.sandbox.run(self.command(sdk, scenario, claude), SOON))
    }

    /// Claude itself, below the program.
    fn claude(&self) -> i32 {
        let real = real_claude(MEASURED).canonicalize().expect("it is installed");
        let is_claude = |pid: &i32| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == real)
        };
        let found = || {
            let processes = self.sandbox.processes();
            processes.into_iter().map(|(pid, _)| pid).find(is_claude)
        };
        wait_until(SOON, found).expect("claude runs")
    }
}

fn text(output: Output) -> String {
    String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr)
}

/// What the model says to each scenario.
fn answer(request: &Request) -> Answer {
    if request.asks("touch the file") {
        Answer::bash("echo once >> touched", "It is there.")
    } else if request.asks("what time is it") {
        Answer::Tool {
            name: "mcp__own__clock".into(),
            input: serde_json::json!({}),
            then: Box::new(Answer::text("It is noon.")),
        }
    } else {
        Answer::text("Hello to you.")
    }
}

/// What plain claude prints on a good day.
fn good_day(sdk: Sdk, scenario: &str) -> String {
    Desk::new(SignIn::Valid).run(sdk, scenario, &real_claude(MEASURED))
}

const SCENARIOS: [(Sdk, &str); 8] = [
    (Python, "one-shot"),
    (Python, "talk"),
    (Python, "permission"),
    (Python, "own-tool"),
    (TypeScript, "one-shot"),
    (TypeScript, "talk"),
    (TypeScript, "permission"),
    (TypeScript, "own-tool"),
];

#[test]
fn a_good_day_is_as_without_us() {
    for (sdk, scenario) in SCENARIOS {
        let desk = Desk::new(SignIn::Valid);
        let seen = desk.run(sdk, scenario, Path::new(SAFE));
        assert_eq!(seen, good_day(sdk, scenario), "{sdk:?} {scenario}");
        assert!(seen.contains("error=False") || seen.contains("error=false"), "{seen}");
    }
}

#[test]
fn an_outage_of_the_api_is_not_seen() {
    for (sdk, scenario) in SCENARIOS {
        let desk = Desk::new(SignIn::Valid);
        desk.service.set_api(Script::first(OUTAGE_REQUESTS, Behaviour::error(500)));
        let seen = desk.run(sdk, scenario, Path::new(SAFE));
        assert_eq!(seen, good_day(sdk, scenario), "{sdk:?} {scenario}");
    }
}

#[test]
fn a_refresh_that_fails_is_not_seen() {
    for (sdk, scenario) in [(Python, "one-shot"), (Python, "talk"), (TypeScript, "talk")] {
        let desk = Desk::new(SignIn::Expired);
        // Six requests are one failed refresh.
        desk.service.set_oauth(Script::first(8, Behaviour::error(500)));
        let seen = desk.run(sdk, scenario, Path::new(SAFE));
        assert_eq!(seen, good_day(sdk, scenario), "{sdk:?} {scenario}");
    }
}

#[test]
fn a_tool_that_ran_before_the_outage_runs_once() {
    for sdk in [Python, TypeScript] {
        let desk = Desk::new(SignIn::Valid);
        let outage = Script::first(OUTAGE_REQUESTS, Behaviour::error(529));
        desk.service.set_api(Script::After(1, Box::new(outage)));
        let seen = desk.run(sdk, "permission", Path::new(SAFE));
        assert_eq!(seen, good_day(sdk, "permission"), "{sdk:?}");
        let touched = desk.sandbox.project().join("touched");
        assert_eq!(std::fs::read_to_string(touched).unwrap(), "once\n", "{sdk:?}");
    }
}

#[test]
fn a_claude_that_is_killed_in_its_turn_is_replaced() {
    for (sdk, scenario) in [(Python, "talk"), (TypeScript, "talk"), (Python, "own-tool")] {
        let desk = Desk::new(SignIn::Valid);
        desk.service.set_api(Script::first(1, Behaviour::Hang));
        let child = desk.command(sdk, scenario, Path::new(SAFE));
        let seen = std::thread::scope(|scope| {
            let run = scope.spawn(|| text(desk.sandbox.run(child, SOON)));
            desk.service.wait_for(SOON, "a request", |seen| !seen.is_empty());
            let said = || (!desk.service.turns().is_empty()).then_some(());
            wait_until(SOON, said).expect("a turn");
            kill(Pid::from_raw(desk.claude()), Signal::SIGKILL).unwrap();
            run.join().unwrap()
        });
        assert_eq!(seen, good_day(sdk, scenario), "{sdk:?} {scenario}");
    }
}

#[test]
fn what_only_a_person_can_cure_is_told_at_once_and_as_it_is() {
    for sdk in [Python, TypeScript] {
        let run = |claude: &Path| {
            let desk = Desk::new(SignIn::None);
            desk.run(sdk, "talk", claude)
        };
        assert_eq!(run(Path::new(SAFE)), run(&real_claude(MEASURED)), "{sdk:?}");
    }
}

#[test]
fn an_interruption_while_waiting_gives_the_failure_and_the_next_message_works() {
    let desk = Desk::new(SignIn::Valid);
    desk.service.set_api(Behaviour::error(500));
    let child = desk.command(Python, "interrupt", Path::new(SAFE));
    let seen = std::thread::scope(|scope| {
        let run = scope.spawn(|| text(desk.sandbox.run(child, SOON)));
        // Two requests are one failed turn; the third is the next try.
        wait_until(SOON, || (desk.service.turns().len() > 2).then_some(())).expect("tries");
        std::fs::write(desk.sandbox.tmp().join("stop"), "").unwrap();
        desk.service.set_api(Behaviour::Ok);
        run.join().unwrap()
    });
    assert!(seen.ends_with("Hello to you.\n"), "{seen}");
}

#[test]
fn the_claude_to_run_may_be_the_first_word() {
    let desk = Desk::new(SignIn::Valid);
    let mut command = desk.sandbox.command(SAFE);
    command.env_remove("CLAUDE_SAFE_CLAUDE").env("PATH", "/usr/bin:/bin");
    command.arg(real_claude(MEASURED)).args(["plugin", "list", "--json"]);
    let ours = desk.sandbox.run(command, SOON);
    let mut command = desk.sandbox.command(real_claude(MEASURED));
    command.args(["plugin", "list", "--json"]);
    let plain = desk.sandbox.run(command, SOON);
    assert_eq!(ours.stdout, plain.stdout);
    assert_eq!(ours.status.code(), plain.status.code());
}
