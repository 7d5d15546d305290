//! One line of the protocol between a program and Claude, as far as it is looked at. In: bytes.
//! Out: what kind of line it is. What is no JSON object, or has a field of another type than
//! expected, is of no kind, and passes as it is.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields of a line that matter here; all others are skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub subtype: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub session_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub uuid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub parent_tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub request_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "permissionMode")]
    pub mode: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub resume_reason: Option<Cow<'a, str>>,
    #[serde(rename = "is_api_error_message")]
    pub is_error_message: bool,
    /// A message of the program's that comes back to it.
    #[serde(rename = "isReplay")]
    pub is_echo: bool,
    #[serde(borrow)]
    pub request: Option<Request<'a>>,
    #[serde(borrow)]
    pub response: Option<Response<'a>>,
    #[serde(borrow)]
    pub message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub event: Option<Event<'a>>,
    #[serde(borrow, rename = "rate_limit_info")]
    pub limit: Option<&'a RawValue>,
}

/// What a control request asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Request<'a> {
    #[serde(borrow)]
    pub subtype: Cow<'a, str>,
    #[serde(borrow)]
    pub tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub mode: Option<Cow<'a, str>>,
    /// Of `mcp_toggle` and its like: each server has a state of its own.
    #[serde(borrow, rename = "serverName")]
    pub server: Option<Cow<'a, str>>,
}

/// What a control response answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub subtype: Cow<'a, str>,
    #[serde(borrow)]
    pub request_id: Cow<'a, str>,
}

/// A piece of a message that is still being written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    pub index: Option<u64>,
}

impl<'a> Line<'a> {
    /// Reads a line; one that cannot be read is of no kind.
    pub fn read(bytes: &'a [u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind == kind && self.subtype.as_deref() == Some(subtype)
    }

    /// Whether it is part of no turn: requests and their answers pass at any time.
    pub fn is_beside_turns(&self) -> bool {
        self.kind.starts_with("control_") || self.is("system", "api_retry")
    }

    /// Whether the program asks for this.
    pub fn asks_for(&self, subtype: &str) -> bool {
        self.request.as_ref().is_some_and(|request| request.subtype == subtype)
    }

    /// The texts of a message, block by block.
    pub fn texts(&self) -> Vec<String> {
        let message: Value =
            serde_json::from_str(self.message.map_or("", RawValue::get)).unwrap_or_default();
        match &message["content"] {
            Value::String(text) => vec![text.clone()],
            content => {
                let blocks = content.as_array().into_iter().flatten();
                blocks.filter_map(|block| block["text"].as_str()).map(str::to_owned).collect()
            }
        }
    }

    /// Whether a conversation of a sub-agent is told of, which is not the turn's own.
    pub fn is_of_agent(&self) -> bool {
        self.parent_tool_use_id.is_some()
    }

    /// The tools that a message calls, and those whose results it holds.
    pub fn tools(&self) -> Tools {
        let mut tools = Tools::default();
        // Most messages hold none, and are not read.
        let raw = self.message.map_or("", RawValue::get);
        if !raw.contains("tool_") {
            return tools;
        }
        let message: Value = serde_json::from_str(raw).unwrap_or_default();
        for block in message["content"].as_array().into_iter().flatten() {
            let id = |key: &str| block[key].as_str().map(str::to_owned);
            match block["type"].as_str() {
                Some("tool_use") => tools.called.extend(id("id")),
                Some("tool_result") => tools.ended.extend(id("tool_use_id")),
                _ => {}
            }
        }
        tools
    }

    /// Whether Claude asks for the program's word on a prompt.
    pub fn asks_about_prompt(&self) -> bool {
        let Some(request) = self.request.as_ref().filter(|ask| ask.subtype == "hook_callback")
        else {
            return false;
        };
        let input = request.input.map_or("", RawValue::get);
        let input: Value = serde_json::from_str(input).unwrap_or_default();
        input["hook_event_name"] == "UserPromptSubmit"
    }
}

/// Tool calls of a message, by their ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tools {
    pub called: Vec<String>,
    pub ended: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_expected_is_of_no_kind() {
        for odd in ["", "no json", "[1]", "{\"type\":5}", "{\"type\":", "\u{fffd}"] {
            assert_eq!(Line::read(odd.as_bytes()).kind, "", "{odd}");
        }
        assert_eq!(Line::read(br#"{"new":{"a":[1]},"type":"newer"}"#).kind, "newer");
    }

    #[test]
    fn tools_are_told_by_their_ids() {
        let line = br#"{"type":"assistant","message":{"content":[{"type":"text","text":"tool_"},{"type":"tool_use","id":"a"}]}}"#;
        assert_eq!(Line::read(line).tools().called, ["a"]);
        let line =
            br#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"a"}]}}"#;
        assert_eq!(Line::read(line).tools().ended, ["a"]);
        let line = br#"{"type":"user","message":{"content":"tool_use"}}"#;
        assert_eq!(Line::read(line).tools(), Tools::default());
    }

    #[test]
    fn a_hook_on_a_prompt_is_told_from_others() {
        let ask = |event: &str| {
            format!(
                r#"{{"type":"control_request","request":{{"subtype":"hook_callback","input":{{"hook_event_name":"{event}"}}}}}}"#
            )
        };
        assert!(Line::read(ask("UserPromptSubmit").as_bytes()).asks_about_prompt());
        assert!(!Line::read(ask("PreToolUse").as_bytes()).asks_about_prompt());
    }
}
