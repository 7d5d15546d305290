//! What the runners of several hosts agree on, by notes in the database they share: during an
//! outage one of them looks whether the service is back and sends one task ahead, the others
//! wait for it; and after it, starts follow each other at a pace. No clock of another host is
//! read: a leader is gone when its note has not changed for a while, by one's own clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Runner;
use crate::queue::StoreError;
use crate::queue::outage::Word;
use crate::queue::task::now_ms;

/// A leader says so this often at least.
const BEAT_EVERY: Duration = Duration::from_secs(45);
/// One that has said nothing for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(150);
/// One that sends nobody ahead for this long has nobody to send.
const IDLE_AFTER: Duration = Duration::from_secs(5);
/// So long after an outage the starts of all hosts follow each other at a pace.
const PACED_FOR: Duration = Duration::from_secs(60);
/// That pace: as one host's own (`service/pace.rs`).
pub(super) const PACE: Duration = Duration::from_millis(400);

/// What a leader says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lead {
    /// Who; nobody any more if empty.
    by: String,
    /// Counts, so that it changes.
    beat: u64,
    word: Word,
}

/// What a runner remembers of it.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// The note as it was when it last changed, and when that was.
    seen: Option<(String, Instant)>,
    beaten: Option<Instant>,
    beat: u64,
    /// Something would start here but for the service.
    pub(super) wants: bool,
    /// When the last outage of all was over.
    over: Option<Instant>,
}

/// What a runner does about the note.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nobody has anything to say.
    Rest,
    /// It says (or says again) how the service stands.
    Lead,
    /// It waits for the one who leads.
    Follow,
    /// The service works: it says so to all.
    Release,
}

fn decide(found: Option<&Lead>, own: Option<&Word>, me: &str, gone: bool, due: bool) -> Step {
    match (found, own) {
        (None, None) => Step::Rest,
        (None, Some(_)) => Step::Lead,
        (Some(lead), None) if lead.by == me => Step::Release,
        (Some(lead), Some(own)) if lead.by == me => {
            if due || lead.word != *own {
                Step::Lead
            } else {
                Step::Rest
            }
        }
        (Some(lead), _) if gone || lead.by.is_empty() => Step::Lead,
        (Some(_), _) => Step::Follow,
    }
}

impl Runner {
    fn service_note(&self) -> String {
        format!("service {}", self.outage.service())
    }

    /// Agrees with the other hosts on who looks whether the service is back.
    pub(super) fn agree(&mut self) -> Result<(), StoreError> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let note = self.service_note();
        let found = self.store.note(&note)?;
        if self.fleet.seen.as_ref().map(|(text, _)| text) != found.as_ref() {
            if found.is_none() {
                self.fleet.over = Some(Instant::now());
            }
            self.fleet.seen = found.clone().map(|text| (text, Instant::now()));
        }
        let due = self.fleet.beaten.is_none_or(|at| at.elapsed() > BEAT_EVERY);
        // One that cannot be read is nobody's.
        let lead = found.as_deref().and_then(|text| serde_json::from_str::<Lead>(text).ok());
        let may_be_back = lead.as_ref().is_some_and(|lead| lead.word == Word::default());
        let patience = if may_be_back && self.fleet.wants { IDLE_AFTER } else { GONE_AFTER };
        let gone = self.fleet.seen.as_ref().is_some_and(|(_, at)| at.elapsed() > patience);
        let own = self.outage.word();
        let step = match (&found, &lead) {
            (Some(_), None) => Step::Lead,
            _ => decide(lead.as_ref(), own.as_ref(), &self.owner, gone, due),
        };
        match step {
            Step::Rest => self.outage.follow(None),
            Step::Follow => self.outage.follow(lead.map(|lead| (lead.by, lead.word))),
            Step::Release => {
                self.store.swap_note(&note, found.as_deref(), None)?;
                (self.fleet.seen, self.fleet.over) = (None, Some(Instant::now()));
                self.outage.follow(None);
            }
            Step::Lead => {
                self.outage.follow(None);
                match own {
                    None if may_be_back => self.outage.may_be_back(),
                    None => self.outage.down("the host that looked is gone"),
                    Some(_) => {}
                }
                self.fleet.beat += 1;
                let word = self.outage.word().unwrap_or_default();
                let lead = Lead { by: self.owner.clone(), beat: self.fleet.beat, word };
                let text = serde_json::to_string(&lead).unwrap_or_default();
                if self.store.swap_note(&note, found.as_deref(), Some(&text))? {
                    self.fleet.beaten = Some(Instant::now());
                } else {
                    // Another was faster, and leads; the change rings.
                    self.outage.follow(Some((String::new(), Word::default())));
                }
            }
        }
        Ok(())
    }

    /// When to look at the note again, although nothing rings.
    pub(super) fn patience(&self) -> Option<Duration> {
        (self.fleet.wants && self.outage.follows()).then_some(IDLE_AFTER)
    }

    /// Leaves the lead to whoever sees it first.
    pub(super) fn stop_leading(&mut self) -> Result<(), StoreError> {
        if !self.store.is_shared() || self.outage.word().is_none() {
            return Ok(());
        }
        let note = self.service_note();
        let Some(found) = self.store.note(&note)? else { return Ok(()) };
        let Ok(mut lead) = serde_json::from_str::<Lead>(&found) else { return Ok(()) };
        if std::mem::take(&mut lead.by) == self.owner {
            let text = serde_json::to_string(&lead).unwrap_or_default();
            self.store.swap_note(&note, Some(&found), Some(&text))?;
        }
        Ok(())
    }

    /// Whether this host may start a task now; after an outage all hosts take turns.
    pub(super) fn may_start_now(&mut self) -> Result<bool, StoreError> {
        if self.fleet.over.is_none_or(|at| at.elapsed() >= PACED_FOR) {
            return Ok(true);
        }
        let (note, now) = (format!("start at {}", self.outage.service()), now_ms());
        let found = self.store.note(&note)?;
        let last: i64 = found.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        // One that lies ahead is another clock's, and says nothing.
        if u128::try_from(now - last).is_ok_and(|ago| ago < PACE.as_millis()) {
            return Ok(false);
        }
        self.store.swap_note(&note, found.as_deref(), Some(&now.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leads_the_others_follow_and_a_leader_that_is_gone_is_replaced() {
        let down = Word { down: Some("529".into()), canary: None };
        let ahead = Word { down: None, canary: Some(7) };
        let lead = |by: &str, word: &Word| Lead { by: by.into(), beat: 1, word: word.clone() };
        let (theirs, mine, nobodys) = (lead("there", &down), lead("here", &down), lead("", &ahead));
        let table = [
            (None, None, false, false, Step::Rest),
            (None, Some(&down), false, false, Step::Lead),
            (Some(&theirs), None, false, false, Step::Follow),
            (Some(&theirs), Some(&down), false, true, Step::Follow),
            (Some(&theirs), None, true, false, Step::Lead),
            (Some(&nobodys), None, false, false, Step::Lead),
            (Some(&mine), Some(&down), false, false, Step::Rest),
            (Some(&mine), Some(&down), false, true, Step::Lead),
            (Some(&mine), Some(&ahead), false, false, Step::Lead),
            // Its own note is never another's.
            (Some(&mine), Some(&down), true, false, Step::Rest),
            (Some(&mine), None, false, false, Step::Release),
        ];
        for (found, own, gone, due, step) in table {
            assert_eq!(decide(found, own, "here", gone, due), step, "{found:?} {own:?}");
        }
    }
}
