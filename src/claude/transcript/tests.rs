use super::*;
use serde_json::json;

fn tail_of(lines: &[Value]) -> Tail {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    let text = lines.join("\n") + "\n";
    std::fs::write(file.path(), text).expect("written");
    tail(file.path()).expect("readable")
}

fn prompt() -> Value {
    json!({"type": "user", "uuid": "u", "message": {"content": "do it"}})
}

fn assistant(block: &Value) -> Value {
    json!({"type": "assistant", "message": {"content": [block]}})
}

fn failure() -> Value {
    json!({"type": "assistant", "uuid": "e", "isApiErrorMessage": true, "error": "server_error",
        "apiErrorStatus": 500, "message": {"content": [{"type": "text", "text": "API Error: 500"}]}})
}

fn result(id: &str) -> Value {
    json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": id}]}})
}

#[test]
fn a_failed_turn_is_untouched_until_an_answer_or_a_tool_followed() {
    let tool = assistant(&json!({"type": "tool_use", "id": "t1"}));
    let text = assistant(&json!({"type": "text", "text": "so far"}));
    let states = [
        (vec![], TurnState::NotPrompted),
        (vec![prompt(), failure()], TurnState::Untouched),
        (vec![prompt(), text, failure()], TurnState::Partial),
        (vec![prompt(), tool.clone()], TurnState::ToolOpen),
        (vec![prompt(), tool.clone(), result("t1"), failure()], TurnState::Partial),
        (vec![prompt(), tool, result("other")], TurnState::ToolOpen),
    ];
    for (lines, state) in states {
        assert_eq!(tail_of(&lines).turn, state, "{lines:?}");
    }
}

#[test]
fn the_failure_is_the_last_line_of_the_main_conversation_only() {
    let found = tail_of(&[prompt(), failure(), json!({"type": "last-prompt"})]);
    let failed = found.failure.expect("it ended in a failure");
    assert_eq!((failed.status, failed.error.as_deref()), (Some(500), Some("server_error")));
    assert_eq!(found.last_uuid.as_deref(), Some("e"));
    assert_eq!(tail_of(&[prompt(), failure(), prompt()]).failure, None);
    let mut of_an_agent = failure();
    of_an_agent["isSidechain"] = json!(true);
    assert_eq!(tail_of(&[prompt(), of_an_agent]).failure, None);
}

#[test]
fn the_newest_transcript_is_never_a_sub_agents() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let project = dir.path().join("projects/-home-me");
    std::fs::create_dir_all(&project).expect("made");
    let id = "6ae3a401-398e-4d22-87db-b05516017d66.jsonl";
    for name in [id, "agent-f9dd02ab.jsonl", "notes.txt"] {
        std::fs::write(project.join(name), "{}").expect("written");
    }
    let cwd = Path::new("/home/me");
    let found = newest(dir.path(), cwd, SystemTime::UNIX_EPOCH);
    assert_eq!(found, Some(project.join(id)));
}

#[test]
fn a_request_that_claude_repeats_is_seen_until_something_follows() {
    let repeats = json!({"type": "system", "subtype": "api_error",
        "timestamp": "2026-11-25T00:34:10Z",
        "error": {"status": 429, "rateLimits": {"resetsAt": 1_795_710_848}}});
    let found = tail_of(&[prompt(), repeats.clone(), json!({"type": "last-prompt"})]);
    let retrying = found.retrying.expect("the last line of the conversation");
    assert_eq!(retrying.status, Some(429));
    assert!(retrying.at.is_some());
    assert_eq!(found.resets, Timestamp::from_second(1_795_710_848).ok());
    assert_eq!(found.turn, TurnState::Untouched);
    let text = assistant(&json!({"type": "text", "text": "there"}));
    assert_eq!(tail_of(&[prompt(), repeats.clone(), text]).retrying, None);
    assert_eq!(tail_of(&[prompt(), repeats, prompt()]).resets, None);
}

#[test]
fn the_permission_mode_is_the_one_named_last() {
    let mode = |mode: &str| json!({"type": "permission-mode", "permissionMode": mode});
    let mut asked = prompt();
    assert_eq!(tail_of(&[mode("plan"), asked.clone()]).permission_mode.as_deref(), Some("plan"));
    asked["permissionMode"] = json!("acceptEdits");
    let found = tail_of(&[mode("plan"), asked.clone(), failure()]);
    assert_eq!(found.permission_mode.as_deref(), Some("acceptEdits"));
    let found = tail_of(&[asked, mode("default"), failure()]);
    assert_eq!(found.permission_mode.as_deref(), Some("default"));
}

#[test]
fn a_turn_is_finished_by_its_own_end_only() {
    let mut end = assistant(&json!({"type": "text", "text": "done"}));
    assert!(!tail_of(&[prompt(), end.clone()]).finished, "killed while it wrote");
    end["message"]["stop_reason"] = json!("end_turn");
    assert!(tail_of(&[prompt(), end.clone()]).finished);
    assert!(!tail_of(&[prompt(), end.clone(), prompt()]).finished);
    assert!(!tail_of(&[prompt(), end, failure()]).finished);
}

