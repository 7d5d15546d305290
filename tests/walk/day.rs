//! The walk itself, step by step.

use std::fs;

use claude_safe_testkit::{Answer, Behaviour};

use crate::documents;
use crate::stranger::{Belongings, Shell, Stranger};
use crate::window::{SOON, Window};

pub fn walk(shell: Shell) {
    let (line, file) = documents::start_line(shell);
    let stranger = Stranger::new(shell, &file);
    let plain = what_type_says(&stranger);
    let healthy = plain_claude(&stranger, "As ever.");
    let before = stranger.belongings();

    try_it(&stranger);
    install(&stranger);
    let window = stranger.window();
    window.ok(&format!("echo '{line}' >>~/{file}"));
    drop(window);

    a_days_use(&stranger, &healthy);
    an_outage_at_the_terminal(&stranger);
    an_outage_in_a_script(&stranger, &healthy);
    what_happened(&stranger);

    let history = stranger.history();
    leave(&stranger);
    assert_eq!(what_type_says(&stranger), plain);
    assert_eq!(plain_claude(&stranger, "As before."), healthy);
    let now = stranger.history();
    for (path, bytes) in &history {
        assert!(now.get(path) == Some(bytes), "{} has changed", path.display());
    }
    nothing_is_left(&stranger, &before);
    stranger.sandbox.assert_no_leftovers(SOON);
}

impl Stranger {
    fn window(&self) -> Window<'_> {
        Window::open(&self.sandbox, self.shell)
    }

    /// From now on the service answers with this.
    fn will_say(&self, text: &str) {
        self.service.answer(Answer::text(text));
    }
}

/// A conversation of one turn, left by `/exit`; the shell is usable after it.
fn talk(stranger: &Stranger, window: &Window, command: &str, answer: &str) {
    stranger.will_say(answer);
    let mark = window.begin(command);
    window.claude_is_ready();
    window.submit("good day");
    window.see_text(answer);
    window.rest();
    leave_claude(window, &mark);
}

fn leave_claude(window: &Window, mark: &str) {
    window.exit();
    let (code, screen) = window.end(mark, SOON);
    assert_eq!(code, 0, "{screen}");
    let said = window.ok("echo still here");
    assert!(said.contains("\n│still here"), "{said}");
}

/// A day without us; what a run in a script prints.
fn plain_claude(stranger: &Stranger, answer: &str) -> Vec<u8> {
    let window = stranger.window();
    talk(stranger, &window, "claude", answer);
    in_a_script(stranger, &window)
}

fn in_a_script(stranger: &Stranger, window: &Window) -> Vec<u8> {
    stranger.will_say("Nothing else.");
    window.ok("claude -p hello >~/said.txt");
    fs::read(stranger.home().join("said.txt")).unwrap()
}

/// The README's first command, with what it would have built.
fn try_it(stranger: &Stranger) {
    let window = stranger.window();
    let command = format!("{} {}", env!("CARGO_BIN_EXE_claude-safe"), documents::first_command());
    talk(stranger, &window, &command, "This is the real one.");
}

/// What `type claude` says in a new shell.
fn what_type_says(stranger: &Stranger) -> String {
    let said = stranger.window().ok("type claude");
    let wanted = |line: &&str| line.contains("claude is ") && !line.contains("type claude");
    said.lines().find(wanted).unwrap_or_else(|| panic!("{said}")).to_owned()
}

fn install(stranger: &Stranger) {
    let window = stranger.window();
    window.ok(&format!("cd '{}'", env!("CARGO_MANIFEST_DIR")));
    // as it is in the README, but quick
    let command = documents::install_command() + " --debug --offline";
    let (code, screen) = window.build(&command);
    assert_eq!(code, 0, "{screen}");
}

