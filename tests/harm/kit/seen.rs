//! What a run left for anyone to see. In: the sandbox and the service after its end. Out: texts
//! in which only what must differ between two sandboxes was made equal (paths, ids, ports).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use claude_safe_testkit::{FakeService, Request, RequestKind, Sandbox, wait_until};
use regex::Regex;
use serde_json::Value;

use super::world::Printed;

/// What ends by itself has ended by then.
const LAST_PROCESSES: Duration = Duration::from_secs(3);

/// Below HOME: Claude's own, its npm's, and ours.
const NOT_THE_USERS: [&str; 6] = [".claude", ".claude.json", ".local", ".cache", ".config", ".npm"];

/// What was seen of one run.
#[derive(Debug)]
pub struct Seen {
    /// As a shell reports it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The last screen, at a terminal.
    pub screen: Option<String>,
    /// Whether the terminal's settings are as before.
    pub restored: bool,
    /// Files of the user's: the path from HOME, then mode and content.
    pub files: BTreeMap<String, String>,
    /// Every tool call that came to a result, in order: name, input, result.
    pub tools: Vec<String>,
    /// The answers that were paid for, by model.
    pub answers: BTreeMap<String, usize>,
    /// The conversation as it was sent last.
    pub conversation: Vec<String>,
    /// Command lines of the processes that go on.
    pub left: Vec<String>,
    pub took: Duration,
    /// All requests, as they were.
    pub requests: Vec<Request>,
    /// The journal of claude-safe.
    pub journal: Vec<Value>,
    /// The log of claude-safe.
    pub log: String,
}

impl Seen {
    pub(super) fn take(
        printed: Printed,
        sandbox: &Sandbox,
        service: &FakeService,
        took: Duration,
    ) -> Self {
        let gone = || sandbox.processes().is_empty().then_some(());
        let alive =
            wait_until(LAST_PROCESSES, gone).map_or_else(|| sandbox.processes(), |()| vec![]);
        let alike = Alike::new(sandbox);
        let requests = service.requests();
        let turns: Vec<&Request> =
            requests.iter().filter(|one| one.kind == RequestKind::Turn).collect();
        let answered: Vec<&Request> =
            turns.iter().copied().filter(|one| one.status == Some(200)).collect();
        let mut answers = BTreeMap::new();
        for turn in &answered {
            let model = turn.body["model"].as_str().unwrap_or_default().to_owned();
            *answers.entry(model).or_default() += 1;
        }
        let conversation = answered.last().map(|last| conversation(&last.body));
        let all = |texts: Vec<String>| texts.iter().map(|text| alike.make(text)).collect();
        Self {
            code: printed.code,
            stdout: alike.documents(&printed.stdout),
            stderr: alike.make(&printed.stderr),
            screen: printed.screen,
            restored: printed.restored,
            files: files(sandbox.home(), &alike),
            tools: all(tools(&turns)),
            answers,
            conversation: all(conversation.unwrap_or_default()),
            left: all(alive.into_iter().map(|(_, line)| line).collect()),
            took,
            journal: journal(sandbox),
            log: log(sandbox),
            requests,
        }
    }

    /// How often a tool of this name came to a result.
    pub fn tool_runs(&self, name: &str) -> usize {
        self.tools.iter().filter(|call| call.starts_with(&format!("{name} "))).count()
    }

    /// The content of a file below the project.
    pub fn file(&self, path: &str) -> Option<&str> {
        let entry = self.files.get(&format!("project/{path}"))?;
        entry.split_once(' ').map(|(_, content)| content)
    }

    /// How often this stands in the conversation as it was sent last.
    pub fn said(&self, text: &str) -> usize {
        self.conversation.iter().filter(|entry| entry.contains(text)).count()
    }

    /// The journal's lines of one event.
    pub fn events(&self, name: &str) -> Vec<&Value> {
        self.journal.iter().filter(|entry| entry["event"] == name).collect()
    }
}

/// The journal's lines.
pub fn journal(sandbox: &Sandbox) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.state_dir().join("journal.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn log(sandbox: &Sandbox) -> String {
    let files = fs::read_dir(sandbox.state_dir().join("log")).into_iter().flatten().flatten();
    files.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect()
}

