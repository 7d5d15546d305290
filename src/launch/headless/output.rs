//! Standard output of a headless run. In: a child's bytes. Out: exactly what one healthy run
//! prints. Text and JSON are held back until it is known whether they stand; of JSON lines only
//! the failing ones are. Pure but for the writer it is given.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;

use crate::claude::args::OutputFormat;
use crate::claude::retries;

/// Collects one attempt's output after another.
#[derive(Debug)]
pub struct Output {
    format: OutputFormat,
    /// Text and JSON: all of it. JSON lines: a line not yet complete.
    pending: Vec<u8>,
    /// JSON lines that stand only if the attempt does: the error message and the result.
    held: Vec<u8>,
    /// Whether an `init` line was passed on, which a resumed attempt prints again.
    introduced: bool,
    attempt: Attempt,
    /// What the last attempt that did not stand had left.
    dropped: Vec<u8>,
}

/// What the lines of the present attempt told.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Attempt {
    /// The `result` document.
    pub result: Option<Value>,
    /// Claude's session.
    pub session: Option<String>,
    /// Answer text or tools were seen, so the turn was not untouched.
    pub answered: bool,
    /// A tool was used.
    pub used_tool: bool,
    /// When the plan limit that was met lifts (Unix seconds).
    pub resets: Option<i64>,
    /// Claude itself is retrying: status, and the wait that the service asked for.
    pub retrying: Option<(Option<u64>, Option<Duration>)>,
}

impl Output {
    /// For a run that prints in this format.
    #[must_use]
    pub fn new(format: OutputFormat) -> Self {
        Self {
            format,
            pending: Vec::new(),
            held: Vec::new(),
            introduced: false,
            attempt: Attempt::default(),
            dropped: Vec::new(),
        }
    }

    /// Takes the child's next bytes; what can already stand is written.
    pub fn take(&mut self, bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        if self.format != OutputFormat::StreamJson {
            return Ok(());
        }
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.line(&line, out)?;
        }
        out.flush()
    }

    fn line(&mut self, line: &[u8], out: &mut impl Write) -> io::Result<()> {
        let value: Value = serde_json::from_slice(line).unwrap_or_default();
        if let Some(session) = value["session_id"].as_str() {
            self.attempt.session = Some(session.to_owned());
        }
        match (value["type"].as_str(), value["subtype"].as_str()) {
            (Some("system"), Some("init")) if std::mem::replace(&mut self.introduced, true) => {
                return Ok(());
            }
            (Some("system"), Some("api_retry")) => {
                let asked = retries::asked_wait(&value["attempt"], &value["retry_delay_ms"]);
                self.attempt.retrying = Some((value["error_status"].as_u64(), asked));
            }
            (Some("assistant"), _) if value.get("error").is_some_and(|error| !error.is_null()) => {
                self.held.extend_from_slice(line);
                return Ok(());
            }
            (Some("assistant"), _) => {
                self.attempt.answered = true;
                let blocks = value["message"]["content"].as_array();
                self.attempt.used_tool |=
                    blocks.into_iter().flatten().any(|block| block["type"] == "tool_use");
            }
            (Some("rate_limit_event"), _) if value["rate_limit_info"]["status"] == "rejected" => {
                self.attempt.resets = value["rate_limit_info"]["resetsAt"].as_i64();
            }
            (Some("result"), _) => {
                self.held.extend_from_slice(line);
                self.attempt.result = Some(value);
                return Ok(());
            }
            _ => {}
        }
        out.write_all(line)
    }

    /// Whether this attempt's lines show every answer and tool as they come.
    #[must_use]
    pub fn shows_all(&self) -> bool {
        self.format == OutputFormat::StreamJson
    }

    /// The request that Claude itself is repeating, if it said that it is: status, and the wait
    /// that the service asked for.
    #[must_use]
    pub fn retrying(&self) -> Option<(Option<u64>, Option<Duration>)> {
        self.attempt.retrying
    }

    /// The attempt has ended: what it told.
    pub fn ended(&mut self) -> Attempt {
        if self.format == OutputFormat::Json
            && let Ok(value) = serde_json::from_slice::<Value>(&self.pending)
        {
            self.attempt.session = value["session_id"].as_str().map(str::to_owned);
            self.attempt.result = Some(value);
        }
        self.attempt.clone()
    }

    /// What is held back, as text: the words of a failed run.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = if self.held.is_empty() { &self.pending } else { &self.held };
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// The attempt does not stand: what it left is dropped.
    pub fn discard(&mut self) {
        self.dropped = std::mem::take(&mut self.held);
        self.dropped.append(&mut self.pending);
        self.attempt = Attempt::default();
    }

    /// What the attempt before left stands, instead of what this one left.
    pub fn take_back(&mut self) {
        self.pending.clear();
        self.held = std::mem::take(&mut self.dropped);
    }

    /// The attempt stands: what was held back is written.
    pub fn release(&mut self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.held)?;
        out.write_all(&self.pending)?;
        self.discard();
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
    const RETRY: &str = r#"{"type":"system","subtype":"api_retry","attempt":2,"error_status":500}"#;
    const ANSWER: &str = r#"{"type":"assistant","message":{"content":[{"type":"text"}]}}"#;
    const FAULT: &str = r#"{"type":"assistant","error":"server_error","message":{"content":[]}}"#;
    const BAD: &str = r#"{"type":"result","is_error":true,"session_id":"s"}"#;
    const GOOD: &str = r#"{"type":"result","is_error":false,"session_id":"s"}"#;

    fn lines(lines: &[&str]) -> String {
        lines.iter().flat_map(|line| [*line, "\n"]).collect()
    }

    #[test]
    fn json_lines_flow_through_and_a_failed_end_is_dropped() {
        let (mut output, mut out) = (Output::new(OutputFormat::StreamJson), Vec::new());
        // In slices of seven bytes: lines never come whole.
        let failed = lines(&[INIT, RETRY, FAULT, BAD]);
        for slice in failed.as_bytes().chunks(7) {
            output.take(slice, &mut out).expect("a vector takes all");
        }
        let attempt = output.ended();
        assert_eq!(attempt.retrying, Some((Some(500), None)));
        assert!(!attempt.answered && attempt.result.is_some());
        output.discard();
        output.take(lines(&[INIT, ANSWER, GOOD]).as_bytes(), &mut out).expect("taken");
        assert!(output.ended().answered);
        output.release(&mut out).expect("taken");
        let printed = String::from_utf8(out).expect("text");
        assert_eq!(printed, lines(&[INIT, RETRY, ANSWER, GOOD]));
    }

    #[test]
    fn text_is_held_until_it_stands() {
        let (mut output, mut out) = (Output::new(OutputFormat::Text), Vec::new());
        output.take(b"API Error: 500\n", &mut out).expect("taken");
        assert_eq!(output.text(), "API Error: 500\n");
        output.discard();
        output.take(b"the ", &mut out).expect("taken");
        output.take(b"answer\n", &mut out).expect("taken");
        assert!(out.is_empty());
        output.release(&mut out).expect("taken");
        assert_eq!(out, b"the answer\n");
    }

    #[test]
    fn a_json_document_tells_its_session() {
        let mut output = Output::new(OutputFormat::Json);
        output.take(BAD.as_bytes(), &mut Vec::new()).expect("taken");
        assert_eq!(output.ended().session.as_deref(), Some("s"));
    }
}
