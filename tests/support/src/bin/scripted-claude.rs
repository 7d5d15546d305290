//! A stand-in for claude that does what the JSON file named by `SCRIPTED_CLAUDE` says:
//! `{"version"?, "session"?, "on_signal"?, "attempts": [[STEP, …], …]}`. Each launch runs the
//! next attempt (the last stays) and records itself beside the script as `launch-N.json`.
//! With `on_signal` SIGTERM and SIGHUP print that text and exit with 128+n, as claude does.
//! `--version` prints the version and is no launch; nor is `update`, with `"update": code`: it is
//! noted in `updates` beside the script and exits with that code. With `"refuses": {word: text}` a
//! launch whose arguments hold that word prints the text (`{next}`: the argument behind it) on
//! stderr and exits with 1, and is no launch; with `"starts": path` any other is that program's.
//! With `"ends": text` it waits for that one, prints the text on stderr and exits with 1.
//!
//! Steps, each an object with one key: `print`, `stderr`: text · `raw`: true or false ·
//! `wait_input`: text, until it was read (its end ends the program) · `wait_file`: path ·
//! `hook`: {event, …} runs the hooks of `--settings` with these fields on stdin ·
//! `status_line`: {…} runs its command and prints what that prints · `transcript`: a line ·
//! `status`: for `sessions/<pid>.json` · `write`: {path, text} · `spawn`: shell command, left
//! running · `ignore`: signal number · `hang` · `exit`: code · `signal`: number, on itself.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write, stderr, stdin, stdout};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio, exit};
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context, Result, bail};
use claude_safe_testkit::wait_until;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use serde_json::{Value, json};

fn refusal(refuses: &Value, args: &[String]) -> Option<String> {
    refuses.as_object()?.iter().find_map(|(word, text)| {
        let at = args.iter().position(|arg| arg == word)?;
        let next = args.get(at + 1).map_or("", |next| next);
        Some(text.as_str()?.replace("{next}", next))
    })
}

fn main() -> Result<ExitCode> {
    let path = PathBuf::from(env::var_os("SCRIPTED_CLAUDE").context("SCRIPTED_CLAUDE is unset")?);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let script: Value = serde_json::from_slice(&text).context("the script is not JSON")?;
    let args: Vec<String> = env::args().skip(1).collect();
    if args == ["--version"] {
        let version = script["version"].as_str().unwrap_or("2.1.330");
        writeln!(stdout(), "{version} (Claude Code)")?;
        return Ok(ExitCode::SUCCESS);
    }
    if args == ["update"]
        && let Some(code) = script["update"].as_u64()
    {
        append(&path.with_file_name("updates"), &json!("update"))?;
        return Ok(ExitCode::from(u8::try_from(code)?));
    }
    if let Some(text) = refusal(&script["refuses"], &args) {
        writeln!(stderr(), "{text}")?;
        return Ok(ExitCode::FAILURE);
    }
    if let Some(program) = script["starts"].as_str() {
        let mut program = Command::new(program);
        program.args(env::args_os().skip(1)).env_remove("SCRIPTED_CLAUDE");
        let Some(text) = script["ends"].as_str() else { return Err(program.exec().into()) };
        program.status()?;
        writeln!(stderr(), "{text}")?;
        return Ok(ExitCode::FAILURE);
    }
    if let Some(text) = script["on_signal"].as_str() {
        end_gracefully(text.to_owned())?;
    }
    let option = |name: &str| {
        let after = args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
        after.cloned().or_else(|| {
            args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=').map(Into::into))
        })
    };
    let session = option("--session-id").or_else(|| option("--resume"));
    let session = session.or_else(|| script["session"].as_str().map(Into::into));
    let session = session.unwrap_or_else(|| "00000000-0000-4000-8000-000000000001".into());
    let settings = option("--settings").map(|given| {
        let text =
            if given.trim_start().starts_with('{') { Ok(given) } else { fs::read_to_string(given) };
        serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default()
    });
    let (number, base) = record(path.parent().context("the script is in a directory")?, &session)?;
    let attempts = script["attempts"].as_array().context("the script has no attempts")?;
    let steps = attempts.get(number).or(attempts.last()).and_then(Value::as_array);
    let mut launch =
        Launch { base, session, settings: settings.unwrap_or_default(), pending: Vec::new() };
    for step in steps.context("an attempt is a list of steps")? {
        let (name, value) =
            step.as_object().and_then(|step| step.iter().next()).context("empty")?;
        if let Some(code) = launch.run(name, value).with_context(|| format!("step {step}"))? {
            return Ok(ExitCode::from(code));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Notes this launch as the first free number; that number and the path of its other files.
fn record(dir: &Path, session: &str) -> Result<(usize, PathBuf)> {
    // first of all, before a file of ours is open
    let fds = fs::read_dir("/dev/fd")?.filter_map(|fd| fd.ok()?.file_name().into_string().ok());
    let fds: Vec<String> = fds.filter(|fd| Path::new("/dev/fd").join(fd).exists()).collect();
    let env: serde_json::Map<String, Value> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into(), value.to_string_lossy().into()))
        .collect();
    let launch = json!({
        "argv": env::args().collect::<Vec<_>>(), "env": env, "cwd": env::current_dir()?, "fds": fds,
        "pid": std::process::id(), "session": session,
    });
    for number in 0.. {
        let claim = dir.join(format!("launch-{number}.claim"));
        if OpenOptions::new().write(true).create_new(true).open(claim).is_ok() {
            let base = dir.join(format!("launch-{number}"));
            let whole = base.with_extension("part");
            fs::write(&whole, launch.to_string())?;
            fs::rename(whole, base.with_extension("json"))?;
            return Ok((number, base));
        }
    }
    bail!("no number is free")
}

/// Lets SIGTERM and SIGHUP print `text` and exit with 128+n.
fn end_gracefully(text: String) -> Result<()> {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGTERM);
    ends.add(Signal::SIGHUP);
    ends.thread_block()?;
    thread::spawn(move || {
        let signal = ends.wait().expect("the set is valid");
        let _ = stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush());
        exit(128 + signal as i32)
    });
    Ok(())
}

