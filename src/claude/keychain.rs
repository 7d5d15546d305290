//! Claude's item in the Keychain of macOS, as far as it can be asked about without its secret and
//! without a prompt. In: the item's name. Out: whether it is there, and when it was last written.
//! Asks `security`, as Claude does, but for the attributes alone: never `-w` or `-g`.

use std::cell::RefCell;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use super::environment::Lookup;

/// `security` answers within 10 ms or so; whoever asks may be relaying a terminal.
const LIMIT: Duration = Duration::from_millis(800);
/// An answer is good for this long: a look costs a process.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// After one that did not come in time the next is not asked for until then.
const PAUSE: Duration = Duration::from_secs(30);

/// The variables by which the item is named.
pub const NAMING: [&str; 3] = ["CLAUDE_SECURESTORAGE_CONFIG_DIR", "CLAUDE_CONFIG_DIR", "USER"];

/// What Claude calls an account whose name it finds unfit.
const NO_NAME: &str = "claude-code-user";

/// What a look at the item told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// It is there, and was last written then (to the second). It may hold emptied tokens.
    Written(Timestamp),
    /// There is none.
    Absent,
    /// The keychain is locked and nobody can be asked.
    Locked,
    /// `security` did not tell.
    Untold,
}

/// The Keychain, asked through `security`.
#[derive(Debug)]
pub struct Keychain {
    program: PathBuf,
    /// The last answer: which item, what it was, and until when it is good.
    last: RefCell<Option<(String, Item, Instant)>>,
}

impl Keychain {
    /// One that is asked through this program; without a slash it is looked up on `PATH`.
    #[must_use]
    pub fn through(program: &Path) -> Self {
        Self { program: program.to_owned(), last: RefCell::default() }
    }

    /// The one of this system, if it has one. `switch` is `claude.keychain`: `auto`, `on`, `off`.
    #[must_use]
    pub fn of_system(switch: &str) -> Option<Self> {
        let there = match switch {
            "on" => true,
            "off" => false,
            _ => cfg!(target_os = "macos"),
        };
        there.then(|| Self::through(Path::new("security")))
    }

    /// Looks at Claude's item for this configuration directory.
    pub fn look(&self, claude_dir: &Path, environment: &impl Lookup) -> Item {
        let service = service(claude_dir, environment);
        if let Some((of, item, until)) = &*self.last.borrow()
            && *of == service
            && Instant::now() < *until
        {
            return *item;
        }
        let told = self.ask(&service, &account(environment));
        let good_for = if told == Item::Untold { PAUSE } else { GOOD_FOR };
        let before = self.last.take().filter(|(of, ..)| *of == service).map(|(_, item, _)| item);
        // No answer is no news.
        let item = before.filter(|_| told == Item::Untold).unwrap_or(told);
        self.last.replace(Some((service, item, Instant::now() + good_for)));
        item
    }

    fn ask(&self, service: &str, account: &str) -> Item {
        let started = Command::new(&self.program)
            .args(["find-generic-password", "-s", service, "-a", account])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = started else { return Item::Untold };
        let told = child.stdout.take().and_then(|stdout| read_within(stdout, LIMIT));
        if told.is_none() {
            // It may have ended meanwhile.
            let _ = child.kill();
        }
        let (Some(told), Ok(status)) = (told, child.wait()) else { return Item::Untold };
        match status.code() {
            Some(0) => {
                modified(&String::from_utf8_lossy(&told)).map_or(Item::Untold, Item::Written)
            }
            Some(44) => Item::Absent,
            Some(36) => Item::Locked,
            _ => Item::Untold,
        }
    }
}

