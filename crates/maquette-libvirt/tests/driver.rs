//! The API layer against libvirt's own test driver. Each test has a hypervisor of its own: the
//! driver's default one is shared inside a process.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics fails")]

#[path = "driver/believed.rs"]
mod believed;
#[path = "driver/definition.rs"]
mod definition;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maquette_core::blueprint::{
    Access, Attachment, BridgeOptions, Carrier, Checksums, Disk, Guest, Image, Interface,
    Ipv4Setup, Network, Node, NodeVolumes, Outside, Pool, Reservation, Volume,
};
use maquette_core::names::EnvName;
use maquette_core::object::ObjectKind;
use maquette_core::observed::{Hardware, HostNetwork, Observed, Wiring};
use maquette_core::plan::{self, Action, NetworkChange, PoolState, Step, StepId};
use maquette_core::topology::{Allocation, Bus, Dhcp, Preallocation, SeedDrive};
use maquette_core::units::{ByteSize, MacAddr};
use maquette_core::values::{DnsName, Group, Login, MachineName, PublicKey, Serial};
use maquette_engine::executor;
use maquette_engine::image::Transfer;
use maquette_engine::probe::Reach;
use maquette_engine::ssh_keys::RecordKey;
use maquette_engine::{Backend, Calls, Event, StepContext};
use maquette_libvirt::xml::metadata::forge;
use maquette_libvirt::xml::read::Record;
use maquette_libvirt::{Access as Way, Client, Guests, Libvirt, observe, xml};
use maquette_testkit::{self as testkit, Machine, ModelHost, interface};
use uuid::Uuid;

/// A hypervisor with one foreign domain and network, and one pool.
const HYPERVISOR: &str = "<node>
  <domain type='test'>
    <name>foreign</name><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <devices><interface type='network'><mac address='52:54:00:00:00:99'/><source network='theirs'/></interface></devices>
  </domain>
  <network><name>theirs</name><bridge name='theirs0'/><ip address='192.168.122.1' netmask='255.255.255.0'/></network>
  <pool type='dir'><name>images</name><target><path>/default-pool</path></target></pool>
</node>";

struct Lab {
    _directory: tempfile::TempDir,
    host: ModelHost,
    uri: String,
    transfer: Transfer,
}

impl Lab {
    fn new() -> Self {
        Self::of(HYPERVISOR)
    }

    fn of(hypervisor: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("node.xml"), hypervisor).unwrap();
        let uri = format!("test://{}/node.xml", directory.path().display());
        // Logs are removed below it, which anybody may do.
        let machine = Arc::new(Mutex::new(Machine::prepared()));
        let host = ModelHost::new(directory.path(), machine);
        Self { _directory: directory, host, uri, transfer: Transfer::default() }
    }

    /// A backend on this hypervisor.
    fn backend(&self) -> Libvirt<'_> {
        let guests = Guests {
            ssh_config: "/nonexistent".into(),
            limit: Duration::from_secs(1),
            boots: 1,
            calls: Calls { further: 4, each: 5 },
            jump: Vec::new(),
        };
        let access = Way {
            host: &self.host,
            uri: &self.uri,
            reach: Reach::Local,
            label: "test",
            transfer: &self.transfer,
        };
        Libvirt::new(access, None, guests)
    }
}

fn pool() -> Pool {
    Pool { name: "images".parse().unwrap(), path: "/default-pool".parse().unwrap() }
}

fn network(reservations: Vec<Reservation>) -> Network {
    Network {
        name: "lab-data".parse().unwrap(),
        bridge: "lab-data".parse().unwrap(),
        uuid: Uuid::from_u128(7),
        carrier: Carrier::Libvirt(Outside::Nat),
        ipv4: Some("172.16.10.1/24".parse().unwrap()),
        dhcp4: Some(Dhcp {
            start: "172.16.10.2".parse().unwrap(),
            end: "172.16.10.100".parse().unwrap(),
        }),
        ipv6: Some("2620:52:0:13b8::fe/64".parse().unwrap()),
        dhcp6: None,
        domain: Some(DnsName::known("lab.example")),
        srvs: Vec::new(),
        forwarders: Vec::new(),
        tftp_root: None,
        bootp: None,
        mtu: "9000".parse().ok(),
        autostart: true,
        stp: false,
        groups: Vec::new(),
        tuning: BridgeOptions::default(),
        fixed: None,
        reservations,
        tenants: vec![NodeVolumes {
            node: "lab-web-0".parse().unwrap(),
            pool: pool(),
            volumes: vec![Volume { name: "lab-web-0-disk1.qcow2".parse().unwrap(), pool: None }],
            extension: false,
        }],
    }
}

