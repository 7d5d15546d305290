//! The parsing rules, each on payloads that were captured from the real page.

use serde_json::{Value, json};

use super::*;

/// 2026-09-04, trimmed.
const FINE: &str = include_str!("captures/fine.json");
/// 2026-08-05, trimmed: two incidents, no components.
const INCIDENTS: &str = include_str!("captures/incidents.json");
/// 2026-08-09: `status.json`, which is not a summary.
const STATUS_ONLY: &str = include_str!("captures/status.json");
/// 2026-09-03, rebuilt from the trimmed capture of a real outage.
const OUTAGE: &str = include_str!("captures/outage.json");

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn fine_with(change: impl FnOnce(&mut Value)) -> Page {
    let mut value = serde_json::from_str(FINE).expect("the capture is JSON");
    change(&mut value);
    Page::parse(&value.to_string()).expect("a summary")
}

fn level(page: &Page, part: Part) -> Option<Level> {
    page.components.iter().find(|component| component.part == part).map(|found| found.level)
}

#[test]
fn a_page_where_all_is_fine_says_nothing() {
    let page = Page::parse(FINE).expect("a summary");
    assert_eq!(page.components.len(), 4);
    assert!(!page.says_down(true));
    assert_eq!(page.explain(true, at("2026-09-04T12:10:00Z")), Vec::<String>::new());
}

#[test]
fn components_are_known_by_id_and_else_by_how_their_name_begins() {
    let page = fine_with(|page| {
        page["components"][2]["name"] = json!("Renamed");
        page["components"][2]["status"] = json!("major_outage");
        page["components"][3]["id"] = json!("new-id");
        page["components"][3]["status"] = json!("partial_outage");
        page["components"][1]["id"] = json!("old-id");
        page["components"][1]["name"] =
            json!("platform.claude.com (formerly console.anthropic.com)");
    });
    assert_eq!(level(&page, Part::Api), Some(Level::MajorOutage));
    assert_eq!(level(&page, Part::ClaudeCode), Some(Level::PartialOutage));
    assert_eq!(level(&page, Part::Console), Some(Level::Operational));
}

#[test]
fn claude_ai_counts_only_while_someone_signs_in() {
    let page = fine_with(|page| page["components"][0]["status"] = json!("major_outage"));
    assert!(!page.says_down(false));
    assert!(page.says_down(true));
    let now = at("2026-09-04T12:10:00Z");
    assert!(page.explain(false, now).is_empty());
    assert_eq!(page.explain(true, now), ["status page: claude.ai is major outage"]);
}

#[test]
fn components_that_are_not_ours_are_passed_over() {
    let page = fine_with(|page| page["components"][4]["status"] = json!("major_outage"));
    assert!(!page.says_down(true));
}

#[test]
fn an_unknown_word_is_unknown_and_never_fine() {
    let page = fine_with(|page| page["components"][3]["status"] = json!("wobbly"));
    assert_eq!(level(&page, Part::ClaudeCode), Some(Level::Unknown));
    assert!(!page.says_down(false));
    assert_eq!(
        page.explain(false, at("2026-09-04T12:10:00Z")),
        ["status page: Claude Code is in an unknown state"]
    );
    for (word, level_read) in [
        ("full_outage", Level::MajorOutage),
        ("under_maintenance", Level::UnderMaintenance),
        ("degraded_performance", Level::DegradedPerformance),
    ] {
        let page = fine_with(|page| page["components"][3]["status"] = json!(word));
        assert_eq!(level(&page, Part::ClaudeCode), Some(level_read));
    }
}

