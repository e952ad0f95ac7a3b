//! The service over sockets: what real clients see of it, and what it lets nobody do.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use maquette_bmc::accounts::{Accounts, Role};
use maquette_bmc::bmc::Bmc;
use maquette_bmc::clock::Clock;
use maquette_bmc::model::Model;
use maquette_bmc::secret::Secret;
use maquette_bmc::serve::{self, Closed, Door, Doors, Tls};
use maquette_bmc::service::{Limits, Options, Service};
use uuid::Uuid;

/// A service on a thread of its own.
struct Bench {
    redfish: SocketAddr,
    ipmi: SocketAddr,
    models: Vec<Arc<Model>>,
    said: Arc<Mutex<Vec<String>>>,
}

fn serving(limits: Limits) -> Bench {
    serving_with(limits, None, &[])
}

/// The same with a certificate, and with authorities that it trusts.
fn serving_with(limits: Limits, tls: Option<Tls>, authorities: &[u8]) -> Bench {
    let (models, clock) = ([Arc::new(Model::new()), Arc::new(Model::numbered(1))], Clock::system());
    let bmc = |n: usize| {
        let (name, uuid) = (format!("node-{n}"), Uuid::from_u128(7 + n as u128));
        Arc::new(Bmc::new(&name, uuid, models[n].clone(), clock.clone()))
    };
    let bmcs = vec![bmc(0), bmc(1)];
    let mut accounts = Accounts::default();
    accounts.add("admin", Secret::new("Only-4-trials"), Role::Administrator).unwrap();
    let options = Options { limits, plain: true, own_addresses: true, ..Options::default() };
    let first = bmcs[0].clone();
    let service = Service::new(Uuid::nil(), clock, bmcs, accounts, options);
    service.trust(authorities);
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let journal = said.clone();
    service.report_to(Box::new(move |line| journal.lock().unwrap().push(line.to_string())));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (redfish, ipmi) = (listener.local_addr().unwrap(), socket.local_addr().unwrap());
    let doors = Doors { redfish: Some((listener.into(), tls)), ipmi: vec![(first, socket.into())] };
    std::thread::spawn(move || serve::run(service, doors));
    Bench { redfish, ipmi, models: models.to_vec(), said }
}

fn system(n: u128) -> String {
    format!("/redfish/v1/Systems/{}", Uuid::from_u128(7 + n))
}

