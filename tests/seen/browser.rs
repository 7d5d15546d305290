//! A real headless Chromium, driven over `WebDriver` (Debian's `chromium` and `chromium-driver`).
//! Where they are missing the tests fail: a page nobody has looked at is not tested. Nothing but
//! `file:` is loaded; the browser's profile is thrown away, and its processes end with it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
    profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one. Panics, with what to install, where there is none.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        command.env("HOME", profile.path()).env("TMPDIR", profile.path());
        let mut driver = command.spawn().unwrap_or_else(|error| {
            panic!("chromedriver: {error} (apt-get install chromium chromium-driver)")
        });
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines.find_map(|line| {
            let line = line.expect("text");
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(120)))
            .build();
        let root = format!("http://127.0.0.1:{}/session", port.expect("chromedriver starts"));
        let mut browser = Self { driver, agent: config.into(), session: root, profile };
        let data = browser.profile.path().join("profile");
        let mut args: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,900",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--user-data-dir={}", data.display()));
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.post("", &capabilities);
        let id = session["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {session}"));
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let mut answer = self
            .agent
            .post(&url)
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        let text = answer.body_mut().read_to_string().expect("text");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert!(answer.status().is_success(), "{path}: {value}");
        value["value"].clone()
    }

    /// Loads a file.
    pub fn open(&self, file: &std::path::Path) {
        self.post("/url", &json!({ "url": format!("file://{}", file.display()) }));
    }

    /// Runs a function's body in the page.
    pub fn eval(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn devtools(&self, command: &str, params: &Value) {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": params }));
    }

    /// `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// A window this wide (CSS pixels).
    pub fn resize(&self, width: u32) {
        let size = json!({
            "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the console was told since this was last asked.
    pub fn console(&self) -> Vec<Value> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        log.as_array().expect("a list").clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session's end closes the browser; the group's end whatever is left.
        let _ = self.agent.delete(&self.session).call();
        let _ = killpg(Pid::from_raw(self.driver.id().cast_signed()), Signal::SIGKILL);
        let _ = self.driver.wait();
    }
}
