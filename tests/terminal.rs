//! The relay at a real terminal, around real programs: what plain programs would do there, they
//! do behind it. Driven through `examples/relay.rs`, which adds nothing of its own.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use claude_safe_testkit::{Sandbox, SignIn, Size, Terminal, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Ends only a test that hangs; the machine may be busy.
const SOON: Duration = Duration::from_secs(60);

const MODES_ON: &str =
    r"\033[?1049h\033[?2004h\033[?1004h\033[?2031h\033[?1002h\033[?25l\033[>5u\033[>4;2m";
/// What undoes each of them.
const MODES_OFF: [&str; 8] = [
    "\x1b[?1049l",
    "\x1b[?2004l",
    "\x1b[?1004l",
    "\x1b[?2031l",
    "\x1b[?1002l",
    "\x1b[?25h",
    "\x1b[<1u",
    "\x1b[>4m",
];

/// A sandbox whose children are ended with it, and the relay's executable.
struct Stage {
    sandbox: Sandbox,
    relay: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let mut sandbox = Sandbox::new(SignIn::None);
        sandbox.env("PS1", "$ ").env("HISTFILE", "/dev/null");
        Self { sandbox, relay: relay() }
    }

    /// The relay around a bash script.
    fn script(&self, script: &str) -> Command {
        let mut command = self.sandbox.command(&self.relay);
        command.args(["bash", "--norc", "-c", script]);
        command
    }

    fn start(&self, script: &str) -> Terminal {
        Terminal::spawn(self.script(script))
    }

    /// A bash script at the terminal; `$RELAY` is the relay.
    fn outside(&self, script: &str) -> Terminal {
        let mut command = self.sandbox.command("bash");
        command.env("RELAY", &self.relay).args(["--norc", "-c", script]);
        Terminal::spawn(command)
    }

    /// A shell with job control.
    fn shell(&self) -> Terminal {
        let mut command = self.sandbox.command("bash");
        command.env("RELAY", &self.relay).args(["--norc", "--noprofile", "-i"]);
        let terminal = Terminal::spawn(command);
        terminal.wait_for_text(SOON, "$");
        terminal
    }

    fn file(&self, name: &str) -> PathBuf {
        self.sandbox.project().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).expect("the program wrote it")
    }

    /// The relay's process id, wherever it was started from.
    fn relay_pid(&self) -> Pid {
        let name = self.relay.to_string_lossy().into_owned();
        let found = wait_until(SOON, || {
            let processes = self.sandbox.processes();
            processes.into_iter().find(|(_, command)| command.starts_with(&name))
        });
        Pid::from_raw(found.expect("the relay runs").0)
    }
}

/// `examples/relay`, which `cargo test` and `cargo nextest run` build before they run anything;
/// built here only for a run that names this test alone.
fn relay() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its file");
    let profile = test.ancestors().nth(2).expect("a test is in target/PROFILE/deps");
    let relay = profile.join("examples/relay");
    if !relay.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "relay"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.expect("cargo runs").success(), "the relay does not build");
    }
    relay
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every byte value, in an order that begins no query the terminal would answer.
fn all_bytes(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 256) as u8).collect()
}

#[test]
fn output_reaches_the_terminal_unchanged() {
    let stage = Stage::new();
    let bytes = all_bytes(300_000);
    fs::write(stage.file("bytes"), &bytes).unwrap();
    let mut terminal = stage.start("stty raw; cat bytes");
    assert!(terminal.wait_exit(SOON).success());
    let output = terminal.output();
    assert_eq!(output.len(), bytes.len());
    assert!(output == bytes, "the bytes differ");
}

#[test]
fn keys_reach_the_child_unchanged() {
    let stage = Stage::new();
    let bytes = all_bytes(50_000);
    let mut terminal = stage.start("stty raw -echo; printf ready; head -c 50000 > got");
    terminal.wait_for_text(SOON, "ready");
    terminal.send(&bytes);
    assert!(terminal.wait_exit(SOON).success());
    assert!(fs::read(stage.file("got")).unwrap() == bytes, "the bytes differ");
}

