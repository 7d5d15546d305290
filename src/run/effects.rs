//! The effects that every loop carries out in the same way, and the events that answer them. In:
//! what the machine says. Out: what is under way, said, or written down; the rest is the loop's.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;

use super::Run;
use super::claims::reads_down;
use super::doing::{Done, Future};
use crate::claude::retries::{self, Retries};
use crate::claude::{agents, transcript};
use crate::failure::{ExitReason, Failure, FailureKind, Verdict};
use crate::journal;
use crate::machine::{self, Answer, Effect, Event, Scene};
use crate::notice::{Notice, say};
use crate::service::{Health, look_again, look_once, status_page};
use crate::watch::is_typable;

/// Someone who does not answer within this says no.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

impl Run {
    /// Tells the machine; what is to be done.
    pub(super) fn on(&mut self, event: Event) -> Vec<Effect> {
        match &event {
            Event::Health { health, .. } => {
                self.note_looks(health);
                self.name_lost_agents();
            }
            Event::TurnWorked => self.worked(),
            Event::ChildEnded(end) if end.verdict == Verdict::Done(ExitReason::Code(0)) => {
                self.worked();
            }
            Event::TurnFailed(_) | Event::ChildEnded(_) => self.note_retries(),
            _ => {}
        }
        let before = self.case.state().name();
        tracing::debug!(?event, "event");
        let effects = machine::on(&mut self.case, self.clock.moment(), event);
        let after = self.case.state().name();
        if before != after {
            tracing::debug!(before, after, "state");
        }
        effects
    }

    /// A turn worked: others that wait for one are told.
    fn worked(&mut self) {
        self.service.breaker.worked();
        self.note_retries();
    }

    /// Writes down what Claude's own retries took in the turn that has just ended.
    fn note_retries(&mut self) {
        let found = self.transcript().and_then(|path| retries::of_turn(&path, Some(self.began)));
        if let Some(Retries { status, count, waited, .. }) = found {
            let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            let entry = journal::Event::Retried { requests: count, waited_ms, status };
            self.journal.record(entry);
        }
    }

    /// What Claude's turn lost with its sub-agents is named in our message, so that it is gone on
    /// with and not done twice.
    fn name_lost_agents(&mut self) {
        let base = &self.config.values.retry.message;
        let lost = self.transcript().map(|path| agents::cut_off(&path, base));
        let named = format!("{base}{}", agents::about(&lost.unwrap_or_default()));
        self.plan.message = if is_typable(&named).is_ok() { named } else { base.to_owned() };
    }

    fn transcript(&self) -> Option<PathBuf> {
        transcript::find(&self.claude_dir, self.session.as_deref()?)
    }

    /// What ended, as an event.
    pub(super) fn done(&mut self, done: Done) -> Event {
        match done {
            Done::Event(event) => event,
            Done::Fixed(rung, outcome) => self.fixed(rung, outcome),
        }
    }

    /// Carries an effect out; gives back one that is the loop's own. `living`: the child that
    /// could be asked.
    pub(super) fn carry_out(&mut self, effect: Effect, living: Option<i32>) -> Option<Effect> {
        match effect {
            Effect::Probe(failure) => {
                let probe = self.probe(failure);
                self.doing.begin(probe);
            }
            Effect::Wait(waiting) => self.wait(waiting),
            Effect::Claim(claim) => {
                let claiming = self.claim(claim, living);
                self.doing.begin(claiming);
            }
            Effect::Question(rung) => {
                say(&format!("{} [y/N]", rung.question().unwrap_or_default()));
                self.doing.begin(Box::pin(async {
                    tokio::time::sleep(ANSWER_WITHIN).await;
                    Done::Event(Event::Answered(Answer::Refused("silence")))
                }));
            }
            Effect::Fix(rung, failure) => self.fix(rung, &failure),
            Effect::Cease => self.doing.cease(),
            Effect::Unclaim { worked } => self.unclaim(worked),
            Effect::Show(notice) => {
                if let Err(error) = notice.show(&self.dir) {
                    tracing::warn!(%error, "no status line");
                }
            }
            Effect::Hide => Notice::clear(&self.dir),
            Effect::Say(text) => self.say(&text),
            Effect::SayKept => self.say_kept(),
            Effect::Record(entry) => self.journal.record(entry),
            other => return Some(other),
        }
        None
    }

    /// What is to be seen while no child lives: the sign-in.
    pub(super) fn bare_scene(&self) -> Scene {
        Scene { sign_in: self.sign_in_seen(), ..Scene::default() }
    }

    fn say_kept(&self) {
        let kept = |id: &&String| transcript::find(&self.claude_dir, id).is_some();
        if let Some(session) = self.session.as_ref().filter(kept) {
            self.say(&format!("the conversation is kept: claude --resume {session}"));
        }
    }

    /// What is known of the service now, with one look at the hosts that the failure concerns.
    fn probe(&self, failure: Failure) -> Future<Done> {
        let waits = !matches!(
            failure.kind,
            FailureKind::SignInNeeded | FailureKind::Refused | FailureKind::UsageLimit { .. }
        );
        let service = Rc::clone(&self.service);
        let state_dir = self.state_dir.clone();
        let account = self.claude_dir.to_string_lossy().into_owned();
        Box::pin(async move {
            if let FailureKind::UsageLimit { resets: Some(resets) } = failure.kind {
                service.breaker.limited(&account, resets).await;
            }
            let endpoints = if waits { service.facing(failure.kind) } else { Vec::new() };
            // A minute-old *up* is good enough for a wait, and not for a fix.
            let sightings = if machine::table::may_be_fixed(failure.kind) {
                look_once(&*service.look, &service.breaker, &endpoints).await
            } else {
                look_again(&*service.look, &service.breaker, &endpoints).await
            };
            let page = if waits && service.page && service.endpoints.has_status_page() {
                status_page(&*service.look, &state_dir, Timestamp::now()).await.page
            } else {
                None
            };
            let now = Timestamp::now();
            let health = Health::assess(Some(&failure), &sightings, page.as_ref(), now);
            let held = reads_down(&service, failure.kind).await;
            Done::Event(Event::Health { health, held })
        })
    }
}
