//! From a failure to what is done about it at a living terminal. In: what was judged and what
//! the service says. Out: a stage. Nothing here types; ending the child is its strongest means.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Attempt, Stage};
use crate::claude::credentials;
use crate::claude::session_file::Status;
use crate::machine::Rung;
use crate::machine::table::{Decision, Reason, Standing};
use crate::machine::words::what;
use crate::notice::Notice;
use crate::notify::Occasion;
use crate::run::now_here;
use crate::run::terminal::background::has_work;
use crate::service::Health;
use crate::unknown;
use crate::watch::{Failure, FailureKind, Look, Source, TurnState, WhyNot, is_typable};

/// A child that is ended for a relaunch gets this long to leave by itself.
const GRACE: Duration = Duration::from_secs(10);

impl Attempt<'_, '_> {
    pub(super) fn judge(&mut self, now: Instant) {
        let (look, read) = self.look();
        let (rules, version) = (&self.run.rules, self.run.version);
        let failure = self.watcher.judge(now, &look, &read, rules, version, &now_here());
        let Some(failure) = failure else {
            self.keep_unknown();
            // Where no hook says so, the transcript does.
            let at_rest = !look.is_busy() && read.status != Some(Status::Busy);
            let answered = read.tail.turn == TurnState::Partial && read.tail.failure.is_none();
            let watching = matches!(self.stage, Stage::Watching);
            if at_rest && answered && watching && !self.watcher.hooks_run() {
                self.turn_succeeded();
            }
            return;
        };
        // A login menu is as often the person's own wish: it says so by itself, and nothing rings.
        let seen_only = failure.evidence.iter().all(|found| found.source == Source::Screen);
        if failure.kind == FailureKind::SignInNeeded && seen_only {
            return;
        }
        if !matches!(self.stage, Stage::Watching | Stage::Person(..)) {
            return;
        }
        self.failed_at_line.clone_from(&read.tail.last_uuid);
        let health = Box::pin(self.run.health(&failure));
        self.stage = Stage::Weighing(failure, health);
    }

    /// Keeps the screen of a failure that no rule knew, for `rules learn`.
    pub(super) fn keep_unknown(&mut self) {
        if self.watcher.take_unknown() {
            unknown::keep(&self.run.state_dir, "screen", &self.screen.excerpt());
        }
    }

    pub(super) fn decide(&mut self, failure: Failure, health: &Health) {
        let now = Instant::now();
        let (look, read) = self.look();
        let why_not = self.watcher.may_type(now, &look, &read).err();
        let typable = is_typable(&self.run.plan.message).is_ok();
        let box_empty = look.box_is_empty() && look.panel.is_none();
        let idle = self.run.config.duration("watch.unattended_after");
        let alone = now.duration_since(self.last_key) >= idle;
        let standing = Standing::Living {
            can_ask: typable && matches!(why_not, None | Some(WhyNot::NotSettled)),
            may_relaunch: why_not == Some(WhyNot::NoPlaceholder)
                && self.may_relaunch(&look, &failure),
            may_end: alone
                && box_empty
                && !self.typed_since_prompt
                && !read.foreign_writer
                && self.run.config.switch("rungs.end_terminal")
                && !has_work(self.relay.pid().as_raw()),
        };
        let decision = self.run.decide(&failure, standing, health);
        if failure.kind == FailureKind::LoginService {
            return self.see_login_through(&failure);
        }
        match decision {
            Decision::Act { rung, after } => self.wait(failure, rung, after),
            Decision::WaitForPerson(Reason(why)) => {
                self.show(&failure, None, &why);
                self.tell(Occasion::PersonNeeded, &format!("{}: {why}", what(&failure)));
                let refused = credentials::stamp(&self.run.claude_dir);
                self.stage = Stage::Person(failure, refused);
            }
            Decision::StandAside(Reason(why)) => self.stand_aside(&why),
            Decision::GiveUp(Reason(why)) => {
                self.show(&failure, None, &why);
                self.tell(Occasion::GaveUp, &why);
            }
        }
    }

    /// Whether nothing would be lost if this child were ended and resumed.
    pub(super) fn may_relaunch(&self, look: &Look, failure: &Failure) -> bool {
        look.box_is_empty()
            && look.panel.is_none()
            && failure.turn != TurnState::ToolOpen
            && self.run.config.allows(Rung::Relaunch)
            && !self.run.user.prompt_is_uncertain()
            && !has_work(self.relay.pid().as_raw())
    }

    pub(super) fn wait(&mut self, failure: Failure, rung: Rung, after: Duration) {
        let end = Box::pin(self.run.wait(failure.kind, after));
        self.show(&failure, Some(after), "esc cancels");
        self.stage = Stage::Waiting { failure, rung, began: tokio::time::Instant::now(), end };
    }

    /// Puts a line into Claude's own status line.
    fn show(&mut self, failure: &Failure, after: Option<Duration>, hint: &str) {
        let due = after.and_then(|after| Timestamp::now().checked_add(after).ok());
        let notice = Notice { what: what(failure), due, hint: hint.to_owned() };
        if let Err(error) = notice.show(&self.run.dir) {
            tracing::warn!(%error, "no status line");
        }
    }

    pub(super) fn act(&mut self, failure: Failure, rung: Rung) {
        match rung {
            Rung::AskAgain => self.ask(failure),
            _ => self.end_child(failure, rung),
        }
    }

    /// Ends the child, to apply the rung and start it again in the same session; unless something
    /// came up during the wait that would be lost.
    pub(super) fn end_child(&mut self, failure: Failure, rung: Rung) {
        let (look, read) = self.look();
        let working = look.is_busy() || read.status == Some(Status::Busy);
        let in_the_way = [
            (!look.box_is_empty() || look.panel.is_some(), "there is a draft or a dialog"),
            (working, "claude is working"),
            (read.foreign_writer, "another process uses the session"),
            (has_work(self.relay.pid().as_raw()), "claude has work in the background"),
        ];
        if let Some((_, why)) = in_the_way.into_iter().find(|(stands, _)| *stands) {
            return self.stand_aside(why);
        }
        Notice::clear(&self.run.dir);
        // What is typed from now on is the next child's.
        self.relay.hold_input(true);
        self.relay.swallow_output(true);
        self.relay.end(GRACE);
        self.stage = Stage::Ending(failure, rung);
    }
}
