//! Applies a rung: the fix, then the edit of the plan. In: the run, the rung, the failure. Out:
//! what was done, or why not; either is written down. Rungs that move files or cost money are
//! announced before they act, and nothing is moved before a verified backup.

use std::path::PathBuf;

use jiff::Timestamp;

use super::Run;
use crate::backup::{self, Source, users};
use crate::fix::{api_key, clear_cache, sign_in_reset, update};
use crate::journal::{Event, Mode};
use crate::machine::Rung;
use crate::watch::Failure;

impl Run {
    /// Applies the rung. `false`: it could not be, and will not be tried again in this streak.
    pub(super) async fn apply(&mut self, rung: Rung, failure: &Failure) -> bool {
        // The last launch's key was for that launch alone.
        self.plan.key = None;
        self.plan.extra.clear();
        let outcome = match rung {
            Rung::AskAgain | Rung::Relaunch => return true,
            Rung::Update => self.update().await,
            Rung::NewSession => Ok(self.new_session(failure)),
            Rung::ClearCache => self.clear_cache(),
            Rung::SignInReset => self.sign_in_reset(),
            Rung::ApiKey => self.api_key(),
        };
        match &outcome {
            Ok(done) => self.say(done),
            Err(why) => {
                self.say(&format!("{}: {why}", rung.name().replace('_', " ")));
                self.history.fix_failed(rung);
            }
        }
        let done = outcome.is_ok();
        self.journal.record(Event::Fixed { rung, outcome });
        done
    }

    /// A person refused the rung.
    pub(super) fn declined(&mut self, rung: Rung, by: &str) {
        self.journal.record(Event::Declined { rung, by: by.to_owned() });
    }

    async fn update(&self) -> Result<String, String> {
        self.say("updating Claude Code (`claude update`, at most 5 minutes)");
        let updated = update::update(
            &self.plan.program,
            &self.state_dir,
            self.journal.run(),
            &*self.environment,
        )
        .await;
        let updated = updated.map_err(|error| error.to_string())?;
        let name = |version: Option<crate::claude::version::Version>| {
            version.map_or_else(|| "unknown".to_owned(), |version| version.to_string())
        };
        Ok(if updated.before == updated.after {
            format!("Claude Code {} is the newest", name(updated.after))
        } else {
            format!("Claude Code {} → {}", name(updated.before), name(updated.after))
        })
    }

    fn new_session(&mut self, failure: &Failure) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        self.plan = self.plan.afresh(&id);
        let old = failure.session.clone().or_else(|| self.session.take());
        self.learn_session(&id);
        match old {
            Some(old) => {
                format!("asking in a new session; the old one is kept: claude --resume {old}")
            }
            None => "asking in a new session".to_owned(),
        }
    }

    fn clear_cache(&self) -> Result<String, String> {
        let paths: Vec<PathBuf> =
            self.config.list("cache.paths").into_iter().map(PathBuf::from).collect();
        self.say("backing up, then moving Claude's cache aside");
        let source = Source::current();
        let cleared = backup::snapshot_before(Rung::ClearCache, &self.config, &source)
            .and_then(|proof| {
                let unused = users::prove_unused(&self.claude_dir, &[])?;
                let moved = clear_cache::clear_cache(&self.claude_dir, &paths, &proof, &unused)?;
                Ok((moved, proof))
            })
            .map_err(|error| with_causes(&error))?;
        let (moved, proof) = cleared;
        Ok(match moved.as_slice() {
            [] => "there was no cache to move".to_owned(),
            _ => format!("{} moved to {}", moved.len(), proof.dir().join("moved").display()),
        })
    }

    fn sign_in_reset(&self) -> Result<String, String> {
        self.say("moving the credentials file aside; it is kept for 7 days");
        let moved = users::prove_unused(&self.claude_dir, &[])
            .and_then(|unused| {
                let now = Timestamp::now();
                sign_in_reset::prune_aside(&self.state_dir, now)?;
                sign_in_reset::sign_in_reset(&self.claude_dir, &self.state_dir, &unused, now)
            })
            .map_err(|error| with_causes(&error))?;
        moved.map_or_else(
            || Err("there is no credentials file".to_owned()),
            |to| Ok(format!("credentials moved to {}", to.display())),
        )
    }

    fn api_key(&mut self) -> Result<String, String> {
        self.say("using your API key for the next launch: this costs money");
        let key =
            api_key::take(&self.config, &self.state_dir).map_err(|error| error.to_string())?;
        self.plan.key = Some(key);
        if self.mode == Mode::Headless {
            let budget = self.config.integer("api_key.max_budget_usd");
            self.plan.extra = vec!["--max-budget-usd".into(), budget.to_string().into()];
        }
        Ok("the API key is used for this launch only".to_owned())
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
