//! What `ps` tells of the processes where there is no `/proc`. In: its lines. Out: facts; what
//! cannot be told apart for sure is unknown. The lines are read the same on every system, so
//! that those of another can be tested anywhere.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The columns of [`Life::of`]; the start comes last, since it holds blanks.
pub const LIFE: &str = "pid,ppid,stat,time,lstart";
/// The columns of [`Identity::of`]. `comm` is the whole path of the program, blanks included.
pub const IDENTITY: &str = "pid,ppid,uid,comm";
/// The columns of [`Commands::of`].
pub const COMMAND: &str = "pid,command";

/// Asks `ps` for these columns of all processes; with `environment`, what the user's own were
/// started with stands behind the arguments.
pub fn all(columns: &str, environment: bool) -> io::Result<String> {
    ask(&[if environment { "-axwwE" } else { "-axww" }], columns)
}

/// Asks for these columns of one process. An error also if it is not there.
pub fn one(columns: &str, pid: i32) -> io::Result<String> {
    ask(&["-p", &pid.to_string()], columns)
}

fn ask(which: &[&str], columns: &str) -> io::Result<String> {
    let mut command = Command::new("ps");
    command.args(which);
    // One option each: where a title stands, the rest of the option may count as its text.
    for column in columns.split(',') {
        command.args(["-o", &format!("{column}=")]);
    }
    // The start is told in the user's language and time zone otherwise.
    let output = command.env("LC_ALL", "C").env("TZ", "UTC0").output()?;
    if !output.status.success() {
        return Err(io::Error::other("ps failed"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first words of a line, and what follows them.
fn fields<const N: usize>(line: &str) -> Option<([&str; N], &str)> {
    let mut found = [""; N];
    let mut rest = line.trim_start();
    for field in &mut found {
        let end = rest.find(' ').unwrap_or(rest.len());
        (*field, rest) = (&rest[..end], rest[end..].trim_start());
    }
    (!found.contains(&"")).then_some((found, rest))
}

/// When a process lives, and how much it has worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// It has ended and waits for its parent to take note.
    pub ended: bool,
    /// The CPU time that it used.
    pub cpu: Duration,
    /// When it started (seconds since 1970).
    pub started: i64,
}

impl Life {
    /// From a line of [`LIFE`].
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        let ([pid, parent, state, cpu], start) = fields(line)?;
        let words: Vec<&str> = start.split_whitespace().collect();
        let start = DateTime::strptime("%a %b %d %H:%M:%S %Y", words.join(" ")).ok()?;
        Some(Self {
            pid: pid.parse().ok()?,
            parent: parent.parse().ok()?,
            ended: state.starts_with('Z'),
            cpu: span(cpu)?,
            started: TimeZone::UTC.to_timestamp(start).ok()?.as_second(),
        })
    }
}

/// `[[days-]hours:]minutes:seconds[.fraction]`.
fn span(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let mut seconds = 0.0;
    for part in clock.split(':') {
        seconds = seconds * 60.0 + part.parse::<f64>().ok()?;
    }
    Duration::try_from_secs_f64(days.parse::<f64>().ok()? * 86_400.0 + seconds).ok()
}

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Whose it is.
    pub uid: u32,
    /// Its program's whole path, or its title if it gave itself one.
    pub program: PathBuf,
}

impl Identity {
    /// From a line of [`IDENTITY`].
    #[must_use]
    pub fn of(line: &str) -> Option<Self> {
        let ([pid, parent, uid], program) = fields(line)?;
        Some(Self {
            pid: pid.parse().ok()?,
            parent: parent.parse().ok()?,
            uid: uid.parse().ok()?,
            program: PathBuf::from(program.trim_end()),
        })
    }
}

/// What processes were started with.
#[derive(Debug, Default)]
pub struct Commands<'t> {
    /// The arguments of each, as one text.
    plain: HashMap<i32, &'t str>,
    /// And with the environment behind them.
    full: HashMap<i32, &'t str>,
}

