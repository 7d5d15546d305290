//! The lines by which a user's own shell files call claude-safe. In: the home. Out: where such
//! lines stand. [`remove`] is the only place that writes a file of the user's: it takes out
//! whole lines of known forms, nothing else in the file changes, and what the shell could read
//! before it can read after.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;

/// A line that names us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub number: usize,
    /// The line itself.
    pub text: String,
    /// Whether the whole line is of a form that we document, so that it can be removed.
    pub ours: bool,
}

/// The documented forms, with or without a guard against a missing program.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    let program =
        r#"(?:"[^"]*/claude-safe"|'[^']*/claude-safe'|[\w./~$-]*/claude-safe|claude-safe)"#;
    let guard = format!(
        r"(?:(?:command -v|command -q|type -q|\[ -x) {program}(?: \])?(?: *&?> */dev/null)?(?: 2>&1)?(?: && |; and ))?"
    );
    let evaluated = format!(r#"eval "\$\({program} init (?:bash|zsh|posix)\)""#);
    let piped = format!(r"{program} init fish \| source");
    Regex::new(&format!(r"^\s*{guard}(?:{evaluated}|{piped})\s*(?:#.*)?$"))
        .expect("a constant pattern that a test compiles")
});

/// The lines of the user's shell files that call `claude-safe init`.
#[must_use]
pub fn find() -> Vec<Line> {
    files().iter().flat_map(|file| find_in(file)).collect()
}

fn find_in(file: &Path) -> Vec<Line> {
    let bytes = std::fs::read(file).unwrap_or_default();
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter_map(|(index, line)| {
            let text = String::from_utf8_lossy(line).into_owned();
            let calls = text.contains("claude-safe") && text.contains(" init ");
            let commented = text.trim_start().starts_with('#');
            let ours = OURS.is_match(&text);
            (calls && !commented).then(|| Line {
                file: file.to_owned(),
                number: index + 1,
                text,
                ours,
            })
        })
        .collect()
}

/// Takes our lines out of a file and says how many they were. Where something must stand, a
/// command that does nothing takes the line's place; a line that is no command but text (a
/// here-document) stays. The file is replaced whole or not at all; a symbolic link stays one, and
/// mode and owner stay.
pub fn remove(file: &Path) -> io::Result<usize> {
    let real = std::fs::canonicalize(file)?;
    let bytes = std::fs::read(&real)?;
    let shell = Shell::of(file);
    let mut lines: Vec<Vec<u8>> =
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let ours: Vec<usize> = (0..lines.len()).filter(|index| is_ours(&lines[*index])).collect();
    let mut removed = 0;
    for index in ours {
        if let Some(instead) = shell.without(&lines, index) {
            lines[index] = instead;
            removed += 1;
        }
    }
    if removed > 0 {
        replace(&real, &lines.concat())?;
    }
    Ok(removed)
}

fn is_ours(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    std::str::from_utf8(line).is_ok_and(|line| OURS.is_match(line))
}

fn replace(real: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = real.file_name().unwrap_or(OsStr::new("rc")).to_owned();
    name.push(format!(".claude-safe-{}", std::process::id()));
    let temporary = real.with_file_name(name);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut new| {
            let meta = std::fs::metadata(real)?;
            if new.metadata()?.uid() != meta.uid() || new.metadata()?.gid() != meta.gid() {
                std::os::unix::fs::fchown(&new, Some(meta.uid()), Some(meta.gid()))?;
            }
            new.set_permissions(meta.permissions())?;
            new.write_all(bytes)?;
            new.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, real));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The shell that reads a file, asked what it makes of it. It runs nothing of it.
#[derive(Debug, Clone, Copy)]
struct Shell {
    program: &'static str,
    options: &'static [&'static str],
    /// A command that does nothing.
    nothing: &'static str,
}

impl Shell {
    fn of(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        match &*name {
            _ if file.extension().is_some_and(|extension| extension == "fish") => {
                Self { program: "fish", options: &["--no-execute"], nothing: "true" }
            }
            name if name.starts_with(".z") => {
                Self { program: "zsh", options: &["-f", "-n"], nothing: ":" }
            }
            name if name.starts_with(".bash") => {
                Self { program: "bash", options: &["--norc", "-n"], nothing: ":" }
            }
            _ => Self { program: "sh", options: &["-n"], nothing: ":" },
        }
    }

