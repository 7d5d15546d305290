//! A run in which nothing fails is plain claude's, byte for byte.

use claude_safe_testkit::{SignIn, Terminal};
use serde_json::Value;

use super::{ANSWER, SOON, Stage, lines};

/// What differs from one healthy run of plain claude to the next.
fn differs(key: &str) -> bool {
    ["session_id", "uuid", "id", "timestamp", "request_id", "messaging_socket_path"].contains(&key)
        || key.ends_with("_ms")
        || key.ends_with("Ms")
}

/// A document without what always differs.
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

/// Where two documents differ, as paths with both values.
fn differences(path: &str, one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            let each = |key: &String| differences(&format!("{path}.{key}"), &a[key], &b[key]);
            a.keys().flat_map(each).collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.flat_map(|(at, (a, b))| differences(&format!("{path}[{at}]"), a, b)).collect()
        }
        _ if one == other => Vec::new(),
        _ => vec![format!("{path}: {one} / {other}")],
    }
}

fn assert_same_documents(one: &str, other: &str) {
    let documents = |text: &str| Value::Array(lines(text).into_iter().map(settled).collect());
    let found = differences("", &documents(one), &documents(other));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn text_is_plain_claudes_byte_for_byte_and_stderr_is_empty() {
    let stage = Stage::new(SignIn::Valid);
    let plain = stage.ends(stage.plain(&["-p", "hi"]));
    let safe = stage.asks(&[]);
    safe.is_the_answer();
    assert_eq!((safe.stdout, safe.stderr), (plain.stdout, plain.stderr));
    assert_eq!(safe.code, plain.code);
    assert_eq!(stage.service.turns().len(), 2);
    // A healthy run asks nothing of the service beyond what claude asks.
    let probes = stage.service.requests_of(claude_safe_testkit::RequestKind::Probe);
    assert!(probes.is_empty(), "{}", stage.service.summary());
}

#[test]
fn json_is_plain_claudes_but_for_ids_and_times() {
    let stage = Stage::new(SignIn::Valid);
    let args = ["-p", "--output-format", "json", "hi"];
    let plain = stage.ends(stage.plain(&args));
    let safe = stage.ends(stage.safe(&args));
    assert_same_documents(&safe.stdout, &plain.stdout);
    assert_eq!((safe.stderr, safe.code), (plain.stderr, plain.code));
}

#[test]
fn json_lines_are_plain_claudes_but_for_ids_and_times() {
    let stage = Stage::new(SignIn::Valid);
    let args = ["-p", "--output-format", "stream-json", "--verbose", "hi"];
    let plain = stage.ends(stage.plain(&args));
    let safe = stage.ends(stage.safe(&args));
    assert_same_documents(&safe.stdout, &plain.stdout);
    assert_eq!((safe.stderr, safe.code), (plain.stderr, plain.code));
}

#[test]
fn on_a_terminal_print_mode_writes_what_plain_claude_writes() {
    let stage = Stage::new(SignIn::Valid);
    let on_a_terminal = |command| {
        let mut terminal = Terminal::spawn(command);
        let status = terminal.wait_exit(SOON);
        (String::from_utf8_lossy(&terminal.output()).into_owned(), status.code())
    };
    let plain = on_a_terminal(stage.plain(&["-p", "hi"]));
    let safe = on_a_terminal(stage.safe(&["-p", "hi"]));
    assert!(plain.0.contains(ANSWER), "{plain:?}");
    assert_eq!(safe, plain);
}

#[test]
fn without_print_mode_a_piped_stdout_is_headless_too() {
    let stage = Stage::new(SignIn::Valid);
    stage.ends(stage.safe(&["hi"])).is_the_answer();
}

#[test]
fn management_commands_are_plain_claude() {
    let stage = Stage::new(SignIn::Valid);
    for args in [&["mcp", "list"][..], &["-p", "--version"], &["auth", "status"]] {
        let plain = stage.ends(stage.plain(args));
        let safe = stage.ends(stage.safe(args));
        assert_eq!((safe.stdout, safe.stderr), (plain.stdout, plain.stderr), "{args:?}");
        assert_eq!(safe.code, plain.code, "{args:?}");
    }
    assert!(!stage.sandbox.state_dir().join("runs").exists(), "no run was prepared");
}