#[test]
fn a_child_that_does_not_read_goes_on_being_shown_and_loses_no_key() {
    let stage = Stage::new();
    let bytes = all_bytes(300_000);
    let mut terminal = stage.start(
        "stty raw -echo; printf ready; until [ -e go ]; do sleep 0.01; done
         for i in {1..500}; do printf 'tick %d\r\n' $i; done; head -c 300000 > got",
    );
    terminal.wait_for_text(SOON, "ready");
    std::thread::scope(|scope| {
        let typing = scope.spawn(|| terminal.send(&bytes));
        // more than every queue on the way can hold, so typing cannot end yet
        fs::write(stage.file("go"), "").unwrap();
        terminal.wait_for_text(SOON, "tick 500");
        typing.join().unwrap();
    });
    assert!(terminal.wait_exit(SOON).success());
    assert!(fs::read(stage.file("got")).unwrap() == bytes, "the bytes differ");
}

#[test]
fn a_resize_reaches_the_child() {
    let stage = Stage::new();
    let mut terminal =
        stage.start("trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.05; done");
    terminal.wait_for_text(SOON, "40 100");
    terminal.resize(Size { rows: 33, cols: 77 });
    terminal.wait_for_text(SOON, "33 77");
    assert!(terminal.wait_exit(SOON).success());
}

#[test]
fn settings_are_the_users_for_the_child_and_again_afterwards() {
    let stage = Stage::new();
    let mut terminal = stage.outside(
        "stty intr ^X -ixon; stty -g > before; $RELAY bash -c 'stty -g > within; stty raw'
         stty -g > after",
    );
    assert!(terminal.wait_exit(SOON).success());
    assert_eq!(stage.read("before"), stage.read("within"));
    assert_eq!(stage.read("before"), stage.read("after"));
}

/// Suspends itself as Claude does: restores, says so, stops its group (in vain), and repaints when
/// it is continued.
const LIKE_CLAUDE: &str = r#"
save=$(stty -g); trap 'painted=' CONT; count=0
while :; do
  if [ -z "$painted" ]; then
    painted=1; count=$((count + 1)); stty raw -echo min 0 time 1
    printf '\033[?2004h\033[?25lpainted %d\r\n' $count
  fi
  key=$(dd bs=1 count=1 2> /dev/null)
  case $key in
    $'\x1a') printf '\033[?2004l\033[?25hnow suspended\r\n'; stty "$save"; kill -TSTP 0
      while [ -n "$painted" ]; do sleep 0.05; done ;;
    q) printf '\033[?2004l\033[?25hleft\r\n'; stty "$save"; exit 5 ;;
  esac
done"#;

#[test]
fn ctrl_z_and_fg_work_as_with_a_plain_program() {
    let stage = Stage::new();
    fs::write(stage.file("like-claude"), LIKE_CLAUDE).unwrap();
    let terminal = stage.shell();
    terminal.send("stty -g > before; $RELAY bash --norc like-claude\r");
    terminal.wait_for_text(SOON, "painted 1");
    for round in 2..4 {
        terminal.send("\x1a");
        terminal.wait_for_text(SOON, "now suspended");
        terminal.wait_for_text(SOON, "Stopped");
        terminal.send(format!("clear; stty -g > stopped{round}; echo at the shell\r"));
        terminal.wait_for_text(SOON, "at the shell");
        terminal.send("clear; fg\r");
        terminal.wait_for_text(SOON, &format!("painted {round}"));
    }
    terminal.send("q");
    terminal.wait_for_text(SOON, "left");
    // what is typed before the prompt is the child's
    terminal.wait_for_screen(SOON, "the prompt", |screen| {
        screen.rows().iter().rev().find(|row| !row.is_empty()).is_some_and(|row| row == "$")
    });
    terminal.send("echo code=$?; stty -g > after; echo done-$?\r");
    terminal.wait_for_text(SOON, "done-0");
    assert!(terminal.screen().contains("code=5"), "{}", terminal.screen());
    for file in ["stopped2", "stopped3", "after"] {
        assert_eq!(stage.read("before"), stage.read(file), "{file}");
    }
}

