//! A page that is served in this process, and a browser without a screen.

#![allow(dead_code, reason = "each of the tests uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maquette_view::{Feed, Options, Screen, Server, Sources, VncEndpoint};

/// What stands in for a hypervisor: a console that says what it is told, a screen that sends back what it is sent.
#[derive(Default)]
pub struct Fake {
    /// Consoles that were opened, and those that have ended.
    pub consoles: Mutex<(usize, usize)>,
    /// The same of their logs.
    pub logs: Mutex<(usize, usize)>,
    /// What was done to cables.
    pub plugged: Mutex<Vec<(String, String, bool)>>,
    /// What a screen was sent.
    pub typed: Arc<Mutex<Vec<u8>>>,
}

impl Sources for Fake {
    fn console(
        &self,
        node: &str,
        mut input: Box<dyn Read + Send>,
        output: &mut dyn Write,
    ) -> Result<(), String> {
        if node != "web-0" {
            return Err(format!("there is no `{node}`"));
        }
        self.consoles.lock().unwrap().0 += 1;
        output.write_all(b"login: ").unwrap();
        let mut buffer = [0u8; 100];
        while let Ok(count @ 1..) = input.read(&mut buffer) {
            match &buffer[..count] {
                b"endless" => {
                    let stop = AtomicBool::new(false);
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            assert_eq!(input.read(&mut [0u8; 1]).unwrap(), 1);
                            stop.store(true, Ordering::Relaxed);
                        });
                        while !stop.load(Ordering::Relaxed) {
                            output.write_all(&[b'x'; 4096]).unwrap();
                        }
                    });
                    output.write_all(b"stopped").unwrap();
                }
                // Nobody sees that the last one has gone.
                b"deaf" => loop {
                    std::thread::park();
                },
                b"panic" => panic!("as asked for"),
                b"flood" => (0..4000).for_each(|_| output.write_all(&[b'x'; 4096]).unwrap()),
                typed => output.write_all(typed).unwrap(),
            }
        }
        self.consoles.lock().unwrap().1 += 1;
        Ok(())
    }

    fn log(
        &self,
        node: &str,
        mut until: Box<dyn Read + Send>,
        output: &mut dyn Write,
    ) -> Result<(), String> {
        if node != "web-0" {
            return Err(format!("`{node}` has no log"));
        }
        self.logs.lock().unwrap().0 += 1;
        output.write_all(b"login: ").unwrap();
        assert_eq!(until.read(&mut [0u8; 1]).unwrap(), 0, "somebody typed");
        self.logs.lock().unwrap().1 += 1;
        Ok(())
    }

    fn screen(&self, node: &str) -> Result<Screen, String> {
        if node != "web-0" {
            return Err(format!("there is no `{node}`"));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let typed = self.typed.clone();
        std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(b"RFB 003.008\n").unwrap();
            let mut buffer = [0u8; 100];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                typed.lock().unwrap().extend(&buffer[..count]);
                stream.write_all(&buffer[..count]).unwrap();
            }
        });
        Ok(Screen { place: VncEndpoint::Port(address), begun: Vec::new(), way: Box::new(()) })
    }

    fn screen_password(&self, _node: &str) -> Result<Option<String>, String> {
        Ok(Some("12345678".into()))
    }

    fn plug(&self, node: &str, interface: &str, up: bool) -> Result<String, String> {
        self.plugged.lock().unwrap().push((node.into(), interface.into(), up));
        Ok("done".into())
    }
}

/// A page that is served, and what is behind it.
pub struct Page {
    pub feed: Feed,
    pub fake: Arc<Fake>,
    pub address: SocketAddr,
    pub token: String,
}

