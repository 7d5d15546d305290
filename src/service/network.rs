//! How this machine reaches the service: proxy and certificate authorities, read from the
//! same variables as Claude Code reads. In: a look-up of variables, certificate files. Out:
//! values for the HTTP client. Sends nothing; a proxy's password never enters `Debug` or text.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use rustls_native_certs::CertificateResult;
use ureq::tls::{Certificate, PemItem, parse_pem};

use super::endpoint::{Lookup, host_of};

/// Proxy and certificate settings.
#[derive(Clone, Default)]
pub struct Network {
    proxy: Option<String>,
    /// Claude cannot speak to a proxy of this kind.
    unsupported: Option<String>,
    no_proxy: Vec<Direct>,
    roots: Vec<Certificate<'static>>,
    /// What is wrong with the settings, one line each, for people.
    pub problems: Vec<String>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("proxy", &self.proxy_shown())
            .field("unsupported", &self.unsupported)
            .field("no_proxy", &self.no_proxy)
            .field("roots", &self.roots.len())
            .field("problems", &self.problems)
            .finish()
    }
}

/// The order in which Claude Code looks for a proxy; `ALL_PROXY` last, for the rest of the world.
const PROXY_VARIABLES: [&str; 6] =
    ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

impl Network {
    /// Reads the settings. A file that cannot be read is a problem to tell, never fatal.
    #[must_use]
    pub fn from_env(env: &impl Lookup) -> Self {
        let mut problems = Vec::new();
        let proxy = PROXY_VARIABLES.iter().find_map(|name| Some((*name, env.var(name)?)));
        let unsupported = proxy
            .as_ref()
            .filter(|(_, value)| is_socks(value))
            .map(|(name, _)| format!("{name} names a SOCKS proxy, which Claude Code cannot use"));
        problems.extend(unsupported.clone());
        if let Some((name, value)) = &proxy
            && unsupported.is_none()
            && ureq::Proxy::new(value).is_err()
        {
            problems.push(format!("{name} is not the address of a proxy this program can use"));
        }
        let no_proxy = env.var("no_proxy").or_else(|| env.var("NO_PROXY")).unwrap_or_default();
        let no_proxy = no_proxy.split(|c: char| c == ',' || c.is_whitespace());
        let no_proxy = no_proxy.filter(|entry| !entry.is_empty()).map(Direct::read).collect();
        let mut roots = system_roots(env, &mut problems);
        if let Some(file) = env.var("NODE_EXTRA_CA_CERTS") {
            match extra_roots(Path::new(&file)) {
                Ok(extra) => roots.extend(extra),
                Err(why) => problems.push(format!("NODE_EXTRA_CA_CERTS: {file}: {why}")),
            }
        }
        let proxy = proxy.map(|(_, value)| value);
        Self { proxy, unsupported, no_proxy, roots, problems }
    }

    /// The proxy for this address, if one is to be used.
    #[must_use]
    pub fn proxy_for(&self, url: &str) -> Option<ureq::Proxy> {
        let proxy = self.proxy.as_deref().filter(|_| !self.bypasses(url))?;
        ureq::Proxy::new(proxy).ok()
    }

    /// Why this address cannot be reached at all: what proxy stands before it.
    #[must_use]
    pub fn barred(&self, url: &str) -> Option<&str> {
        self.unsupported.as_deref().filter(|_| !self.bypasses(url))
    }

    /// The proxy's host and port, without its credentials; `None` without a proxy.
    #[must_use]
    pub fn proxy_shown(&self) -> Option<String> {
        let text = self.proxy.as_deref()?;
        Some(ureq::Proxy::new(text).map_or_else(
            |_| host_of(text).to_owned(),
            |proxy| format!("{}:{}", proxy.host(), proxy.port()),
        ))
    }

    /// The certificates that are trusted.
    #[must_use]
    pub fn roots(&self) -> &[Certificate<'static>] {
        &self.roots
    }

    fn bypasses(&self, url: &str) -> bool {
        let (host, port) = host_and_port(url);
        self.no_proxy.iter().any(|entry| entry.names(&host, port))
    }
}

/// An entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Direct {
    /// `*`
    All,
    /// A host, or with a leading dot all below a domain; only at this port, if one is named.
    Host(String, Option<u16>),
    /// Addresses that begin with these bits.
    Range(IpAddr, u32),
}

impl Direct {
    fn read(entry: &str) -> Self {
        let entry = entry.to_ascii_lowercase();
        let (address, bits) = entry.split_once('/').unwrap_or((&entry, ""));
        if let (Ok(address), Ok(bits)) = (address.parse(), bits.parse()) {
            return Self::Range(address, bits);
        }
        if entry == "*" {
            return Self::All;
        }
        let (host, port) = host_and_port(entry.strip_prefix("*.").unwrap_or(&entry));
        let below = if entry.starts_with("*.") { "." } else { "" };
        Self::Host(format!("{below}{host}"), port)
    }

    fn names(&self, host: &str, port: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Range(range, bits) => {
                host.parse().is_ok_and(|address| is_within(address, *range, *bits))
            }
            Self::Host(_, Some(only)) if port.is_some_and(|port| port != *only) => false,
            Self::Host(name, _) => match name.strip_prefix('.') {
                Some(domain) => host == domain || host.ends_with(name),
                None => host == name,
            },
        }
    }
}