#[test]
fn missing_fields_and_one_bad_component_cost_only_themselves() {
    let page = fine_with(|page| {
        let page = page.as_object_mut().expect("an object");
        page.remove("incidents");
        page.remove("scheduled_maintenances");
        page.remove("page");
        page.remove("status");
        page["components"][0] = json!(17);
        page["components"][2] = json!({"id": "k8w3r06qmzrp", "status": ["?"]});
        page["components"][3].as_object_mut().expect("an object").remove("group");
    });
    assert_eq!(level(&page, Part::ClaudeAi), None);
    assert_eq!(level(&page, Part::Api), Some(Level::Unknown));
    assert_eq!(level(&page, Part::ClaudeCode), Some(Level::Operational));
    let page = fine_with(|page| page["incidents"] = json!([7, {"name": "x"}, null]));
    assert_eq!(page.incidents.len(), 1);
    assert_eq!(page.incidents[0].phase, Phase::Unknown);
}

#[test]
fn open_incidents_are_read_with_fractional_times_and_their_newest_update() {
    let page = Page::parse(INCIDENTS).expect("a summary");
    let [opus, several] = &page.incidents[..] else { panic!("{page:?}") };
    assert_eq!(opus.parts, [Part::ClaudeCode]);
    assert_eq!(opus.started, Some(at("2026-08-05T13:51:30.277Z")));
    assert_eq!(opus.link.as_deref(), Some("https://stspg.io/m7w8kkf4tlqg"));
    assert_eq!(several.phase, Phase::Monitoring);
    assert_eq!(several.latest.as_deref(), Some("A fix has been deployed."));
    let now = at("2026-08-05T14:20:00Z");
    assert_eq!(
        page.explain(false, now),
        [
            "incident for 28 min: Degraded performance for Claude Opus 5",
            "incident for 7 h 14 min: Degraded performance of multiple models \
             (fixed, being watched)",
        ]
    );
}

#[test]
fn a_resolved_incident_is_not_open() {
    for word in ["resolved", "postmortem"] {
        let mut value: Value = serde_json::from_str(INCIDENTS).expect("JSON");
        value["incidents"][0]["status"] = json!(word);
        let page = Page::parse(&value.to_string()).expect("a summary");
        assert_eq!(page.incidents.len(), 1);
    }
}

#[test]
fn a_real_outage_is_read_as_one() {
    let page = Page::parse(OUTAGE).expect("a summary");
    assert!(page.says_down(false));
    assert_eq!(level(&page, Part::Console), Some(Level::Operational));
    assert_eq!(
        page.explain(false, at("2026-09-03T13:36:30Z")),
        [
            "status page: Claude API (api.anthropic.com) is partial outage",
            "status page: Claude Code is partial outage",
            "incident for 10 min: Elevated errors for multiple models",
        ]
    );
}

#[test]
fn what_is_not_a_summary_is_nothing() {
    for text in ["", "[]", "null", "<html>", "{", "{}", STATUS_ONLY] {
        assert_eq!(Page::parse(text), None, "{text}");
    }
}

#[test]
fn what_the_page_says_cannot_steer_a_terminal() {
    let mut value: Value = serde_json::from_str(INCIDENTS).expect("JSON");
    value["incidents"][0]["name"] = json!("\u{1b}]0;x\u{7}evil");
    value["incidents"][0]["shortlink"] = json!("javascript:x");
    let page = Page::parse(&value.to_string()).expect("a summary");
    assert_eq!(page.incidents[0].name, "]0;xevil");
    assert_eq!(page.incidents[0].link, None);
}

mod anything {
    use proptest::prelude::*;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-z_]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map(
                    "(id|name|status|incidents|started_at)",
                    inner,
                    0..4
                )
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic_or_turns_into_an_outage(
            components in any_json(), incidents in any_json(), cut in 0usize..2000
        ) {
            let text = json!({"components": components, "incidents": incidents}).to_string();
            let page = Page::parse(&text).expect("a summary");
            prop_assert!(!page.says_down(true));
            let _lines = page.explain(true, Timestamp::UNIX_EPOCH);
            let torn: String = OUTAGE.chars().take(cut.min(OUTAGE.len() - 3)).collect();
            prop_assert_eq!(Page::parse(&torn), None);
        }
    }
}