impl<'t> Commands<'t> {
    /// From the lines of [`COMMAND`], without and with the environment.
    #[must_use]
    pub fn of(plain: &'t str, full: &'t str) -> Self {
        let lines = |text: &'t str| {
            let fields = text.lines().filter_map(fields::<1>);
            fields.filter_map(|([pid], rest)| Some((pid.parse().ok()?, rest.trim_end()))).collect()
        };
        Self { plain: lines(plain), full: lines(full) }
    }

    /// Up to `most` arguments, the program's name first. It may hold blanks, as its path does;
    /// the others are cut at theirs.
    #[must_use]
    pub fn arguments(&self, process: &Identity, most: usize) -> Vec<String> {
        let Some(command) = self.plain.get(&process.pid) else { return Vec::new() };
        let program = process.program.to_string_lossy();
        let whole =
            command.strip_prefix(&*program).filter(|rest| rest.is_empty() || rest.starts_with(' '));
        let (first, rest) = match whole {
            Some(rest) => (program.into_owned(), rest),
            None => {
                let (first, rest) = command.split_once(' ').unwrap_or((command, ""));
                (first.to_owned(), rest)
            }
        };
        let rest = rest.split_whitespace().map(str::to_owned);
        std::iter::once(first).chain(rest).take(most).collect()
    }

    /// A variable of a process's environment: `None` if its environment cannot be seen,
    /// `Some(None)` if it is not set there. A value ends where the next variable begins.
    #[must_use]
    #[allow(clippy::option_option)]
    pub fn variable(&self, pid: i32, name: &str) -> Option<Option<PathBuf>> {
        let environment = self.full.get(&pid)?.strip_prefix(*self.plain.get(&pid)?)?;
        environment.split_once(' ').filter(|(before, _)| before.is_empty())?;
        let Some((_, value)) = environment.split_once(&format!(" {name}=")) else {
            return Some(None);
        };
        let begins = |word: &str| {
            word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            })
        };
        let mut end = value.len();
        for (at, _) in value.match_indices(' ') {
            if begins(value[at + 1..].split(' ').next().unwrap_or_default()) {
                end = at;
                break;
            }
        }
        Some(Some(PathBuf::from(&value[..end])).filter(|value| !value.as_os_str().is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESKTOP: &str =
        "/Users/jane/Library/Application Support/Claude/claude-code/2.1.330/claude";

    #[test]
    fn a_life_is_read_with_its_start_and_its_work() {
        let line = "  501     1 Ss+    12:34.56 Tue Sep 15 11:09:20 2026    ";
        let life = Life::of(line).expect("a life");
        let started = "2026-09-15T11:09:20Z".parse::<jiff::Timestamp>().expect("a time");
        assert_eq!((life.pid, life.parent, life.ended), (501, 1, false));
        assert_eq!((life.cpu, life.started), (Duration::from_millis(754_560), started.as_second()));
        // One digit of a day is padded with a blank.
        let line = "99999 501 Z      0:00.00 Thu Oct  1 00:00:00 2026";
        assert!(Life::of(line).expect("a life").ended);
        assert_eq!(span("1-02:03:04"), Some(Duration::from_secs(93_784)));
        assert_eq!(Life::of("PID PPID STAT TIME STARTED"), None);
    }

    /// What this system's own `ps` says of this process is understood.
    #[test]
    fn the_ps_of_this_machine_is_understood() {
        let own = std::process::id().cast_signed();
        let identities = all(IDENTITY, false).expect("ps");
        let parent = std::os::unix::process::parent_id().cast_signed();
        let found = identities.lines().filter_map(Identity::of).find(|one| one.pid == own);
        assert_eq!(found.map(|one| one.parent), Some(parent));
    }

    #[test]
    fn a_program_whose_path_holds_blanks_keeps_them() {
        let line = format!("  733   501   501 {DESKTOP}");
        let process = Identity::of(&line).expect("an identity");
        assert_eq!(process.program, PathBuf::from(DESKTOP));
        let plain = format!("  733 {DESKTOP} --resume x y z\n  734 claude -p hi\n");
        let commands = Commands::of(&plain, "");
        assert_eq!(commands.arguments(&process, 3), [DESKTOP, "--resume", "x"]);
        let other = Identity { pid: 734, program: "/opt/claude".into(), ..process };
        assert_eq!(commands.arguments(&other, 3), ["claude", "-p", "hi"]);
    }

    #[test]
    fn a_value_with_blanks_ends_at_the_next_variable_and_what_is_hidden_is_unknown() {
        let plain = "  733 claude -p HOME=/tmp/lie\n  800 claude\n  801 claude\n";
        let full = "  733 claude -p HOME=/tmp/lie TERM=xterm CLAUDE_CONFIG_DIR=/Users/jane/My Config \
                    HOME=/Users/jane\n  800 claude\n";
        let commands = Commands::of(plain, full);
        let seen = |pid, name| commands.variable(pid, name);
        let path = |text: &str| Some(Some(PathBuf::from(text)));
        assert_eq!(seen(733, "CLAUDE_CONFIG_DIR"), path("/Users/jane/My Config"));
        assert_eq!(seen(733, "HOME"), path("/Users/jane"));
        assert_eq!(seen(733, "PATH"), Some(None));
        assert_eq!(seen(800, "HOME"), None, "nothing stands behind the arguments");
        assert_eq!(seen(801, "HOME"), None);
    }
}