/// What a server answers: the status, the head and the body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Page {
    pub fn serve(allow_changes: bool) -> Self {
        Self::serve_with(Options { allow_changes, ..Options::default() })
    }

    pub fn serve_with(options: Options) -> Self {
        let (feed, fake) = (Feed::default(), Arc::new(Fake::default()));
        let server = Server::bind(options, feed.clone(), fake.clone()).unwrap();
        let address = server.address().unwrap();
        let (address, token) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let (address, token) = (address.parse().unwrap(), token.trim_end_matches('/').to_string());
        std::thread::spawn(|| server.run().unwrap());
        Self { feed, fake, address, token }
    }

    /// The path of something below the token.
    pub fn path(&self, rest: &str) -> String {
        format!("/{}/{rest}", self.token)
    }

    /// Sends a request; the connection, with its answer unread.
    pub fn send(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        let head = head.replace('\n', "\r\n");
        write!(stream, "{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
        stream
    }

    /// Asks with further lines in the head.
    pub fn ask(&self, first: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{first} HTTP/1.1");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head.push_str(&format!("\nHost: {}", self.address));
        }
        headers.iter().for_each(|(name, value)| head.push_str(&format!("\n{name}: {value}")));
        let mut text = String::new();
        self.send(&head, body).read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.into() }
    }

    /// Asks as the page itself does.
    pub fn get(&self, rest: &str) -> Answer {
        self.ask(&format!("GET {}", self.path(rest)), &[], "")
    }

    /// Posts as the page itself does.
    pub fn post(&self, rest: &str, body: &str) -> Answer {
        let origin = format!("http://{}", self.address);
        let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json")];
        self.ask(&format!("POST {}", self.path(rest)), &headers, body)
    }

    /// Follows the feed.
    pub fn follow(&self) -> Events {
        let head = format!("GET {} HTTP/1.1\nHost: {}", self.path("events"), self.address);
        Events(BufReader::new(self.send(&head, "")))
    }

    /// Opens a web socket, from an origin.
    pub fn socket(&self, path: &str, origin: &str) -> Result<Socket, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = tungstenite::http::Request::builder()
            .uri(format!("ws://{}{path}", self.address))
            .header("Host", self.address.to_string())
            .header("Origin", origin)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(tungstenite::HandshakeError::Interrupted(_)) => panic!("no answer"),
        }
    }

    /// Opens one as the page itself does.
    pub fn own_socket(&self, rest: &str) -> Socket {
        self.socket(&self.path(rest), &format!("http://{}", self.address)).unwrap()
    }
}

/// A web socket.
pub struct Socket(tungstenite::WebSocket<TcpStream>);

impl Socket {
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.send(tungstenite::Message::Binary(bytes.to_vec().into())).unwrap();
    }

    /// Reads until what was read ends with something.
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        while !all.ends_with(end) {
            match self.0.read().unwrap() {
                tungstenite::Message::Binary(bytes) => all.extend(bytes),
                other => panic!("{other:?} after {all:?}"),
            }
        }
        all
    }

    /// Reads until it is closed; the reason.
    pub fn reason(&mut self) -> String {
        loop {
            match self.0.read().unwrap() {
                tungstenite::Message::Close(frame) => return frame.unwrap().reason.to_string(),
                _ => continue,
            }
        }
    }

    /// Closes it, and waits until that is so.
    pub fn close(mut self) {
        self.0.close(None).unwrap();
        while self.0.read().is_ok() {}
    }
}

/// Events as a browser reads them.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// The status of the answer.
    pub fn status(&mut self) -> u16 {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The next event: its kind and its data.
    pub fn next(&mut self) -> (String, String) {
        let (mut kind, mut data) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream has ended");
            // Between them are the heads of the parts that HTTP sends it in.
            if let Some(found) = line.strip_prefix("event: ") {
                kind = found.trim_end().into();
            } else if let Some(found) = line.strip_prefix("data: ") {
                data = found.trim_end().into();
            } else if line == "\n" && !data.is_empty() {
                return (kind, data);
            }
        }
    }
}

/// Waits until something is so, which nobody tells of.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within a minute: {what}");
}
