//! Measures what the relay costs: a child by itself, behind the least a relay can be (`floor`),
//! behind ours (`relay`), and behind the whole `claude-safe`.
//!
//! In: a release build beside this program. Out: a table with ratios and aims. All are run in
//! turn, round after round, and ratios are taken within a round, since a loaded machine changes
//! its pace. Linux only: it reads `/proc`. `benches/terminal/run.sh` builds and starts it.

// a measuring tool: figures in floating point, buffers where they are used
#![allow(
    clippy::type_complexity,
    clippy::unchecked_time_subtraction,
    clippy::cast_precision_loss,
    clippy::large_stack_arrays
)]

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::Winsize;

const ROUNDS: usize = 7;
const ECHOES: usize = 300;
const STARTS: usize = 5;
const OUTPUT_MB: u32 = 8;
/// After this long without a byte no timer of ours has any reason to be left.
const SETTLED: Duration = Duration::from_secs(4);
const IDLE: Duration = Duration::from_secs(3);
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
/// Says its version as the real one does, since a launcher may ask for it.
const VERSION: &str = "case $1 in --version) echo '2.1.330 (Claude Code)'; exit;; esac\n";

/// What stands between the terminal and the child.
struct Subject {
    name: &'static str,
    /// Started with the child's path, or `None` for the child alone.
    wrapper: Option<PathBuf>,
    /// The child's path is passed in the environment instead.
    is_launcher: bool,
}

/// A child at a terminal that is read by this program.
struct Session {
    child: Child,
    master: File,
}

/// One round's figures.
#[derive(Default)]
struct Figures {
    echo_us: f64,
    mb_per_s: f64,
    cpu_ms_per_mb: f64,
    start_ms: f64,
}

fn main() -> io::Result<()> {
    let own = std::env::current_exe()?;
    let examples = own.parent().expect("a program lies in a directory");
    let release = examples.parent().expect("examples lie below the target directory");
    let work = tempfile::tempdir()?;
    let subject = |name, path: Option<PathBuf>| Subject { name, wrapper: path, is_launcher: false };
    let subjects = [
        subject("bare", None),
        subject("floor", Some(examples.join("floor"))),
        subject("relay", Some(examples.join("relay"))),
        Subject {
            name: "claude-safe",
            wrapper: Some(release.join("claude-safe")),
            is_launcher: true,
        },
    ];
    let bench = Bench { work: work.path(), children: Children::write(work.path())? };
    let mut rounds: Vec<Vec<Figures>> = Vec::new();
    for round in 0..=ROUNDS {
        let figures = subjects.iter().map(|subject| bench.measure(subject));
        let figures = figures.collect::<io::Result<Vec<_>>>()?;
        eprint!("\rround {round} of {ROUNDS} ");
        // The first only warms up caches and files.
        if round > 0 {
            rounds.push(figures);
        }
    }
    eprintln!();
    let mut out = io::stdout().lock();
    table(&mut out, &subjects, &rounds)?;
    writeln!(
        out,
        "\nat rest           wake-ups in 3 s   resident MiB   (aims: 0; 8 for claude-safe)"
    )?;
    for subject in &subjects[1..] {
        let (wakes, mib) = bench.rest(subject)?;
        writeln!(out, "{:12} {wakes:14} {mib:20.1}", subject.name)?;
    }
    bench.entries(&mut out, &release.join("claude-safe"))
}

fn table(
    out: &mut impl io::Write,
    subjects: &[Subject],
    rounds: &[Vec<Figures>],
) -> io::Result<()> {
    writeln!(out, "medians of {ROUNDS} rounds; ratio to floor, start-up: difference to bare\n")?;
    writeln!(
        out,
        "{:12} {:>16} {:>18} {:>18} {:>18}",
        "", "echo us", "output MB/s", "CPU ms/MB", "start-up ms"
    )?;
    for (index, subject) in subjects.iter().enumerate() {
        let value =
            |figure: fn(&Figures) -> f64| median(rounds.iter().map(|round| figure(&round[index])));
        let ratio = |figure: fn(&Figures) -> f64| {
            median(rounds.iter().map(|round| figure(&round[index]) / figure(&round[1])))
        };
        let later = median(rounds.iter().map(|round| round[index].start_ms - round[0].start_ms));
        let echo = |figures: &Figures| figures.echo_us;
        let rate = |figures: &Figures| figures.mb_per_s;
        let cpu = |figures: &Figures| figures.cpu_ms_per_mb;
        writeln!(
            out,
            "{:12} {:8.1} ({:4.2}x) {:10.1} ({:4.2}x) {:10.2} ({:4.2}x) {:9.2} ({later:+.2})",
            subject.name,
            value(echo),
            ratio(echo),
            value(rate),
            ratio(rate),
            value(cpu),
            ratio(cpu),
            value(|f| f.start_ms),
        )?;
    }
    writeln!(out, "{:12} {:>16} {:>18} {:>18} {:>18}", "aim", "1.15x", "0.85x", "1.25x", "+5")
}