fn reservation(name: &str, last: u8) -> Reservation {
    Reservation {
        name: name.parse().unwrap(),
        mac: MacAddr([0x52, 0x54, 0, 0, 0, last]),
        ipv4: Some([172, 16, 10, last].into()),
        ipv6: None,
    }
}

/// The test driver knows machines of its own only, so the domain is made for it.
fn node() -> Node {
    let plain = testkit::node("lab-web-0");
    Node {
        vcpus: 2.try_into().unwrap(),
        cpu_model: MachineName::known("host-passthrough"),
        memory_mib: 256,
        machine: MachineName::known("pc"),
        disks: vec![Disk {
            volume: "lab-web-0-disk1.qcow2".parse().unwrap(),
            device: "vda".parse().unwrap(),
            bus: Bus::Virtio,
            cache: "unsafe".parse().unwrap(),
            size: Some(ByteSize(8 << 30)),
            backing: None,
            preallocation: Preallocation::Metadata,
            serial: Some(Serial::known("disk1")),
            pool: None,
        }],
        interfaces: vec![Interface {
            ipv4: Ipv4Setup::Dhcp { reserved: Some("172.16.10.2/24".parse().unwrap()) },
            default_route: true,
            mtu: "9000".parse().ok(),
            ..interface("eth0", 2, "lab-data")
        }],
        groups: vec![Group::known("web")],
        access: Access { address: Some([172, 16, 10, 2].into()), ..plain.access },
        role: "web".parse().unwrap(),
        ..plain
    }
}

fn environment() -> EnvName {
    EnvName::from_prefix("lab").unwrap()
}

fn perform(backend: &Libvirt<'_>, action: &Action) {
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    backend.perform(action, &context).unwrap_or_else(|e| panic!("{}: {e:?}", action.title()));
}

fn look(backend: &Libvirt<'_>) -> Observed {
    observe(backend.client().unwrap(), &environment(), "images", None)
        .unwrap()
        .on_host(&[], HostNetwork::default())
}

fn define_network(network: Network) -> Action {
    Action::DefineNetwork {
        network: Box::new(network),
        environment: environment(),
        allocation: Allocation { net: 10, data_net: 24 },
    }
}

#[test]
fn a_network_lives_and_dies_and_every_step_can_be_repeated() {
    let lab = Lab::new();
    let backend = lab.backend();
    let name = "lab-data".to_string();
    let wanted = network(vec![reservation("lab-web-0", 2)]);
    let start = Action::StartNetwork { name: name.parse().unwrap(), autostart: true };
    for action in [define_network(wanted.clone()), start] {
        perform(&backend, &action);
        perform(&backend, &action);
    }
    let seen = look(&backend);
    assert_eq!(seen.networks[name.as_str()].recorded, wanted);
    assert!(seen.networks[name.as_str()].active);
    assert_eq!(seen.allocation(), Some(Allocation { net: 10, data_net: 24 }));

    let grown = network(vec![reservation("lab-web-1", 3)]);
    let change = NetworkChange {
        remove: wanted.dhcp_entries().into_iter().collect(),
        add: grown.dhcp_entries().into_iter().collect(),
        ..NetworkChange::default()
    };
    let update = Action::UpdateNetwork {
        network: Box::new(grown.clone()),
        environment: environment(),
        allocation: Allocation { net: 10, data_net: 24 },
        change,
    };
    // While it runs the driver changes it, but shows no other definition than the running one.
    perform(&backend, &update);
    perform(&backend, &Action::StopNetwork { name: name.clone() });
    perform(&backend, &update);
    assert_eq!(look(&backend).networks[name.as_str()].recorded, grown);

    for action in
        [Action::StopNetwork { name: name.clone() }, Action::UndefineNetwork { name: name.clone() }]
    {
        perform(&backend, &action);
        perform(&backend, &action);
    }
    assert!(look(&backend).networks.is_empty());
}