#[test]
fn ctrl_z_stops_a_child_that_leaves_the_key_to_the_kernel() {
    let stage = Stage::new();
    let terminal = stage.shell();
    terminal.send("$RELAY cat; echo code=$?\r");
    terminal.send("one\r");
    terminal.wait_for_screen(SOON, "the echo and cat's copy", |screen| {
        screen.rows().iter().filter(|row| *row == "one").count() == 2
    });
    terminal.send("\x1a");
    terminal.wait_for_text(SOON, "Stopped");
    terminal.send("clear; fg\r");
    terminal.wait_for_text(SOON, "$RELAY cat");
    terminal.send("two\r");
    terminal.wait_for_screen(SOON, "the echo and cat's copy", |screen| {
        screen.rows().iter().filter(|row| row.ends_with("two")).count() == 2
    });
}

#[test]
fn a_stop_from_outside_stops_both_and_gives_the_terminal_back() {
    let stage = Stage::new();
    let terminal = stage.shell();
    terminal.send("$RELAY bash -c 'stty raw; printf \"\\033[?2004hready\"; sleep 300'\r");
    terminal.wait_for_text(SOON, "ready");
    let relay = stage.relay_pid();
    kill(relay, Signal::SIGTSTP).unwrap();
    terminal.wait_for_text(SOON, "Stopped");
    let output = text(&terminal.output());
    assert!(output.contains("\x1b[?2004l"), "{output:?}");
    terminal.send("clear; kill -9 %1; wait; echo gone\r");
    terminal.wait_for_text(SOON, "gone");
}

/// Runs `child` with every mode on; its output behind the marker, and the exit code. The terminal
/// must have its settings back.
fn ends_badly(stage: &Stage, child: &str, marker: &str) -> (String, String) {
    let child = format!("stty raw -echo; printf '{MODES_ON}{marker}'; {child}");
    fs::write(stage.file("child"), child).expect("the sandbox is writable");
    let mut terminal =
        stage.outside("stty -g > before; $RELAY bash child; echo code=$? > code; stty -g > after");
    terminal.wait_exit(SOON);
    assert_eq!(stage.read("before"), stage.read("after"));
    let output = text(&terminal.output());
    let (_, after) = output.split_once(marker).expect("it was shown");
    (after.to_owned(), stage.read("code"))
}

fn assert_modes_off(bytes: &str) {
    for off in MODES_OFF {
        assert!(bytes.contains(off), "{off:?} is missing in {bytes:?}");
    }
}

#[test]
fn a_killed_child_leaves_no_mode_behind() {
    let (after, code) = ends_badly(&Stage::new(), "kill -9 $$", "painted");
    assert_eq!(code, "code=137\n");
    assert_modes_off(&after);
}

#[test]
fn a_child_that_restores_by_itself_is_given_nothing_more() {
    let stage = Stage::new();
    let mut terminal = stage.start(r"printf '\033[?2004h\033[?25lhi\033[?2004l\033[?25h'");
    assert!(terminal.wait_exit(SOON).success());
    assert_eq!(text(&terminal.output()), "\x1b[?2004h\x1b[?25lhi\x1b[?2004l\x1b[?25h");
}

#[test]
fn a_panic_restores_the_terminal_before_it_is_told() {
    let mut stage = Stage::new();
    stage.sandbox.env("RELAY_PANIC_ON", "panic-now");
    let (after, code) = ends_badly(&stage, "sleep 300", "panic-now");
    assert_eq!(code, "code=101\n");
    let told = after.find("asked to panic").expect("the message is shown");
    assert_modes_off(&after[..told]);
    stage.sandbox.assert_no_leftovers(SOON);
}