    /// What stands instead of a line of ours: nothing where the rest means the same without it.
    /// `None`: it is text, not a command.
    fn without(self, lines: &[Vec<u8>], index: usize) -> Option<Vec<u8>> {
        /// No command in any shell, however it is nested.
        const NO_COMMAND: &[u8] = b")))\n";
        let with = |line: &[u8]| {
            let mut lines = lines.to_vec();
            lines[index] = line.to_vec();
            self.parses(&lines.concat())
        };
        let line = &lines[index];
        let text = |line: &[u8]| String::from_utf8_lossy(line).trim().to_owned();
        let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).copied();
        let end = line.iter().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let mut placeholder: Vec<u8> = indent.chain(self.nothing.bytes()).collect();
        placeholder.extend_from_slice(&line[line.len() - end..]);
        // Without the shell, or in a file that it does not read, nothing is known but that a
        // command stands there.
        if self.parses(&lines.concat()) != Some(true) {
            return Some(placeholder);
        }
        if with(NO_COMMAND) == Some(true) {
            return None;
        }
        let told = |line: &&Vec<u8>| !text(line).is_empty() && !text(line).starts_with('#');
        let before = lines[..index].iter().rev().find(told).map(|line| text(line));
        let after = lines[index + 1..].iter().find(told).map(|line| text(line));
        // What is joined to it would be joined to something else.
        let joined = before.is_some_and(|before| {
            ["&&", "||", "|", "\\", "!"].iter().any(|end| before.ends_with(end))
                || ["and", "or", "not"].iter().any(|word| before.ends_with(word))
        }) || after.is_some_and(|after| {
            ["and ", "or ", "&&", "||"].iter().any(|start| after.starts_with(start))
        });
        let gone = !joined && with(b"") == Some(true);
        Some(if gone { Vec::new() } else { placeholder })
    }

    /// Whether the shell can read this text; `None` if it is not here, or does not say.
    fn parses(self, text: &[u8]) -> Option<bool> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let mut child = Command::new(self.program)
            .args(self.options)
            .env_remove("ENV")
            .env_remove("BASH_ENV")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (pid, text) = (child.id().cast_signed(), text.to_vec());
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || {
            // One that stops at the first fault need not read the rest.
            let _ = child.stdin.take().map(|mut stdin| stdin.write_all(&text));
            // Nobody listens any more if it took too long.
            let _ = sender.send(child.wait());
        });
        let Ok(status) = ended.recv_timeout(PATIENCE) else {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            return None;
        };
        status.ok()?.code().map(|code| code == 0)
    }
}