#[test]
fn a_compaction_within_a_turn_does_not_begin_a_new_one() {
    let tool = assistant(&json!({"type": "tool_use", "id": "t1"}));
    let mut summary = prompt();
    summary["isCompactSummary"] = json!(true);
    let lines = [prompt(), tool, result("t1"), summary, failure()];
    assert_eq!(tail_of(&lines).turn, TurnState::Partial);
}

#[test]
fn a_long_turn_is_read_back_to_its_prompt() {
    let filler = assistant(&json!({"type": "text", "text": "x".repeat(300_000)}));
    assert_eq!(tail_of(&[prompt(), filler.clone(), filler, failure()]).turn, TurnState::Partial);
}

const ID: &str = "6ae3a401-398e-4d22-87db-b05516017d66";

/// A configuration directory with one transcript, to which lines are added.
struct Written {
    dir: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Written {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let project = dir.path().join("projects/-home-me");
        std::fs::create_dir_all(&project).expect("made");
        Self { path: project.join(format!("{ID}.jsonl")), dir }
    }

    fn add(&self, lines: &[Value]) {
        let mut text = std::fs::read_to_string(&self.path).unwrap_or_default();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        std::fs::write(&self.path, text).expect("written");
    }

    fn before(&self, session: Option<&str>) -> Before {
        Before::look(self.dir.path(), session)
    }
}

fn answer(id: &str) -> Value {
    json!({"type": "assistant", "uuid": id, "message": {"id": id, "content": []}})
}

#[test]
fn an_attempts_own_lines_are_those_added_since_whatever_the_clock_says() {
    let written = Written::new();
    let mut old = failure();
    old["uuid"] = json!("yesterday");
    let cost = |usd| json!({"type": "cost-state", "totalCostUSD": usd});
    written.add(&[prompt(), answer("a"), old, cost(0.5)]);
    let before = written.before(Some(ID));
    let own = before.own(&written.path).expect("nothing was added");
    assert_eq!((own.tail.turn, own.tail.failure), (TurnState::NotPrompted, None));
    // the clock was put back meanwhile
    let mut asked = prompt();
    asked["timestamp"] = json!("2001-01-01T00:00:00Z");
    written.add(&[asked, failure()]);
    let own = before.own(&written.path).expect("added");
    assert_eq!(own.tail.turn, TurnState::Untouched);
    assert_eq!(own.tail.failure.and_then(|failure| failure.status), Some(500));
    assert_eq!((own.follows.as_deref(), own.new), (Some("yesterday"), false));
    assert!((own.cost_before - 0.5).abs() < 1e-9);
    // a later prompt (a queued one, a task that ended) does not undo a tool
    written.add(&[answer("b"), answer("b"), answer("c"), prompt(), failure(), cost(0.75)]);
    let own = before.own(&written.path).expect("added");
    assert_eq!((own.tail.turn, own.tail.answers), (TurnState::Partial, 2));
    assert_eq!(own.tail.cost, Some(0.75));
}

#[test]
fn a_transcript_of_anyone_else_proves_nothing() {
    let written = Written::new();
    let unknown = written.before(None);
    let other = written.before(Some("7ae3a401-398e-4d22-87db-b05516017d66"));
    let ours = written.before(Some(ID));
    let mut asked = prompt();
    asked["timestamp"] = json!(Timestamp::now());
    written.add(&[asked, failure()]);
    let turn = |before: &Before| before.own(&written.path).map(|own| own.tail.turn);
    assert_eq!(turn(&ours), Some(TurnState::Untouched));
    assert_eq!(ours.own(&written.path).map(|own| own.new), Some(true));
    assert_eq!(turn(&other), None);
    assert_eq!(turn(&unknown), Some(TurnState::Untouched), "it was not there before");
    assert_eq!(
        unknown.only_grown(written.dir.path(), Path::new("/home/me")).as_deref(),
        Some(written.path.as_path())
    );
    // written anew and shorter, or elsewhere
    let later = written.before(Some(ID));
    std::fs::write(&written.path, "").expect("written");
    assert_eq!(turn(&later), None);
    assert_eq!(later.own(&written.path.with_file_name("notes.jsonl")), None);
    // a fork begins with an older conversation
    let mut old = prompt();
    old["timestamp"] = json!("2001-01-01T00:00:00Z");
    written.add(&[old, answer("a")]);
    let empty = Written::new();
    assert_eq!(empty.before(None).own(&written.path), None);
}

#[test]
fn what_a_command_or_a_skill_allowed_is_seen() {
    let mut command = prompt();
    command["message"]["content"] = json!("<command-name>/deploy</command-name>");
    let skill = assistant(&json!({"type": "tool_use", "id": "t", "name": "Skill"}));
    let rules = json!({"type": "attachment", "attachment": {"type": "command_permissions"}});
    for lines in [vec![command], vec![prompt(), skill], vec![prompt(), rules]] {
        assert!(tail_of(&lines).command, "{lines:?}");
    }
    assert!(!tail_of(&[prompt(), answer("a")]).command);
}
