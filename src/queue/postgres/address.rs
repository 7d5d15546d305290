//! Where the database is and how it is spoken to. In: the URL of `queue.store`, the environment,
//! the password file. Out: settings for the client. A password stands in that file alone: one in
//! a URL would be seen in the configuration, in lists of processes and in messages. What goes
//! over a network goes by TLS, and the server's certificate is verified.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::claude::environment::process_env;
use crate::queue::StoreError;
use crate::service::Network;

/// A server that does not take a connection within this is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The settings for this URL.
pub(super) fn read(url: &str) -> Result<Config, StoreError> {
    let wrong = |why: &str| StoreError::Other(format!("queue.store: {why}"));
    // libpq's words for what is always done here.
    let url = url.replace("sslmode=verify-full", "sslmode=require");
    let mut config: Config = url
        .parse()
        // The library's words hold no part of the URL.
        .map_err(|error: tokio_postgres::Error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            wrong(&source.unwrap_or_else(|| error.to_string()))
        })?;
    if config.get_password().is_some() {
        return Err(wrong("a password belongs into the file of PGPASSFILE (~/.pgpass)"));
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(wrong("it names no host"));
    }
    if is_local(&config) {
        // Nobody is between.
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(SslMode::Disable);
        }
    } else if config.get_ssl_mode() == SslMode::Disable {
        return Err(wrong("sslmode=disable is for a server on this host alone"));
    } else {
        config.ssl_mode(SslMode::Require);
    }
    if config.get_user().is_none() {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        config.user(user.map(|user| user.name).unwrap_or_default());
    }
    config.application_name("claude-safe").connect_timeout(CONNECT_WITHIN);
    if let Some(password) = password(&config)? {
        config.password(password);
    }
    Ok(config)
}

/// Whether every host is this one. A name is taken as it is written: whoever answers for it must
/// show a certificate, wherever it leads.
fn is_local(config: &Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.parse::<std::net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    });
    let addressed = config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
    // A name beside an address says who it must be, and not where it is.
    named && addressed
}

/// TLS with the certificates that this machine and Claude trust.
pub(super) fn tls() -> ClientConfig {
    let network = Network::from_env(&process_env);
    let mut roots = RootCertStore::empty();
    let trusted = network.roots().iter().map(|root| CertificateDer::from(root.der().to_vec()));
    roots.add_parsable_certificates(trusted);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn password(config: &Config) -> Result<Option<String>, StoreError> {
    let named = std::env::var_os("PGPASSFILE").map(PathBuf::from);
    let path = named.unwrap_or_else(|| crate::paths::home().join(".pgpass"));
    let Ok(meta) = std::fs::metadata(&path) else { return Ok(None) };
    if meta.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        return Err(StoreError::Other(format!("{path} is readable by others: chmod 600 {path}")));
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| StoreError::Other(format!("{}: {error}", path.display())))?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(dir)) if dir == Path::new("/var/run/postgresql") => "localhost".to_owned(),
        Some(Host::Unix(dir)) => dir.display().to_string(),
        None => config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    Ok(in_file(&text, [&host, &port, database, user]))
}

/// The password of the first line whose four fields are these, or `*`; `\` makes the next
/// character an ordinary one.
fn in_file(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = Vec::new();
        let mut field = String::new();
        let mut characters = line.chars();
        while let Some(c) = characters.next() {
            match c {
                '\\' => field.extend(characters.next()),
                ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
                c => field.push(c),
            }
        }
        fields.push(field);
        let password = fields.get(4)?;
        let fits = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then(|| password.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_a_network_there_is_tls_or_nothing_and_a_password_stands_in_no_url() {
        let mode = |url: &str| read(url).map(|config| config.get_ssl_mode());
        for local in [
            "postgres://me@localhost/queue",
            "postgres://me@127.0.0.1:5433/queue",
            "postgres://me@[::1]/queue",
            "postgres://me@%2Frun%2Fpostgresql/queue",
            "postgres://me@localhost/queue?sslmode=disable",
        ] {
            assert_eq!(mode(local).expect(local), SslMode::Disable, "{local}");
        }
        for remote in [
            "postgres://me@db.example/queue",
            "postgres://me@db.example/queue?sslmode=prefer",
            "postgres://me@db.example/queue?sslmode=verify-full",
            // Where a name leads is not who it is.
            "postgres://me@db.example/queue?hostaddr=127.0.0.1",
            "postgres://me@localhost/queue?hostaddr=10.0.0.7",
            "postgres:///queue?hostaddr=10.0.0.7",
            "postgres://me@10.0.0.7/queue",
            "postgres://me@localhost,db.example/queue",
        ] {
            assert_eq!(mode(remote).expect(remote), SslMode::Require, "{remote}");
        }
        for (refused, says) in [
            ("postgres://me@db.example/queue?sslmode=disable", "this host alone"),
            ("postgres://me:hunter2@localhost/queue", "PGPASSFILE"),
            ("postgres:///queue", "no host"),
            ("postgres://me@localhost/queue?pasword=hunter2", "pasword"),
        ] {
            let wrong = read(refused).expect_err(refused).to_string();
            assert!(wrong.contains(says) && !wrong.contains("hunter2"), "{refused}: {wrong}");
        }
    }

    #[test]
    fn the_password_file_is_read_as_libpq_reads_it() {
        let text = "# host:port:db:user:password\n\
                    db:5432:queue:me:one\n\
                    db:*:*:you:t\\:w\\\\o:with:colons\n\
                    ho\\:st:5432:queue:me:three\n*:*:*:*:last\n";
        let of = |wanted| in_file(text, wanted);
        assert_eq!(of(["db", "5432", "queue", "me"]).as_deref(), Some("one"));
        assert_eq!(of(["db", "1", "x", "you"]).as_deref(), Some("t:w\\o:with:colons"));
        assert_eq!(of(["ho:st", "5432", "queue", "me"]).as_deref(), Some("three"));
        assert_eq!(of(["other", "5432", "queue", "me"]).as_deref(), Some("last"));
        assert_eq!(in_file("db:5432:queue:me:one", ["db", "5432", "queue", "you"]), None);
        assert_eq!(in_file("db:5432:queue", ["db", "5432", "queue", "you"]), None);
    }
}
