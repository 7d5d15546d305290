//! Masks the secrets of a JSON file while it streams by. Everything else passes byte for
//! byte: numbers, white space, repeated keys. In: bytes of a document that was checked to be
//! JSON. Out: the same with secrets replaced, and where they were. Holds at most one string.

use std::io::{self, Write};

use super::secret::{self, MASK, Treatment};

/// A writer that masks what is written to it.
#[derive(Debug)]
pub struct Masker<W> {
    out: W,
    /// The objects and arrays around the current place.
    frames: Vec<Frame>,
    /// A string or scalar that is not complete yet.
    token: Vec<u8>,
    state: State,
    masked: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens.
    Between,
    /// In a string; the last byte was a backslash.
    Text { escaped: bool },
    /// In a number, `true`, `false` or `null`.
    Scalar,
    /// In an object or array that is masked whole, this deep.
    Skipped { depth: usize, in_text: bool, escaped: bool },
}

#[derive(Debug)]
enum Frame {
    Object { key: Option<String> },
    Array { index: usize, after_announcement: bool },
}

impl<W: Write> Masker<W> {
    /// Passes masked bytes on to `out`.
    pub fn new(out: W) -> Self {
        let (frames, token, masked) = (Vec::new(), Vec::new(), Vec::new());
        Self { out, frames, token, state: State::Between, masked }
    }

    /// Ends the document: the writer, and the JSON pointers of what was masked.
    pub fn finish(mut self) -> io::Result<(W, Vec<String>)> {
        if self.state == State::Scalar {
            self.scalar()?;
        }
        Ok((self.out, self.masked))
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        match &mut self.state {
            State::Between => self.between(byte),
            State::Text { escaped } => {
                self.token.push(byte);
                match byte {
                    _ if *escaped => *escaped = false,
                    b'\\' => *escaped = true,
                    b'"' => return self.text(),
                    _ => {}
                }
                Ok(())
            }
            State::Scalar if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte) => {
                self.token.push(byte);
                Ok(())
            }
            State::Scalar => {
                self.scalar()?;
                self.between(byte)
            }
            State::Skipped { depth, in_text, escaped } => {
                match byte {
                    _ if *escaped => *escaped = false,
                    b'\\' if *in_text => *escaped = true,
                    b'"' => *in_text = !*in_text,
                    _ if *in_text => {}
                    b'{' | b'[' => *depth += 1,
                    b'}' | b']' => *depth -= 1,
                    _ => {}
                }
                if *depth == 0 {
                    self.state = State::Between;
                }
                Ok(())
            }
        }
    }

    fn between(&mut self, byte: u8) -> io::Result<()> {
        match byte {
            b'"' => {
                self.token.push(byte);
                self.state = State::Text { escaped: false };
                return Ok(());
            }
            b'{' | b'[' => {
                if self.treatment() == Treatment::Masked {
                    self.state = State::Skipped { depth: 1, in_text: false, escaped: false };
                    return self.mask();
                }
                self.frames.push(match byte {
                    b'{' => Frame::Object { key: None },
                    _ => Frame::Array { index: 0, after_announcement: false },
                });
            }
            b'}' | b']' => drop(self.frames.pop()),
            b',' => match self.frames.last_mut() {
                Some(Frame::Object { key }) => *key = None,
                Some(Frame::Array { index, .. }) => *index += 1,
                None => {}
            },
            b':' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                self.token.push(byte);
                self.state = State::Scalar;
                return Ok(());
            }
        }
        self.out.write_all(&[byte])
    }

    /// A string is complete: a key, or a value to judge.
    fn text(&mut self) -> io::Result<()> {
        self.state = State::Between;
        let raw = std::mem::take(&mut self.token);
        // The document was checked before; what cannot be decoded now changed meanwhile.
        let text: String = serde_json::from_slice(&raw).map_err(io::Error::from)?;
        if let Some(Frame::Object { key: key @ None }) = self.frames.last_mut() {
            *key = Some(text);
            return self.out.write_all(&raw);
        }
        let mut secret = match self.treatment() {
            Treatment::Masked => !text.is_empty(),
            Treatment::UnlessHarmless => !secret::is_harmless(&text),
            Treatment::ByContent => secret::looks_secret(&text),
        };
        if let Some(Frame::Array { after_announcement, .. }) = self.frames.last_mut() {
            secret |= std::mem::replace(after_announcement, secret::announces_secret(&text));
        }
        if secret { self.mask() } else { self.out.write_all(&raw) }
    }

    fn scalar(&mut self) -> io::Result<()> {
        self.state = State::Between;
        let raw = std::mem::take(&mut self.token);
        let harmless = std::str::from_utf8(&raw).is_ok_and(secret::is_harmless);
        if harmless || self.treatment() == Treatment::ByContent {
            self.out.write_all(&raw)
        } else {
            self.mask()
        }
    }

    /// How the value at the current place is to be treated.
    fn treatment(&self) -> Treatment {
        // An array takes the treatment of its key, with all its elements.
        let mut keys = self.frames.iter().rev().filter_map(|frame| match frame {
            Frame::Object { key } => key.as_deref(),
            Frame::Array { .. } => None,
        });
        let Some(key) = keys.next() else { return Treatment::ByContent };
        secret::treatment(keys.next(), key)
    }

    fn mask(&mut self) -> io::Result<()> {
        let mut pointer = String::new();
        for frame in &self.frames {
            pointer.push('/');
            match frame {
                Frame::Object { key } => {
                    let key = key.as_deref().unwrap_or_default();
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                }
                Frame::Array { index, .. } => pointer.push_str(&index.to_string()),
            }
        }
        self.masked.push(pointer);
        write!(self.out, "\"{MASK}\"")
    }
}

