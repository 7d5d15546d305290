//! Every configuration key, once: its kind, default and meaning. The file, the environment
//! (`CLAUDE_SAFE_RETRY_FIRST_WAIT`), `run --set KEY=VALUE`, the README's table and the JSON
//! schema all come from this list. Pure.

use std::path::PathBuf;
use std::time::Duration;

use super::value::{Kind, Least, Value};

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted name: table and key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default, as one would write it.
    pub default: &'static str,
    /// Its meaning, one sentence.
    pub doc: &'static str,
}

/// The message typed into a living Claude after a failed turn.
pub const DEFAULT_MESSAGE: &str = "The service failed during my last message and is back. \
    Please carry on from there, without redoing steps that are already finished.";

/// The occasions that can be told.
pub const OCCASIONS: &[&str] = &[
    "waiting",
    "person_needed",
    "recovered",
    "gave_up",
    "task_done",
    "task_failed",
    "needs_you",
    "queue_paused",
    "queue_empty",
];

/// Declares every key once: its row of [`KEYS`] and its typed place in [`Values`].
macro_rules! keys {
    ($($table:ident: $Table:ident { $($key:ident: $value:ty = $default:expr, $kind:expr, $doc:literal;)* })*) => {
        /// All keys, in the order in which they are documented.
        pub const KEYS: &[Key] = &[$($(Key {
            name: concat!(stringify!($table), ".", stringify!($key)),
            kind: $kind,
            default: $default,
            doc: $doc,
        },)*)*];

        $(
            #[doc = concat!("The keys of `[", stringify!($table), "]`.")]
            #[derive(Debug, Clone)]
            #[allow(clippy::doc_markdown, reason = "their sentences are set in a terminal too")]
            pub struct $Table {
                $(#[doc = $doc] pub $key: $value,)*
            }
        )*

        /// The value of every key.
        #[derive(Debug, Clone)]
        pub struct Values {
            $(#[doc = concat!("`[", stringify!($table), "]`")] pub $table: $Table,)*
        }

        impl Default for Values {
            fn default() -> Self {
                Self {
                    $($table: $Table { $($key: Value::read($default).unwrap_or_default(),)* },)*
                }
            }
        }

        impl Values {
            /// Takes the text of one key; another name changes nothing.
            pub(super) fn take(&mut self, name: &str, text: &str) -> Result<(), String> {
                $($(if name == concat!(stringify!($table), ".", stringify!($key)) {
                    self.$table.$key = Value::read(text)?;
                })*)*
                Ok(())
            }
        }
    };
}

#[rustfmt::skip]
keys! {
    claude: Claude {
        path: Option<PathBuf> = "", Kind::Path, "The claude to start; empty: the first on PATH that is not claude-safe.";
        keychain: String = "auto", Kind::Choice(&["auto", "on", "off"]), "Ask the Keychain when Claude's sign-in was last written (never what it holds); auto: on macOS.";
    }
    retry: Retry {
        first_wait: Duration = "3s", Kind::Duration(Least::Of(100)), "Wait before the first try, before jitter (2/3 to 5/3 of it).";
        max_wait: Duration = "40s", Kind::Duration(Least::Of(100)), "No wait between tries is longer than this.";
        horizon_terminal: Duration = "2h", Kind::Duration(Least::Zero), "How long a run at a terminal waits in all for one failure to pass.";
        horizon_headless: Duration = "12h", Kind::Duration(Least::Zero), "How long a run without a terminal waits in all.";
        wait_for_limit: bool = "on", Kind::Switch, "Without a terminal: wait for a usage limit's reset; off: leave at once with 75.";
        healthy_after: Duration = "10m", Kind::Duration(Least::Of(1_000)), "After this long without a failure the count of tries starts over.";
        message: String = DEFAULT_MESSAGE, Kind::Message, "What is typed or sent to continue a failed turn.";
    }
    watch: Watch {
        hang_after: Duration = "30m", Kind::Duration(Least::OffOr(5_000)), "Without a terminal: how long nothing may move before a run counts as hung; `0s`: never.";
        unattended_after: Duration = "10m", Kind::Duration(Least::Zero), "At a terminal: no key for this long means nobody is there.";
    }
    status_line: StatusLine {
        refresh: Duration = "3s", Kind::Duration(Least::Zero), "How often Claude asks for our status line (3 s or more).";
    }
    rungs: Rungs {
        tries: i64 = "3", Kind::Integer(1, 100), "Tries against a healthy service before the next rung is used.";
        ask_again: bool = "on", Kind::Switch, "Type a short message into the living Claude.";
        relaunch: bool = "on", Kind::Switch, "Start Claude again in the same session.";
        update: bool = "on", Kind::Switch, "Run `claude update`.";
        new_session: bool = "on", Kind::Switch, "Ask again in a fresh session.";
        clear_cache: bool = "on", Kind::Switch, "Move the cache aside behind a verified backup.";
        sign_in_reset: bool = "off", Kind::Switch, "Move the credentials file aside so that a login can start clean.";
        api_key: bool = "off", Kind::Switch, "Use an API key, which costs money.";
        end_terminal: bool = "off", Kind::Switch, "Allow a living terminal UI to be ended for a fix when nobody is there.";
    }
    cache: Cache {
        paths: Vec<String> = "cache", Kind::List(&[]), "What the cache rung moves aside, below Claude's directory.";
    }
    api_key: ApiKey {
        file: Option<PathBuf> = "", Kind::Path, "A file with the key (else CLAUDE_SAFE_API_KEY in the environment).";
        command: Option<String> = "", Kind::Text, "A command that prints the key.";
        max_budget_usd: i64 = "5", Kind::Integer(1, 10_000), "Spend cap of one headless launch with the key (US dollars).";
        runs_per_day: i64 = "10", Kind::Integer(0, 10_000), "How many launches a day may use the key.";
    }
    backup: Backup {
        dir: Option<PathBuf> = "", Kind::Path, "Where backups lie; empty: `backups` in the state directory.";
        keep: i64 = "20", Kind::Integer(1, 10_000), "How many snapshots are kept.";
        max_age: Duration = "90d", Kind::Duration(Least::Zero), "Snapshots older than this are pruned, never the last good one.";
        max_size: u64 = "5GiB", Kind::Bytes, "The snapshots together stay below this.";
    }
    service: Service {
        probe: bool = "on", Kind::Switch, "Ask the service, without credentials, whether it is back (only while something is wrong).";
        status_page: bool = "on", Kind::Switch, "Read the public status page while something is wrong.";
    }
    headless: Headless {
        quiet: bool = "off", Kind::Switch, "Print nothing on stderr while waiting.";
        wait_for_login: Duration = "0s", Kind::Duration(Least::Zero), "How long to wait for someone to sign in.";
    }
    notify: Notify {
        bell: Vec<String> = "person_needed", Kind::List(OCCASIONS), "When the terminal bell rings.";
        osc: String = "off", Kind::Choice(&["off", "9", "99", "777"]), "The terminal notification sequence to send.";
        command: Option<String> = "", Kind::Text, "A command that gets each event as JSON on its standard input.";
        desktop: bool = "off", Kind::Switch, "Use the system's desktop notifications.";
        on: Vec<String> = "waiting, person_needed, recovered, gave_up, task_done, task_failed, needs_you, queue_paused, queue_empty", Kind::List(OCCASIONS), "When osc, command and desktop are used.";
    }
    queue: Queue {
        jobs: i64 = "1", Kind::Integer(1, 1000), "How many tasks of the queue run at once.";
        max_usd_per_day: i64 = "0", Kind::Integer(0, 1_000_000), "No task is started once a day's tasks have cost this (US dollars; 0: no cap).";
        owner: Option<String> = "", Kind::Text, "What this host is called in the queue (empty: its host name).";
        store: Option<String> = "", Kind::Text, "The PostgreSQL of a queue that several hosts share (`postgres://user@host/database`; empty: a file of this host).";
        labels: Vec<String> = "", Kind::List(&[]), "What this host has to offer: a task with labels runs only where all of them are.";
        inhibit_sleep: bool = "off", Kind::Switch, "Keep the machine awake while a task of the queue runs (systemd-inhibit, caffeinate).";
        inbox: Option<PathBuf> = "", Kind::Path, "A directory in which each Markdown file becomes a task.";
    }
    log: Log {
        level: String = "info", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), "How much the log file holds.";
    }
}

/// The key of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether there is a table of this name.
#[must_use]
pub fn has_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == name))
}

impl Key {
    /// The environment variable that overrides it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("CLAUDE_SAFE_{}", self.name.replace('.', "_").to_uppercase())
    }
}

#[cfg(test)]
mod tests;
