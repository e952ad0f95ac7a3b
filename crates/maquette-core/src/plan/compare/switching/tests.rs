use uuid::Uuid;

use super::super::{Class, network};
use super::*;
use crate::blueprint::Network;
use crate::topology::Forward;
use crate::values::{DnsName, ServiceLabel};

fn dhcp(start: &str, end: &str) -> Option<Dhcp<Ipv4Addr>> {
    Some(Dhcp { start: start.parse().unwrap(), end: end.parse().unwrap() })
}

/// A network that has something of everything.
fn full() -> Network {
    Network {
        name: "lab-br".parse().unwrap(),
        bridge: "br0".into(),
        uuid: Uuid::from_u128(1),
        forward: Forward::OpenVswitch,
        ipv4: None,
        dhcp4: None,
        ipv6: None,
        dhcp6: None,
        domain: None,
        srvs: vec![srv(389, "a.lab"), srv(390, "b.lab")],
        forwarders: Vec::new(),
        mtu: None,
        autostart: true,
        stp: false,
        tuning: BridgeOptions {
            link_local: true,
            hub: true,
            querier: true,
            routes: vec![Route { net: "198.51.100.0/24".parse().unwrap(), via: None }],
        },
        uplink: Some(Uplink {
            nic: "eno1".into(),
            chosen: true,
            address: None,
            stp: false,
            guard: true,
            mtu: None,
        }),
        vswitch: Some(Vswitch {
            userspace: true,
            ports: vec![HostPort { name: "p0".into(), tag: None, addresses: Vec::new() }],
            portgroups: vec![Portgroup {
                name: "g".into(),
                default: true,
                trunk: true,
                tags: vec![Tag { id: 4, native: true }, Tag { id: 5, native: false }],
            }],
        }),
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
    n.uplink.as_mut().unwrap()
}

fn ovs(n: &mut Network) -> &mut Vswitch {
    n.vswitch.as_mut().unwrap()
}

fn own(n: &mut Network) -> &mut Fixed {
    n.fixed.as_mut().unwrap()
}

/// Each change of one field, and how a plan has to name it.
type Case = (fn(&mut Network), Class, &'static str);

const CASES: &[Case] = &[
    (|n| n.uplink = None, Replace, "NIC: eno1 → none"),
    (|n| uplink(n).nic = "eno2".into(), Replace, "NIC: eno1 → eno2"),
    (|n| uplink(n).chosen = false, Record, "its NIC is named now"),
    (
        |n| uplink(n).address = "192.0.2.3/24".parse().ok(),
        Replace,
        "address of its bridge: those of its NIC → 192.0.2.3/24",
    ),
    (|n| uplink(n).stp = true, Replace, "spanning tree protocol: off → on"),
    (|n| n.stp = true, Replace, "spanning tree protocol: off → on"),
    (|n| uplink(n).guard = false, Replace, "DHCP guard: on → off"),
    (|n| uplink(n).mtu = Some(9000), Replace, "MTU of its NIC: as it is → 9000"),
    (|n| n.tuning.link_local = false, Replace, "passing of link-local frames: on → off"),
    (|n| n.tuning.hub = false, Replace, "sending of every frame to every port: on → off"),
    (|n| n.tuning.querier = false, Replace, "multicast querier: on → off"),
    (|n| n.tuning.routes.clear(), Replace, "route to 198.51.100.0/24 goes"),
    (
        |n| n.tuning.routes[0].via = address("192.0.2.9"),
        Replace,
        "route to 198.51.100.0/24: no router → 192.0.2.9",
    ),
    (|n| n.vswitch = None, Replace, "it leaves Open vSwitch"),
    (|n| ovs(n).userspace = false, Replace, "Open vSwitch forwards in: a process → the kernel"),
    (|n| ovs(n).ports.clear(), Replace, "the hypervisor's interface p0 goes"),
    (|n| ovs(n).ports[0].tag = Some(7), Replace, "VLAN of p0: none → 7"),
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
        |n| ovs(n).portgroups[0].tags[1].id = 6,
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

/// A plan said of a whole group of fields that something in it changes, and a field added to the group
/// needed no class.
#[test]
fn a_changed_field_is_named_with_its_old_and_its_new_value() {
    assert_eq!(network(&full(), &full()), Differences::default());
    for (change, class, words) in CASES {
        let mut wanted = full();
        change(&mut wanted);
        let found = network(&full(), &wanted);
        assert_eq!(found.words(), [*words]);
        assert_eq!(found.worst(), Some(*class), "{words}");
        // And the way back is a change as well.
        assert_eq!(network(&wanted, &full()).worst(), Some(*class), "{words}");
    }
}

#[test]
fn the_order_of_records_is_no_difference() {
    let mut wanted = full();
    wanted.srvs.reverse();
    assert_eq!(network(&full(), &wanted), Differences::default());
}
