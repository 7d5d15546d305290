//! A directory in which each Markdown file becomes a task: from a phone, a share, another
//! program. In: the directory. Out: tasks; the file is moved to `taken/`, or to `refused/` with
//! the reason beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::file::{self, Head};

/// A file that was written to more recently may not be whole yet.
const SETTLED_FOR: Duration = Duration::from_secs(2);

/// A file that was read.
#[derive(Debug)]
pub struct Letter {
    /// Where it lies.
    pub path: PathBuf,
    /// Its head and prompt, or what is wrong with it.
    pub task: Result<(Head, String), String>,
}

/// The files that are whole.
#[must_use]
pub fn read(inbox: &Path) -> Vec<Letter> {
    let Ok(entries) = std::fs::read_dir(inbox) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let whole = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        let age = SystemTime::now().duration_since(meta.modified().ok()?).unwrap_or(SETTLED_FOR);
        (meta.is_file() && age >= SETTLED_FOR).then_some(())
    };
    let is_task = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && path.extension().is_some_and(|end| end == "md")
    };
    let letters = paths.iter().filter(is_task).filter(|path| whole(path).is_some());
    letters
        .map(|path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
            Letter { path: path.clone(), task: text.and_then(|text| file::read(&text)) }
        })
        .collect()
}

/// A key that a file keeps until it is moved: a runner that is killed in between takes it once.
#[must_use]
pub fn key(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut hash = blake3::Hasher::new();
    hash.update(path.as_os_str().as_encoded_bytes()).update(&bytes);
    format!("inbox {}", &hash.finalize().to_hex()[..16])
}

/// Moves a file out of the inbox.
pub fn file_away(path: &Path, refused: Option<&str>) -> std::io::Result<()> {
    let (Some(inbox), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let dir = inbox.join(if refused.is_some() { "refused" } else { "taken" });
    std::fs::create_dir_all(&dir)?;
    let mut to = dir.join(name);
    if to.exists() {
        let stamp = jiff::Timestamp::now().as_millisecond();
        to = dir.join(format!("{stamp}-{}", name.to_string_lossy()));
    }
    if let Some(why) = refused {
        std::fs::write(to.with_extension("why"), format!("{why}\n"))?;
    }
    std::fs::rename(path, to)
}
