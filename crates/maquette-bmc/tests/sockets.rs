//! The service over sockets: what real clients see of it, and what it lets nobody do.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use maquette_bmc::accounts::{Accounts, Role};
use maquette_bmc::bmc::Bmc;
use maquette_bmc::clock::Clock;
use maquette_bmc::model::Model;
use maquette_bmc::secret::Secret;
use maquette_bmc::serve::{self, Doors};
use maquette_bmc::service::{Limits, Options, Service};
use uuid::Uuid;

/// A service on a thread of its own: where it is.
fn serving(limits: Limits) -> (SocketAddr, SocketAddr, Arc<Model>) {
    let (model, clock) = (Arc::new(Model::new()), Clock::system());
    let bmc = Arc::new(Bmc::new("node-0", Uuid::from_u128(7), model.clone(), clock.clone()));
    let mut accounts = Accounts::default();
    accounts.add("admin", Secret::new("Only-4-trials"), Role::Administrator).unwrap();
    let options = Options { limits, plain: true, ..Options::default() };
    let service = Service::new(Uuid::nil(), clock, vec![bmc.clone()], accounts, options);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (redfish, ipmi) = (listener.local_addr().unwrap(), socket.local_addr().unwrap());
    let doors = Doors { redfish: (listener, None), ipmi: vec![(bmc, socket)] };
    std::thread::spawn(move || serve::run(service, doors));
    (redfish, ipmi, model)
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
    let (redfish, ipmi, model) = serving(Limits::default());
    let root = ask(redfish, "GET", "/redfish/v1/", "", "");
    assert!(root.starts_with("HTTP/1.1 200") && root.contains("odata-version: 4.0"), "{root}");
    let system = format!("/redfish/v1/Systems/{}", Uuid::from_u128(7));
    let refused = ask(redfish, "GET", &system, "", "");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let reset = format!("{system}/Actions/ComputerSystem.Reset");
    let on = ask(redfish, "POST", &reset, ADMIN, "{\"ResetType\": \"On\"}");
    assert!(on.starts_with("HTTP/1.1 204"), "{on}");
    assert_eq!(model.starts().len(), 1);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ping = [6, 0, 0xff, 6, 0, 0, 0x11, 0xbe, 0x80, 7, 0, 0];
    socket.send_to(&ping, ipmi).unwrap();
    let mut answer = [0; 64];
    let (count, _) = socket.recv_from(&mut answer).unwrap();
    assert_eq!((count, answer[8], answer[9]), (28, 0x40, 7));
}

#[test]
fn whoever_subscribes_hears_of_it() {
    let (redfish, _, _) = serving(Limits::default());
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
    let reset = format!("/redfish/v1/Systems/{}/Actions/ComputerSystem.Reset", Uuid::from_u128(7));
    ask(redfish, "POST", &reset, ADMIN, "{\"ResetType\": \"On\"}");
    read("The system was powered on.");
}

#[test]
fn wrong_credentials_cost_time_and_long_bodies_are_not_read() {
    let limits = Limits { wrong_credentials: Duration::from_millis(300), ..Limits::default() };
    let (redfish, _, _) = serving(limits);
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