/// What libvirt writes for dnsmasq and for the kernel is checked against its schema first.
#[test]
fn libvirt_checks_a_network_before_it_takes_it() {
    let lab = Lab::new();
    let backend = lab.backend();
    let mut wrong = network(Vec::new());
    wrong.bridge = maquette_core::values::InterfaceName::known("two words");
    let context =
        StepContext { progress: &|_| {}, remark: &|_| {}, cancelled: &AtomicBool::new(false) };
    let error = backend.perform(&define_network(wrong), &context).unwrap_err();
    assert!(format!("{error:?}").contains("failed to validate"), "{error:?}");
    assert!(look(&backend).networks.is_empty());
}

#[test]
fn what_others_have_is_claimed_and_never_ours() {
    let lab = Lab::new();
    let seen = look(&lab.backend());
    assert!(seen.domains.is_empty() && seen.networks.is_empty());
    assert!(seen.claims.domains.contains("foreign"));
    assert!(seen.claims.networks.contains("theirs"));
    assert!(seen.claims.bridges.contains("theirs0"));
    assert_eq!(seen.claims.subnets[0].0.trunc().to_string(), "192.168.122.0/24");
    assert!(seen.claims.macs.contains(&MacAddr([0x52, 0x54, 0, 0, 0, 0x99])));
    // Taking an environment down that does not exist does nothing, least of all to others.
    assert!(plan::destroy(&seen, &environment()).is_empty());
}

#[test]
fn another_environment_is_somebody_else() {
    let lab = Lab::new();
    let backend = lab.backend();
    perform(&backend, &define_network(network(Vec::new())));
    let other = EnvName::from_prefix("qa").unwrap();
    let seen = observe(backend.client().unwrap(), &other, "images", None)
        .unwrap()
        .on_host(&[], HostNetwork::default());
    assert!(seen.networks.is_empty());
    assert!(seen.claims.networks.contains("lab-data"));
    assert!(seen.claims.subnets.iter().any(|(_, owner)| owner == "network `lab-data`"));
}

#[test]
fn volumes_are_created_once_resized_and_deleted() {
    let lab = Lab::new();
    let backend = lab.backend();
    // The driver refuses to preallocate.
    let disk = Disk { preallocation: Preallocation::Off, ..node().disks[0].clone() };
    let volume = disk.volume.to_string();
    let create = Action::CreateVolume { disk: Box::new(disk), pool: pool(), over: None };
    perform(&backend, &create);
    perform(&backend, &create);
    assert!(look(&backend).has_volume(&pool(), &volume));
    let delete = Action::DeleteVolume { volume: volume.clone(), pool: pool() };
    perform(&backend, &delete);
    perform(&backend, &delete);
    assert!(!look(&backend).has_volume(&pool(), &volume));
}

#[test]
fn pools_are_found() {
    let lab = Lab::new();
    let backend = lab.backend();
    let client = backend.client().unwrap();
    let state = |name: &str| observe(client, &environment(), name, None).unwrap().pool;
    assert_eq!(state("images"), PoolState::Active("/default-pool".into()));
    assert_eq!(state("nothing"), PoolState::Missing);
}

#[test]
fn failures_name_the_object_and_the_cause() {
    let lab = Lab::new();
    let backend = lab.backend();
    let action = Action::StartDomain { name: "nobody".parse().unwrap(), ready: None };
    let steps = [Step { id: StepId::at(0), action, after: Vec::new(), reason: String::new() }];
    let mut failed = None;
    executor::run(&steps, &backend, &AtomicBool::new(false), &mut |event| {
        if let Event::StepFailed { error, .. } = event {
            failed = Some(error);
        }
    });
    assert_eq!(failed.unwrap().message, "cannot start domain `nobody`: it is not defined");
    let gone = Client::open("test:///no/such/file.xml").unwrap_err().to_string();
    assert!(gone.contains("/no/such/file.xml"), "{gone}");
}

#[test]
fn the_xml_of_a_domain_and_its_record() {
    let xml = xml::domain(&node(), &environment(), &pool(), &xml::Mark::ready());
    insta::assert_snapshot!(xml);
    let read = xml::read::domain(&xml).unwrap();
    let Record::Good(record) = read.record else { panic!("{:?}", read.record) };
    assert_eq!((record.node, record.pool, record.environment), (node(), pool(), environment()));
    assert!(read.mark.ready);
    assert_eq!(read.hardware, Hardware::of(&node(), &pool()));
}

