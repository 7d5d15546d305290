//! The lines by which a user's own shell files call claude-safe. In: the home. Out: where such
//! lines stand. [`remove`] is the only place that writes a file of the user's: it takes out
//! whole lines of known forms, and nothing else in the file changes.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

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

/// Takes our lines out of a file and says how many they were. The file is replaced whole or not
/// at all; a symbolic link stays one, and the mode stays.
pub fn remove(file: &Path) -> io::Result<usize> {
    let real = std::fs::canonicalize(file)?;
    let bytes = std::fs::read(&real)?;
    let is_ours = |line: &[u8]| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        std::str::from_utf8(line).is_ok_and(|line| OURS.is_match(line))
    };
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let kept: Vec<&[u8]> = lines.iter().copied().filter(|line| !is_ours(line)).collect();
    if kept.len() == lines.len() {
        return Ok(0);
    }
    let mut name = real.file_name().unwrap_or(OsStr::new("rc")).to_owned();
    name.push(format!(".claude-safe-{}", std::process::id()));
    let temporary = real.with_file_name(name);
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut new| {
            new.set_permissions(std::fs::metadata(&real)?.permissions())?;
            new.write_all(&kept.concat())?;
            new.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, &real));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map(|()| lines.len() - kept.len())
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
}
