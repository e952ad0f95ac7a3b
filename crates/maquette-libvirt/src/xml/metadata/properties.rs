//! Whatever a record holds, it is the same after it was written and read.

use std::net::IpAddr;
use std::num::NonZeroU32;

use maquette_core::blueprint::{
    Access, Attachment, Bmc, BridgeOptions, Carrier, Checksums, DirectNics, Disk, DiskPool, Fixed,
    Guest, HostPort, Image, Interface, Ipv4Setup, Network, Node, NodeVolumes, Outside, PlainGroup,
    Pool, Portgroup, Reservation, Route, Tag, Uplink, Vnc, Volume, Vswitch,
};
use maquette_core::expand::MOST_INDEX;
use maquette_core::topology::{
    Allocation, BmcProtocol, BootDevice, BootDigest, BootMode, Bootp, Bus, Dhcp, DirectMode,
    Preallocation, SeedDrive, Srv, VirtType,
};
use maquette_core::units::{ByteSize, MacAddr};
use maquette_core::values::{ConnectionPlugin, Mtu, VlanId};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use roxmltree::Document;
use uuid::Uuid;

use super::node::MOST_MIB;
use super::*;

/// Any value of a type, or none where it may be none.
fn whatever<T: Arbitrary + 'static>() -> BoxedStrategy<T> {
    any::<T>().boxed()
}

/// A checked value of any text that has its form.
fn value<T: std::str::FromStr + std::fmt::Debug + 'static>(form: &'static str) -> BoxedStrategy<T> {
    form.prop_filter_map("it does not have its form", |text| text.parse().ok()).boxed()
}

/// Its text.
fn text<T: std::str::FromStr + ToString + std::fmt::Debug + 'static>(
    form: &'static str,
) -> BoxedStrategy<String> {
    value::<T>(form).prop_map(|value| value.to_string()).boxed()
}

const NAME: &str = "[a-z0-9][a-zA-Z0-9_.-]{0,12}";
const FILE: &str = "[a-zA-Z0-9_][a-zA-Z0-9_.+@:~-]{0,12}";
/// Signs that XML has a use for are among these.
const LINE: &str = "[ -~äß→]{1,20}";

/// A bridge or NIC.
fn interface_name() -> BoxedStrategy<maquette_core::values::InterfaceName> {
    value(NAME)
}

/// A network's name: with a prefix it may be longer than a node's.
fn network_name() -> BoxedStrategy<maquette_core::values::NetworkName> {
    value("[a-z0-9][a-zA-Z0-9_.-]{0,12}([a-z]{100})?")
}

/// Bytes of a packet.
fn mtu() -> impl Strategy<Value = Mtu> {
    (Mtu::LEAST..=Mtu::MOST).prop_map(|bytes| Mtu::new(bytes.into()).unwrap())
}

fn vlan() -> impl Strategy<Value = VlanId> {
    (1u16..4095).prop_map(|number| VlanId::new(number).unwrap())
}

/// One of Ansible's connections.
fn connection() -> impl Strategy<Value = ConnectionPlugin> {
    let names = ["ssh", "network_cli", "ansible.netcommon.netconf", "psrp"];
    prop::sample::select(names.map(ConnectionPlugin::known).to_vec())
}

/// A name that has a type of its own.
fn named<T: std::str::FromStr + std::fmt::Debug + 'static>() -> BoxedStrategy<T> {
    value(NAME)
}

fn file() -> BoxedStrategy<maquette_core::values::FileName> {
    value(FILE)
}

fn line() -> BoxedStrategy<String> {
    text::<maquette_core::values::Line>(LINE)
}

fn key() -> BoxedStrategy<maquette_core::values::PublicKey> {
    value("(ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/]{4,20}={0,2}( [a-z0-9@. -]{0,10})?")
}

fn login() -> BoxedStrategy<maquette_core::values::Login> {
    value("[a-z_][a-z0-9_-]{0,10}")
}