#[test]
fn a_seed_is_found_again_in_either_drive() {
    for drive in [SeedDrive::CdRom, SeedDrive::Disk] {
        let node = Node { guest: Some(Guest { drive, ..guest() }), ..node() };
        let xml = xml::domain(&node, &environment(), &pool(), &xml::Mark::default());
        let read = xml::read::domain(&xml).unwrap();
        assert_eq!(read.hardware, Hardware::of(&node, &pool()), "{drive}");
        // A CD-ROM at another device is the user's own business.
        let other = xml::read::domain(&xml.replace("'sdz'", "'sdy'")).unwrap();
        assert_eq!(other.hardware == read.hardware, drive == SeedDrive::Disk);
    }
}

#[test]
fn who_made_a_domain_is_beside_its_record() {
    use maquette_core::observed::Origin;
    use maquette_libvirt::xml;
    let made = Origin { by: "ann@<desk>\u{1b}[31m".into(), at_s: 1_700_000_000 };
    let mark = xml::Mark { ready: true, ..xml::Mark::default() };
    let xml = xml::domain_made(&node(), &environment(), &pool(), &mark, Some(&made));
    let read = xml::read::domain(&xml).unwrap();
    let by = "ann@<desk>\u{fffd}[31m".to_string();
    assert_eq!(read.origin, Some(Origin { by, ..made }));
    let without = xml::domain(&node(), &environment(), &pool(), &xml::Mark::ready());
    let without = xml::read::domain(&without).unwrap();
    assert_eq!((without.origin, without.record), (None, read.record));
}

#[test]
fn the_one_who_made_a_domain_stays_when_it_is_defined_anew() {
    use maquette_core::observed::Origin;
    let lab = Lab::new();
    let (environment, pool) = (environment(), pool());
    let define = Action::DefineDomain { node: Box::new(node()), environment, pool };
    let origin = |by: &str| Some(Origin { by: by.into(), at_s: 7 });
    let backend = lab.backend().with_origin(origin("ann@desk"));
    perform(&backend, &define);
    let backend = backend.with_origin(origin("bob@desk"));
    perform(&backend, &define);
    let survey = maquette_libvirt::survey(backend.client().unwrap()).unwrap();
    let [(of, found)] = survey.nodes.as_slice() else { panic!("{survey:?}") };
    assert_eq!((of.to_string(), &found.origin), ("lab".into(), &origin("ann@desk")));
    assert_eq!(found.recorded, Some(node()));
}

/// libvirt's test driver has a picture of its own, which comes through a stream.
#[test]
fn a_picture_of_a_screen_comes_whole() {
    let lab = Lab::new();
    let backend = lab.backend();
    let picture = backend.client().unwrap().screenshot("foreign").unwrap();
    assert!(picture.starts_with(b"\x89PNG"), "{} bytes", picture.len());
    assert!(picture.ends_with(b"IEND\xae\x42\x60\x82"), "{} bytes", picture.len());
    assert!(backend.client().unwrap().screenshot("nobody").is_err());
}

#[test]
fn the_xml_of_a_network_and_its_record() {
    let wanted = network(vec![reservation("lab-web-0", 2)]);
    let allocation = Allocation { net: 10, data_net: 24 };
    let xml = xml::network(&wanted, &environment(), allocation);
    insta::assert_snapshot!(xml);
    let read = xml::read::network(&xml).unwrap();
    assert_eq!(read.wiring, Wiring::of(&wanted));
    assert!(read.added.is_empty(), "{:?}", read.added);
    let Record::Good(record) = read.record else { panic!("{:?}", read.record) };
    assert_eq!((record.network, record.allocation), (wanted, allocation));
}

#[test]
fn queries_go_to_the_name_servers_that_a_network_names() {
    let forwarders = ["192.0.2.53", "2001:db8::53"].map(|a| a.parse().unwrap()).to_vec();
    let wanted = Network { forwarders, ..network(Vec::new()) };
    let allocation = Allocation { net: 10, data_net: 24 };
    let xml = xml::network(&wanted, &environment(), allocation);
    let lines: Vec<&str> = xml.lines().filter(|l| l.contains("forwarder")).map(str::trim).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    <maquette:forwarder address='192.0.2.53'/>
    <maquette:forwarder address='2001:db8::53'/>
    <forwarder addr='192.0.2.53'/>
    <forwarder addr='2001:db8::53'/>
    ");
    // libvirt checks it by its own schema.
    let lab = Lab::new();
    let backend = lab.backend();
    perform(&backend, &define_network(wanted.clone()));
    assert_eq!(look(&backend).networks["lab-data"].recorded.forwarders, wanted.forwarders);
}

