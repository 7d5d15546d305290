//! A world to run in, built as often as it is asked for: a home, a project, settings, a service,
//! and the command line. `{home}`, `{project}`, `{tmp}` and `{claude}` in texts and in what
//! tools are called with are the sandbox's paths and the real claude.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{
    Answer, FakeService, Request, Sandbox, SignIn, StandIn, Terminal, real_claude, wait_until,
};
use serde_json::Value;

use super::place::Place;
use super::seen::Seen;
use super::{MESSAGE, Outage, Pair, SOON};

/// A run that goes on, for what is done to it meanwhile.
pub struct Live<'a> {
    pub service: &'a FakeService,
    pub sandbox: &'a Sandbox,
    /// Of claude-safe or of plain claude (or of the shell around it).
    pub pid: i32,
}

/// Written by whoever furnishes a sandbox, read by whoever starts something.
static SCRIPTS: RwLock<()> = RwLock::new(());

type Meanwhile = Arc<dyn Fn(&Live<'_>) + Send + Sync>;
type Person = Arc<dyn Fn(&mut Terminal, &Live<'_>) + Send + Sync>;

/// Both worlds, as they are to be.
#[derive(Clone)]
pub struct World {
    version: &'static str,
    sign_in: SignIn,
    args: Vec<OsString>,
    env: Vec<(String, Option<String>)>,
    files: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    script: Option<String>,
    program: Option<Value>,
    through: Option<String>,
    directory: Option<String>,
    answers: Arc<dyn Fn(&Request) -> Answer + Send + Sync>,
    outages: Vec<Outage>,
    plain_too: bool,
    meanwhile: Option<Meanwhile>,
    person: Option<Person>,
    deadline: Duration,
}

impl World {
    /// Claude's arguments; signed in by OAuth, the version that most was measured on.
    pub fn new<A: AsRef<OsStr>>(args: &[A]) -> Self {
        Self {
            version: MEASURED,
            sign_in: SignIn::Valid,
            args: args.iter().map(Into::into).collect(),
            env: Vec::new(),
            files: Vec::new(),
            stdin: None,
            script: None,
            program: None,
            through: None,
            directory: None,
            answers: Arc::new(|_| Answer::text(super::HELLO)),
            outages: Vec::new(),
            plain_too: false,
            meanwhile: None,
            person: None,
            deadline: SOON,
        }
    }

    /// Another pinned version.
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Another sign-in.
    pub fn sign_in(mut self, sign_in: SignIn) -> Self {
        self.sign_in = sign_in;
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// No such variable.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// A file: below the project unless `path` begins with `{`. One that begins with `#!` can be
    /// run.
    pub fn file(mut self, path: &str, text: impl Into<String>) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    /// The user's settings.
    pub fn settings(self, settings: &Value) -> Self {
        self.file("{home}/.claude/settings.json", settings.to_string())
    }

    /// All that stands on stdin, by a pipe; without it stdin is `/dev/null`.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The user's `claude` is this shell script, which starts `{claude}`.
    pub fn script(mut self, text: &str) -> Self {
        self.script = Some(text.into());
        self
    }

    /// The user's `claude` is a program, no script, that does this before it starts `{claude}`: the
    /// fields of the scripted stand-in.
    pub fn program(mut self, does: Value) -> Self {
        self.program = Some(does);
        self
    }

    /// The program is started by this shell text, as `"$@"`: for redirections, limits, pipes.
    pub fn through(mut self, text: &str) -> Self {
        self.through = Some(text.into());
        self
    }

    /// It starts in this directory below the project.
    pub fn directory(mut self, path: &str) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Every turn is answered with this.
    pub fn answer(self, answer: Answer) -> Self {
        self.answer_with(move |_| answer.clone())
    }

    /// Every turn calls these tools, one after another, and is then answered.
    pub fn tools(self, calls: &[(&str, Value)], then: &str) -> Self {
        let last = Answer::text(then);
        self.answer(calls.iter().rev().fold(last, |then, (name, input)| Answer::Tool {
            name: (*name).into(),
            input: input.clone(),
            then: Box::new(then),
        }))
    }

    /// Every turn is answered by this rule.
    pub fn answer_with(
        mut self,
        rule: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.answers = Arc::new(rule);
        self
    }

    /// An outage that claude-safe meets; may be given more than once.
    pub fn outage(mut self, outage: Outage) -> Self {
        self.outages.push(outage);
        self
    }

    /// Plain claude meets the outages too.
    pub fn outage_for_both(mut self) -> Self {
        self.plain_too = true;
        self
    }

    /// What is done once it runs; then its end is waited for.
    pub fn meanwhile(mut self, does: impl Fn(&Live<'_>) + Send + Sync + 'static) -> Self {
        self.meanwhile = Some(Arc::new(does));
        self
    }

    /// It runs at a terminal, and this person sits there; then its end is waited for.
    pub fn at_terminal(
        mut self,
        does: impl Fn(&mut Terminal, &Live<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.person = Some(Arc::new(does));
        self
    }

    /// It must end within this time.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Plain claude in one such world, claude-safe in another, at the same time.
    pub fn both(&self) -> Pair {
        let (plain, safe) = std::thread::scope(|scope| {
            let plain = scope.spawn(|| self.plain());
            let safe = self.safe();
            (plain.join(), safe)
        });
        let plain = plain.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Pair { plain, safe, outage: !self.outages.is_empty() }
    }

    /// Plain claude alone.
    pub fn plain(&self) -> Seen {
        self.run(false)
    }

    /// claude-safe alone.
    pub fn safe(&self) -> Seen {
        self.run(true)
    }

    fn run(&self, safe: bool) -> Seen {
        let service = FakeService::start();
        let mut sandbox = Sandbox::with(self.sign_in, &service);
        let mut place = Place::new(&sandbox, &service, self.version);
        if let Some(does) = &self.program {
            let mut does = does.clone();
            does["starts"] = place.claude.to_string_lossy().into();
            place.claude = StandIn::install_script(&mut sandbox, &does).path();
        }
        let (rule, filled) = (Arc::clone(&self.answers), place.clone());
        service.answer_with(move |request| filled.fill_answer(rule(request)));
        // a program that is started by another thread meanwhile would hold a script open for
        // writing, and what is open so cannot be run
        let writing = SCRIPTS.write().unwrap();
        self.furnish(&mut sandbox, &place);
        for outage in self.outages.iter().filter(|_| safe || self.plain_too) {
            outage.meet(&service);
        }
        drop(writing);
        let claude = self.claude(&place);
        let program = if safe { env!("CARGO_BIN_EXE_claude-safe").into() } else { claude };
        let mut command = match &self.through {
            Some(text) => {
                let mut shell = sandbox.command("bash");
                shell.args(["-c", &place.fill(text), "bash"]).arg(program);
                shell
            }
            None => sandbox.command(program),
        };
        if safe {
            // as the shell function and the shim start it
            command.args(["run", "--"]);
        }
        command.args(self.args.iter().map(|word| place.fill_os(word)));
        if let Some(directory) = &self.directory {
            command.current_dir(sandbox.project().join(directory));
        }
        let began = Instant::now();
        let printed = match &self.person {
            Some(person) => self.sit(command, person, &service, &sandbox),
            None => self.pipe(command, &service, &sandbox),
        };
        let took = began.elapsed();
        Seen::take(printed, &sandbox, &service, took)
    }

    fn furnish(&self, sandbox: &mut Sandbox, place: &Place) {
        sandbox.env("CLAUDE_CODE_MAX_RETRIES", "1").env("IS_SANDBOX", "1");
        sandbox.env("CLAUDE_SAFE_CLAUDE", self.claude(place));
        sandbox.env("CLAUDE_SAFE_RETRY_FIRST_WAIT", "1s");
        sandbox.env("CLAUDE_SAFE_RETRY_MAX_WAIT", "2s");
        sandbox.env("CLAUDE_SAFE_RETRY_MESSAGE", MESSAGE);
        sandbox.env("CLAUDE_SAFE_LOG_LEVEL", "debug");
        for (name, value) in &self.env {
            match value {
                Some(value) => sandbox.env(name, place.fill(value)),
                None => sandbox.env_remove(name),
            };
        }
        let script = self.script.iter().map(|text| ("{tmp}/bin/claude".to_owned(), text.clone()));
        for (path, text) in self.files.iter().cloned().chain(script) {
            let path = sandbox.project().join(place.fill(&path));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, place.fill(&text)).unwrap();
            if text.starts_with("#!") {
                fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
            }
        }
        if let Some(directory) = &self.directory {
            fs::create_dir_all(sandbox.project().join(directory)).unwrap();
        }
    }

    /// What the user calls claude.
    fn claude(&self, place: &Place) -> OsString {
        let script = self.script.as_ref().map(|_| place.tmp.join("bin/claude").into_os_string());
        script.unwrap_or_else(|| place.claude.clone().into_os_string())
    }

    fn pipe(&self, mut command: Command, service: &FakeService, sandbox: &Sandbox) -> Printed {
        let file = || tempfile::tempfile_in(sandbox.tmp()).unwrap();
        let (mut out, mut err) = (file(), file());
        command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let started = SCRIPTS.read().map(|_| command.spawn()).unwrap();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = self.stdin.clone().zip(child.stdin.take());
        let feeder = input.map(|(bytes, mut pipe)| {
            // who does not read it has said enough by that
            std::thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let pid = i32::try_from(child.id()).unwrap();
        if let Some(does) = &self.meanwhile {
            does(&Live { service, sandbox, pid });
        }
        let status = wait_until(self.deadline, || child.try_wait().unwrap());
        let whole = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind().and_then(|()| file.read_to_end(&mut bytes)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (stdout, stderr) = (whole(&mut out), whole(&mut err));
        let Some(status) = status else {
            let _ = child.kill();
            let _ = child.wait();
            let journal = super::seen::journal(sandbox);
            let log = service.summary();
            panic!("lives after {:?}: {stdout}\n{stderr}\n{log}\n{journal:#?}", self.deadline)
        };
        if let Some(feeder) = feeder {
            feeder.join().unwrap();
        }
        Printed { code: code(status), stdout, stderr, screen: None, restored: true }
    }

    fn sit(
        &self,
        command: Command,
        person: &Person,
        service: &FakeService,
        sandbox: &Sandbox,
    ) -> Printed {
        let mut terminal = SCRIPTS.read().map(|_| Terminal::spawn(command)).unwrap();
        let before = terminal.stty();
        let pid = terminal.pid();
        person(&mut terminal, &Live { service, sandbox, pid });
        let status = terminal.wait_exit(self.deadline);
        Printed {
            code: code(status),
            stdout: String::new(),
            stderr: String::new(),
            screen: Some(terminal.screen().to_string()),
            restored: terminal.stty() == before,
        }
    }
}

/// What came out of a run.
pub struct Printed {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub screen: Option<String>,
    pub restored: bool,
}

/// As a shell reports it.
fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap()
}
