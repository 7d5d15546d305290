//! The kit itself: the stand-in, the service's faults, the terminal, the sandbox's end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use claude_safe_testkit::terminal::Size;
use claude_safe_testkit::{
    Behaviour, FakeService, Request, RequestKind, Sandbox, Script, SignIn, StandIn, Terminal,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);

/// One plain request to the messages endpoint; the whole reply.
fn ask(service: &FakeService, extra: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", service.port()))?;
    stream.set_read_timeout(Some(SOON))?;
    let body = json!({ "stream": true, "tools": [{ "name": "Bash" }],
        "messages": [{ "role": "user", "content": "hello" }] });
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "POST /v1/messages?beta=true HTTP/1.1\r\nhost: api\r\ncontent-length: {length}\r\n\
         connection: close\r\n{extra}\r\n{body}"
    )?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

const KEY: &str = "x-api-key: sk-ant-fake\r\n";

fn status(reply: &str) -> &str {
    reply.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn each_fault_looks_as_it_is_called() {
    let service = FakeService::start();
    let of = |behaviour| {
        service.set_api(behaviour);
        ask(&service, KEY)
    };
    assert!(of(Behaviour::Ok).unwrap().contains("Hello from the fake service."));
    assert_eq!(status(&of(Behaviour::error(529)).unwrap()), "529");
    let html = of(Behaviour::html(502, "502 Bad Gateway")).unwrap();
    assert!(html.contains("text/html") && html.contains("<title>502 Bad Gateway"), "{html}");
    assert_eq!(of(Behaviour::Refuse).unwrap(), "");
    let reset = of(Behaviour::Reset).unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    let cut = of(Behaviour::CutAfter("half".into())).unwrap();
    assert!(cut.contains("content_block_stop") && !cut.contains("message_stop"), "{cut}");
    let error = of(Behaviour::SseError(String::new())).unwrap();
    assert!(error.contains("event: error") && !error.contains("content_block_start"), "{error}");
    let redirect = of(Behaviour::Redirect("http://portal.example/".into())).unwrap();
    assert!(redirect.contains("location: http://portal.example/"), "{redirect}");
    assert!(of(Behaviour::Huge(200_000)).unwrap().len() > 200_000);
    let limit = of(Behaviour::usage_limit("five_hour", 1_900_000_000)).unwrap();
    assert!(limit.contains("anthropic-ratelimit-unified-reset: 1900000000"), "{limit}");
}

#[test]
fn probes_and_titles_do_not_use_up_a_counted_script() {
    let service = FakeService::start();
    service.set_api(Script::first(1, Behaviour::error(500)));
    assert_eq!(status(&ask(&service, "").unwrap()), "500", "a probe looks");
    assert_eq!(status(&ask(&service, KEY).unwrap()), "500", "a turn takes");
    assert_eq!(status(&ask(&service, KEY).unwrap()), "200");
    assert_eq!(status(&ask(&service, "").unwrap()), "401", "up, but not signed in");
    let kinds: Vec<_> = service.requests().iter().map(|one| one.kind).collect();
    assert_eq!(
        kinds,
        [RequestKind::Probe, RequestKind::Turn, RequestKind::Turn, RequestKind::Probe]
    );
}

#[test]
fn an_outage_by_the_clock_ends() {
    let service = FakeService::start();
    let outage = Duration::from_millis(300);
    let start = Instant::now();
    service.set_api(Script::down_for(outage, Behaviour::error(503)));
    assert_eq!(status(&ask(&service, KEY).unwrap()), "503");
    while status(&ask(&service, KEY).unwrap()) == "503" {
        assert!(start.elapsed() < SOON);
    }
    assert!(start.elapsed() >= outage);
}

#[test]
fn a_hanging_client_is_let_go_when_the_service_ends() {
    let service = FakeService::start();
    service.set_api(Behaviour::Hang);
    let mut stream = TcpStream::connect(("127.0.0.1", service.port())).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /v1/messages HTTP/1.1\r\nhost: api\r\n\r\n").unwrap();
    service.wait_for(SOON, "the request", |all: &[Request]| all.len() == 1);
    drop(service);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_stand_in_plays_its_script_and_records_its_launches() {
    let mut sandbox = Sandbox::new(SignIn::Valid);
    let stand_in = StandIn::install(
        &mut sandbox,
        &json!([
            [{ "raw": true }, { "print": "\u{1b}[?2004hready" }, { "wait_input": "go\r" },
             { "transcript": { "type": "assistant", "isApiErrorMessage": true } },
             { "hook": { "event": "StopFailure", "error": "server_error" } },
             { "signal": 9 }],
            [{ "exit": 3 }],
        ]),
    );
    let settings = json!({ "hooks": { "StopFailure": [{ "hooks": [
        { "type": "command", "command": "cat > \"$HOME/hook.json\"; echo heard" }] }] } });
    let mut first = sandbox.command("claude");
    first.arg("--settings").arg(settings.to_string()).args(["--session-id", "abc"]);
    let mut terminal = Terminal::spawn(first);
    terminal.wait_for_text(SOON, "ready");
    assert!(!terminal.stty().local_flags.contains(nix::sys::termios::LocalFlags::ECHO));
    terminal.send("go\r");
    let status = terminal.wait_exit(SOON);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert!(terminal.screen().vt().bracketed_paste(), "killed: the mode stays on");
    assert_eq!(sandbox.command("claude").status().unwrap().code(), Some(3));

    let launches = stand_in.wait_for_launches(SOON, 2);
    assert_eq!(launches[0]["argv"][4], "abc");
    assert_eq!(launches[0]["cwd"], sandbox.project().to_str().unwrap());
    assert_eq!(stand_in.input(0), b"go\r");
    assert_eq!(stand_in.hooks(0)[0]["stdout"], "heard\n");
    let hook = std::fs::read_to_string(sandbox.home().join("hook.json")).unwrap();
    assert!(hook.contains(r#""error":"server_error""#) && hook.contains(r#""session_id":"abc""#));
    assert_eq!(sandbox.transcript_lines()[0]["isApiErrorMessage"], true);
}

#[test]
fn a_graceful_stand_in_ends_as_claude_does_on_a_signal() {
    let mut sandbox = Sandbox::new(SignIn::None);
    let script = json!({ "on_signal": "restored",
        "attempts": [[{ "print": "ready" }, { "hang": true }]] });
    StandIn::install_script(&mut sandbox, &script);
    let mut terminal = Terminal::spawn(sandbox.command("claude"));
    terminal.wait_for_text(SOON, "ready");
    let pid = nix::unistd::Pid::from_raw(terminal.pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(terminal.wait_exit(SOON).code(), Some(143));
    assert!(terminal.screen().contains("restored"));
}

#[test]
fn a_resize_reaches_the_program() {
    let sandbox = Sandbox::new(SignIn::None);
    let mut command = sandbox.command("sh");
    command.args(["-c", "trap 'stty size' WINCH; echo ready; while :; do read line; done"]);
    let terminal = Terminal::spawn(command);
    terminal.wait_for_text(SOON, "ready");
    terminal.resize(Size { rows: 24, cols: 80 });
    terminal.send("\r");
    terminal.wait_for_text(SOON, "24 80");
}

#[test]
fn a_sandbox_takes_its_processes_along() {
    let sandbox = Sandbox::new(SignIn::None);
    let script = "setsid sleep 1000 >/dev/null 2>&1 & echo started";
    let output = sandbox.command("sh").args(["-c", script]).output().unwrap();
    assert_eq!(output.stdout, b"started\n");
    let left = sandbox.processes();
    assert_eq!(left.len(), 1, "{left:?}");
    let home = sandbox.home().to_owned();
    drop(sandbox);
    assert!(!home.exists());
    let killed = nix::sys::signal::kill(nix::unistd::Pid::from_raw(left[0].0), None);
    // whoever reaps orphans here may not have done so yet: a zombie has no command line
    let line = std::fs::read(format!("/proc/{}/cmdline", left[0].0)).unwrap_or_default();
    assert!(killed.is_err() || line.is_empty(), "still there");
}

#[test]
fn a_partial_outage_refuses_its_share_and_the_edge_may_go_on_answering_strangers() {
    let service = FakeService::start();
    service.set_api(Behaviour::error(529).for_share(0.5));
    let statuses: Vec<_> =
        (0..64).map(|_| status(&ask(&service, KEY).unwrap()).to_owned()).collect();
    for expected in ["200", "529"] {
        assert!(statuses.iter().any(|status| status == expected), "{statuses:?}");
    }
    service.set_api(Behaviour::error(529));
    assert_eq!(status(&ask(&service, "").unwrap()), "529");
    service.edge_stays_up();
    assert_eq!(status(&ask(&service, "").unwrap()), "401");
    assert_eq!(status(&ask(&service, KEY).unwrap()), "529");
}