fn dns() -> BoxedStrategy<maquette_core::values::DnsName> {
    value("[a-z0-9]{1,8}(\\.[a-z0-9]{1,8}){0,2}")
}

fn mac() -> BoxedStrategy<MacAddr> {
    value("52:54(:[0-9a-f]{2}){4}")
}

fn net4() -> BoxedStrategy<ipnet::Ipv4Net> {
    (any::<std::net::Ipv4Addr>(), 0u8..=32)
        .prop_map(|(address, length)| ipnet::Ipv4Net::new(address, length).unwrap())
        .boxed()
}

fn net6() -> BoxedStrategy<ipnet::Ipv6Net> {
    (any::<std::net::Ipv6Addr>(), 0u8..=128)
        .prop_map(|(address, length)| ipnet::Ipv6Net::new(address, length).unwrap())
        .boxed()
}

fn range<T: Arbitrary + 'static>() -> BoxedStrategy<Option<Dhcp<T>>> {
    of((any::<T>(), any::<T>()).prop_map(|(start, end)| Dhcp { start, end })).boxed()
}

fn pool() -> impl Strategy<Value = Pool> {
    (named(), value("(/[a-z0-9_. -]{1,8}){1,3}")).prop_map(|(name, path)| Pool { name, path })
}

fn environment() -> impl Strategy<Value = EnvName> {
    of("[a-z][a-z0-9]{0,3}")
        .prop_map(|prefix| prefix.and_then(|p| EnvName::from_prefix(&p).ok()).unwrap_or_default())
}

fn disk() -> impl Strategy<Value = Disk> {
    // Records have no secrets of an address, so that one with some comes back without them.
    let image = (line(), file()).prop_map(|(source, volume)| Image { source, volume });
    let image = image.prop_filter("it may be secret", |i| {
        i.shown() == i.source && i.source.parse::<maquette_core::values::Line>().is_ok()
    });
    let bus = prop::sample::select(vec![Bus::Virtio, Bus::Scsi, Bus::Ide, Bus::Sata]);
    let all = [Preallocation::Off, Preallocation::Metadata, Preallocation::Full];
    let preallocation = prop::sample::select(all.to_vec());
    let serial = of(value("[a-z0-9][a-z0-9_.+-]{0,12}"));
    let cache = value("default|none|writethrough|writeback|directsync|unsafe");
    (
        file(),
        value("(vd|sd|hd)[a-z]{1,2}"),
        bus,
        cache,
        of(any::<u64>()),
        of(image),
        preallocation,
        serial,
        of(disk_pool()),
    )
        .prop_map(
            |(volume, device, bus, cache, size, backing, preallocation, serial, pool)| {
                let size = size.map(ByteSize);
                Disk { volume, device, bus, cache, size, backing, preallocation, serial, pool }
            },
        )
}

fn disk_pool() -> impl Strategy<Value = DiskPool> {
    (pool(), any::<bool>()).prop_map(|(pool, made)| DiskPool { pool, made })
}

fn interface() -> impl Strategy<Value = Interface> {
    let checksums = prop::sample::select(vec![Checksums::Hypervisor, Checksums::Guest]);
    let other = (of(named()), checksums)
        .prop_map(|(portgroup, checksums)| Attachment::OtherBridge { portgroup, checksums });
    let served = of(named()).prop_map(|portgroup| Attachment::Network { portgroup });
    let attachment =
        prop_oneof![served, Just(Attachment::HostBridge), Just(Attachment::Direct), other];
    let own = (net4(), whatever(), whatever()).prop_map(|(address, gateway, nameserver)| {
        Ipv4Setup::Static { address, gateway, nameserver }
    });
    let dhcp = of(net4()).prop_map(|reserved| Ipv4Setup::Dhcp { reserved });
    let ipv4 = prop_oneof![Just(Ipv4Setup::Off), dhcp, own];
    let words = (interface_name(), mac(), network_name(), value("[a-z0-9][a-z0-9_-]{0,8}"));
    (words, attachment, ipv4, of(net6()), whatever(), of(mtu())).prop_map(
        |((name, mac, network, model), attachment, ipv4, ipv6, default_route, mtu)| Interface {
            name,
            mac,
            network,
            attachment,
            model,
            ipv4,
            ipv6,
            default_route,
            mtu,
        },
    )
}

