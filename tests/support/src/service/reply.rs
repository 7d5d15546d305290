//! Which endpoint a request is for, what it meets there, and what the endpoint replies.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::api::{self, Ending};
use super::http::Reply;
use super::log::{Request, RequestKind};
use super::script::{Answer, Behaviour};
use super::{Endpoint, Service, lock, oauth};

impl Service {
    /// What this request meets.
    pub(super) fn behaviour_for(&self, endpoint: Endpoint, request: &Request) -> Behaviour {
        if request.kind == RequestKind::Probe && self.edge_stays_up.load(Ordering::SeqCst) {
            return Behaviour::Ok;
        }
        let stranger = endpoint == Endpoint::Api && request.kind == RequestKind::Probe;
        let counts = !matches!(request.kind, RequestKind::Auxiliary | RequestKind::Probe);
        let strangers = lock(&self.strangers).clone().filter(|_| stranger);
        strangers.unwrap_or_else(|| self.behaviour(endpoint, counts))
    }

    pub(super) fn behaviour(&self, endpoint: Endpoint, counts: bool) -> Behaviour {
        let mut scripts = lock(&self.scripts);
        scripts.get_mut(&endpoint).map_or(Behaviour::Ok, |running| running.next(counts))
    }

    /// What the endpoint replies when it works.
    pub(super) fn reply(
        &self,
        endpoint: Endpoint,
        request: &Request,
        answer: Option<&Answer>,
        ending: Ending,
    ) -> Reply {
        match endpoint {
            Endpoint::Api | Endpoint::OAuth if request.method != "POST" => not_allowed(),
            Endpoint::Api => self
                .refused(request)
                .unwrap_or_else(|| api::reply(request, &self.due(request, answer), ending)),
            Endpoint::OAuth => lock(&self.tokens).exchange(&request.body),
            Endpoint::Hello => Reply::json(200, &json!({ "message": "hello" })),
            Endpoint::Profile => self.refused(request).unwrap_or_else(|| {
                let roles = request.path.ends_with("roles");
                Reply::json(200, &if roles { oauth::roles() } else { oauth::profile() })
            }),
            Endpoint::Status => Reply::json(200, &self.status_page()),
            Endpoint::Proxy | Endpoint::Other => {
                Reply::json(404, &error_body("not_found_error", "Not found"))
            }
        }
    }

    /// The model's answer that is due for this request.
    pub(super) fn due(&self, request: &Request, answer: Option<&Answer>) -> Answer {
        if request.kind == RequestKind::Auxiliary {
            return Answer::text(r#"{"title": "Fake conversation", "isNewTopic": false}"#);
        }
        let rule = Arc::clone(&lock(&self.answers));
        let whole = answer.cloned().unwrap_or_else(|| rule(request));
        whole.after(request.tool_results).clone()
    }

    /// The 401 for a request whose credentials are not good, if they are not.
    pub(super) fn refused(&self, request: &Request) -> Option<Reply> {
        if let Some(token) = request.header("authorization").and_then(|v| v.strip_prefix("Bearer "))
        {
            return (!lock(&self.tokens).accepts(token)).then(|| {
                Reply::json(
                    401,
                    &error_body(
                        "authentication_error",
                        "OAuth token has expired. Please obtain a new token or refresh your \
                         existing token.",
                    ),
                )
            });
        }
        let message = match request.header("x-api-key") {
            None => "x-api-key header is required",
            Some(key) if key.contains("wrong") => "invalid x-api-key",
            Some(_) => return None,
        };
        Some(Reply::json(401, &error_body("authentication_error", message)))
    }

    pub(super) fn status_page(&self) -> Value {
        let indicator = lock(&self.indicator).clone();
        let (description, component) = match indicator.as_str() {
            "none" => ("All Systems Operational", "operational"),
            "minor" => ("Partially Degraded Service", "degraded_performance"),
            "major" => ("Partial System Outage", "partial_outage"),
            _ => ("Major Service Outage", "major_outage"),
        };
        let component = |(id, name): (&str, &str)| json!({ "id": id, "name": name, "status": component, "group": false });
        let components = [
            ("rwppv331jlwc", "claude.ai"),
            ("k8w3r06qmzrp", "Claude API (api.anthropic.com)"),
            ("yyzkbfz2thpt", "Claude Code"),
        ];
        json!({
            "page": { "id": "tymt9n04zgry", "name": "Claude", "time_zone": "Etc/UTC" },
            "status": { "indicator": indicator, "description": description },
            "components": components.map(component),
            "incidents": [],
            "scheduled_maintenances": [],
        })
    }
}

/// Says what the request is for, in it and as the endpoint that answers.
pub(super) fn classify(request: &mut Request) -> Endpoint {
    let path = request.path.split('?').next().unwrap_or_default();
    let (kind, endpoint) = if request.host.starts_with("status.") {
        (RequestKind::Status, Endpoint::Status)
    } else if path == "/v1/messages" {
        (message_kind(request), Endpoint::Api)
    } else if path == "/v1/oauth/token" {
        let real = request.body.get("grant_type").is_some();
        (if real { RequestKind::Token } else { RequestKind::Probe }, Endpoint::OAuth)
    } else if path == "/api/hello" || path == "/v1/oauth/hello" {
        (RequestKind::Hello, Endpoint::Hello)
    } else if path == "/api/oauth/profile" || path == "/api/oauth/claude_cli/roles" {
        (RequestKind::Profile, Endpoint::Profile)
    } else {
        (RequestKind::Other, Endpoint::Other)
    };
    request.kind = kind;
    endpoint
}

fn message_kind(request: &Request) -> RequestKind {
    if request.header("authorization").is_none() && request.header("x-api-key").is_none() {
        return RequestKind::Probe;
    }
    let has_tools = request.body["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    // versions around 2.0.30 warm their sub-agents up with a request of this one word
    let warm_up = request.last_user.last().is_some_and(|text| text == "Warmup");
    if has_tools && !warm_up { RequestKind::Turn } else { RequestKind::Auxiliary }
}

fn error_body(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

fn not_allowed() -> Reply {
    Reply::json(405, &error_body("invalid_request_error", "Method Not Allowed"))
}
