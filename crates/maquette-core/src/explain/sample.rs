//! Values for examples.

use crate::file_keys::{Form, Key};
use crate::settings::{Kind, Setting};

/// Of keys whose form does not tell one that says something.
const OF_KEYS: &[(&str, &str)] = &[
    ("name", "front"),
    ("cpu", "2"),
    ("memory", "2048"),
    ("memory_max", "4096"),
    ("swap", "512"),
    ("count", "3"),
    ("bmc", "both"),
    ("disks", "[20G, 100G]"),
    ("size", "40G"),
    ("path", "/srv/disks"),
    ("networks", "[front, back]"),
    ("interfaces", "[front, back]"),
    ("network", "front"),
    ("connect_to", "spine"),
    ("portgroup", "blue"),
    ("external_network", "front"),
    ("provision_network", "front"),
    ("pxe_network", "front"),
    ("groups", "[web, servers]"),
    ("packages", "[tcpdump, vim]"),
    ("files", "{/etc/motd: welcome}"),
    ("commands", "[systemctl enable --now serial-getty@ttyS1]"),
    ("user_data", "{package_upgrade: true}"),
    ("dev", "vdb"),
    ("serial", "journal-1"),
    ("flavor", "baremetal"),
    ("flavor_id", "auto"),
    ("type", "linux"),
    ("needs_formatting", "no"),
    ("external_connectivity", "no"),
    ("subnet_cidr", "10.9.0.0/24"),
    ("subnet_gateway", "10.9.0.254"),
    ("content", "welcome"),
    ("mode", "\"0600\""),
    ("owner", "root:adm"),
    ("variant", "debian12"),
    ("forward", "none"),
    ("nic", "eno2"),
    ("ip_address", "10.9.0.254"),
    ("subnet", "10.9.0.0/24"),
    ("dhcp", "yes"),
    ("range", "{start: 10.9.0.100, end: 10.9.0.200}"),
    ("floating_ip", "{start: 10.9.0.201, end: 10.9.0.220}"),
    ("end", "10.9.0.200"),
    ("ips", "{basic: [11, 12]}"),
    ("introspection_macs", "{basic: [52:54:00:00:00:01]}"),
    ("introspection_nets", "{basic: [ctlplane]}"),
    ("tftp_root", "/srv/tftp"),
    ("bootp", "{file: undionly.kpxe, uefi: ipxe.efi, ipxe: boot.ipxe}"),
    ("uefi", "ipxe.efi"),
    ("ipxe", "boot.ipxe"),
    ("http", "http://10.9.0.20/ipxe.efi"),
    ("prefix", "64"),
    ("mtu", "9000"),
];

/// Of what is parsed, where that does not say one itself.
const OF_KINDS: &[(&str, &str)] = &[
    ("an IPv4 address", "10.9.0.20"),
    ("an IPv6 address", "2001:db8::1"),
    ("an IP address", "192.0.2.53"),
    ("an address", "10.9.0.100"),
    ("a MAC address", "52:54:00:00:00:01"),
    ("a CPU model", "host-model"),
    ("a machine type", "q35"),
    ("an image", "https://example.org/disk.qcow2"),
    ("a disk bus", "scsi"),
    ("a directory of the hypervisor", "/srv/disks"),
    ("an Ansible group", "web"),
    ("a login name", "admin"),
    ("a connection plug-in", "ssh"),
    ("a model of a NIC", "e1000"),
    ("a domain name", "lab.example"),
    ("a host name", "ldap.lab.example"),
    ("a service", "ldap"),
    ("`tcp` or `udp`", "tcp"),
    ("a port number", "389"),
    ("a boot file", "undionly.kpxe"),
    ("a VLAN's number", "10"),
];