#[test]
fn the_xml_of_volumes() {
    let mut disk = node().disks[0].clone();
    disk.backing = Some(Image {
        source: "debian-12".into(),
        volume: "maquette-debian-12-0123456789ab.qcow2".parse().unwrap(),
    });
    insta::assert_snapshot!(xml::volume(&disk, &pool(), 8 << 30));
}

#[test]
fn a_record_that_cannot_be_trusted_is_refused() {
    let whole = xml::domain(&node(), &environment(), &pool(), &xml::Mark::default());
    let bad = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        match xml::read::domain(&whole.replace(from, to)).unwrap().record {
            Record::Bad(of, error) => (of.map(|e| e.to_string()), error.to_string()),
            other => panic!("{other:?}"),
        }
    };
    let (of, why) = bad("schema='1'", "schema='2'");
    assert_eq!(of.as_deref(), Some("lab"));
    assert!(why.contains("newer Maquette"), "{why}");
    // Somebody points it at a volume of somebody else.
    let (of, why) = bad("volume='lab-web-0-disk1.qcow2'", "volume='precious.qcow2'");
    assert_eq!((of.as_deref(), why.as_str()), (Some("lab"), "its metadata was changed by hand"));
    assert!(bad("vcpus='2'", "vcpus='many'").1.contains("changed by hand"));
    // The order of attributes is libvirt's business.
    let (one, other) = ("role='web' index='0'", "index='0' role='web'");
    assert!(whole.contains(one));
    let turned = xml::read::domain(&whole.replace(one, other)).unwrap();
    assert!(matches!(turned.record, Record::Good(_)));
}

#[test]
fn a_broken_record_is_edited_for_its_own_environment_and_a_claim_for_others() {
    let lab = Lab::new();
    let backend = lab.backend();
    perform(&backend, &define_network(network(Vec::new())));
    let client = backend.client().unwrap();
    let text =
        xml::network(&network(Vec::new()), &environment(), Allocation { net: 10, data_net: 24 });
    client.define_network(&text.replace("autostart='true'", "autostart='maybe'")).unwrap();
    let seen = observe(client, &environment(), "images", None).unwrap().observed;
    let edited = seen.edited(ObjectKind::Network, "lab-data").unwrap();
    assert!(seen.networks.is_empty());
    assert_eq!(edited.why, "its metadata was changed by hand");
    // It goes with its environment.
    let plan = plan::destroy(&seen, &environment());
    let other = EnvName::from_prefix("qa").unwrap();
    let seen =
        observe(client, &other, "images", None).unwrap().on_host(&[], HostNetwork::default());
    assert!(seen.claims.networks.contains("lab-data") && seen.edited.is_empty());
    plan.steps.iter().for_each(|step| perform(&backend, &step.action));
    let seen = observe(client, &environment(), "images", None).unwrap().observed;
    assert!(seen.edited.is_empty() && seen.networks.is_empty());
    // What a later version made is not ours to judge.
    client.define_network(&text.replace("schema='1'", "schema='2'")).unwrap();
    let error = observe(client, &environment(), "images", None).unwrap_err();
    assert_eq!(error.to_string(), "cannot tell what belongs to network `lab-data`");
    assert!(error.hint().unwrap().contains("virsh net-undefine lab-data"));
    // What names no environment is named, and is nobody's.
    let nameless = text.replace("schema='1'", "schema='x'").replace("environment='lab'", "");
    client.define_network(&nameless).unwrap();
    let seen = observe(client, &environment(), "images", None).unwrap();
    assert_eq!(seen.unreadable, ["Maquette's record of network `lab-data`"]);
    assert!(seen.observed.claims.networks.contains("lab-data"));
}

fn guest() -> Guest {
    Guest {
        seed: "lab-web-0-seed.img".parse().unwrap(),
        drive: SeedDrive::CdRom,
        user: Login::known("cloud"),
        authorized_key: PublicKey::known("ssh-ed25519 AAAA a"),
        shared: Vec::new(),
        host_key: PublicKey::known("ssh-ed25519 BBBB lab-web-0"),
        generation: Some(5),
        timezone: None,
        swap_mib: 0,
        first_boot: None,
        first_boot_parts: Vec::new(),
    }
}