/// The scripts that play the child.
struct Children {
    echo: PathBuf,
    flood: PathBuf,
    quick: PathBuf,
}

impl Children {
    fn write(work: &Path) -> io::Result<Self> {
        let script = |name: &str, text: &str| {
            let path = work.join(name);
            fs::write(&path, format!("#!/bin/sh\n{VERSION}{text}\n"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            Ok::<_, io::Error>(path)
        };
        let flood = work.join("output");
        let mut file = io::BufWriter::new(File::create(&flood)?);
        let lines = OUTPUT_MB * 1_000_000 / 80;
        for n in 0..lines {
            // Colour now and then, as in an answer that is typed out: 80 bytes a line.
            write!(
                file,
                "\x1b[2m{n:8}\x1b[22m {}\r\n",
                "lorem ipsum dolor ".repeat(4).split_at(60).0
            )?;
        }
        file.flush()?;
        Ok(Self {
            echo: script("echo", "stty raw -echo; printf ready; exec cat")?,
            flood: script(
                "flood",
                &format!(
                    "stty raw -echo; printf ready; read x; cat '{}'; printf done; read x",
                    flood.display()
                ),
            )?,
            quick: script("quick", "exit 0")?,
        })
    }
}

struct Bench<'a> {
    work: &'a Path,
    children: Children,
}

impl Bench<'_> {
    fn measure(&self, subject: &Subject) -> io::Result<Figures> {
        let (mb_per_s, cpu_ms_per_mb) = self.flood(subject)?;
        Ok(Figures {
            echo_us: self.echo(subject)?,
            mb_per_s,
            cpu_ms_per_mb,
            start_ms: self.start_up(subject)?,
        })
    }

    fn start(&self, subject: &Subject, script: &Path) -> io::Result<Session> {
        let mut command = match &subject.wrapper {
            Some(wrapper) => Command::new(wrapper),
            None => Command::new(script),
        };
        if subject.is_launcher {
            command.env("CLAUDE_SAFE_CLAUDE", script);
            command.env("CLAUDE_SAFE_STATE_DIR", self.work.join("state"));
            command.env("HOME", self.work);
        } else if subject.wrapper.is_some() {
            command.arg(script);
        }
        Session::start(command)
    }

    /// Median time from a key to its echo.
    fn echo(&self, subject: &Subject) -> io::Result<f64> {
        let mut session = self.start(subject, &self.children.echo)?;
        session.read_until(b"ready")?;
        session.drain(Duration::from_millis(300))?;
        let mut times = Vec::with_capacity(ECHOES);
        for _ in 0..ECHOES {
            let start = Instant::now();
            session.master.write_all(b"x")?;
            session.read_until(b"x")?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        session.end()?;
        Ok(median(times.into_iter()))
    }

    /// Output per second, and the CPU time (ms) that the wrapper alone spent per MB.
    fn flood(&self, subject: &Subject) -> io::Result<(f64, f64)> {
        let mut session = self.start(subject, &self.children.flood)?;
        session.read_until(b"ready")?;
        let (start, before) = (Instant::now(), session.cpu()?);
        session.master.write_all(b"\n")?;
        session.read_until(b"done")?;
        let (elapsed, after) = (start.elapsed(), session.cpu()?);
        session.end()?;
        let mb = f64::from(OUTPUT_MB);
        Ok((mb / elapsed.as_secs_f64(), after.saturating_sub(before).as_secs_f64() * 1e3 / mb))
    }

    fn start_up(&self, subject: &Subject) -> io::Result<f64> {
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let start = Instant::now();
            let mut session = self.start(subject, &self.children.quick)?;
            session.read_to_end();
            session.child.wait()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(median(times.into_iter()))
    }

    /// Wake-ups and memory around a child that does nothing.
    fn rest(&self, subject: &Subject) -> io::Result<(u64, f64)> {
        let mut session = self.start(subject, &self.children.echo)?;
        session.read_until(b"ready")?;
        session.drain(SETTLED)?;
        let before = session.switches()?;
        session.drain(IDLE)?;
        let wakes = session.switches()? - before;
        let kib = session.status("VmRSS:")?;
        session.end()?;
        Ok((wakes, f64::from(kib) / 1024.0))
    }

    /// What Claude pays for calling us back.
    fn entries(&self, out: &mut impl io::Write, program: &Path) -> io::Result<()> {
        let socket = self.work.join("hook");
        let listener = UnixListener::bind(&socket)?;
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream: std::os::unix::net::UnixStream = stream;
                let _ = io::copy(&mut stream, &mut io::sink());
            }
        });
        let payload = br#"{"hook_event_name":"Stop","session_id":"s","cwd":"/"}"#;
        let once = |program: &Path, args: &[&str], dir: &Path| -> io::Result<(f64, f64)> {
            let (start, before) = (Instant::now(), children_cpu());
            let mut command = Command::new(program);
            command.args(args).arg(dir).env("HOME", self.work);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
            // The baseline does not read its input.
            let _ = child.stdin.take().expect("it is piped").write_all(payload);
            child.wait()?;
            let cpu = children_cpu().saturating_sub(before);
            Ok((start.elapsed().as_secs_f64() * 1e3, cpu.as_secs_f64() * 1e3))
        };
        writeln!(
            out,
            "\nper call            wall ms     CPU ms   (aims: hook 5 wall, status 5 CPU)"
        )?;
        for (name, program, args, dir) in [
            ("true", Path::new("true"), &[][..], self.work),
            ("__hook", program, &["__hook"][..], &socket),
            ("__status", program, &["__status"][..], self.work),
        ] {
            let calls =
                (0..40).map(|_| once(program, args, dir)).collect::<io::Result<Vec<_>>>()?;
            let wall = median(calls.iter().map(|call| call.0));
            let cpu = median(calls.iter().map(|call| call.1));
            writeln!(out, "{name:12} {wall:14.2} {cpu:10.2}")?;
        }
        // It ends with this process; nothing it holds needs an end of its own.
        drop(accepting);
        Ok(())
    }
}