fn guest() -> impl Strategy<Value = Guest> {
    let zone = of(value("[A-Z][a-z]{1,8}(/[A-Z][a-z]{1,8})?"));
    let part = value("package [a-z]{1,9}|file (/[a-z0-9_. -]{0,7}[a-z]){1,3}|commands|user_data");
    let part = (part, any::<u128>())
        .prop_map(|(part, id)| BootDigest { part, content: Uuid::from_u128(id) });
    let first_boot = any::<Option<u128>>().prop_map(|id| id.map(Uuid::from_u128));
    let first_boot = (first_boot, vec(part, 0..4));
    let keys = (key(), vec(key(), 0..3), key());
    let drive = prop::sample::select(vec![SeedDrive::Disk, SeedDrive::CdRom]);
    ((file(), drive), login(), keys, whatever(), zone, 0..=MOST_MIB, first_boot).prop_map(
        |((seed, drive), user, keys, generation, timezone, swap_mib, first_boot)| {
            let (authorized_key, shared, host_key) = keys;
            let (first_boot, first_boot_parts) = first_boot;
            Guest {
                seed,
                drive,
                user,
                authorized_key,
                shared,
                host_key,
                generation,
                timezone,
                swap_mib,
                first_boot,
                first_boot_parts,
            }
        },
    )
}

fn node() -> impl Strategy<Value = NodeRecord> {
    let machine = || value("[a-zA-Z0-9][a-zA-Z0-9_.+-]{0,10}");
    let virt = prop::sample::select(vec![VirtType::Kvm, VirtType::Qemu, VirtType::Test]);
    let firmware = prop::sample::select(vec![BootMode::Bios, BootMode::Uefi]);
    let who = (environment(), pool(), named(), named(), any::<u128>(), 0..=MOST_INDEX);
    let memory = (1..=MOST_MIB, of(1..=MOST_MIB));
    let vcpus = (1..=u32::MAX).prop_map(|count| NonZeroU32::new(count).unwrap());
    let made = (virt, vcpus, machine(), memory, machine(), firmware, any::<[bool; 4]>());
    let has = (
        vec(disk(), 0..3),
        vec(interface(), 0..3),
        vec(value("[a-z][a-z0-9_]{0,8}"), 0..3),
        of(guest()),
    );
    // With signs that XML has a use for.
    let virtopts = of(value("--video=[a-z0-9]{1,9}( --qemu-commandline='[a-z<>&ß =-]{0,12}')?"));
    let tag = of(file().prop_map(String::from));
    let more = (tag, virtopts, whatever::<Option<IpAddr>>(), login(), connection());
    (who, made, has, more).prop_map(|(who, made, has, more)| {
        let (environment, pool, name, role, uuid, index) = who;
        let (virt, vcpus, cpu_model, (memory_mib, memory_max_mib), machine, firmware, flags) = made;
        let (disks, interfaces, groups, guest) = has;
        let (tag, virtopts, address, user, connection) = more;
        let [external, serial_file, deploy_os, direct] = flags;
        let node = Node {
            name,
            role,
            index,
            uuid: Uuid::from_u128(uuid),
            virt,
            vcpus,
            cpu_model,
            memory_mib,
            memory_max_mib,
            machine,
            firmware,
            vnc: Vnc { external, password: None, tag },
            serial_file,
            virtopts: virtopts.unwrap_or_default(),
            bmc: address.filter(|_| serial_file).map(|address| Bmc {
                protocol: if direct { BmcProtocol::Ipmi } else { BmcProtocol::Both },
                network: maquette_core::values::NetworkName::known("lab-lan"),
                address,
                own_address: deploy_os,
                redfish_port: 8443.try_into().unwrap(),
                ipmi_port: 6230.try_into().unwrap(),
                provisioning: deploy_os.then(|| interfaces.first().map(|nic| nic.mac)).flatten(),
            }),
            boot: if direct { vec![BootDevice::CdRom, BootDevice::Disk] } else { Vec::new() },
            deploy_os,
            disks,
            interfaces,
            groups,
            guest,
            access: Access { address, user, connection, direct },
        };
        NodeRecord { environment, pool, node }
    })
}

