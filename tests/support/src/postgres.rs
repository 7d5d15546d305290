//! A `PostgreSQL` server of a test's own, from the system's package (`tests/install`): in a
//! directory that is thrown away, on a socket in it, and on a port of loopback by TLS.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use tempfile::TempDir;

use crate::wait_until;

/// Who the server's certificate is for.
pub const HOST: &str = "db.example";
/// Enough on a loaded machine.
const SOON: Duration = Duration::from_secs(120);

/// The server, ended when it is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    dir: TempDir,
    programs: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl PostgresServer {
    /// Makes a database and starts its server.
    pub fn start() -> Self {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .expect("PostgreSQL is installed (tests/install)")
            .map(|entry| entry.expect("readable").path().join("bin"))
            .filter(|bin| bin.join("initdb").exists())
            .collect();
        versions.sort();
        let programs = versions.pop().expect("PostgreSQL's server is installed (tests/install)");
        let dir = TempDir::new().expect("a directory can be made");
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let port = free.expect("a port is free").port();
        let mut server = Self { dir, programs, port, child: None };
        Self::hand_over(server.dir.path());
        let mut initdb = server.command("initdb");
        initdb.args(["-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8", "--no-sync"]);
        let output = initdb.arg("-D").arg(server.data()).output().expect("initdb can be run");
        assert!(output.status.success(), "{output:?}");
        server.certify();
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(server.data().join("pg_hba.conf"), rules).expect("it is written");
        server.start_again();
        server
    }

    fn certify(&self) {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("it is made");
        fs::write(self.certificate(), made.cert.pem()).expect("it is written");
        let key = self.dir.path().join("key.pem");
        fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
        Self::hand_over(&key);
        Self::hand_over(&self.certificate());
    }

    /// The server refuses to run as root, and to read what others may read.
    fn hand_over(path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        if let Some(user) = Self::user() {
            chown(path, Some(user.uid), Some(user.gid)).expect("root may");
        }
    }

    fn user() -> Option<User> {
        geteuid().is_root().then(|| {
            let found = User::from_name("postgres").expect("users can be looked up");
            found.expect("the package made a user `postgres`")
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        if let Some(user) = Self::user() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Its certificate, to be trusted.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }

    /// Where it listens by TLS, at the address of [`HOST`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, by the socket.
    pub fn url(&self) -> String {
        let dir = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{dir}:{}/postgres", self.port)
    }

    /// Starts the server, which must not run.
    pub fn start_again(&mut self) {
        let log = fs::File::options().append(true).create(true).open(self.dir.path().join("log"));
        let log = log.expect("it opens");
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        let dir = self.dir.path().display();
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={dir}"),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.certificate().display()),
            format!("ssl_key_file={dir}/key.pem"),
        ] {
            server.arg("-c").arg(setting);
        }
        server.stdout(log.try_clone().expect("it is open")).stderr(log);
        self.child = Some(server.spawn().expect("postgres can be started"));
        let pid_file = self.data().join("postmaster.pid");
        let own = self.child.as_ref().map(Child::id).unwrap_or_default().to_string();
        let ready = || {
            let text = fs::read_to_string(&pid_file).ok()?;
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            (lines.first() == Some(&own.as_str()) && lines.last() == Some(&"ready")).then_some(())
        };
        wait_until(SOON, ready).unwrap_or_else(|| {
            panic!("{}", fs::read_to_string(self.dir.path().join("log")).unwrap_or_default())
        });
    }

    /// Ends it at once, as a crash does: nothing is written out, and connections break.
    pub fn crash(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process"));
        kill(pid, Signal::SIGQUIT).expect("it runs");
        wait_until(SOON, || child.try_wait().expect("it is ours")).expect("it ends");
    }

    /// Has it do this, as its superuser; what it prints.
    pub fn sql(&self, statement: &str) -> String {
        let mut psql = self.command("psql");
        psql.arg("-h").arg(self.dir.path()).args(["-p", &self.port.to_string()]);
        psql.args(["-U", "postgres", "-d", "postgres", "-Atqc", statement]);
        let output = psql.output().expect("psql can be run");
        assert!(output.status.success(), "{statement}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}
