//! The shim: a `claude` for callers without a shell's functions.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use claude_safe_testkit::claude::NEWEST;
use claude_safe_testkit::{Behaviour, FakeService, RequestKind, Sandbox, SignIn, real_claude};

use crate::{DEADLINE, HOSTILE, Home, Said};

impl Home {
    fn shim(&self) -> String {
        let dir = if cfg!(target_os = "macos") {
            self.dir.join("Library/Application Support")
        } else {
            self.dir.join(".local/share")
        };
        dir.join("claude-safe/bin/claude").to_str().expect("text").to_owned()
    }

    /// As cron calls it: hardly an environment.
    fn cron(&self, program: &str, args: &[&str]) -> Said {
        let home = format!("HOME={}", self.dir.display());
        let cron = ["-i", &home, "PATH=/usr/bin:/bin", "SHELL=/bin/sh", program];
        Said::of(&self.run("env", &[&cron, args].concat(), &[]))
    }

    /// Tells claude-safe by its configuration which claude to start.
    fn configure(&self) {
        let safe = self.dir.join("safe/claude").display().to_string();
        let text = format!("claude.path = {}\n", toml::Value::String(safe));
        let dir = if cfg!(target_os = "macos") {
            "Library/Application Support/claude-safe/config.toml"
        } else {
            ".config/claude-safe/config.toml"
        };
        Self::write(&self.dir.join(dir), &text);
    }
}

#[test]
fn cron_reaches_claude_through_it_with_claude_safe_and_without() {
    let home = Home::new();
    home.configure();
    let installed = home.ours(&["shim", "install"]);
    assert_eq!((installed.code, &*installed.err), (Some(0), ""));
    let shim = home.shim();
    assert!(installed.out.starts_with(&format!("installed {shim}\n")), "{installed:?}");
    let args = ["mcp", "a b", "", "*"];
    let said = home.cron(&shim, &args);
    assert_eq!((&*said.out, &*said.err, said.code), ("safe:<mcp><a b><><*>\n", "", Some(7)));
    let off = ["-c", "CLAUDE_SAFE=off exec \"$0\" \"$@\"", &shim, "mcp"];
    assert_eq!(home.cron("sh", &off).out, "plain:<mcp>\n");
    home.remove_ours();
    let said = home.cron(&shim, &args);
    assert_eq!((&*said.out, &*said.err, said.code), ("plain:<mcp><a b><><*>\n", "", Some(7)));
    fs::remove_file(home.claudes.join("claude")).expect("removed");
    let said = home.cron(&shim, &args);
    assert_eq!((&*said.out, said.code), ("", Some(127)));
    assert!(said.err.starts_with("claude-safe: failed to find claude"), "{said:?}");
}

#[test]
fn two_shims_never_call_each_other() {
    let home = Home::new();
    let other = home.dir.join("other").join(HOSTILE);
    let dir = other.to_str().expect("text");
    assert_eq!(home.ours(&["shim", "install"]).code, Some(0));
    assert_eq!(home.ours(&["shim", "install", "--dir", dir]).code, Some(0));
    home.remove_ours();
    let path = format!(
        "{dir}:{}:{}:/usr/bin:/bin",
        home.shim().strip_suffix("/claude").expect("the directory"),
        home.claudes.display()
    );
    for program in [home.shim(), format!("{dir}/claude")] {
        let said = Said::of(&home.run(&program, &["mcp"], &[("PATH", &path)]));
        assert_eq!((&*said.out, said.code), ("plain:<mcp>\n", Some(7)), "{said:?}");
    }
}

#[test]
fn a_claude_of_others_is_never_written_over_or_removed() {
    let home = Home::new();
    let dir = home.claudes.to_str().expect("text");
    let before = fs::read(home.claudes.join("claude")).expect("read");
    let said = home.ours(&["shim", "install", "--dir", dir]);
    assert_eq!(said.code, Some(125));
    assert!(said.err.contains("a claude that is not ours") && said.err.contains("hint: "));
    let said = home.ours(&["shim", "remove", "--dir", dir]);
    assert_eq!((&*said.out, said.code), ("there is no shim\n", Some(0)));
    assert_eq!(fs::read(home.claudes.join("claude")).expect("read"), before);
}

