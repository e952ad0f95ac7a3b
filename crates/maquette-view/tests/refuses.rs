//! Who gets nothing: a wrong token, another host's name, another origin, a web socket without the token.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use std::io::{ErrorKind::WouldBlock, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{Answer, Page};
use maquette_view::{Options, Server};

fn refused(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (403, ""), "{}", answer.head);
}

#[test]
fn a_wrong_token_gets_nothing() {
    let page = Page::serve(true);
    page.feed.set("secret", &serde_json::json!(1));
    let wrong = "0".repeat(32);
    for path in [
        "/".into(),
        "/events".into(),
        format!("/{wrong}/"),
        format!("/{wrong}/events"),
        format!("/{wrong}/page/app.js"),
        format!("/?{}", page.token),
        format!("/{}/", &page.token[1..]),
    ] {
        refused(&page.ask(&format!("GET {path}"), &[], ""));
    }
    let origin = format!("http://{}", page.address);
    let headers = [("Origin", origin.as_str()), ("Content-Type", "application/json")];
    let body = r#"{"node": "web-0", "interface": "eth0", "up": false}"#;
    refused(&page.ask(&format!("POST /{wrong}/link"), &headers, body));
    refused(&page.ask("POST /link", &headers, body));
    assert!(page.fake.plugged.lock().unwrap().is_empty());
    assert_eq!(page.get("").status, 200);
}

/// Anybody on this machine can connect, also to send half a head, or one after the other.
#[test]
fn who_does_not_show_the_token_is_sent_away_and_keeps_nobody_out() {
    let patience = Duration::from_secs(2);
    let page = Page::serve_with(Options { patience, ..Options::default() });
    let own = |stream: &mut TcpStream| {
        let head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", page.path(""), page.address);
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0u8; 15];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    };
    let connect = || {
        let stream = TcpStream::connect(page.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    };
    let mut browser = connect();
    own(&mut browser);
    let mut strangers: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    for (number, stranger) in strangers.iter_mut().enumerate() {
        let text = ["", "GET / HTTP/1.1\r\nX: ", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"][number % 3];
        stranger.write_all(text.as_bytes()).unwrap();
    }
    // There are more of them than have a place at once.
    own(&mut connect());
    for stranger in &mut strangers {
        let mut answer = Vec::new();
        // Who has sent what was not read is reset.
        let _ = stranger.read_to_end(&mut answer).map_err(|e| assert_ne!(e.kind(), WouldBlock));
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 403"), "{answer:?}");
    }
    // Whoever has shown it stays for as long as it takes.
    let mut answer = vec![0u8; 64 << 10];
    browser.set_nonblocking(true).unwrap();
    while browser.read(&mut answer).is_ok_and(|count| count > 0) {}
    browser.set_nonblocking(false).unwrap();
    own(&mut browser);
}

#[test]
fn another_name_of_this_machine_gets_nothing() {
    let page = Page::serve(true);
    let first = format!("GET {}", page.path(""));
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"] {
        refused(&page.ask(&first, &[("Host", host)], ""));
    }
    // A tunnel has a port of its own.
    assert_eq!(page.ask(&first, &[("Host", "localhost:1")], "").status, 200);
}

#[test]
fn another_origin_gets_nothing() {
    let page = Page::serve(true);
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"] {
        for path in ["", "events", "screen-password/web-0"] {
            let first = format!("GET {}", page.path(path));
            refused(&page.ask(&first, &[("Origin", origin)], ""));
        }
        let json = ("Content-Type", "application/json");
        let post = format!("POST {}", page.path("link"));
        refused(&page.ask(&post, &[("Origin", origin), json], "{}"));
        refused(&page.ask(&post, &[json], "{}"));
    }
    let first = format!("GET {}", page.path("events"));
    refused(&page.ask(&first, &[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")], ""));
}

#[test]
fn a_web_socket_needs_the_token_and_the_pages_origin() {
    let page = Page::serve(true);
    let own = format!("http://{}", page.address);
    let wrong = format!("/{}/console/web-0", "0".repeat(32));
    for (path, origin) in [
        ("/console/web-0", own.as_str()),
        (&wrong, &own),
        (&page.path("console/web-0"), "http://evil.example"),
        (&page.path("screen/web-0"), "null"),
    ] {
        match page.socket(path, origin) {
            Err(tungstenite::Error::Http(response)) => {
                assert_eq!(response.status(), 403, "{path} {origin}");
                assert!(response.body().as_ref().is_none_or(Vec::is_empty));
            }
            other => panic!("{path} {origin}: {:?}", other.err()),
        }
    }
    assert_eq!(*page.fake.consoles.lock().unwrap(), (0, 0));
    assert_eq!(*page.fake.logs.lock().unwrap(), (0, 0));
}

#[test]
fn every_answer_is_closed_to_other_pages() {
    let page = Page::serve(false);
    for answer in
        [page.get(""), page.get("page/app.js"), page.get("none"), page.ask("GET /", &[], "")]
    {
        for line in [
            "content-security-policy: default-src 'none'; script-src 'self';",
            "x-frame-options: deny",
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
        ] {
            assert!(answer.head.contains(line), "{}: {line}", answer.head);
        }
        assert!(!answer.head.contains("unsafe-inline") && !answer.head.contains("access-control"));
    }
}

#[test]
fn a_port_that_somebody_has_is_an_error() {
    let page = Page::serve(false);
    let options = Options { port: page.address.port(), ..Options::default() };
    let error = Server::bind(options, page.feed.clone(), page.fake.clone()).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn nothing_is_changed_unless_that_was_asked_for() {
    let body = r#"{"node": "web-0", "interface": "eth0", "up": false}"#;
    let page = Page::serve(false);
    let answer = page.post("link", body);
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("--allow-changes"), "{}", answer.body);
    assert!(page.fake.plugged.lock().unwrap().is_empty());
    let page = Page::serve(true);
    assert_eq!(page.post("link", body).status, 200);
    assert_eq!(*page.fake.plugged.lock().unwrap(), [("web-0".into(), "eth0".into(), false)]);
    for bad in ["", "{}", r#"{"node": 1, "interface": "eth0", "up": true}"#, &"x".repeat(5000)] {
        assert!([400, 413].contains(&page.post("link", bad).status), "{bad}");
    }
}
