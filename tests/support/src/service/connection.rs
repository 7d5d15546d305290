//! One connection: plain HTTP, or a `CONNECT` and TLS behind it. Reads requests, asks the
//! service what each deserves, and does that to it.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use rustls::{ServerConnection, StreamOwned};
use serde_json::json;

use super::api::Ending;
use super::http::{Message, Reply, Wire};
use super::log::{Request, RequestKind};
use super::reply::classify;
use super::script::{Answer, Behaviour, ErrorReply};
use super::{Endpoint, Service};

/// Serves a connection until either side ends it.
pub(super) fn serve(service: &Service, socket: &Arc<TcpStream>) -> io::Result<()> {
    let wire = Wire(Arc::clone(socket));
    let mut plain = BufReader::new(wire.clone());
    while let Some(message) = Message::read(&mut plain)? {
        if message.method == "CONNECT" {
            let host = message.target.split(':').next().unwrap_or_default();
            let request = Request::new("CONNECT", host, "");
            let mut out = wire.clone();
            let exchange = Exchange { service, socket, out: &mut out };
            if !exchange.connect(request)? {
                return Ok(());
            }
            let tls = ServerConnection::new(service.authority.config_for(host));
            let tls = StreamOwned::new(tls.map_err(io::Error::other)?, wire);
            return requests(service, socket, BufReader::new(tls), Some(host));
        }
        if !one(service, socket, &mut plain, message, None)? {
            return Ok(());
        }
    }
    Ok(())
}

fn requests<S: Read + Write>(
    service: &Service,
    socket: &Arc<TcpStream>,
    mut stream: BufReader<S>,
    host: Option<&str>,
) -> io::Result<()> {
    while let Some(message) = Message::read(&mut stream)? {
        if !one(service, socket, &mut stream, message, host)? {
            break;
        }
    }
    Ok(())
}

/// Answers one request; whether the connection lives on.
fn one<S: Read + Write>(
    service: &Service,
    socket: &Arc<TcpStream>,
    stream: &mut BufReader<S>,
    message: Message,
    host: Option<&str>,
) -> io::Result<bool> {
    let (asked, path) = split_target(&message);
    let host = host.map_or(asked, str::to_owned);
    let mut request = Request::new(&message.method, &host, &path);
    request.body = serde_json::from_slice(&message.body).unwrap_or_default();
    request.headers = message.headers;
    request.read_messages();
    Exchange { service, socket, out: stream.get_mut() }.answer(request)
}

/// Host and path of a request line, absolute (as to a proxy) or not.
fn split_target(message: &Message) -> (String, String) {
    if let Some(rest) = message.target.strip_prefix("http://") {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        return (host.split(':').next().unwrap_or_default().into(), format!("/{path}"));
    }
    let host = message.header("host").unwrap_or_default();
    (host.split(':').next().unwrap_or_default().into(), message.target.clone())
}

/// A request that was read and the way back.
struct Exchange<'a> {
    service: &'a Service,
    socket: &'a Arc<TcpStream>,
    out: &'a mut dyn Write,
}

impl Exchange<'_> {
    /// Answers a `CONNECT`; whether a tunnel stands.
    fn connect(mut self, mut request: Request) -> io::Result<bool> {
        request.kind = RequestKind::Connect;
        let number = self.service.log.note(&request);
        match self.service.behaviour(Endpoint::Proxy, true) {
            Behaviour::Ok => {
                self.service.log.answered(number, 200);
                self.out.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                Ok(true)
            }
            other => {
                self.fault(&request, number, other)?;
                Ok(false)
            }
        }
    }

    fn answer(mut self, mut request: Request) -> io::Result<bool> {
        let endpoint = classify(&mut request);
        let number = self.service.log.note(&request);
        match self.service.behaviour_for(endpoint, &request) {
            Behaviour::Ok => {
                let reply = self.service.reply(endpoint, &request, None, Ending::Complete);
                self.send(number, reply, None)
            }
            Behaviour::Drip(every) => {
                let reply = self.service.reply(endpoint, &request, None, Ending::Complete);
                self.send(number, reply, Some(every))
            }
            Behaviour::Answer(answer) => {
                let reply = self.service.reply(endpoint, &request, Some(&answer), Ending::Complete);
                self.send(number, reply, None)
            }
            Behaviour::CutAfter(text) => self.broken_stream(&request, number, text, Ending::Cut),
            Behaviour::SseError(text) => self.broken_stream(&request, number, text, Ending::Error),
            fault => self.fault(&request, number, fault),
        }
    }

    /// A stream that breaks. A request that wants no stream, or no turn, is answered in full.
    fn broken_stream(
        &mut self,
        request: &Request,
        number: usize,
        text: String,
        ending: Ending,
    ) -> io::Result<bool> {
        let breaks = request.kind == RequestKind::Turn && request.body["stream"] == true;
        let (text, ending) =
            if breaks { (Some(Answer::Text(text)), ending) } else { (None, Ending::Complete) };
        let reply = self.service.reply(Endpoint::Api, request, text.as_ref(), ending);
        self.send(number, reply, None)
    }

    /// A fault that does not depend on the endpoint; whether the connection lives on.
    fn fault(&mut self, request: &Request, number: usize, fault: Behaviour) -> io::Result<bool> {
        let reply = match fault {
            Behaviour::Error(error) => error_reply(error),
            Behaviour::Html { status, title } => {
                let page = format!(
                    "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
                     <center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
                );
                Reply::whole(status, "text/html", page)
            }
            Behaviour::Redirect(to) => {
                let mut reply = Reply::whole(302, "text/html", "");
                reply.headers.push(("location".into(), to));
                reply
            }
            Behaviour::Huge(bytes) => {
                Reply::json(200, &json!({ "path": request.path, "padding": "x".repeat(bytes) }))
            }
            Behaviour::Hang => {
                // the client's time-out or the end of the service ends this read
                let mut rest = [0; 1024];
                while (&**self.socket).read(&mut rest)? > 0 {}
                return Ok(false);
            }
            Behaviour::Reset => {
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&**self.socket, sockopt::Linger, &linger)?;
                return Ok(false);
            }
            _ => return Ok(false),
        };
        self.send(number, reply, None)
    }

    fn send(&mut self, number: usize, reply: Reply, drip: Option<Duration>) -> io::Result<bool> {
        self.service.log.answered(number, reply.status);
        reply.write(self.out, drip)
    }
}

fn error_reply(error: ErrorReply) -> Reply {
    let (content_type, body) = error.raw.unwrap_or_else(|| {
        let detail = json!({ "type": error.kind, "message": error.message });
        let body = json!({ "type": "error", "error": detail, "request_id": "req_fake" });
        ("application/json".into(), body.to_string())
    });
    let mut reply = Reply::whole(error.status, &content_type, body);
    reply.headers.extend(error.headers);
    reply
}