impl Session {
    fn start(mut command: Command) -> io::Result<Self> {
        let pair = nix::pty::openpty(Some(&SIZE), None)?;
        // A child that held our side would outlive us.
        fcntl(&pair.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        fcntl(&pair.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        command.stdin(Stdio::from(pair.slave.try_clone()?));
        command.stdout(Stdio::from(pair.slave.try_clone()?)).stderr(Stdio::from(pair.slave));
        // SAFETY: between fork and exec only async-signal-safe calls: setsid and ioctl.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                if libc::ioctl(0, libc::TIOCSCTTY as _, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        Ok(Self { child: command.spawn()?, master: File::from(pair.master) })
    }

    /// Reads until the output ends in `mark`.
    fn read_until(&mut self, mark: &[u8]) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut last = Vec::new();
        while !last.ends_with(mark) {
            let count = self.master.read(&mut buffer)?;
            last.extend_from_slice(&buffer[..count]);
            last.drain(..last.len().saturating_sub(mark.len()));
        }
        Ok(())
    }

    fn read_to_end(&mut self) {
        let mut buffer = [0; 4096];
        // The end of a terminal is an error on Linux.
        while self.master.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }

    /// Reads whatever comes until nothing came for `quiet`.
    fn drain(&mut self, quiet: Duration) -> io::Result<()> {
        use std::os::fd::AsFd as _;
        let quiet = PollTimeout::try_from(quiet).expect("a few seconds");
        let mut buffer = [0; 4096];
        loop {
            let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, quiet)? == 0 {
                return Ok(());
            }
            let _ = self.master.read(&mut buffer)?;
        }
    }

    /// CPU time of the process that we started, without its children.
    fn cpu(&self) -> io::Result<Duration> {
        let spent = self.tasks("schedstat", |text| text.split(' ').next()?.parse().ok())?;
        Ok(Duration::from_nanos(spent))
    }

    /// How often it was woken up, or lost the CPU.
    fn switches(&self) -> io::Result<u64> {
        self.tasks("status", |text| {
            let lines = text.lines().filter(|line| line.contains("ctxt_switches"));
            lines.map(|line| line.split('\t').nth(1)?.parse::<u64>().ok()).sum()
        })
    }

    fn tasks(&self, file: &str, figure: impl Fn(&str) -> Option<u64>) -> io::Result<u64> {
        let mut sum = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join(file))?;
            sum += figure(&text).ok_or(io::ErrorKind::InvalidData)?;
        }
        Ok(sum)
    }

    fn status(&self, field: &str) -> io::Result<u32> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or(io::ErrorKind::InvalidData.into())
    }

    fn end(mut self) -> io::Result<()> {
        // Our side of the terminal closes with `master`; what a wrapper started goes with it.
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn children_cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is what getrusage fills, and all-zero bytes are valid for it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::from_secs(seconds)
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