struct Launch {
    base: PathBuf,
    session: String,
    settings: Value,
    /// Input that was read and no step has waited for yet.
    pending: Vec<u8>,
}

impl Launch {
    /// Does one step; the exit code, if it ends the program.
    fn run(&mut self, name: &str, value: &Value) -> Result<Option<u8>> {
        let text = value.as_str().unwrap_or_default();
        let signal =
            || Signal::try_from(i32::try_from(value.as_i64().unwrap_or(0))?).context("signal");
        match name {
            "print" => stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush())?,
            "stderr" => stderr().write_all(text.as_bytes())?,
            "raw" => set_raw(value == true)?,
            "wait_input" => return self.wait_input(text.as_bytes()),
            "wait_file" => {
                while !Path::new(text).exists() {
                    wait_until(Duration::from_secs(1), || Path::new(text).exists().then_some(()));
                }
            }
            "hook" => self.hook(value)?,
            "status_line" => {
                let command = self.settings["statusLine"]["command"].as_str().unwrap_or_default();
                let line = self.call("statusLine", command, value)?;
                stdout().write_all(line.as_bytes()).and_then(|()| stdout().flush())?;
            }
            "transcript" => append(&self.transcript()?, value)?,
            "status" => {
                let pid = std::process::id();
                let file = config_dir()?.join(format!("sessions/{pid}.json"));
                fs::create_dir_all(file.parent().context("a parent")?)?;
                let status = json!({
                    "pid": pid, "sessionId": self.session, "cwd": env::current_dir()?,
                    "kind": "interactive", "status": text,
                });
                fs::write(file, status.to_string())?;
            }
            "write" => {
                let path = Path::new(value["path"].as_str().context("write needs a path")?);
                fs::write(path, value["text"].as_str().unwrap_or_default())?;
            }
            "spawn" => drop(Command::new("sh").arg("-c").arg(text).spawn()?),
            "ignore" => SigSet::from_iter([signal()?]).thread_block()?,
            "hang" => loop {
                thread::park();
            },
            "exit" => return Ok(Some(u8::try_from(value.as_u64().unwrap_or(0))?)),
            "signal" => raise(signal()?)?,
            _ => bail!("unknown step {name}"),
        }
        Ok(None)
    }

    fn wait_input(&mut self, wanted: &[u8]) -> Result<Option<u8>> {
        let mut log =
            OpenOptions::new().create(true).append(true).open(self.base.with_extension("input"))?;
        let mut buffer = [0; 4096];
        loop {
            let found = self.pending.windows(wanted.len()).position(|window| window == wanted);
            if let Some(at) = found {
                self.pending.drain(..at + wanted.len());
                return Ok(None);
            }
            let n = stdin().lock().read(&mut buffer)?;
            if n == 0 {
                return Ok(Some(0));
            }
            log.write_all(&buffer[..n])?;
            self.pending.extend_from_slice(&buffer[..n]);
        }
    }

    fn hook(&self, input: &Value) -> Result<()> {
        let event = input["event"].as_str().context("a hook needs its event")?;
        let matchers = self.settings["hooks"][event].as_array().cloned().unwrap_or_default();
        let hooks = matchers.iter().filter_map(|matcher| matcher["hooks"].as_array()).flatten();
        for hook in hooks {
            self.call(event, hook["command"].as_str().unwrap_or_default(), input)?;
        }
        Ok(())
    }

    /// Runs a command of the settings with `input` and the usual fields; what it printed.
    fn call(&self, event: &str, command: &str, input: &Value) -> Result<String> {
        let mut fields = json!({
            "session_id": self.session, "transcript_path": self.transcript()?,
            "cwd": env::current_dir()?, "hook_event_name": event,
        });
        for (name, value) in
            input.as_object().into_iter().flatten().filter(|(name, _)| *name != "event")
        {
            fields[name] = value.clone();
        }
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn()?;
        // a hook need not read its input
        let _ = child.stdin.take().context("piped")?.write_all(fields.to_string().as_bytes());
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let ran = json!({ "event": event, "command": command, "code": output.status.code(), "stdout": printed });
        append(&self.base.with_extension("hooks"), &ran)?;
        Ok(printed)
    }

    fn transcript(&self) -> Result<PathBuf> {
        let cwd = env::current_dir()?.to_string_lossy().replace(['/', '.'], "-");
        Ok(config_dir()?.join("projects").join(cwd).join(format!("{}.jsonl", self.session)))
    }
}

/// Adds a JSON line to `file`.
fn append(file: &Path, line: &Value) -> Result<()> {
    fs::create_dir_all(file.parent().context("a parent")?)?;
    let mut open: File = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(open.write_all(format!("{line}\n").as_bytes())?)
}

fn config_dir() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".claude"));
    env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from).or_else(home).context("HOME is unset")
}

fn set_raw(raw: bool) -> Result<()> {
    let mut settings = tcgetattr(stdin())?;
    if raw {
        cfmakeraw(&mut settings);
    } else {
        use nix::sys::termios::{InputFlags, LocalFlags, OutputFlags};
        settings.input_flags |= InputFlags::ICRNL | InputFlags::IXON;
        settings.output_flags |= OutputFlags::OPOST;
        settings.local_flags |=
            LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN;
    }
    Ok(tcsetattr(stdin(), SetArg::TCSANOW, &settings)?)
}