fn is_within(address: IpAddr, range: IpAddr, bits: u32) -> bool {
    match (address, range) {
        (IpAddr::V4(address), IpAddr::V4(range)) => {
            (address.to_bits() ^ range.to_bits()).leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(address), IpAddr::V6(range)) => {
            (address.to_bits() ^ range.to_bits()).leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

/// The host of an address or a URL in small letters, an IPv6 one in its shortest form and without
/// brackets, and the port.
fn host_and_port(url: &str) -> (String, Option<u16>) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        // More than one colon is an address, unless brackets show where it ends.
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => {
            (host, port.parse().ok())
        }
        _ => (authority, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    };
    let of_scheme = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    };
    (host, port.or(of_scheme))
}

/// Claude Code says `UnsupportedProxyProtocol` to these (measured on 2.1.330).
fn is_socks(proxy: &str) -> bool {
    proxy.trim_start().to_ascii_lowercase().starts_with("socks")
}

fn system_roots(env: &impl Lookup, problems: &mut Vec<String>) -> Vec<Certificate<'static>> {
    let (file, dir) = (env.var("SSL_CERT_FILE"), env.var("SSL_CERT_DIR"));
    let CertificateResult { certs, errors, .. } = if file.is_some() || dir.is_some() {
        let (file, dir) = (file.as_deref().map(Path::new), dir.as_deref().map(Path::new));
        rustls_native_certs::load_certs_from_paths(file, dir)
    } else {
        rustls_native_certs::load_native_certs()
    };
    if certs.is_empty() {
        let why = errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        problems.push(format!("no certificate authority of the system could be loaded{why}"));
    }
    certs.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect()
}

fn extra_roots(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("failed to read: {error}"))?;
    let certs: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certs.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(certs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(variables: &[(&str, &str)]) -> Network {
        Network::from_env(&|name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_proxy_is_found_in_claudes_order_and_its_password_is_never_shown() {
        let network = network(&[
            ("ALL_PROXY", "http://last:1"),
            ("HTTPS_PROXY", "http://user:hunter2@proxy.corp:3128"),
        ]);
        assert_eq!(network.proxy_shown().as_deref(), Some("proxy.corp:3128"));
        assert!(!format!("{network:?}").contains("hunter2"));
        let proxy = network.proxy_for("api.anthropic.com").expect("a proxy");
        assert_eq!(proxy.password(), Some("hunter2"));
    }

    #[test]
    fn hosts_named_in_no_proxy_are_reached_directly() {
        let network = network(&[
            ("HTTPS_PROXY", "http://proxy:1"),
            (
                "NO_PROXY",
                "localhost,.corp, *.lan,10.0.0.1:443\t::1\n[fd00::1]:8443 Gate.Way. 10.1.0.0/16,fe80::/10,,",
            ),
        ]);
        for (host, direct) in [
            ("https://10.0.0.1", true),
            ("https://10.0.0.1:8443/v1", false),
            ("http://[::1]:4000/v1/messages", true),
            ("https://[0:0:0:0:0:0:0:1]", true),
            ("::1", true),
            ("https://[::2]", false),
            ("https://[fd00::1]:8443/", true),
            ("https://[fd00::1]/", false),
            ("https://gate.way", true),
            ("https://user:pw@gateway.lan:8080/x?y", true),
            ("https://10.1.255.255:9", true),
            ("https://10.2.0.1", false),
            ("https://[fe80::7]", true),
            ("https://[fec0::7]", false),
            ("lan", true),
            ("localhost", true),
            ("LOCALHOST", true),
            ("a.corp", true),
            ("corp", true),
            ("notcorp", false),
            ("a.b.lan", true),
            ("10.0.0.1", true),
            ("api.anthropic.com", false),
        ] {
            assert_eq!(network.proxy_for(host).is_none(), direct, "{host}");
        }
    }

    #[test]
    fn a_socks_proxy_bars_the_way_but_to_hosts_that_go_around_it() {
        for scheme in ["socks", "socks4", "socks5", "SOCKS5h"] {
            let address = format!("{scheme}://user:hunter2@127.0.0.1:1080");
            let network = network(&[("HTTPS_PROXY", &address), ("NO_PROXY", "gw.corp")]);
            let told = "HTTPS_PROXY names a SOCKS proxy, which Claude Code cannot use";
            assert_eq!(network.problems[..1], [told.to_owned()], "{scheme}");
            assert_eq!(network.barred("api.anthropic.com"), Some(told));
            assert_eq!(network.barred("gw.corp"), None);
        }
        let plain = network(&[("HTTPS_PROXY", "http://socks.corp:3128")]);
        assert_eq!(plain.barred("api.anthropic.com"), None);
    }

    #[test]
    fn broken_settings_are_told_and_do_not_stop_anything() {
        let network = network(&[
            ("HTTPS_PROXY", "ftp://nope"),
            ("NODE_EXTRA_CA_CERTS", "/does/not/exist.pem"),
            ("SSL_CERT_FILE", "/does/not/exist"),
        ]);
        assert_eq!(network.problems.len(), 3, "{:?}", network.problems);
    }
}