/// The files in which shells look for such lines, those that exist.
fn files() -> Vec<PathBuf> {
    let home = crate::paths::home();
    let set = |name: &str| {
        std::env::var_os(name).filter(|value| value.as_bytes().starts_with(b"/")).map(PathBuf::from)
    };
    let zsh = set("ZDOTDIR").unwrap_or_else(|| home.clone());
    let fish = set("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("fish");
    let mut files: Vec<PathBuf> =
        [".bashrc", ".bash_profile", ".bash_login", ".profile", ".kshrc", ".mkshrc", ".shrc"]
            .iter()
            .map(|name| home.join(name))
            .collect();
    files.extend([".zshenv", ".zprofile", ".zshrc", ".zlogin"].map(|name| zsh.join(name)));
    files.push(fish.join("config.fish"));
    let snippets = std::fs::read_dir(fish.join("conf.d")).into_iter().flatten().flatten();
    let mut snippets: Vec<PathBuf> = snippets.map(|entry| entry.path()).collect();
    snippets.sort();
    files.extend(snippets);
    files.extend(set("ENV"));
    files.retain(|file| file.is_file());
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn only_whole_lines_of_documented_forms_are_ours() {
        for line in [
            r#"eval "$(claude-safe init bash)""#,
            r#"  eval "$(~/.cargo/bin/claude-safe init zsh)"  # outages"#,
            r#"command -v claude-safe >/dev/null && eval "$(claude-safe init zsh)""#,
            r#"command -v claude-safe >/dev/null 2>&1 && eval "$(claude-safe init posix)""#,
            r#"[ -x "$HOME/my bin/claude-safe" ] && eval "$("$HOME/my bin/claude-safe" init bash)""#,
            "claude-safe init fish | source",
            "command -q claude-safe; and claude-safe init fish | source",
        ] {
            assert!(OURS.is_match(line), "{line}");
        }
        for line in [
            r#"eval "$(claude-safe init bash)"; alias x=y"#,
            r#"export A=1; eval "$(claude-safe init bash)""#,
            r#"if true; then eval "$(claude-safe init bash)"; fi"#,
            r#"eval "$(starship init bash)""#,
        ] {
            assert!(!OURS.is_match(line), "{line}");
        }
    }

    #[test]
    fn removing_keeps_every_other_byte_the_mode_and_the_link() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (real, link) = (dir.path().join("bashrc in git"), dir.path().join(".bashrc"));
        let text = b"a\r\n\xff\xfe\neval \"$(claude-safe init bash)\"\n# eval \"$(claude-safe init bash)\"\n  b";
        std::fs::write(&real, text).expect("written");
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).expect("mode");
        symlink(&real, &link).expect("link");
        let numbers: Vec<usize> = find_in(&link).iter().map(|line| line.number).collect();
        assert_eq!(numbers, [3]);
        assert_eq!(remove(&link).expect("removed"), 1);
        let left = b"a\r\n\xff\xfe\n# eval \"$(claude-safe init bash)\"\n  b";
        assert_eq!(std::fs::read(&real).expect("read"), left);
        assert_eq!(std::fs::metadata(&real).expect("there").permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        assert_eq!(remove(&link).expect("nothing to do"), 0);
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 2);
    }

    #[test]
    fn what_the_shell_could_read_and_what_it_does_are_the_same_without_our_line() {
        let posix = "[ -x /x/claude-safe ] && eval \"$(/x/claude-safe init posix)\"";
        let fish = "command -q claude-safe; and claude-safe init fish | source";
        let cases = [
            ("if true; then\n\tOURS\nfi\necho end\n", "if true; then\n\t:\nfi\necho end\n"),
            ("f() {\n  OURS\n}\necho end\n", "f() {\n  :\n}\necho end\n"),
            ("case x in\nx)\n  OURS\n  ;;\nesac\n", "case x in\nx)\n  ;;\nesac\n"),
            ("for i in 1; do\n  OURS\ndone\n", "for i in 1; do\n  :\ndone\n"),
            ("(\nOURS\n)\necho end\n", "(\n:\n)\necho end\n"),
            ("if a; then b\nelse\n  OURS\nfi\n", "if a; then b\nelse\n  :\nfi\n"),
            ("if a; then\n  OURS\n  b\nfi\n", "if a; then\n  b\nfi\n"),
            ("test a = a &&\n  OURS\necho end\n", "test a = a &&\n  :\necho end\n"),
            ("true || \\\nOURS\necho end\n", "true || \\\n:\necho end\n"),
            ("cat <<E\nOURS\nE\nx=1\n", "cat <<E\nOURS\nE\nx=1\n"),
            ("x='\nOURS\n'\n", "x='\nOURS\n'\n"),
            ("a\nOURS\r\nb", "a\nb"),
            ("if broken\nOURS\n", "if broken\n:\n"),
            ("OURS\n", ""),
            ("if a; then\n  OURS\n  OURS\nfi\n", "if a; then\n  :\nfi\n"),
        ];
        let dir = tempfile::tempdir().expect("a temporary directory");
        let check = |name: &str, text: &str, ours: &str, wanted: &str| {
            let file = dir.path().join(name);
            let shell = Shell::of(&file);
            let before = text.replace("OURS", ours);
            std::fs::write(&file, &before).expect("written");
            remove(&file).expect("removed");
            let left = std::fs::read_to_string(&file).expect("read");
            let parses = |text: &str| shell.parses(text.as_bytes());
            assert!(parses(&before) != Some(true) || parses(&left) == Some(true), "{name}: {left}");
            if parses("").is_some() && !wanted.is_empty() {
                assert_eq!(left, wanted.replace("OURS", ours), "{name}: {before}");
            }
        };
        for (text, wanted) in cases {
            check(".bashrc", text, posix, wanted);
            check(".profile", text, posix, wanted);
            // zsh reads an empty list.
            check(".zshrc", text, &posix.replace("posix", "zsh"), "");
        }
        for (text, wanted) in [
            ("if true\n  OURS\nend\necho end\n", "if true\nend\necho end\n"),
            ("switch x\ncase x\n  OURS\nend\n", "switch x\ncase x\nend\n"),
            ("true\nOURS\nand echo end\n", "true\ntrue\nand echo end\n"),
            ("test a = a; and \\\nOURS\necho end\n", "test a = a; and \\\ntrue\necho end\n"),
            ("set x '\nOURS\n'\n", "set x '\nOURS\n'\n"),
        ] {
            check("config.fish", text, fish, wanted);
        }
    }
}
