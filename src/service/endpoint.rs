//! Which hosts this run talks to. In: a look-up of environment variables. Out: the endpoints
//! a probe may ask. Pure; knows no status, sends nothing.

pub use crate::claude::environment::Lookup;

use crate::claude::environment::is_on;

/// What a host is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sign-in and refresh of tokens.
    Oauth,
    /// Answers.
    Api,
}

impl Role {
    /// The name people read.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oauth => "sign-in service",
            Self::Api => "API",
        }
    }
}

/// How an endpoint is asked without doing anything there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// `POST` with an empty body: the service refuses it (400, 401), and so shows that it works.
    EmptyPost,
    /// `GET`.
    Get,
}

/// One host, and the request that shows whether it answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What it does for us.
    pub role: Role,
    /// How it is asked.
    pub ask: Ask,
    /// The whole address.
    pub url: String,
}

impl Endpoint {
    /// The host, and its port unless that is the usual one: two services on one machine are two.
    #[must_use]
    pub fn host(&self) -> &str {
        authority_of(&self.url)
    }
}

/// The host and the port in an address, without credentials, path or a usual port.
#[must_use]
pub fn authority_of(url: &str) -> &str {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let usual = if scheme.eq_ignore_ascii_case("http") { ":80" } else { ":443" };
    authority.strip_suffix(usual).unwrap_or(authority)
}

/// The host in an address, without credentials, port or path.
#[must_use]
pub fn host_of(url: &str) -> &str {
    let host = authority_of(url);
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((v6, _)) => v6,
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Who serves the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// api.anthropic.com, the default.
    Anthropic,
    /// Whatever `ANTHROPIC_BASE_URL` names.
    Gateway,
    /// Amazon Bedrock, its Mantle or the Claude platform on AWS.
    Bedrock,
    /// Google Vertex AI.
    Vertex,
    /// Microsoft Foundry.
    Foundry,
}

/// The hosts in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Who serves the answers.
    pub provider: Provider,
    /// The sign-in service; only Anthropic's own has one.
    pub oauth: Option<Endpoint>,
    /// The API; `None` when the provider's host cannot be known (a gateway set by a policy).
    pub api: Option<Endpoint>,
}

impl Endpoints {
    /// All of them, sign-in first.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.oauth.iter().chain(&self.api)
    }

    /// Whether status.claude.com says anything about them.
    #[must_use]
    pub fn has_status_page(&self) -> bool {
        self.provider == Provider::Anthropic
    }

    /// The name under which runs share what they know of this service.
    #[must_use]
    pub fn key(&self) -> &str {
        self.api.as_ref().map_or("unknown", Endpoint::host)
    }
}

const API_HOST: &str = "api.anthropic.com";
const OAUTH_URL: &str = "https://platform.claude.com/v1/oauth/token";

/// Reads from the environment which hosts are in use.
#[must_use]
pub fn in_use(env: &impl Lookup) -> Endpoints {
    let api = |ask, url: String| Some(Endpoint { role: Role::Api, ask, url });
    let other = |provider, base: Option<String>| Endpoints {
        provider,
        oauth: None,
        api: base.and_then(|base| api(Ask::Get, format!("{}/", base.trim_end_matches('/')))),
    };
    let on = |name: &str| env.var(name).is_some_and(|value| is_on(&value));
    // Claude's own order: the cloud providers win over a base URL.
    if on("CLAUDE_CODE_USE_BEDROCK") {
        return other(Provider::Bedrock, Some(bedrock(env)));
    }
    if on("CLAUDE_CODE_USE_ANTHROPIC_AWS") {
        return other(Provider::Bedrock, env.var("ANTHROPIC_AWS_BASE_URL"));
    }
    if on("CLAUDE_CODE_USE_MANTLE") {
        return other(Provider::Bedrock, env.var("ANTHROPIC_BEDROCK_MANTLE_BASE_URL"));
    }
    if on("CLAUDE_CODE_USE_VERTEX") {
        return other(Provider::Vertex, Some(vertex(env)));
    }
    if on("CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD") {
        return other(Provider::Vertex, env.var("ANTHROPIC_GOOGLE_CLOUD_BASE_URL"));
    }
    if on("CLAUDE_CODE_USE_FOUNDRY") {
        let base = env.var("ANTHROPIC_FOUNDRY_BASE_URL").or_else(|| {
            let resource = env.var("ANTHROPIC_FOUNDRY_RESOURCE")?;
            Some(format!("https://{resource}.services.ai.azure.com"))
        });
        return other(Provider::Foundry, base);
    }
    let base = env.var("ANTHROPIC_BASE_URL");
    if on("CLAUDE_CODE_USE_GATEWAY") && base.is_none() {
        return other(Provider::Gateway, None);
    }
    if let Some(base) = base.filter(|base| host_of(base) != API_HOST) {
        let url = format!("{}/v1/messages", base.trim_end_matches('/'));
        let api = api(Ask::EmptyPost, url);
        return Endpoints { provider: Provider::Gateway, oauth: None, api };
    }
    let oauth = Endpoint { role: Role::Oauth, ask: Ask::EmptyPost, url: OAUTH_URL.to_owned() };
    Endpoints {
        provider: Provider::Anthropic,
        oauth: Some(oauth),
        api: api(Ask::EmptyPost, format!("https://{API_HOST}/v1/messages")),
    }
}

