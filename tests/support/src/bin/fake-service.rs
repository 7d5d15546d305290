//! The fake service by hand: prints the environment to `eval`, then runs until it is ended.
//!
//! ```sh
//! fake-service --oauth-down-for 30s --env-file env &
//! . ./env; HOME=throw-away claude -p hi
//! ```

use std::io::{Write, stdout};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use claude_safe_testkit::{Behaviour, FakeService, Script};

const USAGE: &str = "\
Usage: fake-service [OPTIONS]

  --oauth-down-for TIME   the token endpoint fails for this long (30s, 5m, 1h)
  --api-down-for TIME     the messages endpoint fails for this long
  --down-for TIME         everything fails for this long
  --oauth-status STATUS   the status it fails with; also: hang, reset, refuse, html,
  --api-status STATUS     invalid_grant (default 500)
  --expired               access tokens handed out before are expired
  --env-file FILE         write the environment there instead of to stdout
  --gateway               print ANTHROPIC_BASE_URL and a key instead of a proxy
  --log                   print each request to stderr as it is answered
";

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (mut oauth_for, mut api_for) = (None, None);
    let (mut oauth_fault, mut api_fault) = (Behaviour::error(500), Behaviour::error(500));
    let (mut env_file, mut gateway, mut log, mut expired) = (None, false, false, false);
    let mut everything = None;
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--oauth-down-for" => oauth_for = Some(time(&value()?)?),
            "--api-down-for" => api_for = Some(time(&value()?)?),
            "--down-for" => everything = Some(time(&value()?)?),
            "--oauth-status" => oauth_fault = fault(&value()?)?,
            "--api-status" => api_fault = fault(&value()?)?,
            "--env-file" => env_file = Some(value()?),
            "--gateway" => gateway = true,
            "--expired" => expired = true,
            "--log" => log = true,
            "--help" | "-h" => return Ok(stdout().write_all(USAGE.as_bytes())?),
            _ => bail!("unknown argument {arg}\n\n{USAGE}"),
        }
    }
    let service = FakeService::try_start().context("cannot start the service")?;
    if expired {
        service.expire_tokens();
    }
    if let Some(outage) = everything {
        service.set_everything(Script::down_for(outage, api_fault.clone()));
    }
    if let Some(outage) = oauth_for {
        service.set_oauth(Script::down_for(outage, oauth_fault));
    }
    if let Some(outage) = api_for {
        service.set_api(Script::down_for(outage, api_fault));
    }
    let env = if gateway { service.gateway_env() } else { service.env() };
    let lines: Vec<String> = env
        .iter()
        .map(|(name, value)| {
            format!(
                "export {name}='{value}'
"
            )
        })
        .collect();
    let lines = lines.concat();
    match env_file {
        Some(path) => {
            std::fs::write(&path, lines).with_context(|| format!("cannot write {path}"))?;
        }
        None => stdout().write_all(lines.as_bytes()).and_then(|()| stdout().flush())?,
    }
    run(&service, log)
}

/// Runs until a signal ends the program.
fn run(service: &FakeService, log: bool) -> Result<()> {
    let mut printed = 0;
    loop {
        let day = Duration::from_secs(86_400);
        let more = |all: &[claude_safe_testkit::Request]| {
            all.get(printed).is_some_and(|one| one.status.is_some())
        };
        service.wait_for(day, "another request", more);
        if log {
            let line = service.summary().lines().nth(printed).unwrap_or_default().to_owned();
            writeln!(std::io::stderr(), "{line}")?;
        }
        printed += 1;
    }
}

fn time(text: &str) -> Result<Duration> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 =
        number.parse().with_context(|| format!("{text} is not a time such as 30s"))?;
    let seconds = match unit {
        "s" | "" => number,
        "m" => number * 60,
        "h" => number * 3600,
        _ => bail!("{text} is not a time such as 30s, 5m or 1h"),
    };
    Ok(Duration::from_secs(seconds))
}

fn fault(text: &str) -> Result<Behaviour> {
    Ok(match text {
        "hang" => Behaviour::Hang,
        "reset" => Behaviour::Reset,
        "refuse" => Behaviour::Refuse,
        "html" => Behaviour::html(502, "502 Bad Gateway"),
        "invalid_grant" => Behaviour::invalid_grant(),
        status => Behaviour::error(status.parse().with_context(|| format!("{text} is no status"))?),
    })
}
