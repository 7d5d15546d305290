//! A stranger's machine: a home as a container has it, the real claude where its installer puts
//! it, Rust's tools on PATH, and nothing of ours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{FakeService, Sandbox, SignIn, real_claude};
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub fn program(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// The last exit status.
    pub fn status(self) -> &'static str {
        if self == Self::Fish { "$status" } else { "$?" }
    }

    /// What the stranger's start file held before.
    fn start_file(self) -> &'static str {
        match self {
            Self::Bash | Self::Zsh => "# mine\nalias ll='ls -l'\nexport EDITOR=vi\n",
            Self::Fish => "# mine\nset -gx EDITOR vi\n",
        }
    }
}

/// Paths, and the bytes of those that are files.
pub type Belongings = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub struct Stranger {
    pub service: FakeService,
    pub sandbox: Sandbox,
    pub shell: Shell,
}

impl Stranger {
    /// Who uses this shell, and keeps its settings in `start_file` below the home.
    pub fn new(shell: Shell, start_file: &str) -> Self {
        let service = FakeService::start();
        let mut sandbox = Sandbox::with(SignIn::Valid, &service);
        let home = sandbox.home().to_owned();
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            sandbox.env_remove(name);
        }
        sandbox.env("SHELL", format!("/usr/bin/{}", shell.program()));
        write(&home.join(start_file), shell.start_file());
        sandbox.write_settings(&json!({ "permissions": { "deny": ["Read(./secret)"] } }));

        // as claude's own installer and Rust's do
        let (claudes, tools) = (home.join(".local/bin"), home.join(".cargo/bin"));
        fs::create_dir_all(&claudes).unwrap();
        fs::create_dir_all(&tools).unwrap();
        symlink(real_claude(MEASURED), claudes.join("claude")).unwrap();
        let cargo = PathBuf::from(std::env::var_os("CARGO").expect("cargo runs the tests"));
        let mut path = vec![claudes, tools, cargo.parent().unwrap().to_owned()];
        path.extend(std::env::split_paths(&sandbox.env_value("PATH").unwrap()));
        sandbox.env("PATH", std::env::join_paths(path).unwrap());
        share_the_build(&mut sandbox, &home);
        Self { service, sandbox, shell }
    }

    pub fn home(&self) -> &Path {
        self.sandbox.home()
    }

    /// Every transcript's bytes.
    pub fn history(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let all = self.sandbox.transcripts().into_iter();
        all.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// Everything below the home and in its temporary directory that is not Claude's, by its
    /// path from there; files with their bytes.
    pub fn belongings(&self) -> Belongings {
        let root = self.home().parent().unwrap();
        let mut found = BTreeMap::new();
        let mut dirs = vec![self.home().to_owned(), self.sandbox.tmp()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let name = path.strip_prefix(root).unwrap().to_owned();
                if is_claudes_or_the_shells(&name) {
                    continue;
                }
                let kind = entry.file_type().unwrap();
                found.insert(name, if kind.is_file() { fs::read(&path).ok() } else { None });
                if kind.is_dir() {
                    dirs.push(path);
                }
            }
        }
        found
    }
}

pub fn write(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// Whether something else than us writes it: Claude, the shells, tmux, this test.
fn is_claudes_or_the_shells(path: &Path) -> bool {
    let under = |dir: &str| path.starts_with(dir);
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    under("home/.claude")
        || name.starts_with(".claude.json")
        || under("home/.cache/claude-cli-nodejs")
        || name == "cc-socks"
        || under(&format!("tmp/claude-{}", nix::unistd::getuid()))
        || under("home/.local/share/fish")
        || under("home/.config/fish/fish_variables")
        || name == "said.txt"
        || name.contains("history")
        || name.starts_with(".zcompdump")
        || name.starts_with("tmux")
}

/// The stranger's cargo takes what was compiled for the tests, from the place where it lies, and
/// writes the program itself elsewhere: other tests run the one that lies there.
fn share_the_build(sandbox: &mut Sandbox, home: &Path) {
    let built = Path::new(env!("CARGO_BIN_EXE_claude-safe"));
    let target = built.parent().and_then(Path::parent).unwrap();
    sandbox.env("CARGO_BUILD_BUILD_DIR", target);
    sandbox.env("CARGO_TARGET_DIR", sandbox.tmp().with_file_name("target"));
    sandbox.env("CARGO_INSTALL_ROOT", home.join(".cargo"));
    // the registry's crates and the compiler are there already
    let mine = |name: &str, usual: &str| {
        let set = std::env::var_os(name).map(PathBuf::from);
        set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(usual)))
    };
    for (name, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if let Some(dir) = mine(name, usual).filter(|dir| dir.is_dir()) {
            sandbox.env(name, dir);
        }
    }
}