fn vswitch() -> impl Strategy<Value = Vswitch> {
    let address = prop_oneof![net4().prop_map(ipnet::IpNet::V4), net6().prop_map(ipnet::IpNet::V6)];
    let port = (interface_name(), of(vlan()), vec(address, 0..3));
    let port = port.prop_map(|(name, tag, addresses)| HostPort { name, tag, addresses });
    let tag = (vlan(), whatever()).prop_map(|(id, native)| Tag { id, native });
    let group = (named(), whatever(), whatever(), vec(tag, 0..3));
    let group =
        group.prop_map(|(name, default, trunk, tags)| Portgroup { name, default, trunk, tags });
    (whatever(), vec(port, 0..3), vec(group, 0..3))
        .prop_map(|(userspace, ports, portgroups)| Vswitch { userspace, ports, portgroups })
}

fn uplink() -> impl Strategy<Value = Uplink> {
    (interface_name(), whatever(), of(net4()), whatever(), whatever(), of(mtu())).prop_map(
        |(nic, chosen, address, stp, guard, mtu)| Uplink { nic, chosen, address, stp, guard, mtu },
    )
}

fn direct() -> impl Strategy<Value = Carrier> {
    let modes = vec![DirectMode::Private, DirectMode::Vepa, DirectMode::Passthrough];
    let own = (vec(interface_name(), 1..4), any::<bool>())
        .prop_map(|(nics, chosen)| DirectNics { nics, chosen });
    (prop::sample::select(modes), own).prop_map(|(mode, own)| Carrier::Direct(mode, own))
}

fn tuning() -> impl Strategy<Value = BridgeOptions> {
    let route = (net4(), whatever()).prop_map(|(net, via)| Route { net, via });
    (whatever(), whatever(), whatever(), vec(route, 0..3)).prop_map(
        |(link_local, hub, querier, routes)| BridgeOptions { link_local, hub, querier, routes },
    )
}

fn srv() -> impl Strategy<Value = Srv> {
    let word = || value("[a-z0-9][a-z0-9-]{0,8}");
    (word(), word(), of(dns()), whatever(), of(dns())).prop_map(
        |(name, protocol, domain, port, target)| Srv { name, protocol, domain, port, target },
    )
}

fn bootp() -> impl Strategy<Value = Bootp> {
    let file = || of(value("[a-z0-9/][a-zA-Z0-9/._:~%=&?@-]{0,12}"));
    let http = of(value("https?://[a-z]{1,8}/[a-z=&?%]{0,8}"));
    (file(), whatever(), file(), file(), http).prop_map(|(file, server, uefi, ipxe, http)| Bootp {
        file,
        server,
        uefi,
        ipxe,
        http,
    })
}