impl<W: Write> Write for Masker<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.byte(*byte)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> (String, Vec<String>) {
        let mut masker = Masker::new(Vec::new());
        for byte in text.as_bytes() {
            masker.write_all(&[*byte]).unwrap();
        }
        let (out, pointers) = masker.finish().unwrap();
        (String::from_utf8(out).unwrap(), pointers)
    }

    #[test]
    fn secrets_are_masked_where_they_are_known_to_lie() {
        let text = r#"{ "env": {"A_KEY": "abc", "N": "15", "URL": "http://x"},
            "primaryApiKey": "k\"k", "customApiKeyResponses": {"approved": ["tail}"], "r": []},
            "mcpServers": {"s/1": {"headers": {"X": "1"}, "args": ["--token", "t0", "-y", "sk-ant-0123456789abcdef"]}},
            "model": "opus", "big": 1.50e3, "ok": true, "\u0061piKey": "k" }"#;
        let (out, pointers) = masked(text);
        assert_eq!(
            pointers,
            [
                "/env/A_KEY",
                "/env/URL",
                "/primaryApiKey",
                "/customApiKeyResponses",
                "/mcpServers/s~11/headers/X",
                "/mcpServers/s~11/args/1",
                "/mcpServers/s~11/args/3",
                "/apiKey"
            ]
        );
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        for pointer in &pointers {
            assert_eq!(value.pointer(pointer).unwrap(), MASK, "{pointer}");
        }
        assert_eq!(value.pointer("/env/N").unwrap(), "15");
        assert!(out.contains("1.50e3") && out.contains("\"-y\""), "{out}");
    }

    #[test]
    fn what_holds_no_secret_passes_byte_for_byte() {
        for text in
            ["{}", " [1 , 2]\n", "true", "12", "\"a\\\"b\"", "{\"a\" : { \"a\":[{}, []] } }"]
        {
            assert_eq!(masked(text), (text.to_owned(), vec![]));
        }
    }

    proptest::proptest! {
        #[test]
        fn a_masked_document_stays_json_and_loses_nothing_but_secrets(
            keys in proptest::collection::vec("(env|token|a|headers|[a-z\"\\\\\n]{0,4})", 1..6),
            text in ".{0,12}",
        ) {
            let mut value = serde_json::json!([text, 1, null, {"b": text}]);
            for key in &keys {
                value = serde_json::json!({ key: value, "z": [text] });
            }
            let (out, pointers) = masked(&serde_json::to_string_pretty(&value).unwrap());
            let after: serde_json::Value = serde_json::from_str(&out).unwrap();
            let mut expected = value;
            for pointer in &pointers {
                *expected.pointer_mut(pointer).unwrap() = MASK.into();
            }
            proptest::prop_assert_eq!(after, expected);
        }
    }
}
