//! What the public status page says (`summary.json` of a Statuspage). In: its text. Out: the
//! state of the components that matter and the incidents open now. Pure.
//! It explains and lengthens; it never vetoes a try and never proves health, since trouble
//! begins up to 45 minutes before the first post and "all operational" was shown during 503s.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the page is; the host is not the service's own infrastructure.
pub const SUMMARY_URL: &str = "https://status.claude.com/api/v2/summary.json";

/// A summary is never larger (bytes).
pub const CAP_BYTES: u64 = 256 << 10;

/// A component of the page that we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Claude Code.
    ClaudeCode,
    /// The API.
    Api,
    /// claude.ai, where the authorisation page of a login lives.
    ClaudeAi,
    /// The console, where the token endpoint lives.
    Console,
}

impl Part {
    /// Ids are stable, names are not: the id first, then how the name begins.
    fn of(id: &str, name: &str) -> Option<Self> {
        match id {
            "yyzkbfz2thpt" => return Some(Self::ClaudeCode),
            "k8w3r06qmzrp" => return Some(Self::Api),
            "rwppv331jlwc" => return Some(Self::ClaudeAi),
            "0qbwn08sd68x" => return Some(Self::Console),
            _ => {}
        }
        let known = [
            ("Claude Code", Self::ClaudeCode),
            ("Claude API", Self::Api),
            ("claude.ai", Self::ClaudeAi),
            ("Claude Console", Self::Console),
            ("platform.claude.com", Self::Console),
        ];
        known.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, part)| *part)
    }

    /// Whether its trouble is ours: claude.ai only counts while someone signs in.
    fn counts(self, signing_in: bool) -> bool {
        match self {
            Self::ClaudeCode | Self::Api => true,
            Self::ClaudeAi | Self::Console => signing_in,
        }
    }
}

/// The state of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Fine, says the page.
    Operational,
    /// Slow or failing at times.
    DegradedPerformance,
    /// Down for some.
    PartialOutage,
    /// Down.
    MajorOutage,
    /// Down on purpose.
    UnderMaintenance,
    /// A word we do not know, which is never "fine".
    Unknown,
}

impl Level {
    fn of(word: &str) -> Self {
        match word {
            "operational" => Self::Operational,
            "degraded_performance" => Self::DegradedPerformance,
            "partial_outage" => Self::PartialOutage,
            "major_outage" | "full_outage" => Self::MajorOutage,
            "under_maintenance" => Self::UnderMaintenance,
            _ => Self::Unknown,
        }
    }

    /// The page says that it does not work.
    #[must_use]
    pub fn is_outage(self) -> bool {
        matches!(self, Self::PartialOutage | Self::MajorOutage | Self::UnderMaintenance)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Operational => "operational",
            Self::DegradedPerformance => "degraded performance",
            Self::PartialOutage => "partial outage",
            Self::MajorOutage => "major outage",
            Self::UnderMaintenance => "under maintenance",
            Self::Unknown => "in an unknown state",
        }
    }
}

/// How far an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Being looked into.
    Investigating,
    /// The cause is known.
    Identified,
    /// A fix is in place.
    Monitoring,
    /// Over.
    Resolved,
    /// A word we do not know.
    Unknown,
}

impl Phase {
    fn of(word: &str) -> Self {
        match word {
            "investigating" => Self::Investigating,
            "identified" => Self::Identified,
            "monitoring" => Self::Monitoring,
            "resolved" | "postmortem" => Self::Resolved,
            _ => Self::Unknown,
        }
    }
}

/// A component, as far as we know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Which.
    pub part: Part,
    /// Its name on the page.
    pub name: String,
    /// Its state.
    pub level: Level,
}

/// An incident that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its title.
    pub name: String,
    /// How far it is.
    pub phase: Phase,
    /// `none`, `minor`, `major`, `critical`, `maintenance`, or whatever the page says.
    pub impact: String,
    /// When it began.
    pub started: Option<Timestamp>,
    /// The components it names; empty when it names none.
    pub parts: Vec<Part>,
    /// The newest update.
    pub latest: Option<String>,
    /// Its address.
    pub link: Option<String>,
}

