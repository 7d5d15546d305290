//! The npm packages: packed from the program under test, installed without a network into an
//! empty prefix, used, and taken away again.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use claude_safe_testkit::claude::NEWEST;
use claude_safe_testkit::{Behaviour, FakeService, Sandbox, Script, SignIn, real_claude};

use crate::package::{run, stripped};
use crate::{DEADLINE, deploy};

const PACKAGE: &str = "@someone/claude-safe-try";

/// What npm calls this machine.
fn platform() -> String {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    format!("{system}-{machine}")
}

/// A person without a Rust toolchain: npm is there, and Claude Code somewhere on PATH.
struct Person {
    sandbox: Sandbox,
    prefix: PathBuf,
}

impl Person {
    fn new(service: &FakeService) -> Self {
        let mut sandbox = Sandbox::with(SignIn::Valid, service);
        let (prefix, claudes) = (sandbox.home().join("prefix"), sandbox.home().join("claudes"));
        fs::create_dir_all(&claudes).expect("a directory");
        symlink(real_claude(NEWEST), claudes.join("claude")).expect("a link");
        let path = sandbox.env_value("PATH").expect("set");
        let dirs = [prefix.join("bin"), claudes].into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(dirs).expect("no colons");
        sandbox.env("PATH", path).env("CLAUDE_CODE_MAX_RETRIES", "1");
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
        Self { sandbox, prefix }
    }

    /// npm, in a network namespace that leads nowhere.
    fn npm(&self, words: &[&str]) -> Command {
        let mut npm = self.sandbox.command("unshare");
        npm.args(["--map-root-user", "--net", "npm"]).args(words);
        npm.args(["-g", "--offline", "--no-audit", "--no-fund", "--prefix"]).arg(&self.prefix);
        npm
    }

    fn asks(&self, program: &Path) -> Output {
        let mut command = self.sandbox.command(program);
        command.args(["-p", "hi"]);
        self.sandbox.run(command, DEADLINE)
    }
}

#[test]
fn npm_brings_a_program_that_recovers_and_takes_it_away_without_harm_to_claude() {
    let (_dir, stripped) = stripped();
    let mut pack = Command::new(deploy().join("npm/pack"));
    pack.args(["--name", PACKAGE]).arg(format!("{}={}", platform(), stripped.display()));
    let packages = run(&mut pack);
    let service = FakeService::start();
    let person = Person::new(&service);
    run(person.npm(&["install"]).args(packages.lines()));

    let program = person.prefix.join("bin/claude-safe");
    let ours = |words: &[&str]| run(person.sandbox.command(&program).args(words));
    let version = concat!("claude-safe ", env!("CARGO_PKG_VERSION"));
    assert_eq!(ours(&["--version"]).trim(), version);
    let demo = person.sandbox.command(&program).arg("demo").output().expect("it starts");
    let said = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success() && said.contains("recovered"), "{demo:?}");
    let page = person.prefix.join("share/man/man1/claude-safe.1");
    assert!(page.exists(), "{}", page.display());
    let way_out = ours(&["uninstall", "--yes"]);
    assert!(way_out.contains(&format!("`npm uninstall -g {PACKAGE}`")), "{way_out}");

    let installed = ours(&["shim", "install"]);
    let shim = installed.lines().find_map(|line| line.strip_prefix("installed "));
    let shim = Path::new(shim.expect("where it lies"));
    service.set_api(Script::first(2, Behaviour::error(500)));
    let output = person.asks(shim);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.ends_with("claude-safe: recovered\n"), "{output:?}");

    let program_package = format!("{PACKAGE}-{}", platform());
    run(&mut person.npm(&["uninstall", PACKAGE, &program_package]));
    assert!(!program.exists());
    let output = person.asks(shim);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(!output.stdout.is_empty());
}

#[test]
fn the_formula_is_ruby() {
    let formula = deploy().join("homebrew/claude-safe.rb");
    assert_eq!(run(Command::new("ruby").arg("-c").arg(formula)).trim(), "Syntax OK");
}

#[test]
fn the_agents_file_is_a_property_list_that_runs_the_loop() {
    let reads = "import plistlib, sys; agent = plistlib.load(open(sys.argv[1], 'rb')); \
                 print('\\n'.join(agent['ProgramArguments']))";
    let agent = deploy().join("launchd/claude-safe.nightly.plist");
    let words = run(Command::new("python3").args(["-c", reads]).arg(agent));
    let script = words.lines().last().expect("the script");
    run(Command::new("sh").args(["-n", "-c", script]));
    assert!(script.contains("[ $? -eq 75 ]"), "{script}");
}
