//! What a child at a terminal writes first, where its start may be refused for what we added. In:
//! its output. Out: whether it was. Anything but plain text, and any hook, is a sign of life.

use std::time::SystemTime;

use crate::failure::ExitReason;
use crate::launch::terminal::is_plain;
use crate::run::{Run, refusal};

/// No refusal is longer (bytes).
const MOST_BYTES: usize = 16 << 10;

pub(super) struct FirstWords {
    began: SystemTime,
    words: Option<Vec<u8>>,
}

impl FirstWords {
    /// Of the child that is started now.
    pub(super) fn of(run: &Run) -> Self {
        Self { began: SystemTime::now(), words: run.may_refuse_ours().then(Vec::new) }
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let fits = |words: &Vec<u8>| words.len() + bytes.len() <= MOST_BYTES && is_plain(bytes);
        self.words = self.words.take().filter(fits);
        if let Some(words) = &mut self.words {
            words.extend_from_slice(bytes);
        }
    }

    /// It lives.
    pub(super) fn forget(&mut self) {
        self.words = None;
    }

    /// Whether the start was refused for what we added, before anything began.
    pub(super) fn refuses_ours(&self, run: &Run, exit: ExitReason) -> bool {
        let Some(words) = &self.words else { return false };
        refusal::refuses_ours(&run.plan, exit, &String::from_utf8_lossy(words))
            && !run.was_written_since(self.began)
    }
}
