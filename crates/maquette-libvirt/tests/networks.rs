//! The XML of every network of the built-in files, as the specification has it, and as libvirt's own
//! schema accepts it.

#![allow(clippy::unwrap_used, reason = "a test that panics fails")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use maquette_core::blueprint::Network;
use maquette_core::defaults::{self, Kind};
use maquette_core::names::EnvName;
use maquette_core::topology::Allocation;
use maquette_core::values::NetworkName;
use maquette_libvirt::xml;
use maquette_libvirt::xml::read::Record;
use maquette_testkit::{blueprint_of, input, machine, types_for};

/// Every NIC that a built-in network file names.
const NICS: [&str; 8] =
    ["eno1", "eno2", "enp6s0f0", "enp6s0f1", "enp94s0f0", "enp94s0f1", "enp94s0f2", "enp94s0f3"];

/// Networks of a built-in file with the nodes that go with it, each once.
fn networks(file: &str, environment: &EnvName) -> Vec<Network> {
    let mut all: BTreeMap<NetworkName, Network> = BTreeMap::new();
    let mut order = Vec::new();
    for (types, bgp) in types_for(file) {
        let nodes: Vec<(&str, u32)> = types.iter().map(|t| (t.as_str(), 1)).collect();
        let mut input = input(&nodes, file, &[]);
        input.request.settings.bgp = bgp;
        input.request.settings.environment = environment.clone();
        for mut network in blueprint_of(&input, &machine(&NICS)).networks {
            // The file says nothing of nodes.
            network.reservations.clear();
            network.tenants.clear();
            if all.insert(network.name.clone(), network.clone()).is_none() {
                order.push(network.name);
            }
        }
    }
    order.iter().filter_map(|name| all.remove(name)).collect()
}

/// What is libvirt's own: without identifier and metadata.
fn plain(xml: &str) -> String {
    let (before, rest) = xml.split_once("  <metadata>").unwrap();
    let (_, after) = rest.split_once("</metadata>\n").unwrap();
    let lines = before.lines().chain(after.lines()).filter(|l| !l.contains("<uuid>"));
    lines.collect::<Vec<_>>().join("\n")
}

fn files() -> impl Iterator<Item = &'static str> {
    // The other BGP file was never finished.
    defaults::names(Kind::Network).into_iter().filter(|n| *n != "bgp_networks_ipv6")
}

#[test]
fn every_network_file_becomes_the_xml_of_the_specification() {
    for file in files() {
        let mut text = String::new();
        for environment in ["default", "abcd"] {
            let environment: EnvName = environment.parse().unwrap();
            for network in networks(file, &environment) {
                let xml = xml::network(&network, &environment, Allocation::UNPREFIXED);
                text.push_str(&plain(&xml));
                text.push('\n');
            }
        }
        insta::with_settings!({snapshot_suffix => file, omit_expression => true}, {
            insta::assert_snapshot!("network", text);
        });
    }
}

/// Has libvirt look at networks by its own schema; how many these are.
fn validated<'a>(all: impl Iterator<Item = &'a str>) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut script = String::new();
    let mut count = 0;
    for xml in all {
        let path = directory.path().join(format!("{count}.xml"));
        std::fs::write(&path, xml).unwrap();
        let (_, name) = xml.split_once("<name>").unwrap();
        let (name, _) = name.split_once('<').unwrap();
        // Networks of several files have the same names and bridges.
        script += &format!("net-define --validate {}\nnet-undefine {name}\n", path.display());
        count += 1;
    }
    let mut virsh = Command::new("virsh")
        .args(["-c", "test:///default"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    virsh.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = virsh.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.trim().is_empty(), "{said}");
    let defined = String::from_utf8_lossy(&output.stdout).matches("defined from").count();
    assert_eq!(defined, count);
    count
}

#[test]
fn libvirts_own_schema_accepts_every_network() {
    let mut all = Vec::new();
    for file in files() {
        for environment in ["default", "abcd"] {
            let environment: EnvName = environment.parse().unwrap();
            let write = |n: &Network| xml::network(n, &environment, Allocation::UNPREFIXED);
            all.extend(networks(file, &environment).iter().map(write));
        }
    }
    let count = validated(all.iter().map(String::as_str));
    assert!(count > 200, "{count}");
}

