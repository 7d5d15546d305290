//! Runs a command behind the relay, with a screen model fed after the write: the smallest owner.
//!
//! `relay COMMAND ARGS…`. For tests and benchmarks; `RELAY_PANIC_ON=TEXT` panics once the child
//! writes TEXT, `RELAY_END_ON=TEXT` ends the child then (200 ms of grace, output swallowed).

use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use claude_safe::parts::terminal::{Event, Launch, Relay, SpawnError, Tty, guarded, spawn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::from(match error.downcast_ref::<SpawnError>() {
                Some(SpawnError::NotFound { .. }) => 127,
                Some(SpawnError::CannotRun { .. } | SpawnError::Directory { .. }) => 126,
                _ => 125,
            })
        }
    }
}

async fn run() -> anyhow::Result<u8> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().ok_or_else(|| anyhow::anyhow!("usage: relay COMMAND ARGS…"))?;
    let launch = Launch { program: program.into(), args: args.collect(), ..Launch::default() };
    let [panic_on, end_on] =
        ["RELAY_PANIC_ON", "RELAY_END_ON"].map(|name| std::env::var(name).ok());
    let mut tty = Tty::open()?;
    let size = tty.size();
    let mut screen = vt100::Parser::new(cells(size.rows), cells(size.cols), 0);
    let child = spawn(&launch, &tty)?;
    let mut relay = Relay::start(&mut tty, child)?;
    loop {
        match relay.next().await {
            Event::Output(bytes) => {
                let shows =
                    |text: &Option<String>| text.as_ref().is_some_and(|text| contains(bytes, text));
                assert!(!shows(&panic_on), "asked to panic");
                let ends = shows(&end_on);
                if guarded(|| screen.process(bytes)).is_none() {
                    screen = vt100::Parser::default();
                }
                if ends {
                    relay.swallow_output(true);
                    relay.end(Duration::from_millis(200));
                }
            }
            Event::Resized(size) => {
                screen.screen_mut().set_size(cells(size.rows), cells(size.cols));
            }
            Event::Exited(reason) => return Ok(u8::try_from(reason.shell_code()).unwrap_or(1)),
            _ => {}
        }
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap_or(NonZero::<u16>::MIN)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
