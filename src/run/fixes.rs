//! Applies a rung: the fix, then the edit of the plan. In: the run, the rung, the failure. Out:
//! what was done, or why not; either is written down. Rungs that move files or cost money are
//! announced before they act, and nothing is moved before a verified backup. A fix takes its time
//! beside the loop, so that a signal is heard meanwhile; what it moves, it moves by renaming.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::Run;
use super::doing::{Done, Future};
use crate::backup::{self, Source, users};
use crate::claude::credentials::SignIn;
use crate::failure::Failure;
use crate::fix::api_key::{self, Key};
use crate::fix::{clear_cache, sign_in_reset, update};
use crate::journal::{self, Mode};
use crate::machine::Event;
use crate::rung::Rung;

/// What a fix did.
pub(super) enum Fixed {
    /// This.
    Said(String),
    /// It found a key for one launch.
    Key(Key),
}

impl Run {
    /// Begins a fix.
    pub(super) fn fix(&mut self, rung: Rung, failure: &Failure) {
        // The last launch's key was for that launch alone.
        self.plan.key = None;
        self.plan.extra.clear();
        let fix: Future<Result<Fixed, String>> = match rung {
            Rung::AskAgain | Rung::Relaunch => Box::pin(async { Ok(Fixed::Said(String::new())) }),
            Rung::Update => self.update(),
            Rung::NewSession => {
                let said = self.new_session(failure);
                Box::pin(async { Ok(Fixed::Said(said)) })
            }
            Rung::ClearCache => self.clear_cache(),
            Rung::SignInReset => self.sign_in_reset(),
            Rung::ApiKey => self.api_key(),
        };
        self.doing.begin(Box::pin(async move { Done::Fixed(rung, fix.await) }));
    }

    /// A fix has ended.
    pub(super) fn fixed(&mut self, rung: Rung, outcome: Result<Fixed, String>) -> Event {
        let outcome = outcome.map(|fixed| match fixed {
            Fixed::Said(said) => said,
            Fixed::Key(key) => {
                self.use_key(key);
                "the API key is used for this launch only".to_owned()
            }
        });
        match &outcome {
            Ok(done) => self.say(done),
            Err(why) => self.say(&format!("{}: {why}", rung.name().replace('_', " "))),
        }
        let applied = outcome.is_ok();
        self.journal.record(journal::Event::Fixed { rung, outcome });
        Event::FixDone(applied)
    }

    fn update(&self) -> Future<Result<Fixed, String>> {
        self.say("updating Claude Code (`claude update`, at most 5 minutes)");
        let (program, state_dir) = (self.plan.program.clone(), self.state_dir.clone());
        let (run, environment) = (self.journal.run().to_owned(), Arc::clone(&self.environment));
        Box::pin(async move {
            let updated = update::update(&program, &state_dir, &run, &*environment).await;
            let updated = updated.map_err(|error| error.to_string())?;
            let name = |version: Option<crate::claude::version::Version>| {
                version.map_or_else(|| "unknown".to_owned(), |version| version.to_string())
            };
            Ok(Fixed::Said(if updated.before == updated.after {
                format!("Claude Code {} is the newest", name(updated.after))
            } else {
                format!("Claude Code {} → {}", name(updated.before), name(updated.after))
            }))
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

    fn clear_cache(&self) -> Future<Result<Fixed, String>> {
        let paths: Vec<PathBuf> =
            self.config.values.cache.paths.iter().map(PathBuf::from).collect();
        self.say("backing up, then moving Claude's cache aside");
        let (config, claude_dir) = (self.config.clone(), self.claude_dir.clone());
        aside(move || {
            let source = Source::current();
            let (moved, proof) = backup::snapshot_before(Rung::ClearCache, &config, &source)
                .and_then(|proof| {
                    let unused = users::prove_unused(&claude_dir, &[])?;
                    let moved = clear_cache::clear_cache(&claude_dir, &paths, &proof, &unused)?;
                    Ok((moved, proof))
                })
                .map_err(|error| with_causes(&error))?;
            Ok(Fixed::Said(match moved.as_slice() {
                [] => "there was no cache to move".to_owned(),
                _ => format!("{} moved to {}", moved.len(), proof.dir().join("moved").display()),
            }))
        })
    }

    fn sign_in_reset(&self) -> Future<Result<Fixed, String>> {
        if matches!(self.sign_in(), SignIn::Keychain | SignIn::Locked) {
            let why = "Claude uses the Keychain, which is left alone".to_owned();
            return Box::pin(std::future::ready(Err(why)));
        }
        self.say("moving the credentials file aside; it is kept for 7 days");
        let (state_dir, claude_dir) = (self.state_dir.clone(), self.claude_dir.clone());
        aside(move || {
            let moved = users::prove_unused(&claude_dir, &[])
                .and_then(|unused| {
                    let now = Timestamp::now();
                    sign_in_reset::prune_aside(&state_dir, now)?;
                    sign_in_reset::sign_in_reset(&claude_dir, &state_dir, &unused, now)
                })
                .map_err(|error| with_causes(&error))?;
            moved.map_or_else(
                || Err("there is no credentials file".to_owned()),
                |to| Ok(Fixed::Said(format!("credentials moved to {}", to.display()))),
            )
        })
    }

    fn api_key(&self) -> Future<Result<Fixed, String>> {
        self.say("using your API key for the next launch: this costs money");
        let (config, state_dir) = (self.config.clone(), self.state_dir.clone());
        aside(move || {
            let key = api_key::take(&config, &state_dir).map_err(|error| error.to_string())?;
            Ok(Fixed::Key(key))
        })
    }

    fn use_key(&mut self, key: Key) {
        self.plan.key = Some(key);
        if self.mode == Mode::Headless {
            let budget = self.config.values.api_key.max_budget_usd;
            self.plan.extra = vec!["--max-budget-usd".into(), budget.to_string().into()];
        }
    }
}

/// Work that blocks, on a thread of its own.
fn aside(
    work: impl FnOnce() -> Result<Fixed, String> + Send + 'static,
) -> Future<Result<Fixed, String>> {
    Box::pin(async move {
        let ended = tokio::task::spawn_blocking(work).await;
        ended.unwrap_or_else(|error| Err(error.to_string()))
    })
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