/// What libvirt has no element for is lines of dnsmasq's own.
#[test]
fn machines_that_boot_from_a_network_are_told_what_suits_their_firmware() {
    let networks = "\
networks:
  net1:
    name: boot
    subnet: 10.9.0.0/24
    dhcp: yes
    ipv6: {ip_address: 'fd00:9::1', dhcp: {range: {start: 'fd00:9::10', end: 'fd00:9::99'}}}
    tftp_root: /srv/tftp
    bootp: {file: undionly.kpxe, uefi: ipxe.efi, ipxe: boot.ipxe, http: 'http://10.9.0.1/ipxe.efi'}
  net2:
    name: elsewhere
    subnet: 10.8.0.0/24
    dhcp: yes
    bootp: {file: pxelinux.0, uefi: grubx64.efi, server: 10.8.0.9}
  net3: {name: six, ipv6: {ip_address: 'fd00:7::1'}, tftp_root: /srv/tftp}
";
    let environment = EnvName::default();
    let networks = blueprint_of(&input(&[], networks, &[]), &machine(&NICS)).networks;
    let write = |network| xml::network(network, &environment, Allocation::UNPREFIXED);
    let all: Vec<String> = networks.iter().map(write).collect();
    let lines = |xml: &str| {
        let value =
            |line: &str| Some(line.trim().strip_prefix("<dnsmasq:option value='")?.to_string());
        let own = xml.lines().filter_map(value);
        own.map(|line| line.trim_end_matches("'/>").to_string()).collect::<Vec<_>>()
    };
    let [boot, elsewhere, six] = all.as_slice() else { panic!("{all:?}") };
    assert!(
        boot.contains("<tftp root='/srv/tftp'/>") && boot.contains("<bootp file='undionly.kpxe'/>")
    );
    assert!(elsewhere.contains("<bootp file='pxelinux.0' server='10.8.0.9'/>"), "{elsewhere}");
    assert_eq!(
        lines(boot),
        [
            "dhcp-userclass=set:ipxe,iPXE",
            "dhcp-match=set:uefi,option:client-arch,7",
            "dhcp-match=set:uefi,option:client-arch,9",
            "dhcp-boot=tag:uefi,tag:!ipxe,ipxe.efi",
            "dhcp-match=set:uefi-http,option:client-arch,16",
            "dhcp-boot=tag:uefi-http,tag:!ipxe,http://10.9.0.1/ipxe.efi",
            "dhcp-option-force=tag:uefi-http,60,HTTPClient",
            "dhcp-boot=tag:ipxe,boot.ipxe",
            "dhcp-match=set:uefi,option6:61,7",
            "dhcp-match=set:uefi,option6:61,9",
            "dhcp-option=tag:uefi,tag:!ipxe,option6:bootfile-url,tftp://[fd00:9::1]/ipxe.efi",
            "dhcp-match=set:uefi-http,option6:61,16",
            "dhcp-option=tag:uefi-http,tag:!ipxe,option6:bootfile-url,http://10.9.0.1/ipxe.efi",
            "dhcp-option-force=tag:uefi-http,option6:16,00:00:01:57:00:0a:48:54:54:50:43:6c:69:65:6e:74",
            "dhcp-option=tag:ipxe,option6:bootfile-url,tftp://[fd00:9::1]/boot.ipxe",
        ]
    );
    assert_eq!(
        lines(elsewhere),
        [
            "dhcp-match=set:uefi,option:client-arch,7",
            "dhcp-match=set:uefi,option:client-arch,9",
            "dhcp-boot=tag:uefi,grubx64.efi,,10.8.0.9",
        ]
    );
    assert_eq!(lines(six), ["enable-tftp", "tftp-root=/srv/tftp"]);
    validated(all.iter().map(String::as_str));
    for (network, written) in networks.iter().zip(&all) {
        let read = xml::read::network(written).unwrap();
        assert_eq!(read.wiring, maquette_core::observed::Wiring::of(network));
        assert!(read.added.is_empty(), "{:?}", read.added);
        let Record::Good(record) = read.record else { panic!("{:?}", read.record) };
        assert_eq!(&record.network, network);
    }
}

#[test]
fn every_network_is_read_back_as_it_was_written() {
    for file in files() {
        let environment: EnvName = "abcd".parse().unwrap();
        for network in networks(file, &environment) {
            let written = xml::network(&network, &environment, Allocation::UNPREFIXED);
            let read = xml::read::network(&written).unwrap();
            assert_eq!(read.wiring, maquette_core::observed::Wiring::of(&network), "{file}");
            assert!(read.added.is_empty(), "{file}: {:?}", read.added);
            match read.record {
                Record::Good(record) => assert_eq!(record.network, network, "{file}"),
                other => panic!("{file}: {other:?}"),
            }
        }
    }
}

/// libvirt refuses a bridge of its own, addresses, name servers and an MTU beside NICs that nodes are on.
#[test]
fn networks_on_nics_without_a_bridge_are_what_libvirt_takes() {
    let networks = "\
networks:
  net1: {name: private, forward: private, nic: eno1}
  net2: {name: vepa, forward: vepa, nic: eno1, mtu: 9000, autostart: no}
  net3: {name: whole, forward: passthrough, nic: [enp6s0f0, enp6s0f1]}
";
    let environment = EnvName::default();
    let networks = blueprint_of(&input(&[], networks, &[]), &machine(&NICS)).networks;
    let write = |network| xml::network(network, &environment, Allocation::UNPREFIXED);
    let all: Vec<String> = networks.iter().map(write).collect();
    let shown: Vec<String> = all.iter().map(|written| plain(written)).collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    <network>
      <name>private</name>
      <forward mode='private' dev='eno1'>
        <interface dev='eno1'/>
      </forward>
    </network>
    <network>
      <name>vepa</name>
      <forward mode='vepa' dev='eno1'>
        <interface dev='eno1'/>
      </forward>
    </network>
    <network>
      <name>whole</name>
      <forward mode='passthrough' dev='enp6s0f0'>
        <interface dev='enp6s0f0'/>
        <interface dev='enp6s0f1'/>
      </forward>
    </network>
    ");
    assert_eq!(validated(all.iter().map(String::as_str)), 3);
    for (network, written) in networks.iter().zip(&all) {
        let read = xml::read::network(written).unwrap();
        assert_eq!(read.wiring, maquette_core::observed::Wiring::of(network));
        assert!(read.added.is_empty(), "{:?}", read.added);
        let Record::Good(record) = read.record else { panic!("{:?}", read.record) };
        assert_eq!(&record.network, network);
    }
}