fn network() -> impl Strategy<Value = NetworkRecord> {
    let carrier = prop_oneof![
        prop::sample::select(Outside::ALL.to_vec()).prop_map(Carrier::Libvirt),
        uplink().prop_map(Carrier::Nic),
        vswitch().prop_map(Carrier::OpenVswitch),
        direct(),
    ];
    let who = (
        environment(),
        any::<(u8, u8)>(),
        network_name(),
        interface_name(),
        any::<u128>(),
        carrier,
    );
    let addresses = (of(net4()), range(), of(net6()), range(), of(dns()), of(mtu()));
    let fixed = (net4(), range(), whatever(), whatever());
    let fixed = fixed.prop_map(|(net, range, gateway, nameserver)| Fixed {
        net,
        range,
        gateway,
        nameserver,
    });
    let group = (named(), whatever()).prop_map(|(name, default)| PlainGroup { name, default });
    let host = (any::<[bool; 2]>(), tuning(), of(fixed), vec(group, 0..3));
    let reservation = (named(), mac(), whatever(), whatever())
        .prop_map(|(name, mac, ipv4, ipv6)| Reservation { name, mac, ipv4, ipv6 });
    let tenant = (named(), pool(), vec((file(), of(disk_pool())), 0..3), any::<bool>()).prop_map(
        |(node, pool, volumes, extension)| {
            let volumes = volumes.into_iter().map(|(name, pool)| Volume { name, pool }).collect();
            NodeVolumes { node, pool, volumes, extension }
        },
    );
    let boots = (of(value("/[a-z0-9._-]{1,8}")), of(bootp()));
    let has =
        (vec(srv(), 0..3), vec(whatever(), 0..3), boots, vec(reservation, 0..3), vec(tenant, 0..3));
    (who, addresses, host, has).prop_map(|(who, addresses, host, has)| {
        let (environment, (net, data_net), name, bridge, uuid, carrier) = who;
        let (ipv4, dhcp4, ipv6, dhcp6, domain, mtu) = addresses;
        let ([autostart, stp], tuning, fixed, groups) = host;
        let (srvs, forwarders, (tftp_root, bootp), reservations, tenants) = has;
        let network = Network {
            name,
            bridge,
            uuid: Uuid::from_u128(uuid),
            carrier,
            ipv4,
            dhcp4,
            ipv6,
            dhcp6,
            domain,
            srvs,
            forwarders,
            tftp_root,
            bootp,
            mtu,
            autostart,
            stp,
            groups,
            tuning,
            fixed,
            reservations,
            tenants,
        };
        NetworkRecord { environment, allocation: Allocation { net, data_net }, network }
    })
}

fn element(write: impl Fn(&mut Writer)) -> String {
    let mut w = Writer::default();
    write(&mut w);
    w.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_node_is_read_as_it_was_written(record in node()) {
        let xml = element(|w| write_node(w, &record));
        let document = Document::parse(&xml).unwrap();
        let Node { name, uuid, .. } = &record.node;
        let read = read_node(document.root_element(), name, *uuid);
        prop_assert_eq!(read, Ok(record));
    }

    #[test]
    fn every_network_is_read_as_it_was_written(record in network()) {
        let xml = element(|w| write_network(w, &record));
        let document = Document::parse(&xml).unwrap();
        let Network { name, uuid, .. } = &record.network;
        let read = read_network(document.root_element(), name, *uuid);
        prop_assert_eq!(read, Ok(record));
    }
}

/// What removes expired environments, which is a shell script on the hypervisor, as far as it judges records.
const EXPIRE: &str = concat!(
    include_str!("../../../../maquette-engine/assets/expire/base.sh"),
    include_str!("../../../../maquette-engine/assets/expire/records.sh"),
    "digest \"$1\"\n"
);

/// The digest of a record, as that tells it.
fn told(element: &str, xml: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut sh = Command::new("sh");
    sh.args(["-c", EXPIRE, "sh", element]).stdin(Stdio::piped());
    sh.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut sh = sh.spawn().unwrap();
    sh.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    String::from_utf8(sh.wait_with_output().unwrap().stdout).unwrap().trim().to_string()
}

fn written(xml: &str) -> String {
    let document = Document::parse(xml).unwrap();
    document.root_element().attribute(DIGEST).unwrap().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_removes_expired_nodes_tells_whether_a_record_was_changed(record in node()) {
        let xml = element(|w| write_node(w, &record));
        prop_assert_eq!(told("maquette:node", &xml), written(&xml));
    }

    #[test]
    fn and_of_networks(record in network()) {
        let xml = element(|w| write_network(w, &record));
        let within = format!("<network><name>x</name><metadata>{xml}</metadata><ip a='b'/></network>");
        prop_assert_eq!(told("maquette:network", &within), written(&xml));
    }
}
