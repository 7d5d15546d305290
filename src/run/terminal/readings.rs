//! What is read for a look: transcript, credentials, Claude's note on itself. Only when the
//! watcher asks for it, never while nothing happens.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::claude::hooks::HookEvent;
use crate::claude::{session_file, transcript};
use crate::run::Run;
use crate::watch::Readings;

/// Which session is on screen, as far as anyone told.
#[derive(Debug)]
pub(super) struct Witness {
    pid: i32,
    launched: SystemTime,
    transcript: Option<PathBuf>,
    reader: transcript::Reader,
    vim: Option<String>,
}

impl Witness {
    /// Of a child started now.
    pub(super) fn new(pid: i32) -> Self {
        Self {
            pid,
            launched: SystemTime::now(),
            transcript: None,
            reader: transcript::Reader::default(),
            vim: None,
        }
    }

    /// Learns from a hook or a status line call.
    pub(super) fn learn(&mut self, event: &HookEvent) {
        if let Some(path) = &event.transcript_path {
            self.transcript = Some(path.clone());
        }
        if event.vim_mode.is_some() {
            self.vim.clone_from(&event.vim_mode);
        }
    }

    /// Reads everything.
    pub(super) fn read(&mut self, run: &mut Run) -> Readings {
        let note = session_file::read(&run.claude_dir, self.pid);
        // Without hooks or a status line (old versions, hooks disabled) the files are asked.
        if let Some(id) = note.as_ref().and_then(|note| note.session_id.as_deref()) {
            run.learn_session(id);
        }
        if self.transcript.as_ref().is_none_or(|path| !path.is_file()) {
            self.transcript = run
                .session
                .as_deref()
                .and_then(|id| transcript::find(&run.claude_dir, id))
                .or_else(|| self.newest(run));
        }
        let tail = self.transcript.as_deref().and_then(|path| self.reader.tail(path).ok());
        let tail = tail.unwrap_or_default();
        let failed_at = tail.failure.as_ref().and_then(|failure| failure.at);
        let session = run.session.clone();
        Readings {
            foreign_writer: session
                .as_deref()
                .is_some_and(|id| session_file::elsewhere(&run.claude_dir, id, self.pid)),
            tail,
            sign_in: Some(run.look_at_sign_in().since(failed_at)),
            status: note.and_then(|note| note.status),
            vim_commands: self.vim.as_deref().is_some_and(|mode| mode != "INSERT"),
            session,
        }
    }

    /// The transcript of this directory that was written to since the launch.
    fn newest(&self, run: &mut Run) -> Option<PathBuf> {
        let cwd = std::env::current_dir().ok()?;
        let path = transcript::newest(&run.claude_dir, &cwd, self.launched)?;
        run.learn_session(transcript::session_of(&path)?);
        Some(path)
    }
}
