//! A file to be judged: a terminal recording, the result of a headless run, or what it printed.
//! In: a path. Out: a [`Material`], or why there is none.

use std::io::Read as _;
use std::path::Path;

use jiff::ZonedDateTime;
use serde_json::Value;

use crate::claude::credentials::SignIn;
use crate::claude::rules::{Observation, Place, Rules};
use crate::config;
use crate::error::Usage;

/// Larger files are not read.
const LARGEST_BYTES: u64 = 64 << 20;

/// How Claude was signed in when the material was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::commands) enum Signed {
    /// The access token was good
    Fresh,
    /// The access token had expired; the refresh token was kept
    Expired,
    /// Claude had emptied the tokens
    Emptied,
    /// There were no credentials
    None,
    /// A key or a long-lived token
    Key,
}

impl Signed {
    fn sign_in(self) -> SignIn {
        match self {
            Self::Fresh => SignIn::Kept { expires: jiff::Timestamp::MAX, since: None },
            Self::Expired => SignIn::Expired,
            Self::Emptied => SignIn::Emptied,
            Self::None => SignIn::Missing,
            Self::Key => SignIn::ApiKey,
        }
    }
}

/// Why there is no material.
#[derive(Debug, thiserror::Error)]
pub(in crate::commands) enum Error {
    #[error("{0}: there is no such file")]
    Missing(String),
    #[error("{0}")]
    Wrong(String),
}

impl From<Error> for Usage {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// What is judged.
#[derive(Debug)]
pub(in crate::commands) enum Material {
    /// Bytes that Claude wrote to a terminal of this size.
    Recording { bytes: Vec<u8>, rows: u16, columns: u16 },
    /// A `result` document.
    Result(Value),
    /// Text.
    Text(String),
}

impl Material {
    /// Reads a file; what it is shows in its content.
    pub(in crate::commands) fn read(path: &Path, size: Option<&str>) -> Result<Self, Error> {
        let shown = crate::report::words::printable(&path.to_string_lossy());
        let wrong = |why: String| Error::Wrong(format!("{shown}: {why}"));
        let size = match size {
            Some(text) => Some(
                parse_size(text)
                    .ok_or_else(|| Error::Wrong(format!("--size: `{text}` is not like 80x24")))?,
            ),
            None => size_in(&path.file_stem().unwrap_or_default().to_string_lossy()),
        };
        let mut bytes = Vec::new();
        let read = || -> std::io::Result<u64> {
            let meta = std::fs::metadata(path)?;
            if meta.is_dir() {
                return Err(std::io::ErrorKind::IsADirectory.into());
            }
            let file = std::fs::File::open(path)?;
            file.take(LARGEST_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(bytes.len() as u64)
        };
        let mut read = read;
        match read() {
            Ok(length) if length > LARGEST_BYTES => {
                return Err(wrong(format!("is larger than {} MiB", LARGEST_BYTES >> 20)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Missing(shown));
            }
            Err(error) => return Err(wrong(format!("failed to read: {error}"))),
            Ok(_) => {}
        }
        if let Some(result) = result_in(&bytes) {
            return Ok(Self::Result(result));
        }
        if bytes.contains(&0x1b) {
            let (columns, rows) = size.unwrap_or((80, 24));
            return Ok(Self::Recording { bytes, rows, columns });
        }
        Ok(Self::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Where such words are looked for, the most trusted first.
    pub(in crate::commands) fn places(&self) -> &'static [Place] {
        match self {
            Self::Recording { .. } => &[Place::Screen],
            Self::Result(_) => &[Place::Result],
            Self::Text(_) => &[Place::Output, Place::StartUp, Place::Screen],
        }
    }

    /// The words.
    pub(in crate::commands) fn text(&self) -> String {
        match self {
            Self::Recording { bytes, rows, columns } => {
                let mut screen = crate::watch::Screen::new(*rows, *columns);
                screen.feed(bytes);
                screen.text()
            }
            Self::Result(result) => result["result"].as_str().unwrap_or_default().to_owned(),
            Self::Text(text) => text.clone(),
        }
    }

    /// Claude's own classes, of a result.
    pub(in crate::commands) fn errors(&self) -> Vec<&str> {
        match self {
            Self::Result(result) => ["api_error", "api_error_type"]
                .iter()
                .filter_map(|key| result[key].as_str())
                .collect(),
            Self::Recording { .. } | Self::Text(_) => Vec::new(),
        }
    }

    /// The words as the rules are asked about them.
    pub(in crate::commands) fn observation<'a>(
        &self,
        place: Place,
        text: &'a str,
        errors: &'a [&'a str],
        signed: Signed,
        now: &'a ZonedDateTime,
    ) -> Observation<'a> {
        let status = match self {
            Self::Result(result) => result["api_error_status"].as_u64(),
            Self::Recording { .. } | Self::Text(_) => None,
        };
        let status = status.and_then(|status| u16::try_from(status).ok());
        Observation { place, errors, status, ..observation_of_screen(text, signed, now) }
    }
}

/// Words of a panel of the screen.
pub(in crate::commands) fn observation_of_screen<'a>(
    text: &'a str,
    signed: Signed,
    now: &'a ZonedDateTime,
) -> Observation<'a> {
    let sign_in = Some(signed.sign_in());
    Observation {
        place: Place::Screen,
        text,
        errors: &[],
        status: None,
        sign_in,
        since: None,
        version: None,
        now,
    }
}