/// Work on a healthy day.
fn a_days_use(stranger: &Stranger, healthy: &[u8]) {
    assert!(what_type_says(stranger).contains("function"), "{}", what_type_says(stranger));
    let window = stranger.window();
    talk(stranger, &window, "claude", "A fine day.");
    assert_eq!(in_a_script(stranger, &window), healthy);
    let (wrong, _) = window.run("claude --no-such-option");
    let (plain, _) = window.run("command claude --no-such-option");
    assert_eq!(wrong, plain);
    assert_ne!(wrong, 0);
}

fn an_outage_at_the_terminal(stranger: &Stranger) {
    let window = stranger.window();
    let mark = window.begin("claude");
    window.claude_is_ready();
    stranger.service.expire_tokens();
    stranger.service.set_oauth(Behaviour::error(500));
    stranger.will_say("Back again.");
    window.submit("are you there?");
    window.see_text("claude-safe: sign-in service down");
    window.see_text("esc cancels");
    stranger.service.set_oauth(Behaviour::Ok);
    window.see_text("Back again.");
    window.see("no line of ours", |screen| !screen.contains("claude-safe:"));
    window.rest();
    leave_claude(&window, &mark);
}

fn an_outage_in_a_script(stranger: &Stranger, healthy: &[u8]) {
    let window = stranger.window();
    stranger.service.expire_tokens();
    stranger.service.set_oauth(Behaviour::error(500));
    stranger.will_say("Nothing else.");
    let mark = window.begin("claude -p hello | cat >~/said.txt");
    window.see_text("claude-safe: sign-in service down");
    window.see_text("try 2 as soon as it answers · Ctrl-C stops");
    stranger.service.set_oauth(Behaviour::Ok);
    let (code, screen) = window.end(&mark, SOON);
    assert_eq!(code, 0, "{screen}");
    assert_eq!(fs::read(stranger.home().join("said.txt")).unwrap(), healthy);
}

fn what_happened(stranger: &Stranger) {
    let window = stranger.window();
    let report = window.ok("claude-safe report");
    for words in ["6 runs", "recovered 2 times", "sign-in refresh failing", "~/project"] {
        assert!(report.contains(words), "no {words:?}:\n{report}");
    }
    let status = window.ok("claude-safe status");
    assert_eq!(status.matches(" ended ").count(), 6, "{status}");
    let check = window.ok("claude-safe check");
    assert!(check.contains("claude"), "{check}");
}

/// As the README says, then what `uninstall` itself says of the state and of the program.
fn leave(stranger: &Stranger) {
    let window = stranger.window();
    let said = removed(&window, &documents::uninstall_command(), "remove these lines? [y/N]");
    removed(&window, &told(&said, "stays: "), "remove these? [y/N]");
    window.ok(&told(&said, "the program itself: "));
    // the window that was open all the time goes on with plain claude
    stranger.will_say("Plain.");
    let said = window.ok("claude -p hello");
    assert!(said.contains("Plain."), "{said}");
}

/// Runs a command that asks, and says yes; what it said.
fn removed(window: &Window, command: &str, question: &str) -> String {
    let mark = window.begin(command);
    window.see_text(question);
    window.keys("y\r");
    let (code, screen) = window.end(&mark, SOON);
    assert_eq!(code, 0, "{screen}");
    screen.rows().concat()
}

/// The command that was named after these words.
fn told(said: &str, words: &str) -> String {
    let (_, rest) = said.split_once(words).unwrap_or_else(|| panic!("no {words:?}: {said}"));
    rest.split('`').nth(1).unwrap_or_else(|| panic!("no command: {said}")).to_owned()
}

/// Nothing was changed, and nothing is new but what the stranger, Claude or Cargo made.
fn nothing_is_left(stranger: &Stranger, before: &Belongings) {
    let after = stranger.belongings();
    for (path, bytes) in before {
        assert!(after.get(path) == Some(bytes), "{} has changed", path.display());
    }
    // the last is a directory that programs share
    let known = [".crates.toml", ".crates2.json", ".local/state"];
    let new = after.keys().filter(|path| !before.contains_key(*path));
    let left: Vec<_> = new.filter(|path| !known.iter().any(|name| path.ends_with(name))).collect();
    assert!(left.is_empty(), "{left:#?}");
}
