//! Claude's own retries, as a session's transcript records them: one line for each request that
//! failed and is repeated. In: the end of a transcript. Out: what the last turn's took, and whether
//! Claude waits for the next one now.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::agents::last_lines;

/// The retries of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// The last one's HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// How many requests were repeated.
    pub count: u32,
    /// How long Claude waited before them, in all.
    pub waited: Duration,
    /// Since when it has been trying without an answer, if it is.
    pub trying_since: Option<Timestamp>,
}

/// Claude's own waits begin with this, and double.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// And end here.
const LONGEST_WAIT: Duration = Duration::from_secs(32);

/// The wait that the service asked for, which Claude does not tell but keeps (measured: with a
/// `Retry-After` of up to 60 s it waits so long and a little more): any that is far longer than
/// its own would be. In: its words for the number of the try and the wait (milliseconds).
#[must_use]
pub fn asked_wait(attempt: &Value, wait_ms: &Value) -> Option<Duration> {
    let wait = Duration::from_millis(wait_ms.as_u64()?);
    let doublings = u32::try_from(attempt.as_u64()?.saturating_sub(1)).ok()?;
    let own = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_WAIT);
    // It lengthens its own by up to a quarter.
    (wait > own.mul_f64(1.5)).then_some(wait)
}

/// The last turn's, as far as they were written since then; `None` if there were none.
#[must_use]
pub fn of_turn(transcript: &Path, since: Option<Timestamp>) -> Option<Retries> {
    let lines = last_lines(transcript).ok()?;
    of_lines(&lines, since)
}

fn of_lines(lines: &[Value], since: Option<Timestamp>) -> Option<Retries> {
    let mut found: Option<Retries> = None;
    let mut answered = false;
    for line in lines.iter().rev().filter(|line| line["isSidechain"] != true) {
        let at: Option<Timestamp> = line["timestamp"].as_str().and_then(|text| text.parse().ok());
        if since.is_some_and(|since| at.is_some_and(|at| at < since)) {
            break;
        }
        match (line["type"].as_str(), line["subtype"].as_str()) {
            (Some("system"), Some("api_error")) => {
                let status = line["error"]["status"].as_u64();
                let retries = found.get_or_insert_with(|| Retries {
                    status: status.and_then(|code| u16::try_from(code).ok()),
                    count: 0,
                    waited: Duration::ZERO,
                    trying_since: None,
                });
                retries.count += 1;
                let wait_ms = line["retryInMs"].as_u64().unwrap_or_default();
                retries.waited += Duration::from_millis(wait_ms);
                if !answered {
                    retries.trying_since = at.or(retries.trying_since);
                }
            }
            (Some("user"), _) if is_prompt(line) => break,
            (Some("assistant" | "user"), _) => answered = true,
            _ => {}
        }
    }
    found
}

fn is_prompt(line: &Value) -> bool {
    let blocks = line["message"]["content"].as_array();
    let result = blocks.is_some_and(|all| all.iter().any(|block| block["type"] == "tool_result"));
    !result && line["isMeta"] != true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn retry(at: &str, wait_ms: u64) -> Value {
        json!({ "type": "system", "subtype": "api_error", "retryInMs": wait_ms,
            "timestamp": at, "error": { "status": 529 } })
    }

    #[test]
    fn a_wait_far_longer_than_claudes_own_is_the_services() {
        let asked = |attempt, wait_ms| asked_wait(&json!(attempt), &json!(wait_ms));
        for own in [(1, 559), (2, 1_250), (5, 9_900), (8, 40_000), (300, 40_000)] {
            assert_eq!(asked(own.0, own.1), None, "{own:?}");
        }
        assert_eq!(asked(1, 8_275), Some(Duration::from_millis(8_275)));
        assert_eq!(asked(5, 33_000), Some(Duration::from_secs(33)));
        assert_eq!(asked_wait(&Value::Null, &json!(9_000)), None);
    }

    #[test]
    fn a_turns_retries_are_added_up_and_one_without_an_answer_is_under_way() {
        let prompt = json!({ "type": "user", "message": { "content": "do it" } });
        let said = json!({ "type": "assistant", "message": { "content": [] } });
        let early = retry("2026-11-24T01:00:00Z", 1_000);
        let (first, second) =
            (retry("2026-11-24T01:01:00Z", 4_000), retry("2026-11-24T01:01:05Z", 8_000));
        let lines = [early, prompt, first.clone(), said, second.clone(), first.clone()];
        let found = of_lines(&lines, None).expect("it retried");
        let since: Timestamp = "2026-11-24T01:01:05Z".parse().expect("a time");
        assert_eq!(
            (found.count, found.waited, found.status),
            (3, Duration::from_secs(16), Some(529))
        );
        assert_eq!(found.trying_since, Some(since));
        assert_eq!(of_lines(&lines[..4], None).expect("it retried").trying_since, None);
        assert_eq!(of_lines(&lines[1..2], None), None);
        let later = Some("2026-11-24T02:00:00Z".parse().expect("a time"));
        assert_eq!(of_lines(&lines, later), None);
    }
}
