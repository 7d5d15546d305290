//! The processes of this machine, as far as it takes to see who may be a claude.
//! Linux reads `/proc`, other systems ask `ps`. Never reads more than names, arguments and
//! the two variables that say which directory a claude uses.

use std::path::PathBuf;

/// A process that is there now.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Whose it is.
    pub uid: u32,
    /// Its short name.
    pub name: String,
    /// Its program file, if it can be read.
    pub program: Option<PathBuf>,
    /// Its first three arguments, the program's name included.
    pub arguments: Vec<String>,
    /// `HOME` and `CLAUDE_CONFIG_DIR` as it was started; `None` if they cannot be read.
    pub environment: Option<Environment>,
}

/// What tells which directory a claude uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `CLAUDE_CONFIG_DIR`.
    pub config_dir: Option<PathBuf>,
}

/// Everything that runs. An error means that nothing is known.
pub fn all() -> std::io::Result<Vec<Process>> {
    system::all()
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::OsString;
    use std::fs;
    use std::io;
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    use super::{Environment, Process};

    pub(super) fn all() -> io::Result<Vec<Process>> {
        let children = fs::read_dir("/proc")?.filter_map(io::Result::ok);
        let pids = children.filter_map(|child| child.file_name().to_str()?.parse().ok());
        // One that ends while it is looked at is gone: no process.
        Ok(pids.filter_map(|pid| one(pid, &PathBuf::from(format!("/proc/{pid}")))).collect())
    }

    fn one(pid: i32, dir: &Path) -> Option<Process> {
        let stat = fs::read_to_string(dir.join("stat")).ok()?;
        // The name stands in parentheses and may hold anything, parentheses too.
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        let command = fs::read(dir.join("cmdline")).unwrap_or_default();
        let arguments = command.split(|byte| *byte == 0).take(3);
        Some(Process {
            pid,
            parent: fields.next()?.parse().ok()?,
            uid: fs::metadata(dir).ok()?.uid(),
            name: name.to_owned(),
            program: fs::read_link(dir.join("exe")).ok(),
            arguments: arguments.map(|text| String::from_utf8_lossy(text).into_owned()).collect(),
            environment: fs::read(dir.join("environ")).ok().map(|bytes| environment(&bytes)),
        })
    }

    fn environment(bytes: &[u8]) -> Environment {
        let value = |name: &[u8]| {
            let mut variables = bytes.split(|byte| *byte == 0);
            let value = variables.find_map(|variable| variable.strip_prefix(name))?;
            (!value.is_empty()).then(|| PathBuf::from(OsString::from_vec(value.to_vec())))
        };
        Environment { home: value(b"HOME="), config_dir: value(b"CLAUDE_CONFIG_DIR=") }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::collections::HashMap;
    use std::io;
    use std::path::PathBuf;
    use std::process::Command;

    use super::{Environment, Process};

    pub(super) fn all() -> io::Result<Vec<Process>> {
        let plain = ps(&["-axww", "-o", "pid=,ppid=,uid=,command="])?;
        // `-E` shows the environment behind the arguments, of the user's own processes.
        let full = ps(&["-axwwE", "-o", "pid=,command="]).unwrap_or_default();
        let full: HashMap<i32, &str> = full
            .lines()
            .filter_map(|line| line.trim_start().split_once(' '))
            .filter_map(|(pid, rest)| Some((pid.parse().ok()?, rest)))
            .collect();
        Ok(plain.lines().filter_map(|line| one(line, &full)).collect())
    }

    fn one(line: &str, full: &HashMap<i32, &str>) -> Option<Process> {
        let mut fields = line.split_whitespace();
        let pid = fields.next()?.parse().ok()?;
        let parent = fields.next()?.parse().ok()?;
        let uid = fields.next()?.parse().ok()?;
        let arguments: Vec<String> = fields.take(3).map(str::to_owned).collect();
        let program = arguments.first().map(PathBuf::from);
        let name = program.as_ref().and_then(|program| program.file_name());
        let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let value = |name: &str| {
            let words = full.get(&pid)?.split(' ');
            words.filter_map(|word| word.strip_prefix(name)).last().map(PathBuf::from)
        };
        let environment =
            Environment { home: value("HOME="), config_dir: value("CLAUDE_CONFIG_DIR=") };
        let environment = environment.home.is_some().then_some(environment);
        Some(Process { pid, parent, uid, name, program, arguments, environment })
    }

    fn ps(arguments: &[&str]) -> io::Result<String> {
        let output = Command::new("/bin/ps").args(arguments).output()?;
        if !output.status.success() {
            return Err(io::Error::other("ps failed"));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
