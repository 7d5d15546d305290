//! What a task's run printed: Claude's stream of JSON lines, with lines of ours between. In: the
//! log file. Out: what it cost and whether a tool was used; the same as lines for people.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::report::words::printable;

/// The log of a task's runs.
#[must_use]
pub fn path(state_dir: &Path, job: &str) -> PathBuf {
    state_dir.join("queue/logs").join(format!("{job}.log"))
}

/// What one run's part of the log tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// US dollars, of all results together.
    pub spent_usd: f64,
    /// A tool was called.
    pub used_tools: bool,
    /// Claude answered: the service works.
    pub answered: bool,
    /// The last result says that the spend cap was reached.
    pub over_budget: bool,
    /// How far the log was read (bytes).
    pub read_to: u64,
}

impl Summary {
    /// Reads on from where it stopped. A half line stays for the next time.
    pub fn read_on(&mut self, log: &Path) {
        let Ok(mut file) = File::open(log) else { return };
        if file.seek(SeekFrom::Start(self.read_to)).is_err() {
            return;
        }
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0)
            && line.ends_with(b"\n")
        {
            self.read_to += line.len() as u64;
            if let Ok(value) = serde_json::from_slice::<Value>(&line) {
                self.take(&value);
            }
            line.clear();
        }
    }

    fn take(&mut self, line: &Value) {
        match line["type"].as_str() {
            Some("assistant") if line["isApiErrorMessage"] != true && line["error"].is_null() => {
                self.answered = true;
                self.used_tools |= blocks(line).any(|block| block["type"] == "tool_use");
            }
            Some("result") => {
                self.spent_usd += line["total_cost_usd"].as_f64().unwrap_or(0.0);
                self.over_budget = line["subtype"] == "error_max_budget_usd";
            }
            _ => {}
        }
    }
}

fn blocks(line: &Value) -> impl Iterator<Item = &Value> {
    line["message"]["content"].as_array().into_iter().flatten()
}

/// One line of a log for people; `None` for what says nothing to them.
#[must_use]
pub fn shown(line: &str) -> Option<String> {
    let Ok(value) = serde_json::from_str::<Value>(line) else {
        return Some(printable(line));
    };
    let parts: Vec<String> = match value["type"].as_str()? {
        "assistant" => blocks(&value)
            .filter_map(|block| match block["type"].as_str()? {
                "text" => Some(text(block["text"].as_str()?)),
                "tool_use" => Some(format!(
                    "→ {} {}",
                    printable(block["name"].as_str()?),
                    input(&block["input"])
                )),
                _ => None,
            })
            .collect(),
        "result" => {
            let cost = value["total_cost_usd"].as_f64().unwrap_or(0.0);
            vec![format!(
                "= {} · ${cost:.2}",
                printable(value["subtype"].as_str().unwrap_or("ended"))
            )]
        }
        _ => Vec::new(),
    };
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn text(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// The one thing that tells a tool call from another.
fn input(input: &Value) -> String {
    const LONGEST: usize = 100;
    let telling = ["command", "file_path", "path", "pattern", "url", "description"];
    let value = telling.iter().find_map(|name| input[name].as_str()).unwrap_or_default();
    printable(value.lines().next().unwrap_or_default()).chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_a_log_tells_is_read_as_it_grows() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("log");
        let mut file = File::create(&log).expect("made");
        let mut summary = Summary::default();
        summary.read_on(&log);
        assert_eq!(summary, Summary::default());
        let mut write = |bytes: &[u8]| file.write_all(bytes).expect("written");
        write(b"claude-safe: API failing (500)\n");
        write(
            b"{\"type\":\"assistant\",\"isApiErrorMessage\":true,\"message\":{\"content\":[]}}\n",
        );
        write(br#"{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash""#);
        summary.read_on(&log);
        assert!(!summary.answered && !summary.used_tools, "half a line is none");
        write(b",\"input\":{\"command\":\"ls\"}}]}}\n");
        write(b"{\"type\":\"result\",\"subtype\":\"success\",\"total_cost_usd\":0.25}\n");
        summary.read_on(&log);
        assert!(summary.answered && summary.used_tools && !summary.over_budget);
        assert!((summary.spent_usd - 0.25).abs() < 1e-9);
        summary.read_on(&log);
        assert!((summary.spent_usd - 0.25).abs() < 1e-9, "nothing is read twice");
    }

    #[test]
    fn a_log_is_shown_as_what_was_said_and_done() {
        let line = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"One.\nTwo."},{"type":"tool_use","name":"Bash","input":{"command":"ls\nrm"}}]}}"#;
        assert_eq!(shown(line).as_deref(), Some("One.\nTwo.\n→ Bash ls"));
        assert_eq!(
            shown("claude-safe: x\u{1b}[2J").as_deref().map(|line| line.contains('\u{1b}')),
            Some(false)
        );
        assert_eq!(shown(r#"{"type":"system"}"#), None);
        assert_eq!(
            shown(r#"{"type":"result","subtype":"success","total_cost_usd":1.234}"#).as_deref(),
            Some("= success · $1.23")
        );
    }
}
