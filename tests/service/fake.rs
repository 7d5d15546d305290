//! A server on loopback that answers each connection with a script and keeps what it was sent.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Serves until the test's process ends.
pub struct Fake {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub fn new(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let port = listener.local_addr().expect("bound").port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, serve) = (Arc::clone(&requests), Arc::new(serve));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (kept, serve) = (Arc::clone(&kept), Arc::clone(&serve));
                std::thread::spawn(move || {
                    let head = read_head(&mut stream);
                    kept.lock().expect("not poisoned").push(head);
                    serve(&mut stream);
                });
            }
        });
        Self { port, requests }
    }

    /// Answers each request with these bytes.
    pub fn saying(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::new(move |stream| drop(stream.write_all(answer.as_bytes())))
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/messages", self.port)
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Blocks until the other side hangs up (or half a minute has passed).
pub fn wait_for_hang_up(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 64]);
}
