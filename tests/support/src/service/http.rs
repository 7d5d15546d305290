//! As much of HTTP/1.1 as the clients under test speak. In: bytes of one connection. Out:
//! requests; replies whole, chunked, dripping or cut.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::wait::pause;

/// The connection's socket. No descriptor of it is duplicated, so that dropping the last
/// owner closes it: a reset needs that.
#[derive(Clone)]
pub(super) struct Wire(pub(super) Arc<TcpStream>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.0).flush()
    }
}

/// Request line, headers and body as they came.
pub(super) struct Message {
    pub(super) method: String,
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reads one request; `None` at the end of the connection.
    pub(super) fn read<S: Read + Write>(from: &mut BufReader<S>) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a request line"));
        };
        let mut message = Self { method, target, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            message.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        if message.header("expect").is_some() {
            from.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        message.body = message.read_body(from)?;
        Ok(Some(message))
    }

    fn read_body(&self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            loop {
                let mut size = String::new();
                from.read_line(&mut size)?;
                let digits = size.trim().split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
                from.by_ref().take(size).read_to_end(&mut body)?;
                let mut end = String::new();
                from.read_line(&mut end)?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let size = self.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        from.by_ref().take(size).read_to_end(&mut body)?;
        Ok(body)
    }
}

/// A reply to be written.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
}

/// The body of a reply.
pub(super) enum Body {
    Whole(Vec<u8>),
    /// Server-sent events, each after its pause; `complete` false breaks the connection off.
    Events {
        events: Vec<(Duration, String)>,
        complete: bool,
    },
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", body.to_string())
    }

    pub(super) fn whole(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".into(), content_type.into())];
        Self { status, headers, body: Body::Whole(body.into()) }
    }

    /// Writes the reply, `drip` (if any) between its bytes; whether the connection lives on.
    pub(super) fn write(self, to: &mut dyn Write, drip: Option<Duration>) -> io::Result<bool> {
        let mut to = Drip { to, every: drip };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        match self.body {
            Body::Whole(body) => {
                head.extend(["content-length: ", &body.len().to_string(), "\r\n\r\n"]);
                to.send(head.as_bytes())?;
                to.send(&body)?;
                Ok(true)
            }
            Body::Events { events, complete } => {
                head.push_str("transfer-encoding: chunked\r\n\r\n");
                to.send(head.as_bytes())?;
                for (before, event) in events {
                    pause(before);
                    to.send(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
                }
                if complete {
                    to.send(b"0\r\n\r\n")?;
                }
                Ok(complete)
            }
        }
    }
}

/// Writes at once, or byte by byte with a pause.
struct Drip<'a> {
    to: &'a mut dyn Write,
    every: Option<Duration>,
}

impl Drip<'_> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.every {
            None => self.to.write_all(bytes)?,
            Some(every) => {
                for byte in bytes {
                    pause(every);
                    self.to.write_all(std::slice::from_ref(byte))?;
                    self.to.flush()?;
                }
            }
        }
        self.to.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        413 => "Payload Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Status",
    }
}