/// The `result` in a JSON document, an array of messages, or JSON lines.
fn result_in(bytes: &[u8]) -> Option<Value> {
    let is_result = |value: &Value| value["type"] == "result";
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        return match value {
            Value::Array(messages) => messages.into_iter().rev().find(is_result),
            value => Some(value).filter(is_result),
        };
    }
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).find(is_result)
}

fn parse_size(text: &str) -> Option<(u16, u16)> {
    let (columns, rows) = text.split_once('x')?;
    let extent = |text: &str| text.parse().ok().filter(|extent| (1..=1000).contains(extent));
    Some((extent(columns)?, extent(rows)?))
}

/// The size in a name such as `api500-final-80x24`.
fn size_in(name: &str) -> Option<(u16, u16)> {
    name.rsplit(['-', '_', '.']).find_map(parse_size)
}

/// The built-in rules and those of the user's configuration.
pub(in crate::commands) fn rules_in_use() -> Rules {
    let file = crate::paths::config_file();
    let (config, _) = config::load(&file, config::Profile::Base, std::iter::empty());
    let (rules, wrong) = Rules::new(&config.rules);
    for problem in config.rule_problems(&wrong) {
        crate::notice::say(&format!("{problem} (left out)"));
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content_and_a_recording_s_size_by_its_name() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let read = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            Material::read(&path, None).expect("readable")
        };
        let Material::Recording { rows, columns, .. } = read("x-100x30.ansi", "\u{1b}[H") else {
            panic!("no recording")
        };
        assert_eq!((columns, rows), (100, 30));
        let result = r#"{"type":"result","is_error":true,"result":"\u001b[1mno"}"#;
        assert!(matches!(read("r", result), Material::Result(_)));
        assert!(matches!(
            read("r", &format!("{{\"type\":\"x\"}}\n{result}\n")),
            Material::Result(_)
        ));
        assert!(matches!(read("r", &format!("[{result}]")), Material::Result(_)));
        assert!(matches!(read("r", "Login timed out"), Material::Text(_)));
        assert!(matches!(Material::read(&dir.path().join("no"), None), Err(Error::Missing(_))));
        assert!(matches!(Material::read(dir.path(), None), Err(Error::Wrong(_))));
        assert!(matches!(Material::read(dir.path(), Some("80×24")), Err(Error::Wrong(_))));
    }
}