/// Of settings that have no default.
const OF_SETTINGS: &[(&str, &str)] = &[
    ("prefix", "lab"),
    ("host-address", "hv1.example.com"),
    ("host-user", "stack"),
    ("host-key", "~/.ssh/lab"),
    ("host-key-fingerprint", "SHA256:…"),
    ("host-known-hosts", "known_hosts"),
    ("topology-nodes", "{web: {count: 2}, controller: 1}"),
    ("networks", "{front: {}, back: {forward: none}}"),
    ("extra-vars", "{controller: {memory: 4096}}"),
    ("net_subnet", "20"),
    ("data_subnet", "34"),
    ("host-network-mtu-size", "9000"),
    ("host-mtu-size", "9000"),
    ("image-url", "debian-12"),
    ("checksum", "sha256:…"),
    ("tls-ca", "/etc/ssl/lab.pem"),
    ("image-mirror-url", "https://mirror.example.com/images"),
    ("topology-timezone", "Europe/Prague"),
    ("bgp-topology-mode", "basic"),
    ("vnc-password", "@password"),
    ("bmc-credentials", "environment"),
    ("topology-password", "@password"),
    ("virtopts", "\"--watchdog default\""),
    ("layout", "lab.yml"),
    ("owner", "ann"),
    ("ttl", "8h"),
    ("host-memory-reserve", "4096"),
    ("bmc-network", "bmcs"),
];

fn named(table: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// A value for a setting.
pub(super) fn of_setting(row: &Setting) -> String {
    let other = if row.default == Some("yes") { "no" } else { "yes" };
    let yes = (row.kind == Kind::YesNo).then_some(other);
    let last = match row.kind {
        Kind::Words(words) => words.iter().rfind(|w| !w.hidden).map(|w| w.word),
        _ => None,
    };
    let own = named(OF_SETTINGS, row.name).or(yes).or(last).or(row.default);
    own.unwrap_or("…").into()
}

/// A value for a key.
pub(super) fn of_key(key: &Key) -> String {
    named(OF_KEYS, key.name).map_or_else(|| of_form(&key.form), String::from)
}

/// What goes with a key of an interface: the network that it is on.
pub(super) fn beside(key: &str) -> Option<&'static str> {
    match key {
        "ip" | "portgroup" | "model" | "bridged" => Some("network: front"),
        "src_model" | "hub" => Some("connect_to: spine"),
        _ => None,
    }
}

/// An example whose addresses are of the family that it is about, and whose disk is one that a key of it is for.
pub(super) fn settled(example: &str) -> String {
    // The first disk of a node with an operating system is made from its image.
    if example.contains("{disk1: {preallocation") {
        return example.replace("{disk1: {", "{disk1: {size: 20G}, disk2: {size: 20G, ");
    }
    match example.contains("ipv6: {") {
        true => {
            let range = "{range: {start: 10.9.0.100, end: 10.9.0.200}}";
            let example = example.replace("dhcp: yes", &format!("dhcp: {range}"));
            example.replace("10.9.0.", "2001:db8::")
        }
        false => example.into(),
    }
}

fn of_form(form: &Form) -> String {
    match form {
        Form::Text | Form::Anything => "…".into(),
        Form::Parsed(what) => {
            let said = what.split("such as ").nth(1).and_then(|rest| rest.split(',').next());
            let value = named(OF_KINDS, what).or(said).unwrap_or("…");
            value.trim_matches('`').into()
        }
        Form::YesNo => "yes".into(),
        Form::Number(least, ..) => least.to_string(),
        Form::Words(words) => words.last().map_or(String::new(), |word| (*word).into()),
        Form::Map(keys) | Form::Part(keys) => {
            let needed: Vec<&Key> = keys.iter().filter(|k| k.needed).collect();
            let shown = if needed.is_empty() { keys.iter().take(1).collect() } else { needed };
            let shown = shown.iter().map(|k| format!("{}: {}", k.name, of_key(k)));
            format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
        }
        Form::Entries(_, form) => format!("{{front: {}}}", of_form(form)),
        Form::List(form) => format!("[{}]", of_form(form)),
        Form::Either(forms) => forms.first().map_or(String::new(), of_form),
        Form::Nothing => "null".into(),
    }
}
