//! The paths of one sandbox, as texts name them. In: a text. Out: the same with them filled in.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use claude_safe_testkit::{Answer, FakeService, Sandbox, real_claude};

/// Where things are in one sandbox.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) home: PathBuf,
    pub(super) project: PathBuf,
    pub(super) tmp: PathBuf,
    pub(super) claude: PathBuf,
    pub(super) service: PathBuf,
}

impl Place {
    pub(super) fn new(sandbox: &Sandbox, service: &FakeService, version: &str) -> Self {
        Self {
            service: format!("http://127.0.0.1:{}", service.port()).into(),
            home: sandbox.home().to_owned(),
            project: sandbox.project(),
            tmp: sandbox.tmp(),
            claude: real_claude(version),
        }
    }

    pub(super) fn fill(&self, text: &str) -> String {
        let Self { home, project, tmp, claude, service } = self;
        [
            ("{home}", home),
            ("{project}", project),
            ("{tmp}", tmp),
            ("{claude}", claude),
            ("{service}", service),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, path)| text.replace(name, &path.to_string_lossy()))
    }

    pub(super) fn fill_answer(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Tool { name, input, then } => {
                let input = serde_json::from_str(&self.fill(&input.to_string())).unwrap();
                Answer::Tool { name, input, then: Box::new(self.fill_answer(*then)) }
            }
            other => other,
        }
    }

    /// Words that are no text are left alone.
    pub(super) fn fill_os(&self, word: &OsStr) -> OsString {
        word.to_str().map_or_else(|| word.to_owned(), |text| self.fill(text).into())
    }
}