/// `admin:Only-4-trials`.
const ADMIN: &str = "Authorization: Basic YWRtaW46T25seS00LXRyaWFscw==\r\n";

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: bmc\r\nConnection: close\r\nContent-Length: {length}\r\n\
        {headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_node_is_switched_on_by_redfish_and_ipmi_answers() {
    let Bench { redfish, ipmi, models, .. } = serving(Limits::default());
    let root = ask(redfish, "GET", "/redfish/v1/", "", "");
    assert!(root.starts_with("HTTP/1.1 200") && root.contains("odata-version: 4.0"), "{root}");
    let system = system(0);
    let refused = ask(redfish, "GET", &system, "", "");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let reset = format!("{system}/Actions/ComputerSystem.Reset");
    let on = ask(redfish, "POST", &reset, ADMIN, "{\"ResetType\": \"On\"}");
    assert!(on.starts_with("HTTP/1.1 204"), "{on}");
    assert_eq!(models[0].starts().len(), 1);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ping = [6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 7, 0, 0];
    socket.send_to(&ping, ipmi).unwrap();
    let mut answer = [0; 64];
    let (count, _) = socket.recv_from(&mut answer).unwrap();
    assert_eq!((count, answer[8], answer[9]), (28, 0x40, 7));
}

#[test]
fn a_head_is_that_of_the_whole_answer() {
    let Bench { redfish, .. } = serving(Limits::default());
    let [whole, head] = ["GET", "HEAD"].map(|method| {
        let answer = ask(redfish, method, "/redfish/v1/", "", "").to_lowercase();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let of = |name: &str| head.lines().find(|line| line.starts_with(name)).map(String::from);
        (of("content-type"), of("content-length"), of("etag"), body.to_string())
    });
    assert!(whole.0.is_some() && whole.1.is_some(), "{whole:?}");
    assert_eq!((&head.0, &head.1, &head.2), (&whole.0, &whole.1, &whole.2));
    assert!(head.3.is_empty() && !whole.3.is_empty());
}

#[test]
fn whoever_subscribes_hears_of_it() {
    let Bench { redfish, .. } = serving(Limits::default());
    let mut stream = TcpStream::connect(redfish).unwrap();
    let request = format!("GET /redfish/v1/EventService/SSE HTTP/1.1\r\nHost: bmc\r\n{ADMIN}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut heard = String::new();
    let mut read = |until: &str| {
        let mut buffer = [0; 4096];
        while !heard.contains(until) {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{heard}");
            heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    read(": alive\n\n");
    let reset = format!("{}/Actions/ComputerSystem.Reset", system(0));
    ask(redfish, "POST", &reset, ADMIN, "{\"ResetType\": \"On\"}");
    read("The system was powered on.");
}

#[test]
fn wrong_credentials_cost_time_and_long_bodies_are_not_read() {
    let limits = Limits { wrong_credentials: Duration::from_millis(300), ..Limits::default() };
    let Bench { redfish, .. } = serving(limits);
    let begun = std::time::Instant::now();
    let wrong = ask(redfish, "GET", "/redfish/v1/Systems", "X-Auth-Token: x\r\n", "");
    assert!(wrong.starts_with("HTTP/1.1 401"), "{wrong}");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let mut stream = TcpStream::connect(redfish).unwrap();
    let head = "POST /redfish/v1/SessionService/Sessions HTTP/1.1\r\nHost: bmc\r\n\
        Content-Length: 100000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

/// Whoever hangs up before the answer to wrong credentials is held back all the same: guesses come a second apart.
#[test]
fn guesses_cost_time_also_if_nobody_waits_for_the_answer() {
    let limits = Limits { wrong_credentials: Duration::from_millis(1), ..Limits::default() };
    let Bench { redfish, said, .. } = serving(limits);
    let guess = || {
        let mut stream = TcpStream::connect(redfish).unwrap();
        let head = "GET /redfish/v1/Systems HTTP/1.1\r\nHost: bmc\r\n\
            Authorization: Basic YWRtaW46d3Jvbmc=\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
    };
    let begun = std::time::Instant::now();
    (0..6).for_each(|_| guess());
    while said.lock().unwrap().len() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // From here on, each is looked at in its turn.
    let last = ask(redfish, "GET", "/redfish/v1/Systems", ADMIN, "");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}: {last}", begun.elapsed());
    assert!(said.lock().unwrap().iter().any(|line| line.contains("account `admin` over Redfish")));
    // Nobody is made to wait who shows nothing.
    let is_held_back = || {
        let begun = std::time::Instant::now();
        assert!(ask(redfish, "GET", "/redfish/v1/", "", "").starts_with("HTTP/1.1 200"));
        let asked = ask(redfish, "GET", "/redfish/v1/Systems", "", "");
        assert!(asked.starts_with("HTTP/1.1 401"), "{asked}");
        begun.elapsed() >= Duration::from_secs(1)
    };
    // The machine may be busy for a moment, and not each time.
    assert!((0..5).any(|_| !is_held_back()));
}

#[test]
fn one_client_does_not_take_all_places() {
    let limits = Limits { connections_each: 4, ..Limits::default() };
    let Bench { redfish, .. } = serving(limits);
    let mut held: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(redfish).unwrap()).collect();
    // Each of them is served, so that each has its place by now.
    let mut buffer = [0; 4096];
    for stream in &mut held {
        stream.write_all(b"GET /redfish/v1/ HTTP/1.1\r\nHost: bmc\r\n\r\n").unwrap();
        assert!(stream.read(&mut buffer).unwrap() > 0);
    }
    let mut more = TcpStream::connect(redfish).unwrap();
    let _ = more.write_all(b"GET /redfish/v1/ HTTP/1.1\r\nHost: bmc\r\n\r\n");
    assert!(matches!(more.read(&mut buffer), Ok(0) | Err(_)));
    drop(held.pop());
    let root = || {
        let mut stream = TcpStream::connect(redfish).unwrap();
        let _ = stream.write_all(b"GET /redfish/v1/ HTTP/1.1\r\nHost: bmc\r\n\r\n");
        stream.read(&mut buffer).is_ok_and(|count| count > 0)
    };
    let mut root = root;
    while !root() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client that asks for much and reads nothing is sent away, and so is one that is there for too long.
#[test]
fn whoever_does_not_read_and_whoever_stays_too_long_is_sent_away() {
    let second = Duration::from_secs(1);
    let limits = Limits { request: second, connections_each: 1, ..Limits::default() };
    let Bench { redfish, .. } = serving(limits);
    let mut stream = TcpStream::connect(redfish).unwrap();
    let asked = "GET /redfish/v1/$metadata HTTP/1.1\r\nHost: bmc\r\n\r\n".repeat(64);
    // Until nothing fits any more: the other side waits for us to read.
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while stream.write(asked.as_bytes()).is_ok() {}
    // The only place is free again.
    let limits = Limits { connection: second, connections_each: 1, ..Limits::default() };
    for address in [redfish, serving(limits).redfish] {
        let mut stream = TcpStream::connect(address).unwrap();
        if address != redfish {
            let mut all = Vec::new();
            stream.write_all(b"GET /redfish/v1/ HTTP/1.1\r\nHost: bmc\r\n\r\n").unwrap();
            // It ends by itself, without anybody asking for that, before headers are waited for in vain.
            let begun = std::time::Instant::now();
            let _ = stream.read_to_end(&mut all);
            assert!(begun.elapsed() < Limits::default().request);
        }
        drop(stream);
        let served = || {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(b"GET /redfish/v1/ HTTP/1.1\r\nHost: bmc\r\n\r\n");
            stream.read(&mut [0; 64]).is_ok_and(|count| count > 0)
        };
        while !served() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A hypervisor that does not answer for one node: others are served, and it is told in time.
#[test]
fn a_node_that_hangs_hangs_alone() {
    let limits = Limits { answer: Duration::from_secs(1), ..Limits::default() };
    let Bench { redfish, models, .. } = serving(limits);
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    models[0].hook(move |_| {
        let _ = wait.lock().map(|wait| wait.recv());
    });
    let hanging: Vec<_> = (0..8)
        .map(|_| std::thread::spawn(move || ask(redfish, "GET", &system(0), ADMIN, "")))
        .collect();
    for thread in hanging {
        let answer = thread.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("odata-version"), "{answer}");
    }
    assert!(ask(redfish, "GET", &system(1), ADMIN, "").starts_with("HTTP/1.1 200"));
    let login = "{\"UserName\": \"admin\", \"Password\": \"Only-4-trials\"}";
    let sessions = "/redfish/v1/SessionService/Sessions";
    assert!(ask(redfish, "POST", sessions, "", login).starts_with("HTTP/1.1 201"));
    let reset = format!("{}/Actions/ComputerSystem.Reset", system(1));
    let on = ask(redfish, "POST", &reset, ADMIN, "{\"ResetType\": \"On\"}");
    assert!(on.starts_with("HTTP/1.1 204"), "{on}");
    drop(release);
}

/// A subscriber that does not answer keeps nobody else from hearing.
#[test]
fn each_subscriber_has_a_queue_of_its_own() {
    let Bench { redfish, said, .. } = serving(Limits::default());
    let (dead, alive) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    for listener in [&dead, &alive] {
        let address = listener.local_addr().unwrap();
        let body = format!(
            "{{\"Destination\": \"http://{address}/\", \"Protocol\": \"Redfish\", \
            \"HttpHeaders\": [{{\"X-Sender\": \"the BMC\"}}]}}"
        );
        let made = ask(redfish, "POST", "/redfish/v1/EventService/Subscriptions", ADMIN, &body);
        assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    }
    let reset = format!("{}/Actions/ComputerSystem.Reset", system(0));
    for press in ["On", "ForceRestart", "ForceOff"].iter().cycle().take(120) {
        let body = format!("{{\"ResetType\": \"{press}\"}}");
        assert!(ask(redfish, "POST", &reset, ADMIN, &body).starts_with("HTTP/1.1 204"));
    }
    for _ in 0..3 {
        let (mut stream, _) = alive.accept().unwrap();
        let mut heard = String::new();
        let mut buffer = [0; 4096];
        while !heard.contains("OriginOfCondition") {
            let count = stream.read(&mut buffer).unwrap();
            heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        assert!(heard.contains("x-sender: the BMC\r\n"), "{heard}");
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    }
    while !said.lock().unwrap().iter().any(|line| line.contains("are lost")) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Another service is the subscriber: it does not take events, but is asked only if its certificate is trusted.
#[test]
fn a_subscribers_certificate_is_checked_unless_it_says_otherwise() {
    let (authority, certificate, key) = (
        include_bytes!("tls/authority.pem"),
        include_bytes!("tls/certificate.pem"),
        include_bytes!("tls/key.pem"),
    );
    let tls = Tls::from_pem(certificate, key).unwrap();
    let port = serving_with(Limits::default(), Some(tls), &[]).redfish.port();
    for (authorities, verify, host, trusted) in [
        (&[][..], "true", "localhost", false),
        (&[], "false", "localhost", true),
        (authority, "true", "localhost", true),
        (authority, "true", "127.0.0.1", true),
    ] {
        let Bench { redfish, said, .. } = serving_with(Limits::default(), None, authorities);
        let body = format!(
            "{{\"Destination\": \"https://{host}:{port}/\", \"Protocol\": \"Redfish\", \
            \"VerifyCertificate\": {verify}}}"
        );
        let made = ask(redfish, "POST", "/redfish/v1/EventService/Subscriptions", ADMIN, &body);
        assert!(made.starts_with("HTTP/1.1 201"), "{made}");
        let reset = format!("{}/Actions/ComputerSystem.Reset", system(0));
        ask(redfish, "POST", &reset, ADMIN, "{\"ResetType\": \"On\"}");
        let line = loop {
            let line = said.lock().unwrap().iter().find(|line| line.contains("event")).cloned();
            if let Some(line) = line {
                break line;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let expected = if trusted { "does not take it" } else { "certificate is not trusted" };
        assert!(line.contains(expected), "{host} {verify}: {line}");
    }
}

/// Another program has it for now; nobody has to start the service again.
#[test]
fn an_address_that_becomes_free_is_served() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = held.local_addr().unwrap();
    let (said, opened) = mpsc::channel();
    let closed = Closed { at, opened: Box::new(move || said.send(()).unwrap()) };
    let bmc = Bmc::new("node-0", Uuid::from_u128(7), Arc::new(Model::new()), Clock::system());
    let mut accounts = Accounts::default();
    accounts.add("admin", Secret::new("Only-4-trials"), Role::Administrator).unwrap();
    let options = Options { plain: true, ..Options::default() };
    let service =
        Service::new(Uuid::nil(), Clock::system(), vec![Arc::new(bmc)], accounts, options);
    let doors = Doors { redfish: Some((Door::Closed(closed), None)), ipmi: Vec::new() };
    std::thread::spawn(move || serve::run(service, doors));
    assert!(opened.try_recv().is_err());
    drop(held);
    opened.recv().unwrap();
    let root = ask(at, "GET", "/redfish/v1/", "", "");
    assert!(root.starts_with("HTTP/1.1 200"), "{root}");
}
