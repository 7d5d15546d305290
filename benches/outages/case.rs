//! One case: a service that fails for a while, runs that meet it, and what they took.

use std::fmt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use claude_safe_testkit::claude::MEASURED;
use claude_safe_testkit::{
    Behaviour, FakeService, Request, RequestKind, Sandbox, Script, SignIn, real_claude, wait_until,
};

use crate::models;

/// A run that is not done so long after the service's return is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(1800);

/// A fault, a sign-in and a way through.
#[derive(Debug, Clone)]
pub struct Case {
    /// As it was asked for.
    pub name: String,
    fault: String,
    sign_in: SignIn,
    safe: bool,
    variables: Vec<(String, String)>,
}

/// What one case took.
#[derive(Debug)]
pub struct Seen {
    /// From the service's return to the end of each run; `None` if it failed.
    lags: Vec<Option<Duration>>,
    /// From the start to the end of the last run.
    took: Duration,
    /// The first failed run's last words.
    words: String,
    /// Requests with credentials while down, and when.
    asked: Vec<Duration>,
    probes: usize,
    /// Lines of finished steps, those done twice included.
    steps: usize,
}

impl Case {
    /// Reads a case's name.
    pub fn parse(name: &str) -> Self {
        let mut parts = name.split('/');
        let mut part = || parts.next().unwrap_or_else(|| panic!("{name} is not a case"));
        let (fault, sign_in, way) = (part().to_owned(), part(), part());
        let way = match way {
            "watchdog" => "plain+CLAUDE_CODE_RETRY_WATCHDOG=1",
            "retries15" => "plain+CLAUDE_CODE_MAX_RETRIES=15",
            other => other,
        };
        let mut words = way.split('+');
        let safe = words.next() == Some("safe");
        let variable = |word: &str| {
            let (name, value) = word.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        };
        let sign_in = match (sign_in, fault.as_str()) {
            ("key", _) => SignIn::ApiKey,
            (_, "refresh") => SignIn::Expired,
            _ => SignIn::Valid,
        };
        Self {
            name: name.to_owned(),
            fault,
            sign_in,
            safe,
            variables: words.map(variable).collect(),
        }
    }

    /// Runs it.
    pub fn run(&self, outage: Duration) -> Seen {
        let service = FakeService::start();
        service.edge_stays_up();
        let mut sandbox = Sandbox::with(self.sign_in, &service);
        sandbox.env("CLAUDE_SAFE_CLAUDE", real_claude(MEASURED));
        sandbox.env("CLAUDE_SAFE_BACKUP_ON_START", "off");
        for (name, value) in &self.variables {
            sandbox.env(name, value);
        }
        let began = Instant::now();
        let overloaded = Behaviour::error(529);
        let down = |fault| Script::down_for(outage, fault);
        let mut down_at = Duration::ZERO;
        let mut runs = Vec::new();
        match self.fault.as_str() {
            "refresh" => service.set_oauth(down(Behaviour::error(500))),
            "partial70" => service.set_api(down(overloaded.for_share(0.70))),
            "partial85" => service.set_api(down(overloaded.for_share(0.85))),
            "agents" => {
                models::two_agents(&service);
                runs.push(self.start(&sandbox, "Let two agents do the two parts."));
                let minute = Duration::from_secs(120);
                service.wait_for(minute, "both agents", |all| models::agents_are_at(all, 3));
                service.set_api(down(overloaded));
                down_at = began.elapsed();
            }
            other if other.starts_with("many") => service.set_api(down(overloaded)),
            other => service.set_api(down(fault(other))),
        }
        if self.fault.starts_with("partial") {
            models::eight_steps(&service);
        }
        if runs.is_empty() {
            let count = self.fault.strip_prefix("many").map_or(1, |count| count.parse().unwrap());
            runs.extend((0..count).map(|_| self.start(&sandbox, "hi")));
        }
        let back = began + down_at + outage;
        let limit = down_at + outage + GIVEN_UP_AFTER;
        let (mut lags, mut words) = (Vec::new(), String::new());
        for mut run in runs {
            let over = || run.try_wait().unwrap();
            let ended = wait_until(limit.saturating_sub(began.elapsed()), over);
            let done = ended.is_some_and(|status| status.success());
            lags.push(done.then(|| back.elapsed()));
            let _ = run.kill();
            if !done && words.is_empty() {
                let output = run.wait_with_output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                words = text.lines().last().unwrap_or_default().chars().take(60).collect();
            }
        }
        let took = began.elapsed();
        let all = service.requests();
        let while_down = |one: &&Request| one.at >= down_at && one.at < down_at + outage;
        let asks = [RequestKind::Turn, RequestKind::Auxiliary, RequestKind::Token];
        let asked = all.iter().filter(while_down).filter(|one| asks.contains(&one.kind));
        let asked = asked.map(|one| one.at.saturating_sub(down_at)).collect();
        let probes = all.iter().filter(while_down).filter(|one| one.kind == RequestKind::Probe);
        let steps = std::fs::read_to_string(sandbox.project().join(models::STEPS_FILE));
        let steps = steps.unwrap_or_default().lines().count();
        if std::env::var_os("KEEP").is_some() {
            crate::say(&format!("{}: kept {}", self.name, sandbox.keep().display()));
            std::fs::write(sandbox.keep().join("requests"), service.summary()).unwrap();
            let bodies: Vec<_> = service.turns().iter().map(|one| one.body.to_string()).collect();
            std::fs::write(sandbox.keep().join("bodies"), bodies.join("\n")).unwrap();
        }
        Seen { lags, took, words, asked, probes: probes.count(), steps }
    }

