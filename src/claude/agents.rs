//! Sub-agents that Claude gave up on in an outage: their tool call ends with an error, and what
//! they had learned is lost to the turn, but their own conversation is on the disk, and Claude's
//! `SendMessage` goes on with it (measured: also in a process that resumed the session). In: a
//! session's transcript, of which only the end is read. Out: their ids.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde_json::Value;

/// How the result of such a tool call begins.
const CUT_OFF: &str = "Agent terminated early due to an API error";

/// No more of a transcript's end is read (bytes).
const READ_CAP_BYTES: u64 = 1 << 20;

/// No more than this many are named: it is a message for people too.
const MOST: usize = 6;

/// The sub-agents that the last turn lost, and that were not gone on with since. `ours` is how our
/// own messages begin: what failed before one that got no answer is lost still.
#[must_use]
pub fn cut_off(transcript: &Path, ours: &str) -> Vec<String> {
    let Ok(lines) = last_lines(transcript) else { return Vec::new() };
    let calls = lost_calls(&lines, ours);
    if calls.is_empty() {
        return Vec::new();
    }
    let dir = transcript.with_extension("").join("subagents");
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut ids: Vec<_> = files
        .filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let id = name.strip_prefix("agent-")?.strip_suffix(".meta.json")?;
            let about: Value = serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok()?;
            let lost = calls.iter().any(|call| about["toolUseId"] == *call);
            let agent = file.path().with_file_name(format!("agent-{id}.jsonl"));
            let is_plain = id.chars().all(|c| c.is_ascii_alphanumeric());
            (lost && is_plain && ends_in_failure(&agent)).then(|| id.to_owned())
        })
        .collect();
    ids.sort();
    ids.truncate(MOST);
    ids
}

/// What is added to our message about them.
#[must_use]
pub fn about(ids: &[String]) -> String {
    if ids.is_empty() {
        return String::new();
    }
    format!(
        " Sub-agents that it cut off keep what they did: go on with each by the SendMessage tool, \
         to: {}",
        ids.join(", ")
    )
}

/// The tool calls whose sub-agents were lost, latest first.
fn lost_calls(lines: &[Value], ours: &str) -> Vec<String> {
    let mut lost = Vec::new();
    let mut answered = false;
    for line in lines.iter().rev().filter(|line| line["isSidechain"] != true) {
        let content = &line["message"]["content"];
        match line["type"].as_str() {
            Some("assistant") => answered |= line["isApiErrorMessage"] != true,
            Some("user") if line["isMeta"] != true => {
                let blocks = content.as_array().into_iter().flatten();
                let mut results = blocks.filter(|block| block["type"] == "tool_result").peekable();
                if results.peek().is_none() {
                    let text = content.as_str().or_else(|| content[0]["text"].as_str());
                    if answered || !text.unwrap_or_default().starts_with(ours) {
                        break;
                    }
                }
                let failed = results.filter(|block| says_cut_off(&block["content"]));
                lost.extend(failed.filter_map(|block| Some(block["tool_use_id"].as_str()?.into())));
            }
            _ => {}
        }
    }
    lost
}

fn says_cut_off(content: &Value) -> bool {
    let text = content.as_str().or_else(|| content[0]["text"].as_str());
    text.is_some_and(|text| text.starts_with(CUT_OFF))
}

fn ends_in_failure(agent: &Path) -> bool {
    let last = last_lines(agent).unwrap_or_default().pop();
    last.is_some_and(|line| line["isApiErrorMessage"] == true)
}

/// The lines at the end of a file; one that is torn is passed over.
pub(super) fn last_lines(path: &Path) -> io::Result<Vec<Value>> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(READ_CAP_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(READ_CAP_BYTES).read_to_end(&mut bytes)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "Please carry on";

    fn user(text: &str) -> Value {
        json!({ "type": "user", "message": { "content": text } })
    }

    fn lost(call: &str) -> Value {
        let text = format!("{CUT_OFF}: API Error: 529 Overloaded.");
        json!({ "type": "user", "message": { "content": [
            { "type": "tool_result", "tool_use_id": call, "is_error": true, "content": text },
        ] } })
    }

    fn failed() -> Value {
        json!({ "type": "assistant", "isApiErrorMessage": true, "message": { "content": [] } })
    }

    fn said() -> Value {
        json!({ "type": "assistant", "message": { "content": [] } })
    }

    #[test]
    fn what_the_turn_lost_is_lost_until_one_of_our_messages_is_answered() {
        let carry_on = user(&format!("{OURS} from there."));
        for (lines, expected) in [
            (vec![user("do it"), said(), lost("a"), lost("b"), failed()], vec!["b", "a"]),
            (vec![user("do it"), lost("a"), failed(), carry_on.clone(), failed()], vec!["a"]),
            (
                vec![user("do it"), lost("a"), failed(), carry_on.clone(), said(), lost("c")],
                vec!["c"],
            ),
            (vec![user("do it"), lost("a"), failed(), user("something else"), failed()], vec![]),
            (vec![user("do it"), said(), failed()], vec![]),
        ] {
            assert_eq!(lost_calls(&lines, OURS), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_agents_whose_own_conversation_ended_in_the_failure_are_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let transcript = dir.path().join("s.jsonl");
        let agents = dir.path().join("s/subagents");
        std::fs::create_dir_all(&agents).expect("made");
        let write = |path: &Path, lines: &[Value]| {
            let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
            std::fs::write(path, lines.join("\n") + "\n").expect("written");
        };
        write(&transcript, &[user("do it"), lost("t1"), lost("t2"), lost("t3"), failed()]);
        for (id, call, last) in
            [("a1", "t1", failed()), ("a2", "t2", said()), ("a3", "other", failed())]
        {
            let about = json!({ "agentType": "general-purpose", "toolUseId": call });
            write(&agents.join(format!("agent-{id}.meta.json")), &[about]);
            write(&agents.join(format!("agent-{id}.jsonl")), &[said(), last]);
        }
        let ids = cut_off(&transcript, OURS);
        assert_eq!(ids, ["a1"]);
        assert!(about(&ids).ends_with("by the SendMessage tool, to: a1"));
        assert_eq!(about(&[]), "");
        assert!(cut_off(&dir.path().join("none.jsonl"), OURS).is_empty());
    }
}
