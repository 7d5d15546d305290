//! The messages endpoint: an [`Answer`] as server-sent events or as one JSON message.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Body, Reply};
use super::log::Request;
use super::script::Answer;

/// What makes ids differ from one answer to the next.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// How a stream ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    /// The connection breaks after the last complete block.
    Cut,
    /// An `error` event follows the last complete block.
    Error,
}

/// The reply to `request` with `answer`.
pub(super) fn reply(request: &Request, answer: &Answer, ending: Ending) -> Reply {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let model = request.body["model"].as_str().unwrap_or("claude-fake");
    let message = json!({
        "id": format!("msg_fake{number:08}"), "type": "message", "role": "assistant",
        "model": model, "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": usage(1),
    });
    if request.body["stream"] == true {
        stream(&message, answer, number, ending)
    } else {
        whole(message, answer, number)
    }
}

fn usage(output: u32) -> Value {
    json!({
        "input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": output, "service_tier": "standard",
    })
}

/// The content blocks and the reason the model stops.
fn blocks(answer: &Answer, number: u32) -> (Vec<Value>, &'static str) {
    let call = |index: usize, name: &str, input: &Value| {
        let id = format!("toolu_fake{number:08}{index}");
        json!({ "type": "tool_use", "id": id, "name": name, "input": input })
    };
    match answer {
        Answer::Text(text) | Answer::Slow { text, .. } => {
            (vec![json!({ "type": "text", "text": text })], "end_turn")
        }
        Answer::Tool { name, input, .. } => (vec![call(0, name, input)], "tool_use"),
        Answer::Tools { calls, .. } => {
            let calls = calls.iter().enumerate();
            (calls.map(|(index, (name, input))| call(index, name, input)).collect(), "tool_use")
        }
    }
}

fn whole(mut message: Value, answer: &Answer, number: u32) -> Reply {
    let (blocks, reason) = blocks(answer, number);
    message["content"] = json!(blocks);
    message["stop_reason"] = json!(reason);
    message["usage"] = usage(12);
    Reply::json(200, &message)
}

fn stream(message: &Value, answer: &Answer, number: u32, ending: Ending) -> Reply {
    let mut events = Events(Vec::new());
    events.push(&json!({ "type": "message_start", "message": message }));
    let (blocks, reason) = blocks(answer, number);
    for (index, block) in blocks.into_iter().enumerate() {
        let (deltas, every) = deltas(answer, &block);
        let silent = deltas.iter().all(|delta| delta["text"] == "");
        if ending == Ending::Complete || !silent {
            events.push_block(index, block, deltas, every);
        }
    }
    match ending {
        Ending::Complete => {
            let delta = json!({ "stop_reason": reason, "stop_sequence": null });
            let usage = json!({ "output_tokens": 12 });
            events.push(&json!({ "type": "message_delta", "delta": delta, "usage": usage }));
            events.push(&json!({ "type": "message_stop" }));
        }
        Ending::Error => {
            let error = json!({ "type": "overloaded_error", "message": "Overloaded" });
            events.push(&json!({ "type": "error", "error": error }));
        }
        Ending::Cut => {}
    }
    Reply {
        status: 200,
        headers: vec![
            ("content-type".into(), "text/event-stream; charset=utf-8".into()),
            ("cache-control".into(), "no-cache".into()),
            ("request-id".into(), format!("req_fake{number:08}")),
        ],
        body: Body::Events { events: events.0, complete: ending != Ending::Cut },
    }
}

/// The pieces a block comes in, and the pause before each.
fn deltas(answer: &Answer, block: &Value) -> (Vec<Value>, Duration) {
    let text = |text: &str| json!({ "type": "text_delta", "text": text });
    match answer {
        Answer::Text(all) => (vec![text(all)], Duration::ZERO),
        Answer::Slow { text: all, every } => (all.split_inclusive(' ').map(text).collect(), *every),
        Answer::Tool { .. } | Answer::Tools { .. } => {
            let input = block["input"].to_string();
            (vec![json!({ "type": "input_json_delta", "partial_json": input })], Duration::ZERO)
        }
    }
}

/// Events in the making.
struct Events(Vec<(Duration, String)>);

impl Events {
    fn push_block(&mut self, index: usize, mut block: Value, deltas: Vec<Value>, every: Duration) {
        match block["type"].as_str() {
            Some("tool_use") => block["input"] = json!({}),
            _ => block["text"] = json!(""),
        }
        let start = "content_block_start";
        self.push(&json!({ "type": start, "index": index, "content_block": block }));
        for delta in deltas {
            let event = json!({ "type": "content_block_delta", "index": index, "delta": delta });
            self.push_after(every, &event);
        }
        self.push(&json!({ "type": "content_block_stop", "index": index }));
    }

    fn push(&mut self, event: &Value) {
        self.push_after(Duration::ZERO, event);
    }

    fn push_after(&mut self, before: Duration, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        self.0.push((before, format!("event: {kind}\ndata: {event}\n\n")));
    }
}
