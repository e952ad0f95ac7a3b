use uuid::Uuid;

use super::super::{Class, network};
use super::*;
use crate::blueprint::{Network, Outside};
use crate::topology::DirectMode;
use crate::values::{DnsName, ServiceLabel};

fn dhcp(start: &str, end: &str) -> Option<Dhcp<Ipv4Addr>> {
    Some(Dhcp { start: start.parse().unwrap(), end: end.parse().unwrap() })
}

fn in_vlan(id: &str, native: bool) -> Tag {
    Tag { id: id.parse().unwrap(), native }
}

/// A network that has something of everything.
fn full() -> Network {
    Network {
        name: "lab-br".parse().unwrap(),
        bridge: "br0".parse().unwrap(),
        uuid: Uuid::from_u128(1),
        carrier: Carrier::OpenVswitch(Vswitch {
            userspace: true,
            ports: vec![HostPort { name: "p0".parse().unwrap(), tag: None, addresses: Vec::new() }],
            portgroups: vec![Portgroup {
                name: "g".parse().unwrap(),
                default: true,
                trunk: true,
                tags: vec![in_vlan("4", true), in_vlan("5", false)],
            }],
        }),
        ipv4: None,
        dhcp4: None,
        ipv6: None,
        dhcp6: None,
        domain: None,
        srvs: vec![srv(389, "a.lab"), srv(390, "b.lab")],
        forwarders: Vec::new(),
        tftp_root: None,
        bootp: None,
        mtu: None,
        autostart: true,
        stp: false,
        groups: vec![PlainGroup { name: "h".parse().unwrap(), default: true }],
        tuning: BridgeOptions {
            link_local: true,
            hub: true,
            querier: true,
            routes: vec![Route { net: "198.51.100.0/24".parse().unwrap(), via: None }],
        },
        fixed: Some(Fixed {
            net: "192.0.2.0/24".parse().unwrap(),
            range: dhcp("192.0.2.40", "192.0.2.50"),
            gateway: None,
            nameserver: None,
        }),
        reservations: Vec::new(),
        tenants: Vec::new(),
    }
}

/// One with a NIC in its bridge, which has something of everything, too.
fn bridged() -> Network {
    Network {
        carrier: Carrier::Nic(Uplink {
            nic: "eno1".parse().unwrap(),
            chosen: true,
            address: None,
            stp: false,
            guard: true,
            mtu: None,
        }),
        ..full()
    }
}

/// One on NICs without a bridge.
fn on_nics() -> Network {
    let own = DirectNics { nics: vec!["eno1".parse().unwrap()], chosen: true };
    Network { carrier: Carrier::Direct(DirectMode::Vepa, own), ..full() }
}

fn srv(port: u16, target: &str) -> Srv {
    Srv {
        name: ServiceLabel::known("ldap"),
        protocol: ServiceLabel::known("tcp"),
        domain: Some(DnsName::known("lab")),
        port: Some(port),
        target: target.parse().ok(),
    }
}

fn address(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok()
}

fn uplink(n: &mut Network) -> &mut Uplink {
    let Carrier::Nic(uplink) = &mut n.carrier else { panic!("no NIC") };
    uplink
}

fn ovs(n: &mut Network) -> &mut Vswitch {
    let Carrier::OpenVswitch(vswitch) = &mut n.carrier else { panic!("no Open vSwitch") };
    vswitch
}

fn nics(n: &mut Network) -> &mut DirectNics {
    let Carrier::Direct(_, own) = &mut n.carrier else { panic!("no NICs") };
    own
}

fn own(n: &mut Network) -> &mut Fixed {
    n.fixed.as_mut().unwrap()
}

