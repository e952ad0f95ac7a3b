//! Servers that are slow, endless, silent, wrong about what they send, or lead elsewhere.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::python_server::{PythonServer, certificate};

/// A server on this machine that answers every request, as it is asked, in a thread of its own.
fn server(answer: fn(&str, SocketAddr, &mut TcpStream) -> std::io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap_or_default();
                let path = first.split(' ').nth(1).unwrap_or_default().to_string();
                // The rest of the request.
                let _ = lines.map_while(Result::ok).find(String::is_empty);
                // Whoever had enough does not listen.
                let _ = answer(&path, address, &mut stream);
            });
        }
    });
    address
}

fn plain(stream: &mut TcpStream, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn redirect(stream: &mut TcpStream, to: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// Everything that a server may do.
fn enemy(path: &str, own: SocketAddr, stream: &mut TcpStream) -> std::io::Result<()> {
    let pause = || {
        std::thread::sleep(Duration::from_secs(60));
        Ok(())
    };
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    match path {
        "/good" => plain(stream, "content"),
        "/long" => plain(stream, &"x".repeat(11)),
        "/silent" => pause(),
        "/stalls" => {
            write!(stream, "{head}Content-Length: 9\r\n\r\nhalf")?;
            pause()
        }
        // Fast enough never to stall, and never at its end.
        "/drips" => {
            write!(stream, "{head}\r\n")?;
            loop {
                stream.write_all(&[b'x'; 2000])?;
                std::thread::sleep(Duration::from_millis(500));
            }
        }
        "/endless" => {
            write!(stream, "{head}Content-Length: 10\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 1 << 16])?;
            }
        }
        "/endless-chunks" => {
            write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n")?;
            loop {
                write!(stream, "10000\r\n{}\r\n", "x".repeat(1 << 16))?;
            }
        }
        "/endless-header" => {
            write!(stream, "{head}X: ")?;
            loop {
                stream.write_all(&[b'x'; 1 << 16])?;
            }
        }
        "/endless-headers" => {
            write!(stream, "{head}")?;
            loop {
                write!(stream, "X-{}: y\r\n", "x".repeat(1000))?;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        "/short" => write!(stream, "{head}Content-Length: 100\r\n\r\nnot that much"),
        "/cut-chunk" => {
            write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n64\r\nnot that much")
        }
        "/negative" => write!(stream, "{head}Content-Length: -7\r\n\r\ncontent"),
        "/nonsense" => write!(stream, "SSH-2.0-OpenSSH_9.2p1\r\n\r\n\r\n"),
        "/closes" => Ok(()),
        "/refused" => {
            write!(stream, "HTTP/1.1 403 \u{1b}]0;title\u{7}\r\nContent-Length: 3\r\n\r\nno\n")
        }
        "/to-file" => redirect(stream, "file:///etc/hostname"),
        "/to-ftp" => redirect(stream, &format!("ftp://{own}/good")),
        "/to-gopher" => redirect(stream, &format!("gopher://{own}/good")),
        "/to-option" => redirect(stream, "-o/tmp/x"),
        "/to-itself" => redirect(stream, "/to-itself"),
        "/to-good" => redirect(stream, "/good"),
        // Which processes there are, while this is asked for.
        "/listed" => {
            let all = std::fs::read_dir("/proc")?.flatten();
            let read = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline"));
            let lists = all.flat_map(read).filter(|list| list.windows(4).any(|w| w == b"curl"));
            let text = lists.map(|list| String::from_utf8_lossy(&list).into_owned());
            plain(stream, &text.collect::<Vec<_>>().join("\n"))
        }
        _ => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    }
}

/// What an address gives, and how long it took. There are a few seconds for everything.
fn get(url: &str, most: u64, authority: Option<&Path>) -> (Result<Vec<u8>, StepError>, Duration) {
    get_within(Patience { connecting: 5, stalled: 2, whole: 5 }, url, most, authority)
}

/// The same, with time enough for what has to succeed beside others.
fn get_in_peace(url: &str, most: u64) -> Result<Vec<u8>, StepError> {
    get_within(Patience { connecting: 60, stalled: 60, whole: 120 }, url, most, None).0
}

fn get_within(
    patience: Patience,
    url: &str,
    most: u64,
    authority: Option<&Path>,
) -> (Result<Vec<u8>, StepError>, Duration) {
    let mut content = Vec::new();
    let begun = Instant::now();
    let download = Download { url, protocols: &["https", "http"], most, patience, authority };
    let done = download.run(&mut content).map(|()| content);
    (done, begun.elapsed())
}

#[test]
fn whatever_a_server_does_it_ends_in_time_and_in_words() {
    let address = server(enemy);
    let get = |path: &str| get(&format!("http://{address}{path}"), 1 << 20, None);
    let good = |path: &str| get_in_peace(&format!("http://{address}{path}"), 1 << 20).unwrap();
    assert_eq!(good("/good"), b"content");
    assert_eq!(good("/to-good"), b"content");
    let faults = [
        "silent",
        "stalls",
        "drips",
        "endless-chunks",
        "endless-header",
        "endless-headers",
        "short",
        "cut-chunk",
        "negative",
        "nonsense",
        "closes",
        "refused",
        "to-file",
        "to-ftp",
        "to-gopher",
        "to-option",
        "to-itself",
        "nothing",
    ];
    std::thread::scope(|scope| {
        for fault in faults {
            let get = &get;
            scope.spawn(move || {
                let (done, took) = get(&format!("/{fault}"));
                let error = done.expect_err(fault);
                let words = format!("{:?} {:?}", error.causes, error.hints);
                assert!(error.message.starts_with("cannot download http://127.0.0.1"), "{error:?}");
                assert!(
                    words.contains("curl: (") || words.contains("has more than"),
                    "{fault}: {words}"
                );
                assert!(took < Duration::from_secs(30), "{fault}: {took:?}");
            });
        }
    });
}

/// Whoever says nothing is not waited for as long as whoever sends.
#[test]
fn a_server_that_stalls_is_given_up_before_the_time_for_all_is_over() {
    let address = server(enemy);
    for path in ["silent", "stalls"] {
        let patience = Patience { connecting: 120, stalled: 2, whole: 120 };
        let url = format!("http://{address}/{path}");
        let error = get_within(patience, &url, 1 << 20, None).0.unwrap_err();
        assert!(error.causes[0].contains("too slow"), "{path}: {error:?}");
    }
}

/// More than was announced is not read: a server that says what it sends and goes on is not followed.
#[test]
fn no_more_is_taken_than_is_allowed_or_announced() {
    let address = server(enemy);
    let url = |path: &str| format!("http://{address}/{path}");
    assert_eq!(get(&url("endless"), 10, None).0.unwrap(), b"xxxxxxxxxx");
    let error = get(&url("long"), 10, None).0.unwrap_err();
    assert!(error.hints[0].contains("more than 10 bytes"), "{error:?}");
    let mut content = Vec::new();
    let patience = Patience::for_bytes(10);
    let url = url("endless-chunks");
    let download =
        Download { url: &url, protocols: &["http"], most: 10, patience, authority: None };
    assert!(download.run(&mut content).is_err());
    assert_eq!(content.len(), 11);
}

#[test]
fn time_follows_from_how_much_is_taken() {
    assert_eq!(Patience::for_bytes(16 << 20).whole, 572);
    assert!(Patience::for_bytes(u64::MAX).whole > 0);
}

/// A password in an address is in nobody's list of processes, and in no error.
#[test]
fn an_address_is_not_shown_to_others() {
    let address = server(enemy);
    let listed = get(&format!("http://user:hush-8e1f@{address}/listed"), 1 << 20, None).0.unwrap();
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains("--max-redirs"), "{listed}");
    // No other process has this word in its arguments by chance.
    assert!(!listed.contains("hush-8e1f"), "{listed}");
}

const ENCRYPTED: &str = r#"
import http.server, ssl, sys
class H(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        to = self.path.partition('?')[2]
        self.send_response(302 if to else 200)
        if to: self.send_header('Location', to)
        self.end_headers()
        if not to: self.wfile.write(b'content')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A server with encryption, and the certificate that it shows.
struct Encrypted {
    python: PythonServer,
    certificate: PathBuf,
    _directory: tempfile::TempDir,
}

impl Encrypted {
    /// One that says that it is somebody.
    fn new(who: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (key, certificate) = certificate(directory.path(), who);
        let arguments = [certificate.as_os_str(), key.as_os_str()];
        let python = PythonServer::start(ENCRYPTED, directory.path(), &arguments);
        Self { python, certificate, _directory: directory }
    }

    fn get(&self, path: &str, trusted: bool) -> Result<Vec<u8>, StepError> {
        let url = format!("https://127.0.0.1:{}{path}", self.python.port);
        let patience = Patience { connecting: 30, stalled: 30, whole: 60 };
        let authority = trusted.then_some(self.certificate.as_path());
        let mut content = Vec::new();
        let download = Download {
            url: &url,
            protocols: &["https", "http"],
            most: 1 << 20,
            patience,
            authority,
        };
        download.run(&mut content).map(|()| content)
    }
}

#[test]
fn encryption_is_not_given_up_on_the_way() {
    let (address, good) = (server(enemy), Encrypted::new("IP:127.0.0.1"));
    assert_eq!(good.get("/", true).unwrap(), b"content");
    assert_eq!(
        good.get(&format!("/?https://127.0.0.1:{}/", good.python.port), true).unwrap(),
        b"content"
    );
    let causes = |done: Result<Vec<u8>, StepError>| done.unwrap_err().causes.join(" ");
    for to in [format!("http://{address}/good"), "file:///etc/hostname".into()] {
        let said = causes(good.get(&format!("/?{to}"), true));
        assert!(said.contains("not supported or disabled"), "{to}: {said}");
    }
    // Nobody vouches for it, or for somebody else only.
    let said = causes(good.get("/", false));
    assert!(said.contains("certificate"), "{said}");
    let other = Encrypted::new("DNS:example.com");
    let said = causes(other.get("/", true));
    assert!(said.contains("127.0.0.1"), "{said}");
    // What does not speak TLS at all.
    let url = format!("https://{address}/good");
    let error = get(&url, 10, None).0.unwrap_err();
    assert!(error.causes[0].starts_with("curl: ("), "{error:?}");
}

#[test]
fn only_what_is_taken_is_asked_for_and_no_more_than_allowed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "0123456789").unwrap();
    let url = format!("file://{}", file.path().display());
    assert_eq!(download(&url, &["file"], 10).unwrap(), b"0123456789");
    let error = download(&url, &["file"], 9).unwrap_err();
    assert!(error.hints[0].contains("more than 9 bytes"), "{error:?}");
    let error = download(&url, &["http", "https"], 10).unwrap_err();
    assert!(error.hints[0].contains("http, https"), "{error:?}");
    // Nothing of an address becomes a further line of curl's configuration.
    let error = download("http://h/\"\noutput = \"/tmp/x", &["http"], 10).unwrap_err();
    assert!(error.hints[0].contains("characters"), "{error:?}");
    let secret = "http://user:secret@127.0.0.1:1/?secret";
    let said = format!("{:?}", download(secret, &["http"], 10).unwrap_err());
    assert!(!said.contains("secret") && said.contains("***@127.0.0.1"), "{said}");
}

#[test]
fn headers_tell_whether_encryption_was_left() {
    let told = |text: &str| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        stepped_down(file).unwrap()
    };
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n");
    assert!(!told(""));
    assert!(!told(&(moved("http://a/b") + &moved("https://a/c") + &moved("/d"))));
    assert!(told(&(moved("https://a/c") + &moved("/d") + &moved("HTTP://a/e"))));
}
