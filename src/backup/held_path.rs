//! The path of a file inside a snapshot: `.claude/…` or `.claude.json`, as it lies in a home.
//! File names are whatever the file system allows: newlines, bytes that are not UTF-8, 255
//! bytes. Never lets a path out of the tree, whatever a manifest says.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest file name of the common file systems (bytes).
const NAME_MAX_BYTES: usize = 255;

/// A path that lies in `.claude` or is `.claude.json`; only plain components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldPath(PathBuf);

impl HeldPath {
    /// `.claude.json`.
    #[must_use]
    pub fn claude_json() -> Self {
        Self(PathBuf::from(".claude.json"))
    }

    /// A path below Claude's directory.
    #[must_use]
    pub fn in_claude_dir(rest: &Path) -> Option<Self> {
        Self::new(&Path::new(".claude").join(rest))
    }

    /// Checks a path from outside; `None` when it could lead anywhere else.
    #[must_use]
    pub fn new(path: &Path) -> Option<Self> {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let first = path.components().next()?.as_os_str();
        let inside = first == ".claude" || path.as_os_str() == ".claude.json";
        let no_nul = !path.as_os_str().as_bytes().contains(&0);
        (plain && inside && no_nul).then(|| Self(path.components().collect()))
    }

    /// The path itself.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// What follows `.claude/`; `None` for `.claude.json`.
    #[must_use]
    pub fn below_claude_dir(&self) -> Option<&Path> {
        self.0.strip_prefix(".claude").ok()
    }

    /// Where it lies in the snapshot: a file's name with `.zst` behind it. Directories whose
    /// name could be taken for such a file get `.d`; a name that becomes too long is replaced
    /// by `~` and its BLAKE3 (the manifest tells which it was).
    #[must_use]
    pub fn stored(&self, compressed: bool) -> PathBuf {
        let count = self.0.components().count();
        let parts = self.0.components().enumerate();
        parts
            .map(|(index, part)| stored_name(part.as_os_str(), compressed && index + 1 == count))
            .collect()
    }
}

fn stored_name(name: &OsStr, compressed: bool) -> OsString {
    let mut bytes = name.as_bytes().to_vec();
    if compressed {
        bytes.extend_from_slice(b".zst");
    } else {
        let mut stem = &bytes[..];
        while let Some(shorter) = stem.strip_suffix(b".d") {
            stem = shorter;
        }
        if stem.ends_with(b".zst") {
            bytes.extend_from_slice(b".d");
        }
    }
    if bytes.len() <= NAME_MAX_BYTES {
        return OsString::from_vec(bytes);
    }
    let suffix = if compressed { ".zst" } else { "" };
    format!("~{}{suffix}", blake3::hash(name.as_bytes()).to_hex()).into()
}

/// A path as text for people: control characters cannot reach the terminal.
#[must_use]
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A path in JSON: text, or the list of its bytes when it is not UTF-8.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

/// For `#[serde(with)]` on a path that may hold any bytes.
pub(crate) mod raw {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

    use super::{Deserialize as _, Deserializer, OsString};
    use super::{Path, PathBuf, Serialize as _, Serializer, Written};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => Written::Bytes(path.as_os_str().as_bytes().to_vec()).serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Text(text) => PathBuf::from(text),
            Written::Bytes(bytes) => PathBuf::from(OsString::from_vec(bytes)),
        })
    }
}

impl Serialize for HeldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for HeldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = raw::deserialize(deserializer)?;
        let text = shown(&path);
        Self::new(&path)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` leads out of the snapshot")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leads_out_of_the_tree() {
        for bad in ["", "/etc/passwd", ".claude/../x", "..", "x", ".claude.json/x", "./x/.claude"] {
            assert_eq!(HeldPath::new(Path::new(bad)), None, "{bad}");
            assert!(serde_json::from_value::<HeldPath>(bad.into()).is_err(), "{bad}");
        }
        assert!(HeldPath::new(Path::new(".claude/projects/x")).is_some());
    }

    #[test]
    fn any_name_survives_json() {
        for name in [&b"\n\x1b[31m"[..], b"\xff\xfe", b"-rf", "\u{e9}\u{2028}".as_bytes()] {
            let path = HeldPath::in_claude_dir(Path::new(OsStr::from_bytes(name))).unwrap();
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<HeldPath>(&json).unwrap(), path);
        }
    }

    #[test]
    fn stored_names_of_different_files_never_meet() {
        let stored = |path: &str, compressed| {
            HeldPath::new(Path::new(&format!(".claude/{path}"))).unwrap().stored(compressed)
        };
        assert_eq!(stored("a/b", true), Path::new(".claude/a/b.zst"));
        assert_eq!(stored("a.zst/b", true), Path::new(".claude/a.zst.d/b.zst"));
        assert_eq!(stored("a.zst.d", false), Path::new(".claude/a.zst.d.d"));
        assert_eq!(stored("a.d", false), Path::new(".claude/a.d"));
        let long = "x".repeat(255);
        let name = stored(&long, true);
        assert!(name.file_name().unwrap().len() < 100, "{name:?}");
        assert_eq!(stored(&long, false), Path::new(".claude").join(&long));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(shown(Path::new(OsStr::from_bytes(b"a\x1b[2Jb\n\xff"))), "a\\u{1b}[2Jb\\n\\xff");
    }
}