#[test]
fn status_tells_whether_path_reaches_it_first_and_remove_takes_it_away() {
    let home = Home::new();
    assert_eq!(home.ours(&["shim", "status"]).code, Some(1));
    home.ours(&["shim", "install"]);
    let shim = home.shim();
    let said = home.ours(&["shim", "status"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("not a shim"), "{said:?}");
    // The line that `install` prints, taken by a shell.
    let install = home.ours(&["shim", "install"]).out;
    let line = install.lines().find_map(|line| line.split_once("export PATH=")).expect("a line");
    let script = format!("export PATH={}\nclaude-safe shim status\ncommand -v claude\n", line.1);
    let said = Said::of(&home.run("sh", &["-c", &script], &[]));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.ends_with(&format!("{shim}\n")), "{said:?}");
    let script = format!("export PATH={}\nclaude-safe shim remove\n", line.1);
    let said = Said::of(&home.run("sh", &["-c", &script], &[]));
    let dir = shim.strip_suffix("/claude").expect("its name");
    let hint = "is still on PATH: the line that puts it there is yours to remove";
    assert_eq!(said.out, format!("removed {shim}\n{dir} {hint}\n"));
    home.ours(&["shim", "install"]);
    let said = home.ours(&["shim", "remove"]);
    assert_eq!(said.out, format!("removed {shim}\n"));
    let ours = std::path::Path::new(&shim).ancestors().nth(2).expect("a directory");
    assert!(!ours.exists(), "{} is left", ours.display());
    assert_eq!(home.ours(&["shim", "remove"]).out, "there is no shim\n");
}

#[test]
fn the_real_claude_called_by_cron_comes_through_an_outage_of_its_sign_in() {
    let service = FakeService::start();
    service.set_oauth(Behaviour::error(500));
    let sandbox = Sandbox::with(SignIn::Expired, &service);
    let claudes = sandbox.tmp().join("claudes");
    fs::create_dir(&claudes).expect("a directory");
    symlink(real_claude(NEWEST), claudes.join("claude")).expect("a link");
    let program = env!("CARGO_BIN_EXE_claude-safe");
    let mut install = sandbox.command(program);
    let path = format!("{}:/usr/bin:/bin", claudes.display());
    install.env("PATH", &path).args(["shim", "install"]);
    assert!(sandbox.run(install, DEADLINE).status.success());

    // A crontab: HOME, a short PATH, and what this network needs; the mark is the sandbox's.
    let mut cron = sandbox.command("env");
    cron.arg("-i");
    for name in ["HOME", "TMPDIR", "CLAUDE_SAFE_TEST_SANDBOX", "DISABLE_AUTOUPDATER"] {
        let value = sandbox.env_value(name).expect("set");
        cron.arg(format!("{name}={}", value.display()));
    }
    for (name, value) in service.env() {
        cron.arg(format!("{name}={value}"));
    }
    let shim = sandbox.home().join(".local/share/claude-safe/bin/claude");
    cron.args(["PATH=/usr/bin:/bin", "SHELL=/bin/sh", "CLAUDE_SAFE_RETRY_FIRST_WAIT=1s"]);
    cron.arg(shim).args(["-p", "hi"]);
    let deadline = Duration::from_secs(180);
    let said = std::thread::scope(|scope| {
        // The outage lasts until claude-safe, not claude, has asked about it.
        scope.spawn(|| {
            service.wait_for_count(deadline, RequestKind::Probe, 2);
            service.set_oauth(Behaviour::Ok);
        });
        Said::of(&sandbox.run(cron, deadline))
    });
    assert_eq!((said.code, said.out.trim()), (Some(0), "Hello from the fake service."), "{said:?}");
    assert!(said.err.contains("claude-safe: "), "it met the outage: {said:?}");
}
