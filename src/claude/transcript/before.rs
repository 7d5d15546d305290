//! What an attempt added to its transcript: the only lines that can tell what it did. In: the
//! transcripts as they were when it began. Out: the lines written since, and where the
//! conversation stood before them. By position and line ids, never by times: clocks are put
//! back. What cannot be proved is nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{READ_CAP_BYTES, Tail, Turn, find, project_of, session_of};

/// So much before an attempt's first line is looked through for the line it follows.
const LOOK_BACK_BYTES: u64 = 256 << 10;

/// The transcripts when an attempt began.
#[derive(Debug, Clone)]
pub struct Before {
    at: Timestamp,
    session: Option<String>,
    /// Their sizes; only the session's own where it is known.
    sizes: BTreeMap<PathBuf, u64>,
}

/// What an attempt did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    /// Its lines.
    pub tail: Tail,
    /// The message they follow; `None` where there was none.
    pub follows: Option<String>,
    /// The file did not exist before.
    pub new: bool,
    /// What the session had cost before (USD).
    pub cost_before: f64,
}

impl Before {
    /// Looks now, before the attempt begins. `session` is the one that it will work in, if that is
    /// certain.
    #[must_use]
    pub fn look(claude_dir: &Path, session: Option<&str>) -> Self {
        let sizes = match session {
            Some(id) => {
                let path = find(claude_dir, id);
                path.into_iter().map(|path| (size(&path), path)).collect()
            }
            None => all(claude_dir),
        };
        let sizes = sizes.into_iter().map(|(size, path)| (path, size)).collect();
        Self { at: Timestamp::now(), session: session.map(str::to_owned), sizes }
    }

    /// What was added to this transcript since. `None` unless it is certain that all of it was.
    #[must_use]
    pub fn own(&self, path: &Path) -> Option<Own> {
        let id = session_of(path)?;
        match (self.sizes.get(path), self.session.as_deref()) {
            (Some(size), _) => read(path, *size).ok()?,
            (None, Some(known)) if known == id && self.sizes.is_empty() => read(path, 0).ok()?,
            // A fork begins with lines of another session: which are new, only their times tell.
            (None, None) => read(path, 0)
                .ok()?
                .filter(|own| own.tail.prompted_at.is_some_and(|at| at >= self.at)),
            _ => None,
        }
    }

    /// The one transcript of this directory's project that something was added to, where the
    /// session was not known. `None` also if there are more: nothing tells them apart.
    #[must_use]
    pub fn only_grown(&self, claude_dir: &Path, cwd: &Path) -> Option<PathBuf> {
        let project = project_of(claude_dir, cwd);
        let grown = |(size, path): &(u64, PathBuf)| {
            path.parent() == Some(&project) && self.sizes.get(path).copied().unwrap_or(0) < *size
        };
        let mut grown = all(claude_dir).into_iter().filter(grown);
        let (_, path) = grown.next()?;
        grown.next().is_none().then_some(path)
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

fn all(claude_dir: &Path) -> Vec<(u64, PathBuf)> {
    let projects = fs::read_dir(claude_dir.join("projects")).into_iter().flatten().flatten();
    let files = projects.flat_map(|project| fs::read_dir(project.path()).into_iter().flatten());
    let paths = files.flatten().map(|file| file.path());
    paths.filter(|path| session_of(path).is_some()).map(|path| (size(&path), path)).collect()
}

fn read(path: &Path, from: u64) -> io::Result<Option<Own>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size < from || size - from > READ_CAP_BYTES {
        return Ok(None);
    }
    let start = from.saturating_sub(LOOK_BACK_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(size - start).read_to_end(&mut bytes)?;
    let (before, added) = bytes.split_at(bytes.len().min((from - start) as usize));
    // It was written anew, not added to.
    if !before.is_empty() && !before.ends_with(b"\n") {
        return Ok(None);
    }
    // A first line that is torn is none.
    let (mut earlier, mut turn) = (Turn::default(), Turn::default());
    earlier.lines(before);
    turn.lines(added);
    if start > 0 && earlier.last_uuid.is_none() {
        return Ok(None);
    }
    Ok(Some(Own {
        follows: earlier.last_uuid.clone(),
        new: from == 0,
        cost_before: earlier.session.cost.unwrap_or(0.0),
        tail: turn.all(size),
    }))
}