/// Each change of one field, and how a plan has to name it.
type Case = (fn(&mut Network), Class, &'static str);

const CASES: &[Case] = &[
    (|n| n.stp = true, Replace, "spanning tree protocol: off → on"),
    (|n| n.groups.clear(), Replace, "portgroup h goes"),
    (|n| n.groups[0].default = false, Replace, "portgroup h as the default: on → off"),
    (|n| n.tuning.link_local = false, Replace, "passing of link-local frames: on → off"),
    (|n| n.tuning.hub = false, Replace, "sending of every frame to every port: on → off"),
    (|n| n.tuning.querier = false, Replace, "multicast querier: on → off"),
    (|n| n.tuning.routes.clear(), Replace, "route to 198.51.100.0/24 goes"),
    (
        |n| n.tuning.routes[0].via = address("192.0.2.9"),
        Replace,
        "route to 198.51.100.0/24: no router → 192.0.2.9",
    ),
    (|n| ovs(n).userspace = false, Replace, "Open vSwitch forwards in: a process → the kernel"),
    (|n| ovs(n).ports.clear(), Replace, "the hypervisor's interface p0 goes"),
    (|n| ovs(n).ports[0].tag = "7".parse().ok(), Replace, "VLAN of p0: none → 7"),
    (
        |n| ovs(n).ports[0].addresses.extend("192.0.2.30/24".parse::<ipnet::IpNet>()),
        Replace,
        "addresses of p0: none → 192.0.2.30/24",
    ),
    (|n| ovs(n).portgroups.clear(), Replace, "portgroup g goes"),
    (|n| ovs(n).portgroups[0].default = false, Replace, "portgroup g as the default: on → off"),
    (|n| ovs(n).portgroups[0].trunk = false, Replace, "portgroup g as a trunk: on → off"),
    (
        |n| ovs(n).portgroups[0].tags[0].native = false,
        Replace,
        "VLANs of portgroup g: 4 (native), 5 → 4, 5",
    ),
    (
        |n| ovs(n).portgroups[0].tags[1] = in_vlan("6", false),
        Replace,
        "VLANs of portgroup g: 4 (native), 5 → 4 (native), 6",
    ),
    (|n| n.fixed = None, Replace, "its nodes lose their own addresses"),
    (
        |n| own(n).net = "192.0.2.0/25".parse().unwrap(),
        Replace,
        "subnet of its nodes: 192.0.2.0/24 → 192.0.2.0/25",
    ),
    (|n| own(n).range = None, Replace, "addresses of its nodes: 192.0.2.40 to 192.0.2.50 → none"),
    (|n| own(n).gateway = address("192.0.2.1"), Replace, "gateway of its nodes: none → 192.0.2.1"),
    (
        |n| own(n).nameserver = address("192.0.2.2"),
        Replace,
        "name server of its nodes: none → 192.0.2.2",
    ),
    (|n| n.srvs[1].port = Some(636), Live, "port of DNS record _ldap._tcp.lab: 390 → 636"),
    (|n| n.srvs[0].target = None, Live, "host of DNS record _ldap._tcp.lab: a.lab → none"),
    (|n| n.srvs.truncate(1), Live, "DNS record _ldap._tcp.lab goes"),
    (|n| n.srvs.push(srv(391, "c.lab")), Live, "DNS record _ldap._tcp.lab comes"),
];

/// The same of one with a NIC in its bridge.
const OF_THE_NIC: &[Case] = &[
    (|n| uplink(n).nic = "eno2".parse().unwrap(), Replace, "NIC: eno1 → eno2"),
    (|n| uplink(n).chosen = false, Record, "its NIC is named now"),
    (
        |n| uplink(n).address = "192.0.2.3/24".parse().ok(),
        Replace,
        "address of its bridge: those of its NIC → 192.0.2.3/24",
    ),
    (|n| uplink(n).stp = true, Replace, "spanning tree protocol: off → on"),
    (|n| uplink(n).guard = false, Replace, "DHCP guard: on → off"),
    (|n| uplink(n).mtu = "9000".parse().ok(), Replace, "MTU of its NIC: as it is → 9000"),
];

/// The same of one on NICs without a bridge.
const OF_NICS: &[Case] = &[
    (|n| nics(n).nics[0] = "eno2".parse().unwrap(), Replace, "NICs of its nodes: eno1 → eno2"),
    (
        |n| nics(n).nics.push("eno2".parse().unwrap()),
        Replace,
        "NICs of its nodes: eno1 → eno1, eno2",
    ),
    (|n| nics(n).chosen = false, Record, "its NIC is named now"),
];

/// A plan said of a whole group of fields that something in it changes, and a field added to the group
/// needed no class.
#[test]
fn a_changed_field_is_named_with_its_old_and_its_new_value() {
    for (before, cases) in [(full(), CASES), (bridged(), OF_THE_NIC), (on_nics(), OF_NICS)] {
        assert_eq!(network(&before, &before), Differences::default());
        for (change, class, words) in cases {
            let mut wanted = before.clone();
            change(&mut wanted);
            let found = network(&before, &wanted);
            assert_eq!(found.words(), [*words]);
            assert_eq!(found.worst(), Some(*class), "{words}");
            // And the way back is a change as well.
            assert_eq!(network(&wanted, &before).worst(), Some(*class), "{words}");
        }
    }
}

#[test]
fn another_carrier_is_named_with_what_goes_and_comes() {
    let plain = Network { carrier: Carrier::Libvirt(Outside::Nat), ..full() };
    let words = |old: &Network, new: &Network| {
        let found = network(old, new);
        assert_eq!(found.worst(), Some(Replace));
        found.words().join("; ")
    };
    assert_eq!(words(&bridged(), &plain), "forward mode: bridge → nat; NIC: eno1 → none");
    assert_eq!(words(&plain, &bridged()), "forward mode: nat → bridge; NIC: none → eno1");
    assert_eq!(words(&full(), &plain), "forward mode: bridge → nat; it leaves Open vSwitch");
    assert_eq!(words(&plain, &full()), "forward mode: nat → bridge; it moves to Open vSwitch");
    assert_eq!(words(&bridged(), &full()), "NIC: eno1 → none; it moves to Open vSwitch");
    assert_eq!(
        words(&plain, &on_nics()),
        "forward mode: nat → vepa; NICs of its nodes: none → eno1"
    );
}

#[test]
fn the_order_of_records_is_no_difference() {
    let mut wanted = full();
    wanted.srvs.reverse();
    assert_eq!(network(&full(), &wanted), Differences::default());
}
