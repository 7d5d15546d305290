//! `claude` over claude-safe in real shells: bash, zsh, fish and a POSIX one. The names of the
//! home and of every directory in it are as hostile as a file system allows. A shell that is not
//! installed fails its tests; `tests/install` installs all of them.

// a home reads best as the subject of what is done in it
#![allow(clippy::unused_self, clippy::struct_field_names)]

mod functions;
mod lint;
mod removal;
mod shim;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use claude_safe_testkit::{Sandbox, SignIn};

/// The machine may be busy; a shell that hangs is still found.
const DEADLINE: Duration = Duration::from_secs(60);

/// What every directory is called.
const HOSTILE: &str = "it's a \"di\\r\" $HOME `x` *";

/// A home with two programs: the `claude` of PATH says `plain`, the one that claude-safe is told
/// to start says `safe`. Both then print their arguments and leave with 7.
pub(crate) struct Home {
    sandbox: Sandbox,
    /// The home directory.
    pub(crate) dir: PathBuf,
    /// First on PATH: claude-safe.
    pub(crate) ours: PathBuf,
    /// Next on PATH: claude.
    pub(crate) claudes: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new(SignIn::Valid);
        let home = sandbox.tmp().join(HOSTILE);
        let (ours, claudes) = (home.join("o u'rs"), home.join("claude's"));
        for dir in [&ours, &claudes, &home.join("safe")] {
            fs::create_dir_all(dir).expect("a directory");
        }
        let this = Self { sandbox, dir: home, ours, claudes };
        Self::script(&this.claudes.join("claude"), "plain");
        Self::script(&this.dir.join("safe/claude"), "safe");
        let program = this.ours.join("claude-safe");
        // Other file systems know no link to it.
        fs::hard_link(env!("CARGO_BIN_EXE_claude-safe"), &program)
            .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_claude-safe"), &program).map(drop))
            .expect("a copy of the program");
        this
    }

    fn script(file: &Path, word: &str) {
        let text = format!("#!/bin/sh\nprintf '%s:' {word}\nprintf '<%s>' \"$@\"\necho\nexit 7\n");
        Self::write(file, &text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("mode");
    }

    pub(crate) fn write(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, text).expect("written");
    }

    /// Runs a program with this home and nothing else in its environment.
    pub(crate) fn run(&self, program: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = self.sandbox.command(program);
        let path = format!("{}:{}:/usr/bin:/bin", self.ours.display(), self.claudes.display());
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "ZDOTDIR", "ENV"] {
            command.env_remove(name);
        }
        command
            .env("HOME", &self.dir)
            .env("PATH", path)
            .env("CLAUDE_SAFE_CLAUDE", self.dir.join("safe/claude"))
            .envs(env.iter().copied())
            .args(args);
        self.sandbox.run(command, DEADLINE)
    }

    /// Runs claude-safe itself.
    pub(crate) fn ours(&self, args: &[&str]) -> Said {
        let program = self.ours.join("claude-safe");
        Said::of(&self.run(program.to_str().expect("text"), args, &[]))
    }

    /// Runs a script in a shell that first takes `init` in.
    pub(crate) fn shell(&self, shell: &Shell, script: &str) -> Said {
        // From a file: zsh parses all of `-c` before it knows an alias.
        let file = self.dir.join("script");
        Self::write(&file, script);
        let file = file.to_str().expect("text");
        Said::of(&self.run(shell.program, &[shell.options, &[file]].concat(), &[]))
    }

    pub(crate) fn remove_ours(&self) {
        fs::remove_file(self.ours.join("claude-safe")).expect("removed");
    }
}

/// What a program said, and its exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// Silence on stderr, and these lines on stdout.
    #[track_caller]
    pub(crate) fn assert_lines(&self, lines: &[&str]) {
        assert_eq!(self.err, "", "{self:?}");
        assert_eq!(self.out.lines().collect::<Vec<_>>(), lines, "{self:?}");
    }
}

/// A shell, and how it takes `init` in.
#[derive(Clone, Copy)]
pub(crate) struct Shell {
    pub(crate) program: &'static str,
    pub(crate) options: &'static [&'static str],
    pub(crate) init: &'static str,
    /// Makes it as strict as it can be.
    pub(crate) strict: &'static str,
}

pub(crate) const BASH: Shell = Shell {
    program: "bash",
    options: &["--norc", "--noprofile"],
    init: r#"eval "$(claude-safe init bash)""#,
    strict: "set -euo pipefail; shopt -s expand_aliases",
};
pub(crate) const ZSH: Shell = Shell {
    program: "zsh",
    options: &["-f"],
    init: r#"eval "$(claude-safe init zsh)""#,
    strict: "setopt err_exit no_unset pipe_fail warn_create_global",
};
pub(crate) const FISH: Shell = Shell {
    program: "fish",
    options: &["--no-config"],
    init: "claude-safe init fish | source",
    strict: "",
};
pub(crate) const POSIX: Shell = Shell {
    program: "dash",
    options: &[],
    init: r#"eval "$(claude-safe init posix)""#,
    strict: "set -eu",
};
pub(crate) const SHELLS: [Shell; 4] = [BASH, ZSH, FISH, POSIX];