fn bedrock(env: &impl Lookup) -> String {
    env.var("ANTHROPIC_BEDROCK_BASE_URL").unwrap_or_else(|| {
        let region = env.var("AWS_REGION").or_else(|| env.var("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        format!("https://bedrock-runtime.{region}.amazonaws.com")
    })
}

fn vertex(env: &impl Lookup) -> String {
    env.var("ANTHROPIC_VERTEX_BASE_URL").unwrap_or_else(|| {
        match env.var("CLOUD_ML_REGION").as_deref() {
            Some("global") => "https://aiplatform.googleapis.com".to_owned(),
            Some(region) => format!("https://{region}-aiplatform.googleapis.com"),
            None => "https://us-east5-aiplatform.googleapis.com".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(variables: &[(&str, &str)]) -> (Provider, Vec<String>) {
        let env = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let endpoints = in_use(&env);
        (endpoints.provider, endpoints.iter().map(|endpoint| endpoint.host().to_owned()).collect())
    }

    #[test]
    fn only_the_hosts_in_use_are_named_and_only_anthropic_has_a_sign_in_service() {
        let anthropic = (Provider::Anthropic, vec!["platform.claude.com", "api.anthropic.com"]);
        let gateway = |host| (Provider::Gateway, vec![host]);
        for (variables, (provider, expected)) in [
            (&[][..], anthropic.clone()),
            (&[("ANTHROPIC_BASE_URL", "")], anthropic.clone()),
            (&[("ANTHROPIC_BASE_URL", "https://api.anthropic.com")], anthropic.clone()),
            (&[("CLAUDE_CODE_USE_BEDROCK", "0")], anthropic),
            (&[("ANTHROPIC_BASE_URL", "http://gw.corp:8080/llm/")], gateway("gw.corp:8080")),
            (&[("ANTHROPIC_BASE_URL", "https://gw.corp:443/")], gateway("gw.corp")),
            (&[("ANTHROPIC_BASE_URL", "http://127.0.0.1:443")], gateway("127.0.0.1:443")),
            (&[("ANTHROPIC_BASE_URL", "https://user:pw@gw.corp/x")], gateway("gw.corp")),
            (&[("ANTHROPIC_BASE_URL", "http://[::1]:9/")], gateway("[::1]:9")),
            (&[("CLAUDE_CODE_USE_GATEWAY", "1")], (Provider::Gateway, vec![])),
            (
                &[("CLAUDE_CODE_USE_BEDROCK", "1"), ("AWS_REGION", "eu-west-1")],
                (Provider::Bedrock, vec!["bedrock-runtime.eu-west-1.amazonaws.com"]),
            ),
            (
                &[("CLAUDE_CODE_USE_BEDROCK", "1"), ("ANTHROPIC_BASE_URL", "https://gw.corp")],
                (Provider::Bedrock, vec!["bedrock-runtime.us-east-1.amazonaws.com"]),
            ),
            (
                &[("CLAUDE_CODE_USE_VERTEX", "true"), ("CLOUD_ML_REGION", "global")],
                (Provider::Vertex, vec!["aiplatform.googleapis.com"]),
            ),
            (
                &[("CLAUDE_CODE_USE_FOUNDRY", "1"), ("ANTHROPIC_FOUNDRY_RESOURCE", "acme")],
                (Provider::Foundry, vec!["acme.services.ai.azure.com"]),
            ),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(hosts(variables), (provider, expected), "{variables:?}");
        }
    }
}
