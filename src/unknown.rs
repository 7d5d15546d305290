//! Failures that no rule knew. In: what Claude said, and where. Out: small redacted files in the
//! state directory, which `rules learn` shows. Few and small: at most [`MOST`] files of
//! [`CAP_BYTES`]; one that cannot be written is no reason to fail.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use crate::claude::rules::redact;
use crate::failure::{ExitReason, Verdict};

/// How many are kept; the oldest go first.
pub const MOST: usize = 50;

/// How much of one is kept (bytes).
pub const CAP_BYTES: usize = 16 << 10;

/// Something that was kept.
#[derive(Debug)]
pub struct Kept {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is: `headless`, `screen` …
    pub kind: String,
    /// When it was last seen.
    pub seen: SystemTime,
    /// The words, redacted.
    pub text: String,
}

fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join("unknown")
}

/// Keeps a text. The same words are kept once, with the time at which they were last seen.
/// `kind` is a word of ours, no text of Claude's.
pub fn keep(state_dir: &Path, kind: &str, text: &str) {
    let words = redact(text, CAP_BYTES);
    if words.trim().is_empty() {
        return;
    }
    if let Err(error) = write(&dir(state_dir), kind, &words) {
        tracing::debug!(%error, "a text that no rule knew was not kept");
    }
}

/// Keeps the words of a headless run that failed although no rule knew why: a result's own words
/// where there is one. A clean end and one by a signal are no failures.
pub fn keep_if_unknown(state_dir: &Path, verdict: &Verdict, result: Option<&Value>, text: &str) {
    let Verdict::Done(ExitReason::Code(code)) = verdict else { return };
    if !matches!(code, 0 | 129 | 130 | 143) {
        let said = result.and_then(|result| result["result"].as_str());
        keep(state_dir, "headless", said.unwrap_or(text));
    }
}

fn write(dir: &Path, kind: &str, words: &str) -> io::Result<()> {
    crate::paths::private_dir(dir)?;
    let hash = blake3::hash(words.as_bytes()).to_hex();
    crate::paths::write_private(
        &dir.join(format!("{kind}-{}.txt", &hash[..12])),
        words.as_bytes(),
    )?;
    for (_, path) in by_age(dir)?.into_iter().skip(MOST) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// The files, newest first.
fn by_age(dir: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push((entry.metadata()?.modified()?, path));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

/// What was kept, newest first.
pub fn list(state_dir: &Path) -> io::Result<Vec<Kept>> {
    let files = match by_age(&dir(state_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    let read = |(seen, path): (SystemTime, PathBuf)| {
        let text = std::fs::read_to_string(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind = name.rsplit_once('-').map_or(name.clone(), |(kind, _)| kind.to_owned());
        Ok(Kept { path, kind, seen, text })
    };
    files.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_no_rule_knew_is_kept_once_redacted_private_and_bounded() {
        let state = tempfile::tempdir().expect("a temporary directory");
        for _ in 0..2 {
            keep(state.path(), "headless", "Flux capacitor overheated sk-ant-api03-abcdefgh");
        }
        keep(state.path(), "headless", "  \n ");
        let kept = list(state.path()).expect("readable");
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].kind, "headless");
        assert_eq!(kept[0].text, "Flux capacitor overheated [redacted]\n");
        let mode = std::fs::metadata(&kept[0].path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for number in 0..MOST + 10 {
            keep(state.path(), "headless", &format!("strange {number}"));
        }
        assert_eq!(list(state.path()).expect("readable").len(), MOST);
        keep(state.path(), "headless", &"word ".repeat(CAP_BYTES).replace("d w", "d\nw"));
        let largest =
            list(state.path()).expect("readable").iter().map(|kept| kept.text.len()).max();
        assert!(largest.is_some_and(|largest| largest <= CAP_BYTES && largest > CAP_BYTES / 2));
    }

    #[test]
    fn only_a_failed_end_that_no_rule_knew_is_kept_and_a_result_s_own_words_before_its_document() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let keep = |code| {
            let verdict = Verdict::Done(ExitReason::Code(code));
            let result = serde_json::json!({ "result": format!("strange {code}") });
            keep_if_unknown(state.path(), &verdict, Some(&result), "{}");
        };
        [0, 129, 130, 143, 7].into_iter().for_each(keep);
        let verdict = Verdict::Done(ExitReason::Signal(15));
        keep_if_unknown(state.path(), &verdict, None, "ended by a signal");
        let kept = list(state.path()).expect("readable");
        assert_eq!(kept.iter().map(|kept| kept.text.as_str()).collect::<Vec<_>>(), ["strange 7\n"]);
    }

    #[test]
    fn nothing_kept_is_an_empty_list_and_an_unwritable_place_is_no_fault() {
        let state = tempfile::tempdir().expect("a temporary directory");
        assert!(list(state.path()).expect("nothing").is_empty());
        keep(Path::new("/dev/null/nowhere"), "headless", "words");
    }
}
