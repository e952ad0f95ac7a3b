//! What is served of a directory, without anybody who asks.

use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use maquette_bmc::accounts::Change;
use maquette_bmc::bmc::Override;
use maquette_bmc::machine::Device;
use maquette_bmc::reach::system_resolver;
use maquette_bmc::serve::Door;
use maquette_core::blueprint::{Bmc as Place_, BmcNode};
use maquette_core::names::EnvName;
use maquette_core::topology::BmcProtocol;
use maquette_core::values::BmcCredentials;
use maquette_engine::bmc::BmcSecrets;
use maquette_engine::ssh_keys::RecordKey;

use super::*;
use crate::client::Client;

const LIBVIRT: &str = "test:///default";

fn connection() -> Arc<Connection> {
    Arc::new(Connection::of(Arc::new(Client::open_for_tests(LIBVIRT).unwrap())))
}

/// A node of a number, whose BMC speaks IPMI at a port and Redfish at any that is free.
fn node(number: u32, ipmi: u16) -> Served {
    let name = format!("lab-a-{number}");
    let uuid = Uuid::from_u128(u128::from(number) + 7);
    let bmc = Place_ {
        protocol: BmcProtocol::Both,
        network: "lab-front".parse().unwrap(),
        address: "127.0.0.1".parse().unwrap(),
        own_address: false,
        redfish_port: NonZeroU16::MIN,
        ipmi_port: NonZeroU16::MIN,
        provisioning: None,
    };
    let at = |port| Some(SocketAddr::new(bmc.address, port));
    let (redfish, ipmi) = (at(0), at(ipmi));
    let (name, hypervisor_urls) = (name.parse().unwrap(), false);
    let of = BmcNode {
        name,
        uuid,
        bmc,
        bridge: None,
        networks: Vec::new(),
        hypervisor_urls,
        credentials: BmcCredentials::Node,
        asked: true,
        digest: "1".into(),
    };
    let key = RecordKey::made_of([1; 32]);
    let secrets = BmcSecrets::new(&key, &EnvName::default(), &BmcCredentials::Node);
    let (certificates, key) = secrets.certificate(&of).unwrap();
    Served {
        node: of.name.clone(),
        digest: of.digest,
        uuid,
        redfish,
        ipmi,
        user: "admin".into(),
        password: "password-1".into(),
        certificates,
        key: key.reveal().into(),
        networks: Vec::new(),
        hypervisor_urls,
    }
}

fn written(directory: &Path, file: &str, nodes: &[Served]) -> PathBuf {
    let lines = nodes.iter().map(|node| serde_json::to_string(node).unwrap() + "\n");
    let path = directory.join(file);
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    path
}

fn place(directory: &Path, nodes: &[Served]) -> (ServedDirectory, Arc<Mutex<Vec<String>>>) {
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = said.clone();
    let journal: Journal = Arc::new(move |line: &str| heard.lock().unwrap().push(line.into()));
    (ServedDirectory::of(directory, nodes, &journal, system_resolver()).unwrap(), said)
}

/// Nothing is done when a process is killed: what was kept before that is what there is.
#[test]
fn what_a_bmc_knows_outlasts_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let (nodes, connection) = ([node(0, 0), node(1, 0)], connection());
    {
        let (place, _) = place(directory.path(), &nodes);
        let (service, bmc) = place.service(&nodes[0], &connection).unwrap();
        place.service(&nodes[1], &connection).unwrap();
        let change = Change { password: Some(Secret::new("changed-1")), ..Change::default() };
        service.change_account(2, change, None).unwrap();
        service.keep();
        {
            let mut state = bmc.state();
            (state.boot.target, state.boot.enabled) = (Some(Device::Pxe), Override::Once);
        }
        bmc.keep();
        // The test driver has no such domain, which cannot be told what to boot.
        let words = ["lab-a-0", "boot", "cdrom", "once", "-"].map(String::from);
        control::listen(directory.path(), std::slice::from_ref(&bmc)).unwrap();
        assert!(control::ask(directory.path(), &words).is_err());
    }
    let state = directory.path().join(STATE);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    let files: Vec<PathBuf> =
        std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 8);
    assert!(files.iter().all(|file| mode(file) == 0o600));

    let (again, said) = place(directory.path(), &nodes);
    let (service, bmc) = again.service(&nodes[0], &connection).unwrap();
    let boot = bmc.state().boot.clone();
    assert_eq!((boot.target, boot.enabled), (Some(Device::Pxe), Override::Once));
    assert!(service.by_password("admin", "changed-1").is_some());
    assert!(said.lock().unwrap().is_empty());

    // A node that goes takes what its BMC knew along.
    let (_, _) = place(directory.path(), &nodes[1..]);
    let left = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    assert_eq!(left.len(), 4);
    assert!(left.iter().any(|name| name.contains(&nodes[1].uuid.to_string())));
}

#[test]
fn an_address_that_another_program_has_stops_no_other_bmc() {
    let directory = tempfile::tempdir().unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let (nodes, connection) = ([node(0, port), node(1, 0)], connection());
    let (place, said) = place(directory.path(), &nodes);
    let mut doors = nodes.iter().map(|node| {
        let (_, bmc) = place.service(node, &connection).unwrap();
        place.doors(node, &bmc).unwrap()
    });
    let mut first = doors.next().unwrap();
    let second = doors.next().unwrap();
    assert!(matches!(first.redfish, Some((Door::Open(_), _))));
    assert!(matches!(second.ipmi[0].1, Door::Open(_)));
    let text = || std::fs::read_to_string(directory.path().join(UNREACHED)).unwrap();
    let begins = format!(
        "lab-a-0 IPMI 127.0.0.1:{port} the BMC of `lab-a-0` cannot be at IPMI 127.0.0.1:{port}: "
    );
    assert!(text().starts_with(&begins), "{}", text());
    assert_eq!(said.lock().unwrap().len(), 1);
    // Once it is free, it is not noted any more.
    let Door::Closed(closed) = first.ipmi.remove(0).1 else { panic!("it is open") };
    (closed.opened)();
    assert_eq!(text(), "");
}

/// What the process that serves now has is its own, and is no reason to refuse what takes its place.
#[test]
fn addresses_are_tried_before_anything_is_changed() {
    let directory = tempfile::tempdir().unwrap();
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let file = written(directory.path(), "bmcs.new", &[node(0, port)]);
    let refused = check(&file, LIBVIRT).unwrap_err().to_string();
    assert_eq!(refused, format!("the BMC of `lab-a-0` cannot be at IPMI 127.0.0.1:{port}"));
    written(directory.path(), NODES, &[node(0, port)]);
    assert!(check(&file, LIBVIRT).is_err());
    let lock = File::create(directory.path().join(LOCK)).unwrap();
    lock.lock().unwrap();
    assert_eq!(check(&file, LIBVIRT).unwrap(), 1);
    // It serves, and does not have that one.
    let line = format!("lab-a-0 IPMI 127.0.0.1:{port} …\n");
    std::fs::write(directory.path().join(UNREACHED), line).unwrap();
    assert!(check(&file, LIBVIRT).is_err());
    // An address that the hypervisor gets when they are served.
    let mut later = node(0, 0);
    later.ipmi = Some("192.0.2.1:623".parse().unwrap());
    let file = written(directory.path(), "bmcs.new", &[later]);
    assert_eq!(check(&file, LIBVIRT).unwrap(), 1);
}