/// Calls with their results, each once, however often they were sent.
fn tools(turns: &[&Request]) -> Vec<String> {
    let mut calls: Vec<(String, String, Option<String>)> = Vec::new();
    for block in turns.iter().flat_map(|turn| blocks(&turn.body)).map(|(_, block)| block) {
        let id = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
        match block["type"].as_str() {
            Some("tool_use") if calls.iter().all(|(known, ..)| *known != id("id")) => {
                let input = block["input"]["command"].as_str().map(str::to_owned);
                let input = input.unwrap_or_else(|| block["input"].to_string());
                calls.push((id("id"), format!("{} {input}", id("name")), None));
            }
            Some("tool_result") => {
                let known = calls.iter_mut().find(|(known, ..)| *known == id("tool_use_id"));
                if let Some((.., result)) = known {
                    let failed = if block["is_error"] == true { "refused or failed: " } else { "" };
                    result.get_or_insert_with(|| format!("{failed}{}", text_of(&block["content"])));
                }
            }
            _ => {}
        }
    }
    calls
        .into_iter()
        .filter_map(|(_, call, result)| Some(format!("{call} => {}", result?)))
        .collect()
}

fn conversation(body: &Value) -> Vec<String> {
    // Claude's own reminders name counts of tokens and files with random names.
    let entry = |(role, block): (String, Value)| match block["type"].as_str() {
        Some("text") => {
            let text = block["text"].as_str().unwrap_or_default().trim().to_owned();
            let own = role == "system" || text.starts_with("<system-reminder>");
            (!own).then(|| format!("{role}: {text}"))
        }
        Some("tool_use") => Some(format!("{role} calls {}: {}", block["name"], block["input"])),
        Some("tool_result") => Some(format!("result: {}", text_of(&block["content"]))),
        _ => None,
    };
    blocks(body).into_iter().filter_map(entry).collect()
}

/// Each block of a request's messages, with who said it.
fn blocks(body: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let role = message["role"].as_str().unwrap_or_default();
        match &message["content"] {
            Value::String(text) => {
                all.push((role.to_owned(), serde_json::json!({ "type": "text", "text": text })));
            }
            Value::Array(blocks) => {
                all.extend(blocks.iter().map(|block| (role.to_owned(), block.clone())));
            }
            _ => {}
        }
    }
    all
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

fn files(home: &Path, alike: &Alike) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![home.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(home).unwrap().to_string_lossy().into_owned();
            // its temporary files too
            if NOT_THE_USERS.contains(&name.as_str()) || name.starts_with(".claude.json.") {
                continue;
            }
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                left.push(path);
                continue;
            }
            let content = fs::read(&path).unwrap_or_default();
            let content = alike.make(&String::from_utf8_lossy(&content));
            found.insert(name, format!("{:o} {content}", meta.permissions().mode() & 0o7777));
        }
    }
    found
}

/// Makes equal what differs from one sandbox, or one run, to the next.
struct Alike {
    places: Vec<String>,
}

impl Alike {
    fn new(sandbox: &Sandbox) -> Self {
        let root = sandbox.home().parent().unwrap().to_string_lossy().into_owned();
        let flat = root.replace(['/', '.'], "-");
        Self { places: vec![root, flat] }
    }

    fn make(&self, text: &str) -> String {
        static IDS: LazyLock<Regex> = LazyLock::new(|| {
            let id = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
            let port = r"127\.0\.0\.1:\d+";
            let numbered = r"(?:msg|toolu|req)_fake\d{8}";
            let authority = r"fake-service-ca-\w+";
            Regex::new(&format!("{id}|{port}|{numbered}|{authority}")).unwrap()
        });
        let text =
            self.places.iter().fold(text.to_owned(), |text, place| text.replace(place, "~~"));
        IDS.replace_all(&text, "<id>").into_owned()
    }

    /// As [`Alike::make`]; JSON lines lose the fields that differ from run to run as well.
    fn documents(&self, text: &str) -> String {
        let line = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(value @ Value::Object(_)) => settled(value).to_string(),
            _ => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(line).collect();
        let end = if text.ends_with('\n') { "\n" } else { "" };
        self.make(&format!("{}{end}", lines.join("\n")))
    }
}

/// What differs from one healthy run of plain claude to the next.
fn differs(key: &str) -> bool {
    ["session_id", "uuid", "id", "timestamp", "request_id", "messaging_socket_path"].contains(&key)
        || key.ends_with("_ms")
        || key.ends_with("Ms")
}

fn settled(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                *field = if differs(key) { Value::Null } else { settled(field.take()) };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = settled(item.take())),
        _ => {}
    }
    value
}