/// What a record says of a running domain changes with its seal, and nothing else of the definition does: not what was
/// changed there by hand either.
#[test]
fn a_record_is_written_anew_without_a_new_definition() {
    let lab = Lab::new();
    let key = RecordKey::made_of([1; 32]);
    let backend = lab.backend().with_record_key(Some(key.clone()));
    let node = Node { guest: Some(guest()), ..node() };
    perform(&backend, &define_network(network(Vec::new())));
    let (environment, pool) = (environment(), pool());
    let plain = xml::domain(&node, &environment, &pool, &xml::Mark::default());
    let sealed = xml::sealed(plain, Some(&key));
    let vcpus = |count: u32| format!("<vcpu>{count}</vcpu>");
    let by_hand = sealed.replace(&vcpus(node.vcpus.get()), &vcpus(node.vcpus.get() + 1));
    let client = backend.client().unwrap();
    client.define_domain(&by_hand).unwrap();
    let shared: Vec<PublicKey> = vec![PublicKey::known("ssh-ed25519 CCCC bob@desk")];
    let with = Guest { shared: shared.clone(), ..guest() };
    let shared_node = Node { guest: Some(with), ..node.clone() };
    backend.record_domain(&shared_node, &environment, &pool).unwrap();
    let seen = observe(client, &environment, "images", Some(&key)).unwrap();
    assert!(seen.observed.edited.is_empty() && seen.sealed_by_others.is_empty());
    let domain = &seen.observed.domains["lab-web-0"];
    assert_eq!(domain.recorded.guest.as_ref().unwrap().shared, shared);
    assert_eq!(domain.defined.vcpus, node.vcpus.get() + 1);
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
}

/// Whoever may define domains can make a digest fit, but not the seal of who has the environment's secret.
#[test]
fn an_edited_record_is_told_from_a_colleagues_by_its_seal() {
    let lab = Lab::new();
    let keys = [1, 2].map(|byte| RecordKey::made_of([byte; 32]));
    let backend = lab.backend().with_record_key(Some(keys[0].clone()));
    let node = Node { guest: Some(guest()), ..node() };
    perform(&backend, &define_network(network(Vec::new())));
    let define = Action::DefineDomain {
        node: Box::new(node.clone()),
        environment: environment(),
        pool: pool(),
    };
    perform(&backend, &define);
    let client = backend.client().unwrap();
    let seen = |key: Option<&RecordKey>| {
        let seen = observe(client, &environment(), "images", key).unwrap();
        let edited: Vec<String> = seen.observed.edited.iter().map(|e| e.name.clone()).collect();
        (edited.join(" "), seen.sealed_by_others.join(" "))
    };
    let none = || String::new();
    assert_eq!(seen(Some(&keys[0])), (none(), none()));
    assert_eq!(seen(None), (none(), none()));
    assert_eq!(seen(Some(&keys[1])), (none(), "domain `lab-web-0`".into()));
    // Somebody points it at a volume of somebody else, with a digest that fits.
    let plain = xml::domain(&node, &environment(), &pool(), &xml::Mark::default());
    let sealed = xml::sealed(plain.clone(), Some(&keys[0]));
    let edited = sealed.replace("volume='lab-web-0-disk1.qcow2'", "volume='precious.qcow2'");
    client.define_domain(&forge::sealed_anew(&edited).unwrap()).unwrap();
    assert_eq!(seen(None), (none(), none()));
    assert_eq!(seen(Some(&keys[0])), ("lab-web-0".into(), none()));
    // Without a seal it would have to be one of version 0.1, and that had no generations.
    client.define_domain(&plain).unwrap();
    assert_eq!(seen(Some(&keys[0])), ("lab-web-0".into(), none()));
    let first = Node { guest: None, ..node };
    let first = xml::domain(&first, &environment(), &pool(), &xml::Mark::default());
    client.define_domain(&first).unwrap();
    assert_eq!(seen(Some(&keys[0])), (none(), none()));
    // It is sealed when it is next defined.
    perform(&backend, &define);
    assert_eq!(seen(Some(&keys[0])), (none(), none()));
    assert_eq!(seen(Some(&keys[1])), (none(), "domain `lab-web-0`".into()));
    perform(&backend, &Action::UndefineDomain { name: "lab-web-0".into() });
}
