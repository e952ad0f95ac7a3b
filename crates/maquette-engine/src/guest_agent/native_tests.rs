//! The network of a system without netplan.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use super::template_tests::{Template, line};
use super::tests::{IDENTITY, System};

/// Two NICs, one of which has all that a seed gives.
const NETWORK: &str = "version: 2\nethernets:\n  eth0:\n    match: {macaddress: \"52:54:00:00:00:01\"}\n    set-name: eth0\n    \
    dhcp4: false\n    dhcp6: false\n    addresses: [\"192.0.2.10/24\", \"2001:db8::5/64\"]\n    \
    routes: [{to: 0.0.0.0/0, via: 192.0.2.1}]\n    nameservers: {addresses: [192.0.2.1]}\n    accept-ra: false\n    \
    optional: true\n    mtu: 1400\n  eth1:\n    match: {macaddress: \"52:54:00:00:00:02\"}\n    set-name: eth1\n    \
    dhcp4: true\n    dhcp6: false\n";

/// A system without netplan, in which some manager of networks starts.
fn without_netplan(manager: &str) -> System {
    let system = System::new(IDENTITY);
    fs::remove_file(system.path("usr/libexec/netplan/generate")).unwrap();
    system.put(&format!("etc/systemd/system/multi-user.target.wants/{manager}.service"), "");
    system.put("seed/network-config", NETWORK);
    system.nic("eth0", "52:54:00:00:00:01");
    system.nic("eth1", "52:54:00:00:00:02");
    system
}

/// What its network is set up by, with the modes.
fn network_files(system: &System) -> String {
    let mut tree = system.tree();
    tree.retain(|name, text| {
        let place = ["etc/systemd/network/", "etc/NetworkManager/", "etc/netplan"];
        place.iter().any(|place| name.starts_with(place)) && text.contains('\n')
    });
    tree.into_iter().map(|(name, text)| format!("== {name} {text}")).collect()
}

const LINKS: &str = "== etc/systemd/network/10-cloud-init-eth0.link 644 [Match]\nPermanentMACAddress=52:54:00:00:00:01\n\n\
    [Link]\nName=eth0\nMTUBytes=1400\n";
const LINK: &str = "== etc/systemd/network/10-cloud-init-eth1.link 644 [Match]\nPermanentMACAddress=52:54:00:00:00:02\n\n\
    [Link]\nName=eth1\n";

/// As on Fedora and Arch: cold, and from a template.
#[test]
fn networkd_has_files_of_its_own_where_there_is_no_netplan() {
    let expected = format!(
        "{LINKS}== etc/systemd/network/10-cloud-init-eth0.network 644 [Match]\nPermanentMACAddress=52:54:00:00:00:01\n\n\
         [Link]\nRequiredForOnline=no\nMTUBytes=1400\n\n[Network]\nLinkLocalAddressing=ipv6\nAddress=192.0.2.10/24\n\
         Address=2001:db8::5/64\nIPv6AcceptRA=no\nDNS=192.0.2.1\n\n[Route]\nDestination=0.0.0.0/0\nGateway=192.0.2.1\n\
         {LINK}== etc/systemd/network/10-cloud-init-eth1.network 644 [Match]\nPermanentMACAddress=52:54:00:00:00:02\n\n\
         [Network]\nDHCP=ipv4\nLinkLocalAddressing=ipv6\n\n[DHCP]\nRouteMetric=100\nUseMTU=true\n"
    );
    let cold = without_netplan("systemd-networkd");
    let said = cold.run("setup");
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    assert_eq!(network_files(&cold), expected);
    let mut warm = Template::new(without_netplan("systemd-networkd"));
    warm.seed(IDENTITY);
    warm.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(warm.end(), "");
    assert_eq!(network_files(&warm.system), expected);
    assert!(warm.system.text("orders").contains("reload systemd-networkd.service"));
}

/// As on Enterprise Linux.
#[test]
fn network_manager_has_key_files_where_there_is_no_netplan() {
    let expected = format!(
        "== etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection 600 [connection]\nid=cloud-init eth0\n\
         type=ethernet\n\n[ethernet]\nmac-address=52:54:00:00:00:01\nmtu=1400\n\n[ipv4]\nmethod=manual\n\
         address1=192.0.2.10/24\ngateway=192.0.2.1\ndns=192.0.2.1;\n\n[ipv6]\nmethod=manual\naddress1=2001:db8::5/64\n\
         == etc/NetworkManager/system-connections/cloud-init-eth1.nmconnection 600 [connection]\nid=cloud-init eth1\n\
         type=ethernet\n\n[ethernet]\nmac-address=52:54:00:00:00:02\n\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n\
         {LINKS}{LINK}"
    );
    let cold = without_netplan("NetworkManager");
    // One that others may read is not written into.
    let old = "etc/NetworkManager/system-connections/cloud-init-eth0.nmconnection";
    cold.put(old, "[connection]\n");
    let said = cold.run("setup");
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    assert_eq!(network_files(&cold), expected);
    let mut warm = Template::new(without_netplan("NetworkManager"));
    warm.seed(IDENTITY);
    warm.connect().write_all(line().as_bytes()).unwrap();
    assert_eq!(warm.end(), "");
    assert_eq!(network_files(&warm.system), expected);
    assert!(warm.system.text("orders").contains("restart NetworkManager.service"));
    // What nobody here knows is an error, and not left out.
    let other = without_netplan("NetworkManager");
    other.put("seed/network-config", &NETWORK.replace("mtu: 1400", "wakeonlan: true"));
    other.run("setup");
    let report = String::from_utf8(other.run("ready").stdout).unwrap();
    assert!(report.contains("there is no netplan in this image"), "{report}");
}

/// Its files were compared with those of netplan 0.106, and are with those of the image's before each template is saved.
#[test]
fn a_network_with_anything_unknown_is_left_to_netplan() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/guest-agent");
    let script = "import sys; sys.path.insert(0, sys.argv[1])\n\
        from maquette_netplan import SAMPLE, made\n\
        print(''.join(f'# {path}\\n{text}' for path, text in made(SAMPLE).items()), end='')\n\
        others = (('mtu: 1400', 'mtu: many'), ('set-name: eth0', 'set-name: lan'), ('version: 2', 'version: 3'),\n\
        ('dhcp6: false', 'dhcp6: true'), ('mtu: 1400', 'vlan: 1'), ('  eth0:', 'eth0:'), ('optional: true', 'mtu: 1'))\n\
        assert all(known in SAMPLE for known, _ in others)\n\
        assert all(made(SAMPLE.replace(known, other, 1)) is None for known, other in others)\n";
    let said = Command::new("python3").args(["-ISEBc", script]).arg(place).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains(
        "# /run/systemd/network/10-netplan-eth1.network\n[Match]\nPermanentMACAddress=52:54:00:00:00:02\nName=eth1\n\n\
         [Link]\nMTUBytes=1400\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=ipv6\nAddress=2001:db8::5/64\nDNS=192.0.2.1\n\n\
         [DHCP]\nRouteMetric=100\nUseMTU=true\n"
    ));
}
