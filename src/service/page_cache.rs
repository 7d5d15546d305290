//! The status page as all runs of a user share it. In: a seam to the network, the state
//! directory, the time. Out: the page as last seen, at most so old. One run fetches for all,
//! at most once a minute, conditionally, backing off to an hour. A fetch that fails neither
//! fakes an outage nor erases a known one.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::locks::{self, LockName};
use super::probe::{Fetched, Look};
use super::status_page::{CAP_BYTES, Page, SUMMARY_URL};

/// Not fetched more often.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(60);
/// After failed fetches the next one waits up to this long.
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_hours(1);
/// A page that could not be fetched anew for so long explains nothing any more.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(2);

/// What is kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    page: Option<Page>,
    etag: Option<String>,
    /// When the page was last seen to be so.
    seen: Option<Timestamp>,
    /// When it may be fetched again.
    next: Option<Timestamp>,
    failures: u32,
    /// Why the last fetch failed.
    why: Option<String>,
}

/// The page, as far as it could be had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageSeen {
    /// What it says; `None` when it was never had or is too old.
    pub page: Option<Page>,
    /// When that was seen.
    pub seen: Option<Timestamp>,
    /// Why the last fetch failed, if it did.
    pub why: Option<String>,
}

/// Fetches the page if it is time, and returns what is known of it.
pub async fn status_page(look: &dyn Look, state_dir: &Path, now: Timestamp) -> PageSeen {
    let file = state_dir.join("status-page.json");
    let mut kept = read(&file);
    let lease = locks::try_lock(state_dir, LockName::StatusPage);
    // Without a state directory nothing is shared, and the caller's own rhythm must do.
    let turn = !matches!(lease, Ok(None));
    // Another run may have fetched while we asked for the lock.
    if lease.is_ok() {
        kept = read(&file);
    }
    if turn && is_due(&kept, now) {
        let etag = kept.etag.as_deref().filter(|_| kept.page.is_some());
        let fetched = look.fetch(SUMMARY_URL, etag, CAP_BYTES).await;
        kept = take(kept, fetched, now);
        if let Err(error) = write(&file, &kept) {
            tracing::debug!(%error, "status page not kept");
        }
    }
    drop(lease);
    let still_true = kept.seen.is_some_and(|seen| now.duration_since(seen) < KEPT_FOR);
    PageSeen { page: kept.page.filter(|_| still_true), seen: kept.seen, why: kept.why }
}

fn is_due(kept: &Kept, now: Timestamp) -> bool {
    match kept.next {
        None => true,
        // A clock that was set back must not silence us until it has caught up.
        Some(next) => now >= next || next.duration_since(now) > LONGEST_BACKOFF,
    }
}

fn take(before: Kept, fetched: Fetched, now: Timestamp) -> Kept {
    let failed = |why: String, before: Kept| {
        let failures = before.failures.saturating_add(1);
        let wait = FRESH_FOR.saturating_mul(1 << failures.min(6)).min(LONGEST_BACKOFF);
        Kept { next: now.checked_add(wait).ok(), failures, why: Some(why), ..before }
    };
    let next = now.checked_add(FRESH_FOR).ok();
    match fetched {
        Fetched::NotModified if before.page.is_some() => {
            Kept { seen: Some(now), next, failures: 0, why: None, ..before }
        }
        Fetched::NotModified => failed("nothing new of a page never seen".to_owned(), before),
        Fetched::Body { text, etag } => match Page::parse(&text) {
            Some(page) => {
                Kept { page: Some(page), etag, seen: Some(now), next, failures: 0, why: None }
            }
            None => failed("it is not a status summary".to_owned(), before),
        },
        Fetched::Failed(_, why) => failed(why, before),
    }
}

fn read(file: &PathBuf) -> Kept {
    std::fs::read(file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

fn write(file: &Path, kept: &Kept) -> std::io::Result<()> {
    crate::paths::write_private(file, &serde_json::to_vec(kept)?)
}

#[cfg(test)]
mod tests {
    use super::super::probe::Obstacle;
    use super::super::{Reading, ScriptedLook};
    use super::*;

    const OUTAGE: &str = include_str!("status_page/captures/outage.json");
    const FINE: &str = include_str!("status_page/captures/fine.json");

    fn body(text: &str) -> Fetched {
        Fetched::Body { text: text.to_owned(), etag: Some("\"1\"".to_owned()) }
    }

    fn failure() -> Fetched {
        Fetched::Failed(Obstacle::TimeOut, "no answer in time".to_owned())
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + seconds).expect("in range")
    }

    #[tokio::test]
    async fn a_failed_fetch_neither_fakes_an_outage_nor_erases_a_known_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pages = vec![failure(), body(OUTAGE), failure(), body("<html>"), body(FINE)];
        let look = ScriptedLook::new(|_| Reading::Unknown).with_pages(pages);
        let mut says_down = Vec::new();
        for minute in [0, 10, 20, 30, 40] {
            let seen = status_page(&look, dir.path(), after(60 * minute)).await;
            says_down.push(seen.page.map(|page| page.says_down(false)));
        }
        assert_eq!(says_down, [None, Some(true), Some(true), Some(true), Some(false)]);
    }

    #[tokio::test]
    async fn it_is_fetched_at_most_once_a_minute_for_all_runs_and_less_when_it_fails() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let look =
            ScriptedLook::new(|_| Reading::Unknown).with_pages(vec![body(OUTAGE), body(FINE)]);
        for (second, down) in [(0, true), (59, true), (60, false)] {
            let page = status_page(&look, dir.path(), after(second)).await.page;
            assert_eq!(page.map(|page| page.says_down(false)), Some(down), "{second}");
        }
        let mut kept = Kept::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            kept = take(kept, failure(), after(0));
            waits.push(kept.next.expect("a time").duration_since(after(0)).as_mins());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(is_due(&kept, after(-7200)), "a clock set back does not silence it");
    }

    #[tokio::test]
    async fn not_modified_keeps_the_page_and_renews_it_and_an_old_page_explains_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pages = vec![body(OUTAGE), Fetched::NotModified, failure()];
        let look = ScriptedLook::new(|_| Reading::Unknown).with_pages(pages);
        status_page(&look, dir.path(), after(0)).await;
        let renewed = status_page(&look, dir.path(), after(100)).await;
        assert_eq!((renewed.seen, renewed.page.is_some()), (Some(after(100)), true));
        assert!(status_page(&look, dir.path(), after(7000)).await.page.is_some());
        assert!(status_page(&look, dir.path(), after(7400)).await.page.is_none());
    }

    #[tokio::test]
    async fn a_broken_cache_is_as_good_as_none() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("status-page.json"), "{\"page\":[").expect("writable");
        let look = ScriptedLook::new(|_| Reading::Unknown).with_pages(vec![body(FINE)]);
        assert!(status_page(&look, dir.path(), after(0)).await.page.is_some());
    }
}