/// All that is said within this time; `None` if it takes longer.
fn read_within(mut stdout: ChildStdout, limit: Duration) -> Option<Vec<u8>> {
    let until = Instant::now() + limit;
    let (mut told, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut readable = [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
        if poll(&mut readable, left).ok()? == 0 {
            return None;
        }
        match stdout.read(&mut chunk).ok()? {
            0 => return Some(told),
            length => told.extend_from_slice(&chunk[..length]),
        }
    }
}

/// The item's service, as Claude names it (read in 2.1.330): by a directory, where one was set.
fn service(claude_dir: &Path, environment: &impl Lookup) -> String {
    let own = environment.var("CLAUDE_SECURESTORAGE_CONFIG_DIR");
    let named = own.or_else(|| {
        let set = environment.var("CLAUDE_CONFIG_DIR").is_some();
        set.then(|| claude_dir.to_string_lossy().into_owned())
    });
    let suffix = named.map(|dir| {
        let digest = Sha256::digest(dir.nfc().collect::<String>());
        format!("-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
    });
    format!("Claude Code-credentials{}", suffix.unwrap_or_default())
}

fn account(environment: &impl Lookup) -> String {
    let user = || Some(nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??.name);
    let fit = |name: &String| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        !name.is_empty() && name.chars().all(good)
    };
    environment.var("USER").or_else(user).filter(fit).unwrap_or_else(|| NO_NAME.to_owned())
}

/// When the item was last written: `"mdat"<timedate>=0x3230…  "20260915110920Z\000"`.
fn modified(attributes: &str) -> Option<Timestamp> {
    let mut lines = attributes.lines();
    let value = lines.find_map(|line| line.trim_start().strip_prefix(r#""mdat"<timedate>="#))?;
    let text = value.split('"').nth(1)?.split('Z').next()?;
    let time = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What `security find-generic-password` prints without `-w` and `-g`.
    pub fn attributes(modified: &str) -> String {
        format!(
            r#"keychain: "/Users/jane/Library/Keychains/login.keychain-db"
version: 512
class: "genp"
attributes:
    0x00000007 <blob>="Claude Code-credentials"
    0x00000008 <blob>=<NULL>
    "acct"<blob>="jane"
    "cdat"<timedate>=0x32303236303831313039313531305A00  "20260811091510Z\000"
    "crtr"<uint32>=<NULL>
    "cusi"<sint32>=<NULL>
    "desc"<blob>=<NULL>
    "mdat"<timedate>=0x32303236303931353131303932305A00  "{modified}Z\000"
    "svce"<blob>="Claude Code-credentials"
    "type"<uint32>=<NULL>
"#
        )
    }

    /// A `security` of ours: it notes its arguments, prints this and ends with that code.
    pub fn security(dir: &Path, prints: &str, code: i32) -> PathBuf {
        let program = dir.join("security");
        std::fs::write(dir.join("attributes"), prints).expect("written");
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >>'{0}/asked'\ncat '{0}/attributes'\nexit {code}\n",
            dir.display()
        );
        std::fs::write(&program, text).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("made executable");
        program
    }

    fn variables(all: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn an_item_is_seen_by_its_attributes_alone_and_asked_for_once_a_second() {
        let dir = tempfile::tempdir().expect("a directory");
        let keychain = Keychain::through(&security(dir.path(), &attributes("20260915110920"), 0));
        let environment = variables(&[("USER", "jane")]);
        let look = || keychain.look(Path::new("/Users/jane/.claude"), &environment);
        let written: Timestamp = "2026-09-15T11:09:20Z".parse().expect("a time");
        assert_eq!(look(), Item::Written(written));
        assert_eq!(look(), Item::Written(written));
        let asked = std::fs::read_to_string(dir.path().join("asked")).expect("asked");
        assert_eq!(asked, "find-generic-password -s Claude Code-credentials -a jane\n");
    }

    #[test]
    fn what_security_says_by_its_exit_code_is_told_apart() {
        for (code, item) in [(44, Item::Absent), (36, Item::Locked), (1, Item::Untold)] {
            let dir = tempfile::tempdir().expect("a directory");
            let keychain = Keychain::through(&security(dir.path(), "", code));
            assert_eq!(keychain.look(Path::new("/c"), &variables(&[])), item, "{code}");
        }
        let nowhere = Keychain::through(Path::new("/nonexistent/security"));
        assert_eq!(nowhere.look(Path::new("/c"), &variables(&[])), Item::Untold);
    }

    #[test]
    fn a_security_that_asks_somebody_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let program = security(dir.path(), "", 0);
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").expect("written");
        let keychain = Keychain::through(&program);
        let began = Instant::now();
        let looks = [(); 20].map(|()| keychain.look(Path::new("/c"), &variables(&[])));
        assert_eq!(looks, [Item::Untold; 20]);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn the_item_is_named_as_claude_names_it() {
        let plain = "Claude Code-credentials";
        let dir = Path::new("/Users/jane/My Config");
        assert_eq!(service(dir, &variables(&[])), plain);
        // sha256 of "/Users/jane/My Config"
        let by_dir = variables(&[("CLAUDE_CONFIG_DIR", "/Users/jane/My Config")]);
        let named = service(dir, &by_dir);
        assert_eq!(named, "Claude Code-credentials-65d77710");
        let elsewhere = variables(&[
            ("CLAUDE_CONFIG_DIR", "/Users/jane/My Config"),
            ("CLAUDE_SECURESTORAGE_CONFIG_DIR", "/Users/jane/e\u{301}"),
        ]);
        // sha256 of the composed form, "/Users/jane/é"
        assert_eq!(service(dir, &elsewhere), "Claude Code-credentials-380a18dc");
        assert_eq!(account(&variables(&[("USER", "jane.doe-1")])), "jane.doe-1");
        assert_eq!(account(&variables(&[("USER", "jane doe")])), NO_NAME);
    }
}