    fn start(&self, sandbox: &Sandbox, prompt: &str) -> Child {
        let program = if self.safe {
            let named = std::env::var_os("CLAUDE_SAFE_BENCH");
            named.unwrap_or_else(|| env!("CARGO_BIN_EXE_claude-safe").into())
        } else {
            real_claude(MEASURED).into()
        };
        let mut command = sandbox.command(program);
        command.args(["-p", "--allowedTools", "Bash", "--", prompt]).stdin(Stdio::null());
        let log = std::fs::File::create(sandbox.tmp().join("stderr")).unwrap();
        command.stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }
}

fn fault(name: &str) -> Behaviour {
    match name {
        "reset" => Behaviour::Reset,
        "hang" => Behaviour::Hang,
        "cut" => Behaviour::CutAfter("Half an ans".to_owned()),
        status => Behaviour::error(status.parse().unwrap()),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Seen {
    fn lag_seconds(&self) -> Vec<f64> {
        self.lags.iter().flatten().map(Duration::as_secs_f64).collect()
    }

    fn gaps(&self) -> Vec<f64> {
        self.asked.windows(2).map(|pair| (pair[1].saturating_sub(pair[0])).as_secs_f64()).collect()
    }

    /// A line of the table: medians over the times.
    pub fn row(name: &str, times: &[Self], outage: Duration) -> String {
        let minutes = outage.as_secs_f64() / 60.0;
        let lags: Vec<f64> = times.iter().flat_map(Self::lag_seconds).collect();
        let worst = lags.iter().copied().fold(0.0, f64::max);
        let of = |value: &dyn Fn(&Self) -> f64| median(times.iter().map(value).collect());
        #[allow(clippy::cast_precision_loss)]
        let (asked, probes) = (of(&|one| one.asked.len() as f64), of(&|one| one.probes as f64));
        let gap = times.iter().flat_map(Self::gaps).fold(0.0, f64::max);
        let all = times.iter().map(|one| one.lags.len()).sum::<usize>();
        format!(
            "| {name} | {:.1} (≤ {worst:.1}) | {:.1} | {gap:.0} | {:.1} | {}/{all} |",
            median(lags.clone()),
            asked / minutes,
            probes / minutes,
            lags.len(),
        )
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lags = self.lag_seconds();
        let gaps: Vec<_> = self.gaps().iter().map(|gap| format!("{gap:.0}")).collect();
        write!(
            f,
            "{} of {} done, {:.1} s after the return (median), took {:.0} s; {} requests, {} \
             probes while down; {} steps; gaps {} {}",
            lags.len(),
            self.lags.len(),
            median(lags),
            self.took.as_secs_f64(),
            self.asked.len(),
            self.probes,
            self.steps,
            gaps.join(" "),
            self.words,
        )
    }
}
