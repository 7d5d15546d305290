//! The screens that the README shows. They are made here, by one evening of real runs: Claude Code
//! at a terminal and in a script, an outage of the sign-in service, and what claude-safe says of
//! it. The test makes them anew and compares what is ours in them, but for times and numbers. With
//! `CLAUDE_SAFE_WRITE_DOCS=1` (as `docs/screens/make` sets it) they are written instead.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::terminal::Screen;
use claude_safe_testkit::{
    Answer, Behaviour, FakeService, Sandbox, SignIn, Size, Terminal, TerminalOptions, real_claude,
};

use crate::svg;
use crate::window::{SETTLED, SOON, exit, submit};

const PROMPT: &str = "Which tests cover the checkout?";
const ANSWER: &str = "Two of them: tests/checkout.rs pays with a card and with a voucher, and \
                      tests/basket.rs empties the basket afterwards. Nothing covers a payment that \
                      is refused.";
/// How the message that is typed begins.
const MESSAGE: &str = "❯ The service failed during";
/// The words of a date, which are those of the day the pictures were made.
const CALENDAR: [&str; 19] = [
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// What the shell of the pictures shows.
const SHELL: &str = "~/shop $ ";

#[test]
fn the_screens_of_the_readme_are_what_the_program_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let screens = evening();
    assert_eq!(readme.matches("](docs/screens/").count(), screens.len());
    for (name, picture) in screens {
        let file = root.join("docs/screens").join(name);
        if std::env::var_os("CLAUDE_SAFE_WRITE_DOCS").is_some() {
            fs::write(file, picture).unwrap();
            continue;
        }
        assert!(readme.contains(&format!("](docs/screens/{name})")), "{name} is not in README.md");
        let held = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        for foreign in ["<script", "<image", "href", "url(", "@import"] {
            assert!(!held.contains(foreign), "{name} does not stand alone: {foreign}");
        }
        let (held, now) = (ours(&svg::rows(&held)), ours(&svg::rows(&picture)));
        assert!(!now.is_empty(), "{name} shows nothing of ours");
        assert_eq!(held, now, "{name} is behind: run docs/screens/make");
    }
}

/// The words of ours on a screen, without what differs from one evening to the next.
fn ours(rows: &[String]) -> Vec<String> {
    let is_command = rows.first().is_some_and(|row| row.starts_with(SHELL));
    let is_bar = |row: &str| row.contains('╷') || !row.chars().any(char::is_alphanumeric);
    let is_ours = |row: &&String| {
        if is_command {
            return !is_bar(row);
        }
        row.contains("claude-safe:") || row.starts_with(MESSAGE)
    };
    // Claude's own words may follow on the same row
    let part = |row: &String| match row.split_once(" esc cancels ") {
        Some((part, _)) if !is_command => format!("{part} esc cancels"),
        _ => row.clone(),
    };
    let words: Vec<String> = rows.iter().filter(is_ours).map(part).collect();
    let same = |word: &str| match word {
        word if word.contains(|sign: char| sign.is_ascii_digit()) => "#".to_owned(),
        word if CALENDAR.contains(&word) => "#".to_owned(),
        "tries" => "try".to_owned(),
        "requests" => "request".to_owned(),
        word => word.to_owned(),
    };
    let words = words.iter().flat_map(|row| row.split_whitespace()).map(same);
    words.filter(|word| !matches!(word.as_str(), "#" | "s" | "min" | "when" | "up")).collect()
}