#[test]
fn the_child_gets_what_a_plain_one_gets() {
    let stage = Stage::new();
    fs::create_dir(stage.file("deep")).unwrap();
    fs::write(stage.file("seventh"), "through seven\n").unwrap();
    // `_`, SHLVL and the like are bash's own
    let facts = "pwd; umask; ulimit -n; cat <&7; trap; env | grep -vE '^(_|SHLVL|RELAY)=' | sort; \
                 tty -s && echo terminal; ps -o pid= -o pgid= -o sid= -p $$ | \
                 awk '{ print ($1 == $2) }'; echo \"$1|$2\"";
    let mut terminal = stage.outside(&format!(
        "facts={}; umask 027; cd deep; exec 7< ../seventh; trap '' HUP; export LATE='a b'
         bash --norc -c \"$facts\" x '' 'a  b' > ../plain 2>&1
         exec 7< ../seventh
         $RELAY bash --norc -c \"exec > ../relayed 2>&1; $facts\" x '' 'a  b'",
        quoted(facts),
    ));
    assert!(terminal.wait_exit(SOON).success());
    let same = |text: String| -> Vec<String> {
        text.lines()
            .filter(|line| !line.chars().all(|c| "01".contains(c)))
            .map(Into::into)
            .collect()
    };
    let plain = stage.read("plain");
    assert!(plain.contains("through seven") && plain.contains("SIGHUP"), "{plain}");
    assert_eq!(same(plain), same(stage.read("relayed")));
}

fn quoted(script: &str) -> String {
    format!("'{}'", script.replace('\'', r"'\''"))
}

#[test]
fn the_end_of_the_child_is_the_end_even_if_a_grandchild_holds_the_terminal() {
    let stage = Stage::new();
    for grandchild in ["sleep 300", "setsid bash -c \"trap '' HUP; while echo on; do :; done\""] {
        let mut terminal = stage.start(&format!("{grandchild} & echo bye; exit 3"));
        let asked = Instant::now();
        assert_eq!(terminal.wait_exit(SOON).code(), Some(3), "{grandchild}");
        assert!(asked.elapsed() < SOON / 2, "{grandchild}: {:?}", asked.elapsed());
        assert!(text(&terminal.output()).contains("bye"));
    }
}

#[test]
fn last_words_are_shown_whole() {
    let stage = Stage::new();
    let mut terminal = stage.start("for i in {1..3000}; do echo line $i; done; exit 4");
    assert_eq!(terminal.wait_exit(SOON).code(), Some(4));
    let output = text(&terminal.output());
    assert!(output.ends_with("line 3000\r\n"), "{:?}", &output[output.len() - 40..]);
    assert_eq!(output.lines().count(), 3000);
}

#[test]
fn exit_codes_are_those_of_a_shell() {
    let stage = Stage::new();
    fs::write(stage.file("no-program"), "x").unwrap();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill $$", 143), ("kill -SEGV $$", 139)] {
        assert_eq!(stage.start(script).wait_exit(SOON).code(), Some(code), "{script}");
    }
    for (program, code) in [("/nowhere/claude", 127), ("nowhere", 127), ("./no-program", 126)] {
        let mut command = stage.sandbox.command(&stage.relay);
        let mut terminal = Terminal::spawn({
            command.arg(program);
            command
        });
        assert_eq!(terminal.wait_exit(SOON).code(), Some(code), "{program}");
    }
}

#[test]
fn signals_sent_to_us_reach_the_child_whose_end_decides() {
    let stage = Stage::new();
    for (signal, name) in
        [(Signal::SIGTERM, "TERM"), (Signal::SIGHUP, "HUP"), (Signal::SIGINT, "INT")]
    {
        let mut terminal = stage.start(&format!(
            "trap 'echo got {name}; exit 9' {name}; echo ready
             while :; do sleep 0.05; done"
        ));
        terminal.wait_for_text(SOON, "ready");
        kill(Pid::from_raw(terminal.pid()), signal).unwrap();
        let status = terminal.wait_exit(SOON);
        assert_eq!((status.code(), status.signal()), (Some(9), None), "{name}");
        assert!(text(&terminal.output()).contains(&format!("got {name}")));
    }
}

#[test]
fn an_end_asked_for_kills_a_child_that_ignores_it_and_its_children_too() {
    let stage = Stage::new();
    let script = "trap '' TERM; setsid sleep 299 & echo end-now; \
                  while :; do sleep 0.05; done";
    let mut command = stage.script(script);
    command.env("RELAY_END_ON", "end-now");
    let mut terminal = Terminal::spawn(command);
    assert_eq!(terminal.wait_exit(SOON).code(), Some(137));
    stage.sandbox.assert_no_leftovers(SOON);
}