/// What the page says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The components we know.
    pub components: Vec<Component>,
    /// The incidents that are not resolved.
    pub incidents: Vec<Incident>,
}

impl Page {
    /// Reads `summary.json`. What is missing or malformed costs only itself; `None` when the
    /// text is not such a document at all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let summary = value.as_object()?;
        if !summary.contains_key("components") && !summary.contains_key("incidents") {
            return None;
        }
        Some(Self {
            components: items(&value["components"]).filter_map(component).collect(),
            incidents: items(&value["incidents"])
                .filter_map(incident)
                .filter(|incident| incident.phase != Phase::Resolved)
                .collect(),
        })
    }

    /// Whether the page says that what we use is down: a component, never a mere incident.
    /// With `signing_in`, claude.ai and the console count too.
    #[must_use]
    pub fn says_down(&self, signing_in: bool) -> bool {
        self.components
            .iter()
            .any(|component| component.level.is_outage() && component.part.counts(signing_in))
    }

    /// The open incidents of what we use; one that names no component counts.
    pub fn relevant(&self, signing_in: bool) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().filter(move |incident| {
            incident.parts.is_empty() || incident.parts.iter().any(|part| part.counts(signing_in))
        })
    }

    /// What the page says, one line each, for people. Empty when it says nothing.
    #[must_use]
    pub fn explain(&self, signing_in: bool, now: Timestamp) -> Vec<String> {
        let components = self
            .components
            .iter()
            .filter(|component| {
                component.level != Level::Operational && component.part.counts(signing_in)
            })
            .map(|component| {
                format!("status page: {} is {}", component.name, component.level.words())
            });
        let incidents = self.relevant(signing_in).map(|incident| {
            let since = incident.started.map(|started| age(now.duration_since(started)));
            let since = since.map(|since| format!(" for {since}")).unwrap_or_default();
            let phase = match incident.phase {
                Phase::Monitoring => " (fixed, being watched)",
                _ => "",
            };
            format!("incident{since}: {}{phase}", incident.name)
        });
        components.chain(incidents).collect()
    }
}

/// `1 h 20 min`, for people.
pub(crate) fn age(span: SignedDuration) -> String {
    let minutes = span.as_mins().max(0);
    match minutes {
        0..60 => format!("{minutes} min"),
        60..2880 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days", minutes / 1440),
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A line of the page as we may print it: no control characters, not endless.
fn clean(value: &Value) -> String {
    text(value).chars().filter(|c| !c.is_control()).take(200).collect()
}

fn component(value: &Value) -> Option<Component> {
    let part = Part::of(text(&value["id"]), text(&value["name"]))?;
    Some(Component { part, name: clean(&value["name"]), level: Level::of(text(&value["status"])) })
}

fn incident(value: &Value) -> Option<Incident> {
    let object = value.as_object()?;
    let time = |key: &str| text(object.get(key)?).parse().ok();
    let updates = || items(&value["incident_updates"]);
    let mut parts: Vec<Part> = items(&value["components"])
        .map(|component| (text(&component["id"]), text(&component["name"])))
        .chain(
            updates()
                .flat_map(|update| items(&update["affected_components"]))
                .map(|affected| (text(&affected["code"]), text(&affected["name"]))),
        )
        .filter_map(|(id, name)| Part::of(id, name))
        .collect();
    parts.sort_by_key(|part| *part as u8);
    parts.dedup();
    // The newest comes first on the page, but only its time says so.
    let newest =
        updates().max_by_key(|update| text(&update["created_at"]).parse::<Timestamp>().ok());
    Some(Incident {
        name: clean(&value["name"]),
        phase: Phase::of(text(&value["status"])),
        impact: clean(&value["impact"]),
        started: time("started_at").or_else(|| time("created_at")),
        parts,
        latest: newest.map(|update| clean(&update["body"])).filter(|body| !body.is_empty()),
        link: Some(clean(&value["shortlink"])).filter(|link| link.starts_with("https://")),
    })
}

#[cfg(test)]
mod tests;