/// The evening: each picture's file and markup.
fn evening() -> [(&'static str, String); 4] {
    let began = Instant::now();
    let desk = Desk::new();
    let mut claude = desk.terminal(PROGRAM, &[], 30);
    claude.wait_for_screen(SOON, "Claude's input box", |screen| screen.input().is_some());
    claude.wait_until_quiet(SOON, SETTLED);
    desk.service.expire_tokens();
    desk.service.set_oauth(Behaviour::error(500));
    submit(&claude, PROMPT);
    let counts_down = |screen: &Screen| screen.contains("next try ");
    let screen = claude.wait_for_screen(SOON, "a countdown", counts_down);
    let waiting = desk.conversation(
        &screen,
        "A turn has failed with a 401; under Claude's prompt box \
        claude-safe says that the sign-in service is down and counts down to the next try.",
    );

    let mut script = desk.terminal(PROGRAM, &["-p", "Write the changelog"], 10);
    script.wait_for_text(SOON, "claude-safe: sign-in service down");
    let status = desk.command("claude-safe status", "claude-safe status lists two runs that wait.");

    desk.service.set_oauth(Behaviour::Ok);
    claude.wait_for_text(SOON, "is refused.");
    claude.wait_for_screen(SOON, "no line of ours", |screen| !screen.contains("claude-safe:"));
    let screen = claude.wait_until_quiet(SOON, SETTLED);
    let recovered = desk.conversation(
        &screen,
        "The same turn after the outage: claude-safe has asked \
        Claude to carry on, and the answer is there.",
    );
    assert!(script.wait_exit(SOON).success(), "{}", script.screen());
    exit(&claude);
    assert!(claude.wait_exit(SOON).success(), "{}", claude.screen());
    let report = desk.command(
        &format!("claude-safe report --since {}s", began.elapsed().as_secs() + 4),
        "claude-safe report draws each \
        run as a line in time, with its failures, waits and recovery.",
    );
    desk.sandbox.assert_no_leftovers(SOON);
    [
        ("waiting.svg", waiting),
        ("status.svg", status),
        ("recovered.svg", recovered),
        ("report.svg", report),
    ]
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_claude-safe");

/// The machine of the evening.
struct Desk {
    service: FakeService,
    sandbox: Sandbox,
    shop: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let service = FakeService::start();
        service.answer(Answer::text(ANSWER));
        let mut sandbox = Sandbox::with(SignIn::Valid, &service);
        let (home, bin) = (sandbox.home().to_owned(), sandbox.tmp().join("bin"));
        // the directory that Claude trusts, by a name that reads well
        let shop = home.join("shop");
        fs::rename(sandbox.project(), &shop).unwrap();
        let state = fs::read_to_string(home.join(".claude.json")).unwrap();
        let old = sandbox.project().to_string_lossy().into_owned();
        fs::write(home.join(".claude.json"), state.replace(&old, &shop.to_string_lossy())).unwrap();

        fs::create_dir(&bin).unwrap();
        symlink(PROGRAM, bin.join("claude-safe")).unwrap();
        symlink(real_claude(MEASURED), bin.join("claude")).unwrap();
        let path = sandbox.env_value("PATH").unwrap();
        let path = std::iter::once(bin).chain(std::env::split_paths(&path));
        sandbox.env("PATH", std::env::join_paths(path).unwrap());
        // long enough for the pictures
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "15s");
        sandbox.env("PS1", r"\[\e[32m\]\w\[\e[0m\] $ ");
        Self { service, sandbox, shop }
    }

    fn terminal(&self, program: &str, args: &[&str], rows: u16) -> Terminal {
        let mut command = self.sandbox.command(program);
        command.args(args).current_dir(&self.shop);
        let size = Size { rows, cols: 100 };
        Terminal::spawn_with(command, TerminalOptions { size, ..TerminalOptions::default() })
    }

    /// A command typed into a shell, and what it prints.
    fn command(&self, line: &str, title: &str) -> String {
        let shell = self.terminal("bash", &["--norc", "--noprofile"], 40);
        shell.wait_for_text(SOON, SHELL.trim_end());
        shell.send(format!("{line}\r"));
        let prompts = |screen: &Screen| {
            screen.rows().iter().filter(|row| row.starts_with(SHELL.trim_end())).count()
        };
        let screen = shell.wait_for_screen(SOON, "the next prompt", |now| prompts(now) == 2);
        let end = screen.rows().iter().rposition(|row| !row.is_empty()).unwrap();
        self.picture(&screen, 0..end, title)
    }

    /// The turn on Claude's screen, down to its prompt box and the line of ours below.
    fn conversation(&self, screen: &Screen, title: &str) -> String {
        let rows = screen.rows();
        let start = rows.iter().position(|row| row.contains(PROMPT)).expect("the prompt");
        let is_last = |row: &String| row.starts_with("──") || row.contains("claude-safe:");
        let end = 1 + rows.iter().rposition(is_last).expect("the box");
        self.picture(screen, start..end, title)
    }

    fn picture(&self, screen: &Screen, rows: Range<usize>, title: &str) -> String {
        let home = self.sandbox.home().to_string_lossy();
        assert!(!screen.contains(&home), "a path of this machine would be seen:\n{screen}");
        let row = |index: usize| u16::try_from(index).expect("screens are small");
        let picture = svg::picture(screen, row(rows.start)..row(rows.end), title);
        assert_eq!(svg::rows(&picture), screen.rows()[rows], "the picture is the screen");
        picture
    }
}
