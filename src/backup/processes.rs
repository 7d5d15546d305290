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
    use std::io;

    use super::Process;
    use crate::ps::{self, COMMAND, Commands, IDENTITY, Identity};

    pub(super) fn all() -> io::Result<Vec<Process>> {
        let identities = ps::all(IDENTITY, false)?;
        let (plain, full) = (ps::all(COMMAND, false)?, ps::all(COMMAND, true).unwrap_or_default());
        let commands = Commands::of(&plain, &full);
        let identities = identities.lines().filter_map(Identity::of);
        Ok(identities.map(|identity| super::from_ps(identity, &commands)).collect())
    }
}

/// A process as `ps` tells of it.
#[cfg(any(test, not(target_os = "linux")))]
fn from_ps(identity: crate::ps::Identity, commands: &crate::ps::Commands<'_>) -> Process {
    let name = identity.program.file_name().map(|name| name.to_string_lossy().into_owned());
    let variable = |name| commands.variable(identity.pid, name);
    // Without a home the rest of the environment is not believed either.
    let environment = variable("HOME").flatten().map(|home| Environment {
        home: Some(home),
        config_dir: variable("CLAUDE_CONFIG_DIR").flatten(),
    });
    Process {
        pid: identity.pid,
        parent: identity.parent,
        uid: identity.uid,
        name: name.unwrap_or_default(),
        arguments: commands.arguments(&identity, 3),
        program: Some(identity.program),
        environment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ps::{Commands, Identity};

    #[test]
    fn a_claude_below_a_path_with_blanks_is_seen_with_its_directory() {
        let program = "/Users/jane/Library/Application Support/Claude/claude-code/2.1.330/claude";
        let plain = format!("733 {program} -p x\n");
        let full = format!(
            "733 {program} -p x HOME=/Users/jane CLAUDE_CONFIG_DIR=/Users/jane/My Config TERM=x\n"
        );
        let identity = Identity::of(&format!("733 1 501 {program}")).expect("an identity");
        let process = from_ps(identity, &Commands::of(&plain, &full));
        assert_eq!(process.name, "claude");
        assert_eq!(process.arguments, [program, "-p", "x"]);
        let environment = process.environment.expect("seen");
        assert_eq!(environment.config_dir, Some("/Users/jane/My Config".into()));
    }
}
